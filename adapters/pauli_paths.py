"""Exact expectation values by carrying observables backwards through a circuit.

A Clifford gate turns each Pauli string into one other, a rotation turns it into two: circuits of
any width are cheap as long as few gates, in the observables' past, are not Clifford.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Operation
from qiskit.quantum_info import Operator, Pauli, SparsePauliOp

from qcpaas.errors import MitigationError

Letters = NDArray[np.uint8]
Array = NDArray[np.float64]

_LETTERS = "IXYZ"
_ROUNDING = 1e-12


class TooManyPaths(MitigationError):
    """Too few of the gates are Clifford."""


@dataclass(frozen=True, eq=False)
class Transfer:
    """What a gate makes of the Pauli strings on its qubits, in the Heisenberg picture.

    Attributes:
        targets: Shape ``(branches, 4**k)``: strings that each string becomes.
        factors: Their coefficients, 0 for a branch that is not there.
    """

    targets: NDArray[np.intp]
    factors: Array

    @property
    def clifford(self) -> bool:
        return len(self.targets) == 1


def carry_back(
    circuit: QuantumCircuit, observables: Sequence[SparsePauliOp], max_strings: int
) -> Array:
    """Expectation values after a bound circuit of unitary gates, starting from all zeros.

    Args:
        max_strings: Distinct Pauli strings that may come up.

    Returns:
        Shape ``(observables,)``.

    Raises:
        TooManyPaths: More came up.

    Source: Beguš, Gray and Chan, Science Advances 10, eadk4321 (2024), without truncation.
    """
    letters, coefficients = _strings(observables)
    number = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    for step in reversed(circuit.data):
        if step.name in {"barrier", "delay", "id"}:
            continue
        place = [number[qubit] for qubit in step.qubits]
        letters, coefficients = _apply(_of(step.operation), place, letters, coefficients)
        if len(letters) > max_strings:
            raise TooManyPaths(f"an observable turned into more than {max_strings:,} Pauli strings")
    diagonal = ((letters == 0) | (letters == 3)).all(axis=1)
    values: Array = coefficients[diagonal].sum(axis=0)
    return values


def is_clifford(operation: Operation) -> bool:
    """Whether a bound gate turns every Pauli string into one other."""
    return operation.name in {"barrier", "delay", "id"} or _of(operation).clifford


def _strings(observables: Sequence[SparsePauliOp]) -> tuple[Letters, Array]:
    """Every Pauli string, shape ``(strings, qubits)``, and its coefficient in each observable."""
    x = np.concatenate([one.paulis.x for one in observables])
    z = np.concatenate([one.paulis.z for one in observables])
    letters = (x * 1 + z * 3 - (x & z) * 2).astype(np.uint8)  # I, X, Y, Z = 0, 1, 2, 3
    sizes = [len(one.paulis) for one in observables]
    coefficients = np.zeros((sum(sizes), len(sizes)))
    start = 0
    for column, (one, size) in enumerate(zip(observables, sizes, strict=True)):
        coefficients[start : start + size, column] = one.coeffs.real
        start += size
    return _merged(letters, coefficients)


def _apply(
    transfer: Transfer, place: list[int], letters: Letters, coefficients: Array
) -> tuple[Letters, Array]:
    weights = 4 ** np.arange(len(place))
    before = letters[:, place] @ weights
    parts: list[Letters] = []
    scaled: list[Array] = []
    for targets, factors in zip(transfer.targets, transfer.factors, strict=True):
        factor = factors[before]
        there = slice(None) if transfer.clifford else factor != 0
        after = letters[there].copy()
        after[:, place] = targets[before[there], None] // weights % 4
        parts.append(after)
        scaled.append(coefficients[there] * factor[there, None])
    if transfer.clifford:
        return parts[0], scaled[0]
    return _merged(np.concatenate(parts), np.concatenate(scaled))


def _merged(letters: Letters, coefficients: Array) -> tuple[Letters, Array]:
    """Equal strings added up, and those that cancelled left out."""
    rows = np.ascontiguousarray(letters).view(np.dtype((np.void, letters.shape[1]))).ravel()
    _, first, group = np.unique(rows, return_index=True, return_inverse=True)
    sums = np.zeros((len(first), coefficients.shape[1]))
    np.add.at(sums, group.ravel(), coefficients)
    kept = (np.abs(sums) > _ROUNDING * 1e-3).any(axis=1)
    return letters[first][kept], sums[kept]


def _of(operation: Operation) -> Transfer:
    return _transfer(np.asarray(Operator(operation).data).tobytes(), operation.num_qubits)


@functools.lru_cache(maxsize=4096)
def _transfer(matrix: bytes, num_qubits: int) -> Transfer:
    """From a gate's unitary matrix, little endian."""
    unitary = np.frombuffer(matrix, dtype=complex).reshape(2**num_qubits, -1)
    paulis = _paulis(num_qubits)
    moved = np.einsum("ji,pjk,kl->pil", unitary.conj(), paulis, unitary, optimize=True)
    table = np.einsum("qij,pji->pq", paulis, moved, optimize=True).real / 2**num_qubits
    table[np.abs(table) < _ROUNDING] = 0.0
    branches = int((table != 0).sum(axis=1).max())
    order = np.argsort(table == 0, axis=1, kind="stable")[:, :branches]
    return Transfer(order.T.copy(), np.take_along_axis(table, order, axis=1).T.copy())


@functools.lru_cache(maxsize=4)
def _paulis(num_qubits: int) -> NDArray[np.complex128]:
    """Matrices of all Pauli strings; the lowest base-4 digit of the index acts on qubit 0."""
    labels = [
        "".join(_LETTERS[index // 4**qubit % 4] for qubit in reversed(range(num_qubits)))
        for index in range(4**num_qubits)
    ]
    return np.array([Pauli(label).to_matrix() for label in labels])
