"""The circuits that are mitigated, each with observables whose exact values are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import Clifford, SparsePauliOp, Statevector, random_clifford

Array = NDArray[np.float64]

TROTTER_STEPS = 4
MIRRORED_LAYERS = 3
CLIFFORDS = 4
SINGLE = ("h", "s", "sx", "t")


@dataclass(frozen=True, eq=False)
class Problem:
    """A circuit, one point, and what is asked of it; every observable lies between -1 and 1."""

    circuit: QuantumCircuit
    observables: tuple[SparsePauliOp, ...]
    point: Array = field(default_factory=lambda: np.empty(0))

    @cached_property
    def exact(self) -> Array:
        """By state vector, shape ``(observables,)``."""
        state = Statevector(self.circuit.assign_parameters(self.point))
        return np.array([state.expectation_value(one).real for one in self.observables])


def tfim(qubits: int, rng: np.random.Generator) -> Problem:
    """Trotter steps of the transverse-field Ising chain after a quench from all up.

    Asks for the magnetisation, and for the mean correlation of neighbours.
    """
    circuit = QuantumCircuit(qubits, name=f"tfim-{qubits}")
    coupling, field_angle = ParameterVector("angle", 2)
    for _ in range(TROTTER_STEPS):
        for qubit in range(qubits - 1):
            circuit.rzz(coupling, qubit, qubit + 1)
        circuit.rx(field_angle, range(qubits))
    up = SparsePauliOp.from_sparse_list([("Z", [q], 1 / qubits) for q in range(qubits)], qubits)
    bonds = [("ZZ", [q, q + 1], 1 / (qubits - 1)) for q in range(qubits - 1)]
    pairs = SparsePauliOp.from_sparse_list(bonds, qubits)
    return Problem(circuit, (up, pairs), rng.uniform(0.1, 0.4, 2))


def ghz(qubits: int, rng: np.random.Generator) -> Problem:
    """A chain of CX, turned by random signs; its coherence, and the pair at its ends."""
    circuit = QuantumCircuit(qubits, name=f"ghz-{qubits}")
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    for qubit in np.flatnonzero(rng.integers(2, size=qubits)):
        circuit.x(int(qubit))
    ends = SparsePauliOp.from_sparse_list([("ZZ", [0, qubits - 1], 1.0)], qubits)
    return Problem(circuit, (SparsePauliOp("X" * qubits), ends))


def qaoa(qubits: int, rng: np.random.Generator) -> Problem:
    """One layer for the largest cut of a ring; asks for the cut."""
    circuit = QuantumCircuit(qubits, name=f"qaoa-{qubits}")
    gamma, beta = ParameterVector("angle", 2)
    edges = [(q, (q + 1) % qubits) for q in range(qubits)]
    circuit.h(range(qubits))
    for first, second in edges:
        circuit.rzz(gamma, first, second)
    circuit.rx(2 * beta, range(qubits))
    cut = SparsePauliOp.from_sparse_list([("ZZ", [*e], 1 / qubits) for e in edges], qubits)
    point = np.array([np.pi / 4, np.pi / 8]) + rng.uniform(-0.2, 0.2, 2)
    return Problem(circuit, (cut,), point)


def mirror(qubits: int, rng: np.random.Generator) -> Problem:
    """Random layers, a random Pauli, and the layers undone: a known bit string.

    Source: Proctor et al., Nature Physics 18, 75 (2022).
    """
    half = QuantumCircuit(qubits)
    for layer in range(MIRRORED_LAYERS):
        for qubit in range(qubits):
            getattr(half, SINGLE[rng.integers(len(SINGLE))])(qubit)
        for qubit in range(layer % 2, qubits - 1, 2):
            half.cx(qubit, qubit + 1)
        half.barrier()
    circuit = half.copy(name=f"mirror-{qubits}")
    for qubit in range(qubits):
        (circuit.x if rng.integers(2) else circuit.z)(qubit)
    circuit.barrier()
    circuit.compose(half.inverse(), inplace=True)
    return Problem(circuit, _z_strings(qubits))


def benchmarking(qubits: int, rng: np.random.Generator) -> Problem:
    """Random two-qubit Cliffords on neighbouring pairs at once, and their inverse."""
    circuit = QuantumCircuit(qubits, name=f"rb-{qubits}")
    for first in range(0, qubits - 1, 2):
        total = Clifford(QuantumCircuit(2))
        for _ in range(CLIFFORDS):
            step = random_clifford(2, seed=int(rng.integers(2**31)))
            circuit.compose(step.to_circuit(), [first, first + 1], inplace=True)
            circuit.barrier(first, first + 1)
            total = total.compose(step)
        circuit.compose(total.adjoint().to_circuit(), [first, first + 1], inplace=True)
    return Problem(circuit, _z_strings(qubits))


FAMILIES: dict[str, Callable[[int, np.random.Generator], Problem]] = {
    "tfim": tfim,
    "ghz": ghz,
    "qaoa": qaoa,
    "mirror": mirror,
    "rb": benchmarking,
}


def problems_of(family: str, qubits: int, count: int, seed: int) -> list[Problem]:
    """Random instances of one family, the same for every stack."""
    return [
        FAMILIES[family](qubits, np.random.default_rng([seed, qubits, number]))
        for number in range(count)
    ]


def _z_strings(qubits: int) -> tuple[SparsePauliOp, ...]:
    """Z of the first pair, and of the last qubit."""
    pair = SparsePauliOp.from_sparse_list([("ZZ", [0, 1], 1.0)], qubits)
    last = SparsePauliOp.from_sparse_list([("Z", [qubits - 1], 1.0)], qubits)
    return (pair, last)
