"""Extrapolation of measured curves to zero noise, with what it does not know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.extrapolation.decay import Decay, Expected, fit_decay, precision_of
from qcpaas.errors import MitigationError

Fit = Literal["linear", "quadratic", "polynomial", "richardson", "exponential", "free_exponential"]
Unsupported = Literal["fallback", "raw", "fail"]
Array = NDArray[np.float64]

RESOLVED = 1.0  # relative standard error of the correction above which a decay is not supported
# Standard deviation of the decay rates that make up one curve, in units of their mean: with it,
# error bars of TFIM, GHZ and ansatz circuits on the twin of a 27-qubit device hold in 2 of 3.
SPREAD = 0.7
SIGNIFICANT = 6.6  # chi-square of one degree of freedom that chance exceeds once in a hundred


@dataclass(frozen=True, eq=False)
class Extrapolation:
    """Values at zero noise; every array has the shape of one measured row.

    Attributes:
        variances: Squared standard errors that shot noise leaves.
        systematics: Standard errors that the form of the fit leaves.
        chi_squares: Weighted squared residuals; ``freedom`` is the points over the parameters.
        unsupported: Index into `REASONS`; 0 where the fit is the one that was asked.
        rates: Of fitted decays, ``ends`` their asymptotes; NaN where another form was fitted.
    """

    values: Array
    variances: Array
    systematics: Array
    chi_squares: Array
    freedom: int
    unsupported: NDArray[np.intp]
    rates: Array
    ends: Array

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why fits were replaced, each once."""
        return tuple(REASONS[code] for code in np.unique(self.unsupported) if code)


REASONS = (
    "",
    "no gate was folded",
    "the values cross the fully mixed value",
    "the values move away from the fully mixed value",
    "shot noise hides the decay",
    "shot noise hides where the decay ends",
)
UNFOLDED, CROSSING, GROWING, HIDDEN, NO_ASYMPTOTE = range(1, 6)


def points_needed(fit: Fit, degree: int = 2) -> int:
    """Distinct noise scales."""
    fixed = {"linear": 2, "quadratic": 3, "richardson": 2, "exponential": 2, "free_exponential": 3}
    return degree + 1 if fit == "polynomial" else fixed[fit]


