import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extrapolation import extrapolate
from qcpaas.errors import MitigationError

SCALES = np.array([1.0, 3.0, 5.0])
EXACT = np.zeros(3)
NOISY = np.array([1e-4, 1.5e-4, 2e-4])


@given(st.floats(0.2, 2) | st.floats(-2, -0.2), st.floats(0.01, 0.4), st.floats(-0.5, 0.5))
def test_an_exponential_decay_is_recovered(amplitude, rate, asymptote):
    values = asymptote + amplitude * np.exp(-rate * SCALES)
    found = extrapolate(SCALES, values, EXACT, "exponential", asymptote)
    assert found.fit == "exponential"
    assert found.value == pytest.approx(asymptote + amplitude, abs=1e-9)
    assert found.variance == 0.0


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_polynomials_of_the_fits_own_degree_are_recovered(coefficients):
    a, b, c = coefficients
    line, parabola = a + b * SCALES, a + b * SCALES + c * SCALES**2
    for fit, values in [
        ("linear", line),
        ("quadratic", parabola),
        ("richardson", parabola),
    ]:
        assert extrapolate(SCALES, values, EXACT, fit).value == pytest.approx(a, abs=1e-9)


def test_richardson_weights_are_the_lagrange_ones():
    # Scales 1, 3, 5 at 0: 15/8, -10/8, 3/8.
    values = np.array([0.9, 0.6, 0.5])
    found = extrapolate(SCALES, values, NOISY, "richardson")
    weights = np.array([15, -10, 3]) / 8
    assert found.value == pytest.approx(weights @ values)
    assert found.variance == pytest.approx(weights**2 @ NOISY)


@pytest.mark.parametrize(
    ("fit", "truth"),
    [
        ("linear", 0.9 - 0.08 * SCALES),
        ("quadratic", 0.9 - 0.1 * SCALES + 0.01 * SCALES**2),
        ("richardson", 0.9 - 0.1 * SCALES + 0.01 * SCALES**2),
        ("exponential", 0.1 + 0.8 * np.exp(-0.1 * SCALES)),
    ],
)
def test_the_variance_is_that_of_many_repetitions(fit, truth):
    rng = np.random.default_rng(5)
    found = [
        extrapolate(SCALES, truth + rng.normal(0, np.sqrt(NOISY)), NOISY, fit, 0.1)
        for _ in range(3000)
    ]
    empirical = np.var([one.value for one in found])
    # The relative standard error of a variance from n samples is sqrt(2 / n) = 2.6 %.
    assert np.mean([one.variance for one in found]) == pytest.approx(empirical, rel=0.11)
    bias = np.mean([one.value for one in found]) - 0.9
    assert abs(bias) < 4 * np.sqrt(empirical / 3000) + 1e-3


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([0.3, -0.2, 0.1], "cross"),
        ([0.5, 0.1, 0.01], "within two standard errors"),
        ([0.3, 0.5, 0.8], "move away"),
    ],
)
def test_an_unsupported_exponential_gives_way_to_a_line_and_says_why(values, why):
    values = np.array(values)
    found = extrapolate(SCALES, values, NOISY, "exponential", 0.0)
    line = extrapolate(SCALES, values, NOISY, "linear")
    assert (found.fit, found.value, found.variance) == ("linear", line.value, line.variance)
    assert why in found.note


def test_without_amplification_the_measurements_are_averaged():
    found = extrapolate(np.ones(3), np.array([0.1, 0.2, 0.3]), np.full(3, 0.03), "quadratic")
    assert found.value == pytest.approx(0.2)
    assert found.variance == pytest.approx(0.01)
    assert found.note == "no gate was folded"


@pytest.mark.parametrize("fit", ["quadratic"])
def test_too_few_scales_are_refused_with_both_numbers(fit):
    with pytest.raises(MitigationError, match="needs 3 noise scales; found 2"):
        extrapolate(np.array([1.0, 3.0, 3.0]), np.ones(3), EXACT, fit)
