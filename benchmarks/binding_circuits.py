"""The circuits that are placed: chains, brickwork, routed QAOA, GHZ; parameters symbolic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

WIDTHS = (4, 8, 12, 16, 20)


def chain(qubits: int) -> QuantumCircuit:
    """An ansatz with three rotations a qubit and two ladders of CX along a chain."""
    circuit = QuantumCircuit(qubits, name=f"chain-{qubits}")
    angles = iter(ParameterVector("a", 3 * qubits))
    for layer in range(3):
        for qubit in range(qubits):
            circuit.ry(next(angles), qubit)
        for qubit in range(qubits - 1 if layer < 2 else 0):
            circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def brickwork(qubits: int) -> QuantumCircuit:
    """Four layers of rotations and CZ gates on even and odd neighbours in turns."""
    circuit = QuantumCircuit(qubits, name=f"brickwork-{qubits}")
    angles = iter(ParameterVector("a", 4 * 2 * qubits))
    for layer in range(4):
        for qubit in range(qubits):
            circuit.ry(next(angles), qubit)
            circuit.rz(next(angles), qubit)
        for qubit in range(layer % 2, qubits - 1, 2):
            circuit.cz(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def qaoa(qubits: int) -> QuantumCircuit:
    """One layer for the largest cut of a random 3-regular graph, which has to be routed."""
    circuit = QuantumCircuit(qubits, name=f"qaoa-{qubits}")
    gamma, beta = ParameterVector("gamma", 1)[0], ParameterVector("beta", 1)[0]
    circuit.h(range(qubits))
    for first, second in regular_graph(qubits, 3, seed=qubits):
        circuit.rzz(gamma, first, second)
    circuit.rx(2 * beta, range(qubits))
    circuit.measure_all()
    return circuit


def ghz(qubits: int) -> QuantumCircuit:
    """Of logarithmic depth: in each layer every entangled qubit entangles another one."""
    circuit = QuantumCircuit(qubits, name=f"ghz-{qubits}")
    circuit.h(0)
    ready = 1
    while ready < qubits:
        for qubit in range(min(ready, qubits - ready)):
            circuit.cx(qubit, ready + qubit)
        ready *= 2
    circuit.measure_all()
    return circuit


FAMILIES: dict[str, Callable[[int], QuantumCircuit]] = {
    "chain": chain,
    "brickwork": brickwork,
    "qaoa": qaoa,
    "ghz": ghz,
}


def regular_graph(nodes: int, degree: int, seed: int) -> list[tuple[int, int]]:
    """A simple random graph by drawing pairs of half-edges until none is doubled.

    Source: Bollobás, European Journal of Combinatorics 1, 311 (1980).
    """
    rng = np.random.default_rng(seed)
    while True:
        ends = rng.permutation(np.repeat(np.arange(nodes), degree)).reshape(-1, 2)
        pairs = {(int(min(pair)), int(max(pair))) for pair in ends}
        if len(pairs) == len(ends) and all(first != second for first, second in pairs):
            return sorted(pairs)
