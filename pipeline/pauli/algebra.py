"""Pauli strings as bits, and how Clifford gates turn them into one another.

A Pauli string on ``n`` qubits is a row of ``n`` codes, one a qubit: bit 0 says that it has X, bit
1 that it has Z, so that Y is 3 and products are exclusive ors, phases aside. Labels have the first
qubit rightmost, as Qiskit's.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Gate, Instruction
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Clifford, Operator, Pauli

Codes = NDArray[np.uint8]

CliffordTable = tuple[tuple[int, tuple[int, ...]], ...]

LETTERS = "IXZY"  # by code
MAX_QUBITS = 3  # of gates that are looked at: a table has 4**n rows
CODE = {letter: code for code, letter in enumerate(LETTERS)}


def codes_of(labels: Sequence[str]) -> Codes:
    """Labels of one length as codes, shape ``(labels, qubits)``; column 0 is the last letter."""
    rows = [[CODE[letter] for letter in reversed(label)] for label in labels]
    return np.array(rows, dtype=np.uint8).reshape(len(rows), len(labels[0]) if labels else 0)


def label_of(codes: Sequence[int] | Codes) -> str:
    return "".join(LETTERS[code] for code in reversed(list(codes)))


def all_labels(num_qubits: int) -> list[str]:
    """All Pauli strings but the identity, in alphabetical order."""
    letters = itertools.product("IXYZ", repeat=num_qubits)
    return ["".join(label) for label in letters][1:]


def anticommute(left: Codes, right: Codes) -> NDArray[np.bool_]:
    """Which strings anticommute.

    Args:
        left: Shape ``(m, qubits)``.
        right: Shape ``(k, qubits)``.

    Returns:
        Shape ``(m, k)``.
    """
    left_x, left_z = (left & 1).astype(np.intp), (left >> 1).astype(np.intp)
    right_x, right_z = (right & 1).astype(np.intp), (right >> 1).astype(np.intp)
    odd: NDArray[np.bool_] = (left_x @ right_z.T + left_z @ right_x.T) % 2 == 1
    return odd


def pauli_fidelities(
    generators: Codes, rates: Sequence[float] | NDArray[np.float64], paulis: Codes
) -> NDArray[np.float64]:
    """What a sparse Pauli-Lindblad channel multiplies each Pauli string by.

    Args:
        generators: Shape ``(k, qubits)``.
        rates: Shape ``(k,)``.
        paulis: Shape ``(m, qubits)``.

    Returns:
        Shape ``(m,)``: ``exp(-2 * sum of the rates of the generators that anticommute with it)``.
    """
    exponents = anticommute(paulis, generators) @ np.asarray(rates, dtype=np.float64)
    fidelities: NDArray[np.float64] = np.exp(-2 * exponents)
    return fidelities


def conjugate(operation: Instruction, label: str) -> tuple[int, str]:
    """``G P G†`` of a Clifford gate: its sign and label.

    Raises:
        ValueError: The gate is no Clifford gate.
    """
    table = clifford_table(operation)
    if table is None:
        raise ValueError(f"{operation.name} is no Clifford gate")
    digits = codes_of([label])[0]
    sign, codes = table[sum(int(code) << (2 * place) for place, code in enumerate(digits))]
    return sign, label_of(codes)


def clifford_table(operation: Instruction) -> CliffordTable | None:
    """What ``G P G†`` is for every Pauli string P; ``None`` where G is no Clifford gate.

    Gates with definite angles that make them Clifford gates are ones.

    Returns:
        Sign and codes, by the number whose base-4 digits, the lowest first, are the codes of P.
    """
    if not isinstance(operation, Gate) or operation.num_qubits > MAX_QUBITS:
        return None
    try:
        angles = tuple(float(angle) for angle in operation.params)
    except (TypeError, ValueError):
        return None  # a parameter, or a matrix
    return _table(_Known(operation.name, operation.num_qubits, angles, operation))


@dataclass(frozen=True)
class _Known:
    """A gate by what tells it from others."""

    name: str
    num_qubits: int
    angles: tuple[float, ...]
    gate: Gate = field(compare=False)


@lru_cache(maxsize=256)
def _table(known: _Known) -> CliffordTable | None:
    try:
        clifford = Clifford.from_operator(Operator(known.gate))
    except QiskitError:  # no Clifford gate, or opaque
        return None
    rows = []
    for digits in itertools.product(range(4), repeat=known.num_qubits):
        evolved = Pauli(label_of(digits[::-1])).evolve(clifford, frame="s")
        codes = tuple(int(x) + 2 * int(z) for x, z in zip(evolved.x, evolved.z, strict=True))
        rows.append((-1 if evolved.to_label().startswith("-") else 1, codes))
    return tuple(rows)