def extrapolate(
    scales: ArrayLike,
    values: ArrayLike,
    variances: ArrayLike,
    fit: Fit,
    asymptote: ArrayLike = 0.0,
    *,
    asymptote_error: ArrayLike = 0.0,
    rate: ArrayLike = 0.0,
    rate_error: ArrayLike = np.inf,
    bound: ArrayLike = np.inf,
    degree: int = 2,
    unsupported: Unsupported = "fallback",
    unamplified: float = 0.0,
) -> Extrapolation:
    """Extrapolate expectation values to noise scale 0.

    The systematic error of an exponential is what a spread of decay rates, `SPREAD` of their
    mean, makes of its value at 0; that of any other fit is its distance from the exponential, as
    far as shot noise does not explain it. Beside it stands, for every fit alike, the noise that
    the scales do not amplify: all fits miss it by the same share of their correction, so that no
    comparison among them shows it.

    Args:
        scales: Noise scales, shape ``(n,)``, each at least 1.
        values: Expectation values, shape ``(n, ...)``: any number of curves.
        variances: Squared standard errors, same shape; all 0 weighs a curve's points alike.
        fit: ``richardson`` passes a polynomial through all points; ``exponential`` decays to the
            asymptote, ``free_exponential`` to one that is fitted.
        asymptote: Value that noise leads to; like the following, of the shape of a row of
            ``values``, or one number.
        asymptote_error: Standard error of the asymptote; the data may then say more of it.
        rate: Expected rate of decay by noise scale, with ``rate_error``, infinite where unknown.
        bound: How far a value can lie from its asymptote at all.
        degree: Of a ``polynomial``.
        unsupported: What to do with a curve that does not support an exponential. ``fallback``: a
            line; a decay to the given asymptote where only the free one is not supported. ``raw``:
            the value at the smallest scale. ``fail``: raise.
        unamplified: Standard error of the correction by what is not amplified, a share of it.

    Raises:
        MitigationError: Fewer distinct scales than the fit has parameters, or ``fail`` and an
            unsupported exponential.

    Source: Temme et al., PRL 119, 180509 (2017); Endo et al., PRX 8, 031027 (2018).
    """
    places = np.shape(values)[1:]

    def flat(numbers: ArrayLike) -> Array:
        return np.broadcast_to(np.asarray(numbers, dtype=np.float64), places).reshape(-1)

    x = np.asarray(scales, dtype=np.float64)
    curves = _Curves(
        x,
        np.reshape(np.asarray(values, dtype=np.float64), (len(x), -1)),
        np.reshape(np.asarray(variances, dtype=np.float64), (len(x), -1)),
        Expected(*map(flat, (asymptote, asymptote_error, rate, rate_error))),
        flat(bound),
    )
    distinct = len(np.unique(x))
    needed = points_needed(fit, degree)
    if distinct == 1:  # nothing could be amplified: nothing to extrapolate
        found = replace(_polynomial(curves, 0), unsupported=curves.filled(UNFOLDED))
    elif distinct < needed:
        raise MitigationError(f"a {fit} fit needs {needed} noise scales; found {distinct}.")
    elif fit in {"exponential", "free_exponential"}:
        found = _exponential(curves, fit == "free_exponential", unsupported)
    else:
        degrees = {"linear": 1, "quadratic": 2, "polynomial": degree, "richardson": distinct - 1}
        found = _polynomial(curves, degrees[fit])
    missed = unamplified * _correction(found.values, curves)
    # A line stays behind a decay as it does behind noise that is not amplified: both add up.
    together = np.add if fit == "linear" else np.hypot
    return _shaped(replace(found, systematics=together(found.systematics, missed)), curves, places)


@dataclass(frozen=True, eq=False)
class _Curves:
    """``values`` and ``variances`` of shape ``(n, m)``."""

    scales: Array
    values: Array
    variances: Array
    expected: Expected
    bounds: Array

    def filled(self, code: int) -> NDArray[np.intp]:
        return np.full(self.values.shape[1], code, dtype=np.intp)

    @property
    def no_decay(self) -> tuple[Array, Array]:
        """Rates and ends where no decay is fitted."""
        missing = np.full(self.values.shape[1], np.nan)
        return missing, missing


def _decay(curves: _Curves, *, free: bool = False) -> Decay:
    expected = curves.expected.free_ends() if free else curves.expected
    return fit_decay(curves.scales, curves.values, curves.variances, expected)


def _polynomial(curves: _Curves, degree: int) -> Extrapolation:
    """Weighted least squares; the value at 0 is linear in the data, so its variance is exact."""
    weights, chi_squares = _polynomial_weights(curves, degree)
    values = (weights * curves.values).sum(axis=0)
    found = Extrapolation(
        values,
        (weights**2 * curves.variances).sum(axis=0),
        np.zeros_like(values),
        chi_squares,
        len(curves.scales) - degree - 1,
        curves.filled(0),
        *curves.no_decay,
    )
    if degree == 0:
        return found
    decay = _decay(curves)
    nearest, _ = _polynomial_weights(curves, degree - 1)
    raw = _raw_weights(curves) if degree == 1 else nearest
    follows = _against_decay(curves, decay) == 0
    other = np.where(follows, decay.values, (raw * curves.values).sum(axis=0))
    difference = weights - np.where(follows, decay.weights, raw)
    return replace(found, systematics=_beyond_noise(values - other, difference, curves))


