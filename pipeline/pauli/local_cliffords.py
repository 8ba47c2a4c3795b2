"""The 24 Clifford gates on one qubit: how they compose, act on Pauli letters, and are executed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, transpile
from qiskit.synthesis import OneQubitEulerDecomposer

from adapters.compiler_stages import compiling
from pipeline.pauli.transfer import transfer_matrix

Indices = NDArray[np.intp]

_H = np.array([[1, 1], [1, -1]], dtype=complex) / np.sqrt(2)
_S = np.diag([1, 1j])
_Y = np.array([[0, -1j], [1j, 0]])


@dataclass(frozen=True, eq=False)
class LocalCliffords:
    """One-qubit Clifford gates by number, up to a global phase.

    Attributes:
        matrices: Shape ``(24, 2, 2)``.
        product: ``product[a, b]`` is gate ``a`` after gate ``b``, shape ``(24, 24)``.
        letters: ``letters[a, p]`` is the code that the Pauli with code ``p`` gets under
            conjugation by ``a``, shape ``(24, 4)``; ``signs`` has its sign.
        paulis: Numbers of I, X, Z and Y, in the order of their codes.
        preparations: Numbers of the gates that turn the first eigenstate of Z into that of I, X,
            Z and Y; ``rotations`` turn these letters back into Z.
        angles: Of ``rz, sx, rz, sx, rz`` in circuit order that make each gate, shape ``(24, 3)``.
    """

    matrices: NDArray[np.complex128]
    product: Indices
    letters: Indices
    signs: Indices
    paulis: Indices
    preparations: Indices
    rotations: Indices
    angles: NDArray[np.float64]

    @property
    def classes(self) -> tuple[int, ...]:
        """One gate for each way to permute X, Y and Z; the first changes nothing."""
        found: dict[tuple[int, ...], int] = {}
        for number, letters in enumerate(self.letters):
            found.setdefault(tuple(letters.tolist()), number)
        return tuple(found.values())


@cache
def local_cliffords() -> LocalCliffords:
    """The table, made once."""
    matrices = _generated()
    transfers = np.stack([transfer_matrix(matrix) for matrix in matrices]).round().astype(np.intp)
    known = {transfer.tobytes(): number for number, transfer in enumerate(transfers)}
    product = [[known[(a @ b).tobytes()] for b in transfers] for a in transfers]
    letters = np.abs(transfers).argmax(axis=1)
    signs = np.take_along_axis(transfers, letters[:, None, :], axis=1)[:, 0]

    def number(*factors: NDArray[np.complex128]) -> int:
        matrix = np.eye(2, dtype=complex)
        for factor in factors:
            matrix = matrix @ factor
        return known[transfer_matrix(matrix).round().astype(np.intp).tobytes()]

    one = np.eye(2, dtype=complex)
    return LocalCliffords(
        matrices=matrices,
        product=np.array(product),
        letters=letters,
        signs=signs,
        paulis=np.array([number(one), number(_H, _S, _S, _H), number(_S, _S), number(_Y)]),
        preparations=np.array([number(one), number(_H), number(one), number(_S, _H)]),
        rotations=np.array([number(one), number(_H), number(one), number(_H, _S.conj())]),
        angles=np.array([_angles(matrix) for matrix in matrices]),
    )


@lru_cache(maxsize=256)
def clifford_circuit(number: int, basis_gates: tuple[str, ...]) -> QuantumCircuit:
    """One of the gates in a device's own gates; in Qiskit's where none are named."""
    circuit = QuantumCircuit(1)
    if number == local_cliffords().paulis[0]:
        return circuit
    circuit.unitary(local_cliffords().matrices[number], [0])
    gates = [gate for gate in basis_gates if gate not in {"measure", "delay", "reset"}]
    with compiling():
        return transpile(
            circuit,
            basis_gates=gates or ["rz", "sx", "x"],
            optimization_level=1,
            seed_transpiler=0,
        )


def _generated() -> NDArray[np.complex128]:
    """Products of H and S, those that differ by more than a phase; the identity first."""
    found: dict[bytes, NDArray[np.complex128]] = {}
    for length in range(7):
        for word in itertools.product((_H, _S), repeat=length):
            matrix = np.eye(2, dtype=complex)
            for factor in word:
                matrix = factor @ matrix
            found.setdefault(transfer_matrix(matrix).round().astype(np.int8).tobytes(), matrix)
    return np.stack(list(found.values()))


def _angles(matrix: NDArray[np.complex128]) -> tuple[float, float, float]:
    theta, phi, lam = OneQubitEulerDecomposer("U3").angles(matrix)
    return lam, theta + np.pi, phi + np.pi
