import numpy as np
import pytest

from pipeline.regression.regressors import PENALTIES, RidgeRegressor, regressor_for
from pipeline.regression.validation import Examples, learn

SHOT = 0.01


def measured(exact, rng, noise=SHOT):
    """Two noise scales that decay at a rate of each circuit's own."""
    rate = rng.uniform(0.1, 0.3, len(exact))
    noisy = np.stack([exact * np.exp(-rate * scale) for scale in (1, 3)], axis=1)
    noisy += rng.normal(0, noise, noisy.shape)
    spreads = np.full_like(noisy, noise)
    return Examples(noisy, spreads, noisy[:, :1], spreads[:, :1] ** 2)


def trained(model, seed=0, rows=64, exact=None):
    rng = np.random.default_rng(seed)
    exact = rng.uniform(-1, 1, rows) if exact is None else exact
    examples = measured(exact, rng)
    return learn(examples, exact[:, None], lambda: regressor_for(model, 1), 8, rng), exact


@pytest.mark.parametrize(
    "model", ["ridge", pytest.param("mlp", marks=pytest.mark.slow), "forest", "gp"]
)
def test_each_model_beats_the_noisy_values_and_says_by_how_much(model):
    learned, _ = trained(model)
    rng = np.random.default_rng(99)
    exact = rng.uniform(-0.9, 0.9, 400)
    values, variances = learned.predict(measured(exact, rng))
    errors = values[:, 0] - exact
    assert np.sqrt((errors**2).mean()) == pytest.approx(np.sqrt(variances.mean()), rel=0.4)
    assert (errors**2).mean() < learned.raw_error[0] / 2
    assert not learned.useless.any()


def test_what_cannot_be_learnt_is_found_useless():
    rng = np.random.default_rng(2)
    exact = rng.uniform(-1, 1, 60)
    noisy = exact[:, None] + rng.normal(0, SHOT, (60, 1))  # nothing but shot noise
    examples = Examples(noisy, np.full_like(noisy, SHOT), noisy, np.full_like(noisy, SHOT**2))
    unrelated = rng.normal(0, 1e-3, (60, 1)) + noisy
    learned = learn(examples, unrelated, lambda: regressor_for("mlp", 1), 6, rng)
    assert learned.useless.all()


def test_values_outside_the_training_range_are_recognised():
    learned, _ = trained("ridge", exact=np.linspace(-0.3, 0.3, 40))
    rng = np.random.default_rng(4)
    assert learned.outside(measured(np.array([0.9, -0.8, 0.1]), rng)).tolist() == [
        True,
        True,
        False,
    ]


def test_more_shot_noise_than_in_training_widens_the_error_bar():
    learned, _ = trained("ridge")
    rng = np.random.default_rng(5)
    _, usual = learned.predict(measured(np.array([0.3]), rng))
    _, noisier = learned.predict(measured(np.array([0.3]), rng, noise=5 * SHOT))
    assert noisier - usual == pytest.approx(24 * SHOT**2, rel=0.05)


def test_training_twice_gives_the_same():
    first, second = (trained("mlp", rows=16)[0] for _ in range(2))
    assert np.array_equal(first.held_out, second.held_out)


def test_features_that_are_the_same_everywhere_teach_the_mean_shift():
    exact = np.zeros((20, 1))
    noisy = np.full((20, 1), 0.05)
    examples = Examples(noisy, np.zeros_like(noisy), noisy, np.zeros_like(noisy))
    source = lambda: regressor_for("ridge", 1)  # noqa: E731
    learned = learn(examples, exact, source, 5, np.random.default_rng(1))
    assert learned.predict(examples)[0] == pytest.approx(0.0, abs=1e-12)


def test_ridge_regression_is_that_of_scikit_learn():
    from sklearn.linear_model import RidgeCV

    rng = np.random.default_rng(6)
    features = rng.normal(size=(40, 7))
    features -= features.mean(axis=0)
    targets = features @ rng.normal(size=(7, 3)) + rng.normal(0, 2, (40, 3))
    targets -= targets.mean(axis=0)
    own, theirs = RidgeRegressor(), RidgeCV(alphas=PENALTIES)
    own.fit(features, targets)
    theirs.fit(features, targets)
    asked = rng.normal(size=(5, 7))
    assert own.predict(asked) == pytest.approx(theirs.predict(asked), abs=1e-9)