def _exponential(curves: _Curves, free: bool, unsupported: Unsupported) -> Extrapolation:
    known = _decay(curves)
    reasons = _against_decay(curves, known)
    found = _of_decay(known, _form_error(curves, known), len(curves.scales) - 2)
    found = _otherwise(found, curves, reasons, unsupported, known)
    if not free:
        return found
    decay = _decay(curves, free=True)
    apart = _beyond_noise(decay.values - known.values, decay.weights - known.weights, curves)
    hidden = decay.rates < 2 * decay.rate_errors
    unresolved = np.sqrt(decay.variances) > RESOLVED * np.abs(decay.amplitudes)
    size = np.abs(decay.values - curves.expected.ends)
    beyond = size - 2 * np.sqrt(decay.variances) > 1.001 * curves.bounds
    codes = np.where(hidden | unresolved | beyond, NO_ASYMPTOTE, 0)
    if unsupported == "fail" and codes.any():
        _fail(int(codes.max()))
    own = _of_decay(decay, np.where(reasons == 0, apart, 0.0), len(curves.scales) - 3)
    rest = found if unsupported == "fallback" else _raw(curves)
    merged = _chosen(codes == 0, own, rest)
    return replace(merged, unsupported=np.where(codes == 0, 0, np.maximum(codes, reasons)))


def _otherwise(
    found: Extrapolation,
    curves: _Curves,
    reasons: NDArray[np.intp],
    unsupported: Unsupported,
    refused: Decay,
) -> Extrapolation:
    """The same with what takes the place of exponentials that the data do not support."""
    if not reasons.any():
        return found
    if unsupported == "fail":
        _fail(int(reasons.max()))
    rest = _line(curves) if unsupported == "fallback" else _raw(curves)
    # What a decay would not tell, a line does not know either.
    doubt = np.minimum(np.hypot(np.sqrt(refused.variances), refused.expected_parts), curves.bounds)
    rest = replace(rest, systematics=np.maximum(rest.systematics, doubt))
    return replace(_chosen(reasons == 0, found, rest), unsupported=reasons)


def _fail(code: int) -> None:
    raise MitigationError(
        f"the measured values do not support an exponential: {REASONS[code]}. Give more shots, "
        "smaller scale factors, or unsupported='fallback' for a line in its place."
    )


def _line(curves: _Curves) -> Extrapolation:
    """A line, all of whose correction is in doubt."""
    line, raw = _polynomial(curves, 1), _raw(curves)
    return replace(line, systematics=np.maximum(line.systematics, raw.systematics))


def _raw(curves: _Curves) -> Extrapolation:
    """What was measured at the smallest scale; the correction that a line makes is in doubt."""
    weights, line = _raw_weights(curves), _polynomial_weights(curves, 1)[0]
    values = (weights * curves.values).sum(axis=0)
    correction = (line * curves.values).sum(axis=0) - values
    return Extrapolation(
        values,
        (weights**2 * curves.variances).sum(axis=0),
        _beyond_noise(correction, line - weights, curves),
        np.zeros_like(values),
        0,
        curves.filled(0),
        *curves.no_decay,
    )


def _against_decay(curves: _Curves, decay: Decay) -> NDArray[np.intp]:
    """Why a curve does not support a decay to its asymptote; 0 where it does."""
    distance, errors = curves.values - curves.expected.ends, np.sqrt(curves.variances)
    crosses = (distance > 2 * errors).any(axis=0) & (distance < -2 * errors).any(axis=0)
    first, last = curves.scales.argmin(), curves.scales.argmax()
    growth = np.abs(distance[last]) - np.abs(distance[first])
    grows = growth > 3 * np.sqrt(curves.variances[last] + curves.variances[first])
    known = curves.expected.end_errors == 0  # a curve may cross, or leave, where it does not end
    size = np.abs(decay.values - curves.expected.ends)
    error = np.hypot(np.sqrt(decay.variances), decay.expected_parts)
    hidden = (error > RESOLVED * size) | (size < 1e-12) | (size - 2 * error > 1.001 * curves.bounds)
    codes = [known & crosses, known & grows, hidden]
    return np.select(codes, [CROSSING, GROWING, HIDDEN], 0).astype(np.intp)


