"""The physical states nearest to measured matrices."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Matrices = NDArray[np.complex128]
Vector = NDArray[np.float64]
Correction = Literal["purify", "project"]

PAULIS = np.array(
    [[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex
)


def matrices_of(components: Vector) -> Matrices:
    """``sum_P components[..., P] P``.

    Args:
        components: Shape ``(..., 4**n)``; base-4 digit i of the index is qubit i's I, X, Y or Z.

    Returns:
        Shape ``(..., 2**n, 2**n)``, qubit 0 fastest.
    """
    *batch, size = components.shape
    n = round(float(np.log(size) / np.log(4)))
    tensor = components.reshape(-1, *(4,) * n).astype(complex)
    for _ in range(n):
        tensor = np.tensordot(tensor, PAULIS, axes=([1], [0]))
    order = [0, *range(1, 2 * n, 2), *range(2, 2 * n + 1, 2)]
    return tensor.transpose(order).reshape(*batch, 2**n, 2**n)


def physical_states(matrices: Matrices, correction: Correction) -> Matrices:
    """Density matrices from Hermitian matrices of trace 1; shape ``(..., d, d)``.

    With ``purify`` each is the projector on the dominant eigenvector, with ``project`` the
    nearest density matrix in 2-norm, which is the most likely one for Gaussian errors.
    """
    eigenvalues, vectors = np.linalg.eigh(matrices)
    if correction == "purify":
        dominant = vectors[..., -1]
        states: Matrices = dominant[..., :, None] * dominant[..., None, :].conj()
        return states
    weights = nearest_probabilities(eigenvalues)
    nearest: Matrices = (vectors * weights[..., None, :]) @ vectors.conj().swapaxes(-1, -2)
    return nearest


def nearest_probabilities(eigenvalues: Vector) -> Vector:
    """The probabilities nearest to numbers of sum 1; along the last axis, in rising order.

    Source: Smolin, Gambetta and Smith, PRL 108, 070502 (2012).
    """
    falling = eigenvalues[..., ::-1]
    missing = (1 - np.cumsum(falling, axis=-1)) / np.arange(1, falling.shape[-1] + 1)
    kept = (falling + missing > 0).sum(axis=-1, keepdims=True)
    shift = np.take_along_axis(missing, kept - 1, axis=-1)
    rising: Vector = np.clip(falling + shift, 0, None)[..., ::-1]
    return rising
