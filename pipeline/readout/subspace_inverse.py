"""Readout errors undone within the measured bit strings: M3's linear system.

The system is that of the mthree package, transitions of up to `DISTANCE` bits among the measured
strings, columns normalised; the answers agree to its single precision. It is kept as a sparse
matrix: 2,700 strings of 100 qubits take 1 s where mthree 3.0 took 4 s directly and 29 s by
iteration, 3,300 strings of 50 qubits 1 s where it took 2 minutes, and importing it takes 4 s.

Source: Nation, Kang, Sundaresan and Gambetta, PRX Quantum 2, 040326 (2021); Hager, SIAM J. Sci.
Stat. Comput. 5, 311 (1984), norm of an inverse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qcpaas.errors import MitigationError

if TYPE_CHECKING:
    from scipy.sparse import csc_array

Array = NDArray[np.float64]
DISTANCE = 3
DENSE = 512  # strings; their matrix is inverted in 30 ms, and its norm is no estimate
TOLERANCE = 1e-8
_CHUNK = 2**24  # matrix elements at once: 64 MB in single precision
_NORM_STEPS = 5


@dataclass(frozen=True, eq=False)
class Solution:
    """Quasi-probabilities of the measured strings.

    Attributes:
        quasi: Sum 1, shape ``(m,)``.
        overhead: By which sampling variances grow at most: the squared 1-norm of the inverse.
        captured: Share of each string's own readings that falls on measured strings, shape
            ``(m,)``. M3 takes it for all there is.
    """

    quasi: Array
    overhead: float
    captured: Array


def solve_subspace(bits: NDArray[np.uint8], probabilities: Array, errors: Array) -> Solution:
    """Undo local readout errors within the measured strings.

    Args:
        bits: Measured strings, clbit 0 first, shape ``(m, n)``, all distinct.
        probabilities: Share of each, shape ``(m,)``.
        errors: ``p(1|0)`` and ``p(0|1)`` of each bit, shape ``(n, 2)``.

    Raises:
        MitigationError: The iteration did not converge.
    """
    matrix, captured = _transitions(bits, errors)
    if len(bits) <= DENSE:
        inverse = np.linalg.inv(matrix.toarray())
        quasi, norm = inverse @ probabilities, float(np.abs(inverse).sum(axis=0).max())
        return Solution(quasi / quasi.sum(), norm**2, captured)
    transposed = matrix.T.tocsc()
    quasi = _solved(matrix, probabilities)
    norm = _one_norm(
        lambda right: _solved(matrix, right), lambda right: _solved(transposed, right), len(bits)
    )
    return Solution(quasi / quasi.sum(), norm**2, captured)


def _solved(system: csc_array, right: Array) -> Array:
    from scipy.sparse.linalg import LinearOperator, gmres

    diagonal = system.diagonal()
    preconditioner = LinearOperator(system.shape, matvec=lambda vector: np.ravel(vector) / diagonal)
    answer, missed = gmres(system, right, rtol=TOLERANCE, M=preconditioner, restart=50, maxiter=20)
    if missed:
        raise MitigationError(
            f"the readout errors are too large to be undone within the {len(right)} bit strings "
            "that were measured. Ask for observables in place of counts, or leave "
            "ReadoutMitigation out."
        )
    return np.asarray(answer, dtype=np.float64)


def _one_norm(
    inverse: Callable[[Array], Array], transposed: Callable[[Array], Array], size: int
) -> float:
    """Estimate, from below and usually exact, of the largest column sum of an inverse matrix."""
    probe, estimate = np.full(size, 1 / size), 0.0
    for _ in range(_NORM_STEPS):
        column = inverse(probe)
        estimate = max(estimate, float(np.abs(column).sum()))
        slopes = transposed(np.where(column < 0, -1.0, 1.0))
        steepest = int(np.abs(slopes).argmax())
        if abs(slopes[steepest]) <= slopes @ probe:
            break
        probe = np.zeros(size)
        probe[steepest] = 1.0
    return estimate


def _transitions(bits: NDArray[np.uint8], errors: Array) -> tuple[csc_array, Array]:
    """Column j: how the true string j is read, as if it were always read as a measured one.

    Returns:
        The matrix, whose columns sum to 1, and the true sum of each.
    """
    from scipy.sparse import csc_array

    with np.errstate(divide="ignore"):
        kept, wrong = np.log(1 - errors), np.log(errors)  # of a true 0, of a true 1
    stays = kept[:, 0].sum() + bits @ (kept[:, 1] - kept[:, 0])
    rows, columns = _neighbours(bits)
    values = stays[columns]
    for start in range(0, len(rows), _CHUNK // bits.shape[1]):
        part = slice(start, start + _CHUNK // bits.shape[1])
        true = bits[columns[part]]
        pair, bit = np.nonzero(bits[rows[part]] != true)
        ratio = wrong[bit, true[pair, bit]] - kept[bit, true[pair, bit]]
        values[part] += np.bincount(pair, weights=ratio, minlength=len(true))
    values = np.exp(values)
    sums: Array = np.bincount(columns, values, len(bits)).astype(np.float64, copy=False)
    shape = (len(bits), len(bits))
    return csc_array((values / sums[columns], (rows, columns)), shape=shape), sums


def _neighbours(bits: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of strings that differ in at most `DISTANCE` bits, each string with itself as well."""
    strings = bits.astype(np.float32)  # sums of so few bits are exact in single precision
    ones = strings.sum(axis=1)
    step = max(1, _CHUNK // len(bits))
    found = []
    for start in range(0, len(bits), step):
        others = slice(start, start + step)
        apart = strings @ strings[others].T
        apart *= -2
        apart += ones[:, None]
        apart += ones[others]
        rows, columns = np.nonzero(apart <= DISTANCE)
        found.append((rows, columns + start))
    return (
        np.concatenate([rows for rows, _ in found]),
        np.concatenate([columns for _, columns in found]),
    )
