"""Exponential decays from signals of Pauli strings, with what each measured value did to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

GRID = np.concatenate([np.linspace(-0.05, 0.1, 31), np.geomspace(0.12, 5.0, 30)])
STEPS = 8  # of Gauss and Newton, from the best rate of the grid


@dataclass(frozen=True, eq=False)
class SignalDecay:
    """``amplitude * exp(-rate * depth)``, one a string; arrays of shape ``(m,)``.

    Attributes:
        responses: Derivative of each rate by its measured values, shape ``(n, m)``.
    """

    amplitudes: Array
    rates: Array
    responses: Array


def fit_signals(depths: Array, values: Array, variances: Array) -> SignalDecay:
    """Weighted least squares on the values, so that those which noise has erased do no harm.

    Args:
        depths: Shape ``(n,)``.
        values: Shape ``(n, m)``; ``variances``, above 0, too.
    """
    shapes = np.exp(-np.outer(GRID, depths))
    explained = (shapes @ (values / variances)) ** 2 / (shapes**2 @ (1 / variances))
    rates = GRID[explained.argmax(axis=0)]
    for _ in range(STEPS):
        amplitudes, responses, residuals = _tangent(depths, values, variances, rates)
        step = (responses * residuals).sum(axis=0)
        rates = np.clip(rates + np.clip(step, -0.2, 0.2), GRID[0], GRID[-1])
    amplitudes, responses, _ = _tangent(depths, values, variances, rates)
    return SignalDecay(amplitudes, rates, responses)


def _tangent(
    depths: Array, values: Array, variances: Array, rates: Array
) -> tuple[Array, Array, Array]:
    """Best amplitudes, derivatives of the rates by the values, and residuals."""
    shape = np.exp(-depths[:, None] * rates)
    weighted = shape / variances
    amplitudes = (weighted * values).sum(axis=0) / (weighted * shape).sum(axis=0)
    slope = -depths[:, None] * shape  # of a unit amplitude by the rate
    parallel = (weighted * slope).sum(axis=0) / (weighted * shape).sum(axis=0)
    across = (slope - parallel * shape) / variances
    norm = (across * slope).sum(axis=0) * amplitudes
    residuals = values - amplitudes * shape
    return amplitudes, across / np.where(norm == 0, np.inf, norm), residuals
