"""Extrapolation of a measured curve to zero noise, with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qcpaas.errors import MitigationError

Fit = Literal["linear", "quadratic", "richardson", "exponential"]


@dataclass(frozen=True)
class Extrapolation:
    """Value and variance at zero noise.

    ``fit`` is the one that was used; ``note`` says why it is another than was asked.
    """

    value: float
    variance: float
    fit: Fit
    note: str = ""


def points_needed(fit: Fit) -> int:
    return {"linear": 2, "quadratic": 3, "richardson": 2, "exponential": 2}[fit]


def extrapolate(
    scales: NDArray[np.float64],
    values: NDArray[np.float64],
    variances: NDArray[np.float64],
    fit: Fit,
    asymptote: float = 0.0,
) -> Extrapolation:
    """Extrapolate expectation values to noise scale 0.

    Args:
        scales: Noise scales, shape ``(n,)``, each at least 1.
        values: Expectation values, shape ``(n,)``.
        variances: Squared standard errors, shape ``(n,)``; all 0 weighs the points alike.
        fit: ``richardson`` passes a polynomial through all points; ``exponential`` decays to the
            asymptote, and gives way to ``linear`` where the data do not decay towards it.
        asymptote: Value in the fully mixed state.

    Raises:
        MitigationError: Fewer distinct scales than the fit has parameters.

    Source: Temme et al., PRL 119, 180509 (2017); Endo et al., PRX 8, 031027 (2018).
    """
    if np.ptp(scales) == 0:  # nothing could be amplified: nothing to extrapolate
        mean, variance = _polynomial_at_zero(scales, values, variances, 0)
        return Extrapolation(mean, variance, fit, "no gate was folded")
    distinct = len(np.unique(scales))
    if distinct < points_needed(fit):
        raise MitigationError(
            f"a {fit} fit needs {points_needed(fit)} noise scales; found {distinct}."
        )
    if fit == "exponential":
        return _exponential(scales, values, variances, asymptote)
    degree = {"linear": 1, "quadratic": 2, "richardson": distinct - 1}[fit]
    value, variance = _polynomial_at_zero(scales, values, variances, degree)
    return Extrapolation(value, variance, fit)


def _polynomial_at_zero(
    scales: NDArray[np.float64],
    values: NDArray[np.float64],
    variances: NDArray[np.float64],
    degree: int,
) -> tuple[float, float]:
    """Weighted least squares; the value at 0 is linear in the data, so its variance is exact."""
    design = np.vander(scales, degree + 1, increasing=True)
    weights = np.ones_like(variances) if np.any(variances <= 0) else 1 / variances
    normal = design.T @ (weights[:, None] * design)
    coefficients = np.linalg.solve(normal, design.T * weights)[0]
    return float(coefficients @ values), float(coefficients**2 @ variances)


def _exponential(
    scales: NDArray[np.float64],
    values: NDArray[np.float64],
    variances: NDArray[np.float64],
    asymptote: float,
) -> Extrapolation:
    """Straight line through the logarithm of the distance to the asymptote."""
    distance = values - asymptote
    reason = _not_a_decay(scales, distance, variances)
    if reason:
        value, variance = _polynomial_at_zero(scales, values, variances, 1)
        return Extrapolation(value, variance, "linear", reason)
    log_at_zero, log_variance = _polynomial_at_zero(
        scales, np.log(np.abs(distance)), variances / distance**2, 1
    )
    amplitude = float(np.sign(distance[0]) * np.exp(log_at_zero))
    return Extrapolation(asymptote + amplitude, float(amplitude**2 * log_variance), "exponential")


def _not_a_decay(
    scales: NDArray[np.float64],
    distance: NDArray[np.float64],
    variances: NDArray[np.float64],
) -> str:
    """Why the data do not support an exponential decay; empty where they do."""
    if np.any(np.sign(distance) != np.sign(distance[0])) or np.any(distance == 0):
        return "the values cross the fully mixed value"
    if np.any(np.abs(distance) < 2 * np.sqrt(variances)):
        return "a value is within two standard errors of the fully mixed value"
    first, last = np.argmin(scales), np.argmax(scales)
    growth = abs(distance[last]) - abs(distance[first])
    if growth > 3 * np.sqrt(variances[last] + variances[first]):
        return "the values move away from the fully mixed value"
    return ""
