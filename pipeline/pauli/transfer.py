"""Gates as Pauli transfer matrices, and what a Clifford gate does to each Pauli string.

Pauli strings are rows of codes as in `pipeline.pauli.algebra`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, reduce

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Gate
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Operator

from adapters.target import operation_named
from pipeline.pauli.algebra import Codes, clifford_table
from qcpaas.errors import MitigationError

Matrix = NDArray[np.float64]

_PAULIS = np.array(
    [[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[1, 0], [0, -1]], [[0, -1j], [1j, 0]]], dtype=complex
)


@cache
def pauli_matrices(num_qubits: int) -> NDArray[np.complex128]:
    """All Pauli strings as matrices, shape ``(4**n, 2**n, 2**n)``.

    The code of the letter on qubit ``i`` is digit ``i`` of the index in base 4.
    """
    digits = np.arange(4**num_qubits)[:, None] // 4 ** np.arange(num_qubits) % 4
    return np.stack([reduce(np.kron, _PAULIS[row[::-1]]) for row in digits])


def transfer_matrix(unitary: NDArray[np.complex128]) -> Matrix:
    """``R[i, j] = Tr(P_i U P_j U+) / 2**n``, shape ``(4**n, 4**n)``, in `pauli_matrices`' order."""
    dim = len(unitary)
    paulis = pauli_matrices(dim.bit_length() - 1)
    moved = unitary @ paulis @ unitary.conj().T
    traces: Matrix = np.einsum("iab,jba->ij", paulis, moved).real
    return traces / dim


@dataclass(frozen=True, eq=False)
class CliffordAction:
    """Conjugation of two-qubit Pauli strings by a gate, by index as in `pauli_matrices`.

    Attributes:
        image: Index of ``U P U+``, shape ``(16,)``; ``sign`` is its sign.
    """

    image: Codes
    sign: NDArray[np.intp]


@cache
def ideal_transfer(name: str) -> Matrix:
    """Transfer matrix of a fixed gate on two qubits.

    Raises:
        MitigationError: The gate is not one, or nobody knows what it does.
    """
    gate = _fixed_gate(name)
    try:
        return transfer_matrix(Operator(gate).data)
    except QiskitError as error:
        raise MitigationError(_refusal(name, "has no known matrix")) from error


@cache
def clifford_action(name: str) -> CliffordAction:
    """What a two-qubit gate does to Pauli strings on its qubits.

    Raises:
        MitigationError: The gate is no Clifford gate on two qubits that undoes itself.
    """
    gate = _fixed_gate(name)
    table = clifford_table(gate)
    if table is None:
        raise MitigationError(_refusal(name, "is no Clifford gate"))
    image = np.array([first + 4 * second for _, (first, second) in table], dtype=np.uint8)
    sign = np.array([sign for sign, _ in table])
    if (image[image] != np.arange(16)).any() or (sign[image] * sign != 1).any():
        raise MitigationError(_refusal(name, "does not undo itself when it is repeated"))
    return CliffordAction(image, sign)


def _fixed_gate(name: str) -> Gate:
    gate = operation_named(name, 2)
    if not isinstance(gate, Gate) or gate.num_qubits != 2 or gate.params:
        raise MitigationError(_refusal(name, "is no fixed gate on two qubits"))
    return gate


def _refusal(name: str, why: str) -> str:
    return (
        f"the noise of {name} cannot be learnt: it {why}. Noise is learnt of layers of cx, cz, ecr "
        "and the like. Compile the circuit to such a gate, or take the noise from the calibration."
    )
