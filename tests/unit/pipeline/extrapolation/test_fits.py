import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from pipeline.extrapolation.fits import extrapolate
from qcpaas.errors import MitigationError

SCALES = np.array([1.0, 3.0, 5.0])
EXACT = np.zeros(3)
NOISY = np.array([1e-4, 1.5e-4, 2e-4])


@given(st.floats(0.2, 2) | st.floats(-2, -0.2), st.floats(0.01, 0.4), st.floats(-0.5, 0.5))
def test_an_exponential_decay_is_recovered(amplitude, rate, asymptote):
    values = asymptote + amplitude * np.exp(-rate * SCALES)
    found = extrapolate(SCALES, values, EXACT, "exponential", asymptote)
    assert not found.unsupported
    assert found.values == pytest.approx(asymptote + amplitude, abs=1e-7)
    assert found.variances == 0.0


@given(st.floats(0.2, 2) | st.floats(-2, -0.2), st.floats(0.1, 0.5), st.floats(-0.5, 0.5))
def test_a_free_asymptote_is_recovered_too(amplitude, rate, asymptote):
    scales = np.array([1.0, 2.0, 3.0, 5.0])
    values = asymptote + amplitude * np.exp(-rate * scales)
    found = extrapolate(scales, values, np.full(4, 1e-12), "free_exponential")
    assert not found.unsupported
    assert found.values == pytest.approx(asymptote + amplitude, abs=1e-4)
    assert found.ends == pytest.approx(asymptote, abs=1e-4)


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_polynomials_of_the_fits_own_degree_are_recovered(coefficients):
    a, b, c = coefficients
    line, parabola = a + b * SCALES, a + b * SCALES + c * SCALES**2
    for fit, degree, values in [
        ("linear", 2, line),
        ("quadratic", 2, parabola),
        ("polynomial", 1, line),
        ("polynomial", 2, parabola),
        ("richardson", 2, parabola),
    ]:
        found = extrapolate(SCALES, values, EXACT, fit, degree=degree)
        assert found.values == pytest.approx(a, abs=1e-9)


def test_richardson_weights_are_the_lagrange_ones():
    # Scales 1, 3, 5 at 0: 15/8, -10/8, 3/8.
    values = np.array([0.9, 0.6, 0.5])
    found = extrapolate(SCALES, values, NOISY, "richardson")
    weights = np.array([15, -10, 3]) / 8
    assert found.values == pytest.approx(weights @ values)
    assert found.variances == pytest.approx(weights**2 @ NOISY)


def test_many_curves_are_fitted_as_each_alone():
    rng = np.random.default_rng(3)
    values = 0.8 * np.exp(-0.2 * SCALES)[:, None, None] + rng.normal(0, 0.01, (3, 4, 2))
    variances = np.broadcast_to(NOISY[:, None, None], values.shape)
    for fit in ("linear", "richardson", "exponential"):
        together = extrapolate(SCALES, values, variances, fit, asymptote_error=[0.1, 0.2])
        for place in np.ndindex(4, 2):
            alone = extrapolate(
                SCALES, values[:, *place], NOISY, fit, asymptote_error=[0.1, 0.2][place[1]]
            )
            assert together.values[place] == pytest.approx(alone.values)
            assert together.variances[place] == pytest.approx(alone.variances)
            assert together.systematics[place] == pytest.approx(alone.systematics)


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
    drawn = truth[:, None] + rng.normal(0, np.sqrt(NOISY)[:, None], (3, 3000))
    variances = np.broadcast_to(NOISY[:, None], drawn.shape)
    found = extrapolate(SCALES, drawn, variances, fit, 0.1)
    empirical = np.var(found.values)
    # The relative standard error of a variance from n samples is sqrt(2 / n) = 2.6 %.
    assert np.mean(found.variances) == pytest.approx(empirical, rel=0.11)
    assert abs(np.mean(found.values) - 0.9) < 4 * np.sqrt(empirical / 3000) + 1e-3


def test_an_exponential_is_the_least_squares_fit_of_scipy():
    values = np.array([0.71, 0.45, 0.33])

    def decay(scale, amplitude, rate):
        return 0.1 + amplitude * np.exp(-rate * scale)

    (amplitude, rate), covariance = curve_fit(
        decay, SCALES, values, p0=(0.8, 0.2), sigma=np.sqrt(NOISY), absolute_sigma=True
    )
    found = extrapolate(SCALES, values, NOISY, "exponential", 0.1)
    assert found.values == pytest.approx(0.1 + amplitude, abs=1e-6)
    assert found.rates == pytest.approx(rate, abs=1e-6)
    assert found.variances == pytest.approx(covariance[0, 0], rel=1e-4)
    residuals = (values - decay(SCALES, amplitude, rate)) / np.sqrt(NOISY)
    assert found.chi_squares == pytest.approx(residuals @ residuals, rel=1e-5)
    assert found.freedom == 1


def test_an_asymptote_that_is_not_known_well_widens_the_error_unless_the_data_tell_it():
    values = 0.3 + 0.6 * np.exp(-0.4 * SCALES)
    known = extrapolate(SCALES, values, NOISY, "exponential", 0.3)
    vague = extrapolate(SCALES, values, NOISY, "exponential", 0.2, asymptote_error=0.2)
    total = np.sqrt(vague.variances + vague.systematics**2)
    assert vague.variances > 2 * known.variances
    assert abs(vague.values - 0.9) < total
    precise = extrapolate(SCALES, values, NOISY / 1e4, "exponential", 0.2, asymptote_error=0.2)
    assert precise.values == pytest.approx(0.9, abs=0.01)
    assert precise.ends == pytest.approx(0.3, abs=0.01)


