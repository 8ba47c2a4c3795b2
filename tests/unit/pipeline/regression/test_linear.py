import numpy as np
import pytest

from pipeline.regression.linear import fit_line, fit_scales, fit_shift

RNG = np.random.default_rng(3)


def test_a_line_without_noise_is_read_backwards_exactly():
    exact = np.linspace(-1, 1, 12)
    line = fit_line(exact, 0.8 * exact - 0.1, np.zeros(12))
    value, variance = line.invert(np.array(0.8 * 0.3 - 0.1), np.array(0.0))
    assert value == pytest.approx(0.3)
    assert variance == pytest.approx(0.0, abs=1e-12)


def test_errors_of_inverted_values_are_as_large_as_they_say():
    """Also with scatter that shot noise does not explain."""
    exact = np.tile(np.linspace(-0.8, 0.8, 16), (4000, 1))
    shot = np.full_like(exact, 0.01**2)
    noisy = 0.7 * exact + 0.05 + RNG.normal(0, np.hypot(0.01, 0.02), exact.shape)
    line = fit_line(exact, noisy, shot)
    assert line.scatter.mean() == pytest.approx(0.02**2, rel=0.1)
    measured = 0.7 * 0.4 + 0.05 + RNG.normal(0, np.hypot(0.01, 0.02), 4000)
    value, variance = line.invert(measured, shot[:, 0])
    assert value.mean() == pytest.approx(0.4, abs=0.002)
    covered = (np.abs(value - 0.4) <= np.sqrt(variance)).mean()
    assert covered == pytest.approx(0.66, abs=0.03)  # 14 degrees of freedom left


def test_scatter_is_that_of_circuits_with_values_nearby():
    """Circuits at the ends of the range scatter four times as much as those in the middle."""
    exact = np.tile(np.linspace(-1, 1, 32), (4000, 1))
    shot = np.full_like(exact, 0.002**2)
    scatter = np.where(np.abs(exact) > 0.75, 0.04, 0.01)
    noisy = 0.8 * exact + RNG.normal(0, np.hypot(0.002, scatter))
    line = fit_line(exact, noisy, shot)
    value, variance = line.invert(RNG.normal(0, np.hypot(0.002, 0.01), 4000), shot[:, 0])
    assert np.sqrt(variance.mean()) == pytest.approx(np.sqrt((value**2).mean()), rel=0.3)
    assert (np.abs(value) <= np.sqrt(variance)).mean() == pytest.approx(0.7, abs=0.07)
    assert line.scatter.mean() > 3 * 0.01**2  # over all of them


def test_shot_noise_does_not_flatten_the_line():
    exact = np.tile(np.linspace(-0.1, 0.1, 20), (3000, 1))
    noisy = 0.6 * exact + RNG.normal(0, 0.05, exact.shape)  # as large as the spread
    line = fit_line(exact, noisy, np.full_like(exact, 0.05**2))
    assert line.slope.mean() == pytest.approx(0.6, abs=4 * line.slope.std() / np.sqrt(3000))


def test_a_line_through_the_mixed_value_has_one_parameter():
    exact = np.array([[0.3, 0.9, -0.5, 1.0]])
    line = fit_line(exact, 0.25 + 0.6 * (exact - 0.25), np.zeros((1, 4)), np.array([0.25]))
    value, _ = line.invert(np.array([0.25 + 0.6 * 0.5]), np.zeros(1))
    assert value == pytest.approx([0.75])


def test_values_that_are_all_alike_tell_the_shift():
    noisy = 0.04 + RNG.normal(0, 0.01, (2000, 10))
    line = fit_shift(np.zeros((2000, 10)), noisy, np.full((2000, 10), 0.01**2))
    value, variance = line.invert(0.04 + RNG.normal(0, 0.01, 2000), np.full(2000, 0.01**2))
    assert np.sqrt((value**2).mean()) == pytest.approx(np.sqrt(variance.mean()), rel=0.1)


def test_several_noise_scales_bring_back_what_one_cannot():
    """Two kinds of circuits that decay at different rates: no line through scale 1 fits both."""
    exact = np.concatenate([np.linspace(-0.8, 0.8, 9)] * 2)
    kind = np.repeat([0.0, 1.0], 9)
    noisy = np.stack([exact * (1 - 0.1 * s) + 0.05 * s * kind for s in (1, 3)], axis=1)
    measured = np.array([0.5 * (1 - 0.1 * s) + 0.05 * s for s in (1, 3)])
    value, variance = fit_scales(exact, noisy, measured, np.zeros(2), np.zeros(2))
    assert value == pytest.approx(0.5)
    assert variance == pytest.approx(0, abs=1e-12)
    line = fit_line(exact, noisy[:, 0], np.zeros(18))
    assert abs(line.invert(measured[:1], np.zeros(1))[0] - 0.5) > 0.02
