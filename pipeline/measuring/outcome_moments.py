"""Means and covariances of what is computed from every measured outcome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcpaas.execution import Distribution


def signs_of(
    distribution: Distribution, readout: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Z of every clbit in every outcome, shape ``(outcomes, clbits)``; ±1 without ``readout``.

    Args:
        readout: Inverse assignment matrix of each clbit, which Z is corrected by.
    """
    bits = np.unpackbits(distribution.outcomes, axis=1)[:, ::-1][:, : distribution.num_bits]
    if readout is None:
        return np.asarray(1.0 - 2.0 * bits, dtype=np.float64)
    of_bit = readout[:, 0, :] - readout[:, 1, :]
    return np.asarray(np.where(bits == 0, of_bit[:, 0], of_bit[:, 1]), dtype=np.float64)


def moments(
    observed: NDArray[np.float64], distribution: Distribution
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means of several quantities, and the covariances of these means.

    Quasi-probabilities count as outcomes of plus or minus their norm, drawn by their magnitudes.

    Args:
        observed: What each outcome says, shape ``(outcomes, quantities)``.
    """
    weights = distribution.weights / distribution.weights.sum()
    mean = np.asarray(weights @ observed, dtype=np.float64)
    if distribution.shots is None:
        return mean, np.zeros((len(mean), len(mean)))
    magnitudes = np.abs(weights)
    second: NDArray[np.float64] = magnitudes.sum() * (magnitudes[:, None] * observed).T @ observed
    if distribution.shots < 2:  # which says nothing about their spread
        return mean, second
    return mean, (second - np.outer(mean, mean)) / (distribution.shots - 1)