def test_what_is_expected_of_the_rate_counts_where_shot_noise_hides_the_decay():
    values, variances = np.array([0.3, 0.02, 0.01]), np.full(3, 0.03**2)
    told = extrapolate(SCALES, values, variances, "exponential", 0.0, rate=1.0, rate_error=0.2)
    alone = extrapolate(SCALES, values, variances, "exponential", 0.0)
    assert told.rates == pytest.approx(1.0, abs=0.2)
    assert np.sqrt(told.variances) < np.sqrt(alone.variances)


@pytest.mark.parametrize(
    ("values", "variances", "why"),
    [
        ([0.3, -0.2, 0.1], NOISY, "cross"),
        ([0.05, 0.02, -0.03], np.full(3, 0.03**2), "shot noise hides the decay"),
        ([0.3, 0.5, 0.8], NOISY, "move away"),
    ],
)
def test_an_unsupported_exponential_gives_way_to_a_line_and_says_why(values, variances, why):
    values = np.array(values)
    found = extrapolate(SCALES, values, variances, "exponential", 0.0, bound=1.0)
    line = extrapolate(SCALES, values, variances, "linear")
    assert (found.values, found.variances) == (line.values, line.variances)
    assert found.systematics >= line.systematics
    assert np.sqrt(found.systematics**2 + found.variances) > 0.04
    assert why in found.reasons[0]


def test_an_unsupported_exponential_can_leave_the_value_or_raise():
    values = np.array([0.3, -0.2, 0.1])
    raw = extrapolate(SCALES, values, NOISY, "exponential", unsupported="raw")
    assert raw.values == pytest.approx(0.3)
    assert raw.systematics > 0.1  # the line through them is as far as that
    with pytest.raises(MitigationError, match="cross the fully mixed value"):
        extrapolate(SCALES, values, NOISY, "exponential", unsupported="fail")


def test_a_straight_curve_does_not_support_an_asymptote_of_its_own():
    values = np.array([0.9, 0.8, 0.7])
    found = extrapolate(SCALES, values, NOISY, "free_exponential", 0.0)
    assert "where the decay ends" in found.reasons[0]
    known = extrapolate(SCALES, values, NOISY, "exponential", 0.0)
    assert found.values == pytest.approx(known.values)


def test_the_systematic_error_of_a_line_is_what_it_misses_of_a_decay():
    values = np.exp(-0.2 * SCALES)
    line = extrapolate(SCALES, values, np.full(3, 1e-8), "linear")
    assert line.systematics == pytest.approx(1.0 - line.values, rel=1e-2)
    assert np.sqrt(line.variances) < 1e-3


@pytest.mark.parametrize("fit", ["exponential", "quadratic", "richardson"])
def test_noise_that_is_not_amplified_is_in_the_error_bar_of_every_fit(fit):
    # A fifth of the noise stays as it is at every scale: what is left is a quarter of what the
    # other four fifths took, and no fit to the curve can know.
    rate, fixed = 0.05, 0.2
    values = np.exp(-rate * (fixed + (1 - fixed) * SCALES))
    shot = np.full(3, 1e-10)
    found = extrapolate(SCALES, values, shot, fit, unamplified=0.25)
    blind = extrapolate(SCALES, values, shot, fit)
    assert 1 - found.values == pytest.approx(0.25 * (found.values - values[0]), rel=0.1)
    assert found.systematics == pytest.approx(1 - found.values, rel=0.15)
    assert blind.systematics < 0.3 * (1 - blind.values)
    assert found.values == blind.values
    assert found.variances == blind.variances


def test_a_line_misses_the_curvature_and_the_rest_on_the_same_side():
    values = np.exp(-0.1 * (0.2 + 0.8 * SCALES))
    line = extrapolate(SCALES, values, np.full(3, 1e-10), "linear", unamplified=0.25)
    assert line.systematics == pytest.approx(1 - line.values, rel=0.15)


def test_shot_noise_alone_is_no_correction_that_could_be_in_doubt():
    drawn = np.random.default_rng(8).normal(0.5, 0.01, (3, 4000))
    variances = np.full((3, 4000), 1e-4)
    found = extrapolate(SCALES, drawn, variances, "linear", unamplified=0.25)
    blind = extrapolate(SCALES, drawn, variances, "linear")
    extra = np.mean(found.systematics**2) - np.mean(blind.systematics**2)
    assert extra < 0.1 * np.mean(found.variances)


def test_without_amplification_the_measurements_are_averaged():
    found = extrapolate(np.ones(3), np.array([0.1, 0.2, 0.3]), np.full(3, 0.03), "quadratic")
    assert found.values == pytest.approx(0.2)
    assert found.variances == pytest.approx(0.01)
    assert found.reasons == ("no gate was folded",)


@pytest.mark.parametrize("fit", ["quadratic", "free_exponential", "polynomial"])
def test_too_few_scales_are_refused_with_both_numbers(fit):
    with pytest.raises(MitigationError, match="needs 3 noise scales; found 2"):
        extrapolate(np.array([1.0, 3.0, 3.0]), np.ones(3), EXACT, fit)