def _of_decay(decay: Decay, systematics: Array, freedom: int) -> Extrapolation:
    return Extrapolation(
        decay.values,
        decay.variances,
        systematics,
        decay.chi_squares,
        freedom,
        np.zeros(decay.rates.shape, dtype=np.intp),
        decay.rates,
        decay.values - decay.amplitudes,
    )


def _form_error(curves: _Curves, decay: Decay) -> Array:
    """What may be wrong with the value at 0 because the curve is no exponential.

    What a spread of rates does to it, and what is not known of the asymptote.
    """
    error: Array = np.hypot(_spread_error(curves.scales, decay), decay.expected_parts)
    return error


def _spread_error(scales: Array, decay: Decay) -> Array:
    """What curvature of the logarithm, from a spread of rates, does to the value at 0."""
    curvature = (SPREAD * decay.rates) ** 2 * scales[:, None] ** 2 / 2
    shape = decay.amplitudes * np.exp(-scales[:, None] * decay.rates)
    error: Array = np.abs((decay.weights * shape * curvature).sum(axis=0))
    return error


def _beyond_noise(difference: Array, weights: Array, curves: _Curves) -> Array:
    """A difference of two estimates from the same data, less what shot noise makes of it."""
    noise = (weights**2 * curves.variances).sum(axis=0)
    beyond: Array = np.sqrt(np.maximum(difference**2 - noise, 0.0))
    return beyond


def _correction(values: Array, curves: _Curves) -> Array:
    """How far values lie from those measured at the smallest scale, less what shot noise makes."""
    apart = values - (_raw_weights(curves) * curves.values).sum(axis=0)
    line = _polynomial_weights(curves, 1)[0] if len(np.unique(curves.scales)) > 1 else 0.0
    return _beyond_noise(apart, line - _raw_weights(curves), curves)


def _raw_weights(curves: _Curves) -> Array:
    at_smallest = np.isclose(curves.scales, curves.scales.min())[:, None]
    return np.broadcast_to(at_smallest / at_smallest.sum(), curves.values.shape)


def _polynomial_weights(curves: _Curves, degree: int) -> tuple[Array, Array]:
    """Weights of the data in the value at 0, shape ``(n, m)``, and chi-squares."""
    design = np.vander(curves.scales, degree + 1, increasing=True)
    precision = precision_of(curves.variances)
    normal = np.einsum("nk,nm,nl->mkl", design, precision, design)
    solver = np.linalg.solve(normal, np.einsum("nk,nm->mkn", design, precision))
    fitted = np.einsum("nk,mkj,jm->nm", design, solver, curves.values)
    chi_squares = (precision * (curves.values - fitted) ** 2).sum(axis=0)
    return solver[:, 0, :].T, chi_squares


def _chosen(first: NDArray[np.bool_], one: Extrapolation, other: Extrapolation) -> Extrapolation:
    return Extrapolation(
        np.where(first, one.values, other.values),
        np.where(first, one.variances, other.variances),
        np.where(first, one.systematics, other.systematics),
        np.where(first, one.chi_squares, np.nan),
        one.freedom,
        one.unsupported,
        np.where(first, one.rates, other.rates),
        np.where(first, one.ends, other.ends),
    )


def _shaped(found: Extrapolation, curves: _Curves, places: tuple[int, ...]) -> Extrapolation:
    exact = (curves.variances <= 0).any(axis=0)  # they have no errors to be compared with

    def shaped(column: Array) -> Array:
        return column.reshape(places)

    return Extrapolation(
        shaped(found.values),
        shaped(found.variances),
        shaped(found.systematics),
        shaped(np.where(exact, np.nan, found.chi_squares)),
        found.freedom,
        found.unsupported.reshape(places),
        shaped(found.rates),
        shaped(found.ends),
    )
