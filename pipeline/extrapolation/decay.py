"""Fits of exponential decays to measured curves and to what is expected of them, many at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEPS = 8  # of Gauss and Newton, from the best rate of a grid
RATES = np.concatenate([np.linspace(-0.3, 0.02, 9), np.geomspace(0.03, 6.0, 40)])
CONVERGED = 1e-9
EXACT_ERROR = 1e-4  # stands for that of values that have none
FIRM = 1e9  # how much more what is known without error weighs than the data


@dataclass(frozen=True, eq=False)
class Expected:
    """What is known of curves before they are measured; arrays of shape ``(m,)``.

    Attributes:
        ends: Asymptotes; ``end_errors`` are their standard errors, 0 where they are known and
            infinite where they are free.
        rates: Of decay by noise scale, ``rate_errors`` as those of the ends.
    """

    ends: Array
    end_errors: Array
    rates: Array
    rate_errors: Array

    def free_ends(self) -> Expected:
        return Expected(
            self.ends, np.full_like(self.ends, np.inf), self.rates, np.full_like(self.ends, np.inf)
        )


@dataclass(frozen=True, eq=False)
class Decay:
    """``end + amplitude * exp(-rate * scale)``, one a curve; arrays of shape ``(m,)``.

    Attributes:
        values: At scale 0.
        variances: Of ``values``, from those of the data; ``rate_errors`` are standard errors.
        expected_parts: Standard errors of ``values`` from those of what was expected.
        chi_squares: Weighted squared residuals, those of what was expected among them.
        weights: Derivative of ``values`` by the data, shape ``(n, m)``.
    """

    values: Array
    amplitudes: Array
    rates: Array
    variances: Array
    rate_errors: Array
    expected_parts: Array
    chi_squares: Array
    weights: Array


def fit_decay(scales: Array, values: Array, variances: Array, expected: Expected) -> Decay:
    """Least squares, where end and rate count as measured once more by what was expected.

    Fitted to the values, not to their logarithms: a value that noise has erased then counts as
    the small one that it is, and one below its asymptote by chance does no harm.

    Args:
        scales: Shape ``(n,)``.
        values: Shape ``(n, m)``; ``variances`` too.
    """
    precision = precision_of(variances)
    total = precision.sum(axis=0)
    of_ends = _precision_of_errors(expected.end_errors, FIRM * total, 1e-9 * total)
    of_rates = _precision_of_errors(expected.rate_errors, FIRM * total, np.zeros_like(total))
    data = _Data(scales, values - expected.ends, precision, of_ends)
    rates = data.best_of(RATES, of_rates, expected.rates)
    for _ in range(STEPS):
        tangent, residuals, _ = data.at(rates)
        right = (tangent[2] * precision * residuals).sum(axis=0)
        right += of_rates * (expected.rates - rates)
        step = right / data.curvature(tangent, of_rates)  # end and amplitude are at their best
        step = np.clip(step, -0.5, 0.5)
        rates = np.clip(rates + step, RATES[0], RATES[-1])
        if np.abs(step).max(initial=0.0) < CONVERGED:
            break
    tangent, residuals, (ends, amplitudes) = data.at(rates)
    inverse = data.inverse(tangent, of_rates)
    responses = np.einsum("mkl,lnm,nm->knm", inverse, tangent, precision)
    at_zero, to_prior = responses[0] + responses[1], inverse[:, 0] + inverse[:, 1]
    parts = np.stack([to_prior[:, 0] ** 2 * of_ends, to_prior[:, 2] ** 2 * of_rates])
    uncertain = np.stack([expected.end_errors, expected.rate_errors])
    parts *= np.isfinite(uncertain) & (uncertain > 0)
    misfit = (precision * residuals**2).sum(axis=0) + of_rates * (expected.rates - rates) ** 2
    return Decay(
        values=expected.ends + ends + amplitudes,
        amplitudes=amplitudes,
        rates=rates,
        variances=(at_zero**2 * variances).sum(axis=0),
        rate_errors=np.sqrt(inverse[:, 2, 2]),
        expected_parts=np.sqrt(parts.sum(axis=0)),
        chi_squares=misfit + of_ends * ends**2,
        weights=at_zero,
    )


def precision_of(variances: Array) -> Array:
    """Weights of least squares; alike where a curve has a value without an error."""
    exact = (variances <= 0).any(axis=0)
    return np.where(exact, EXACT_ERROR**-2, 1 / np.where(variances > 0, variances, 1.0))


def _precision_of_errors(errors: Array, firm: Array, free: Array) -> Array:
    known = (errors > 0) & np.isfinite(errors)
    precision = 1 / np.where(known, errors, 1.0) ** 2
    return np.where(known, precision, np.where(errors == 0, firm, free))


@dataclass(frozen=True, eq=False)
class _Data:
    """Values less the expected ends, and weights of both."""

    scales: Array
    values: Array
    precision: Array
    end_precision: Array

    def best_of(self, grid: Array, of_rates: Array, expected: Array) -> Array:
        """The rate of a grid with the smallest sum of squares."""
        shape = np.exp(-np.outer(grid, self.scales))
        ones = self.precision.sum(axis=0) + self.end_precision
        cross, squares = shape @ self.precision, shape**2 @ self.precision
        first = (self.precision * self.values).sum(axis=0)
        second = shape @ (self.precision * self.values)
        explained = squares * first**2 - 2 * cross * first * second + ones * second**2
        explained /= np.maximum(ones * squares - cross**2, 1e-300)
        explained -= of_rates * (grid[:, None] - expected) ** 2
        best: Array = grid[explained.argmax(axis=0)]
        return best

    def at(self, rates: Array) -> tuple[Array, Array, tuple[Array, Array]]:
        """Tangent by end, amplitude and rate, residuals, and the best end and amplitude."""
        shape = np.exp(-self.scales[:, None] * rates)
        ones = self.precision.sum(axis=0) + self.end_precision
        weighted = self.precision * shape
        cross, squares = weighted.sum(axis=0), (weighted * shape).sum(axis=0)
        first = (self.precision * self.values).sum(axis=0)
        second = (weighted * self.values).sum(axis=0)
        determinant = np.maximum(ones * squares - cross**2, 1e-300)
        end = (squares * first - cross * second) / determinant
        amplitude = (ones * second - cross * first) / determinant
        tangent = np.stack([np.ones_like(shape), shape, -self.scales[:, None] * amplitude * shape])
        return tangent, self.values - end - amplitude * shape, (end, amplitude)

    def curvature(self, tangent: Array, of_rates: Array) -> Array:
        """Half the second derivative of the sum of squares by the rate, the others at best."""
        weighted = self.precision * tangent
        (one, cross, _), (_, square, _), _ = (tangent[:, None] * weighted).sum(axis=2)
        end, amplitude, own = (weighted[2] * tangent).sum(axis=1)
        one = one + self.end_precision
        shared = square * end**2 - 2 * cross * end * amplitude + one * amplitude**2
        left = own + of_rates - shared / np.maximum(one * square - cross**2, 1e-300)
        curvature: Array = np.maximum(left, 1e-12 * own + 1e-300)
        return curvature

    def inverse(self, tangent: Array, of_rates: Array) -> Array:
        normal = np.einsum("knm,nm,lnm->mkl", tangent, self.precision, tangent)
        normal[:, 0, 0] += self.end_precision
        normal[:, 2, 2] += of_rates
        normal += 1e-13 * np.einsum("mkk->mk", normal)[:, :, None] * np.eye(3)
        normal[:, 2, 2] += 1e-300 + (normal[:, 2, 2] == 0)  # no amplitude, no rate to find
        inverse: Array = np.linalg.inv(normal)
        return inverse
