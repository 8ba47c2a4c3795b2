"""Regression of noisy on exact values, and its inversion at a measured value.

The exact values of training circuits have no error, the noisy ones have: so the line is fitted
as what noise makes of exact values, and read backwards. Fitted the other way round it would be too
flat, since shot noise would stand among the regressors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NEAR = 0.5  # of the exact values' standard deviation: circuits that far away tell of the scatter
AFAR = 1e-3  # weight of all the others, for a value with none nearby
FLOOR = 0.1  # of the mean shot noise: a training circuit without spread is no perfect witness
_TINY = 1e-24


@dataclass(frozen=True, eq=False)
class NoiseLine:
    """``noisy = slope * exact + intercept``, of any shape.

    Attributes:
        scatter: Variance of noisy values about the line beside their shot noise, over all circuits.
        exact: Of the training circuits, with ``residuals`` and ``shot``, their squared standard
            errors, shape ``(..., n)``; ``None`` where one scatter goes for all values.
        covariance: Of slope and intercept; ``slope_variance`` and ``intercept_variance`` theirs.
    """

    slope: Array
    intercept: Array
    scatter: Array
    slope_variance: Array
    intercept_variance: Array
    covariance: Array
    exact: Array | None = None
    residuals: Array | None = None
    shot: Array | None = None

    def invert(self, noisy: Array, variances: Array) -> tuple[Array, Array]:
        """Exact values for measured ones, and their variances.

        The variance has the shot noise of the measured value, the scatter that it shares with the
        training circuits, and the uncertainty of the line.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            exact = (noisy - self.intercept) / self.slope
            of_line = (
                self.intercept_variance
                + exact**2 * self.slope_variance
                + 2 * exact * self.covariance
            )
            variance = (variances + self._scatter_at(exact) + of_line) / self.slope**2
        return exact, variance

    def _scatter_at(self, value: Array) -> Array:
        """Of training circuits with values nearby.

        They are chosen to lie far apart, and those at the ends scatter most: over all of them it
        made error bars a third too wide.
        """
        if self.exact is None or self.residuals is None or self.shot is None:
            return self.scatter
        width = NEAR * self.exact.std(axis=-1, keepdims=True) + _TINY
        weights = AFAR + np.exp(-(((self.exact - value[..., None]) / width) ** 2) / 2)
        weights = weights / weights.sum(axis=-1, keepdims=True)
        count = self.exact.shape[-1]
        found = (weights * (self.residuals**2 * count / (count - 2) - self.shot)).sum(axis=-1)
        scatter: Array = np.maximum(found, 0.0)
        return scatter


def fit_line(exact: Array, noisy: Array, variances: Array, fixed: Array | None = None) -> NoiseLine:
    """Weighted least squares along the last axis.

    Args:
        exact: Shape ``(..., n)``.
        noisy: Same shape; ``variances`` are their squared standard errors.
        fixed: A value that noise leaves as it is, shape ``(...)``: the line goes through it.

    Returns:
        Shape ``(...)``.
    """
    if fixed is not None:
        return _through(fixed, exact, noisy, variances)
    floor = FLOOR * variances.mean(axis=-1, keepdims=True) + _TINY
    shot = np.maximum(variances, floor)
    flat = _line(exact, noisy, np.ones_like(shot))
    scatter = _scatter(noisy - _at(flat, exact), shot, 2)
    weighted = _line(exact, noisy, 1 / (shot + scatter[..., None]))
    residuals = noisy - _at(weighted, exact)
    slope, intercept, *covariances = weighted
    line = NoiseLine(slope, intercept, _scatter(residuals, shot, 2), *covariances)
    return replace(line, exact=exact, residuals=residuals, shot=shot)


def fit_shift(exact: Array, noisy: Array, variances: Array) -> NoiseLine:
    """A line of slope 1, for exact values that are all alike: the mean of what noise adds.

    Args:
        exact: Shape ``(..., n)``; ``noisy`` and ``variances`` have the same.
    """
    shifts = noisy - exact
    mean, zero = shifts.mean(axis=-1), np.zeros(shifts.shape[:-1])
    scatter = _scatter(shifts - mean[..., None], variances, 1)
    variance = (variances.mean(axis=-1) + scatter) / shifts.shape[-1]
    return NoiseLine(zero + 1, mean, scatter, zero, variance, zero)


def _line(exact: Array, noisy: Array, weights: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Slope, intercept, and their variances and covariance for weights of inverse variance."""
    total = weights.sum(axis=-1)
    centre = (weights * exact).sum(axis=-1) / total
    mean = (weights * noisy).sum(axis=-1) / total
    away = exact - centre[..., None]
    lever = (weights * away**2).sum(axis=-1)
    lever = np.where(lever > 0, lever, np.nan)
    slope = (weights * away * noisy).sum(axis=-1) / lever
    variance = 1 / lever
    return (
        slope,
        mean - slope * centre,
        variance,
        1 / total + centre**2 * variance,
        -centre * variance,
    )


def _at(line: tuple[Array, ...], exact: Array) -> Array:
    values: Array = line[0][..., None] * exact + line[1][..., None]
    return values


def _scatter(residuals: Array, variances: Array, parameters: int) -> Array:
    """Variance that shot noise does not explain, at least 0."""
    free = residuals.shape[-1] - parameters
    found = (residuals**2).sum(axis=-1) / free - variances.mean(axis=-1)
    scatter: Array = np.maximum(np.nan_to_num(found), 0.0)
    return scatter


def _through(fixed: Array, exact: Array, noisy: Array, variances: Array) -> NoiseLine:
    """A line through the point ``(fixed, fixed)``."""
    away, distance = exact - fixed[..., None], noisy - fixed[..., None]
    shot = np.maximum(variances, FLOOR * variances.mean(axis=-1, keepdims=True) + _TINY)
    scatter = np.zeros(exact.shape[:-1])
    for _ in range(2):
        weights = 1 / (shot + scatter[..., None])
        lever = (weights * away**2).sum(axis=-1)
        lever = np.where(lever > 0, lever, np.nan)
        slope = (weights * away * distance).sum(axis=-1) / lever
        scatter = _scatter(distance - slope[..., None] * away, shot, 1)
    variance = 1 / lever
    return NoiseLine(
        slope, fixed * (1 - slope), scatter, variance, fixed**2 * variance, -fixed * variance
    )


def fit_scales(
    exact: Array, noisy: Array, measured: Array, shot: Array, shot_there: Array
) -> tuple[Array, Array]:
    """Exact value as a linear function of the noisy values at several noise scales.

    Shot noise among the regressors makes the best linear prediction of a value that was measured
    with as much of it; the variance is that of the training circuits about it.

    Args:
        exact: Shape ``(n,)``.
        noisy: Shape ``(n, scales)``.
        measured: Of the circuit of interest, shape ``(scales,)``.
        shot: Mean variances of ``noisy``, shape ``(scales,)``; ``shot_there`` of ``measured``.

    Returns:
        The value, and its variance.

    Source: Lowe et al., PR Research 3, 033098 (2021), with an intercept.
    """
    design = np.column_stack([noisy, np.ones(len(exact))])
    inverse = np.linalg.pinv(design.T @ design)
    coefficients = inverse @ design.T @ exact
    residual = ((exact - design @ coefficients) ** 2).sum() / (len(exact) - design.shape[1])
    row = np.append(measured, 1.0)
    more_noise = coefficients[:-1] ** 2 @ (shot_there - shot)
    variance = max(residual + more_noise, coefficients[:-1] ** 2 @ shot_there)
    return row @ coefficients, variance * (1 + row @ inverse @ row)
