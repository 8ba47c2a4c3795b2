"""Small circuits on random chains of a device, whose states can be simulated with all its noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.quantum_info import Statevector, random_unitary
from qiskit.synthesis import synth_qft_full

from adapters.target import build_target, gate_error, restrict
from qcpaas.calibration import Quantity
from store.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class Case:
    """A compiled circuit, where it lies, and the state that it should give."""

    name: str
    circuit: QuantumCircuit
    physical: tuple[int, ...]
    ideal: Statevector


def cases(twin: Snapshot, seed: int) -> list[Case]:
    """Circuits in which some qubits wait while others work, compiled once for the device."""
    rng = np.random.default_rng(seed)
    circuits = [
        ("GHZ and back, 5", _ghz_and_back(5)),
        ("QFT, 5", _qft(5, rng)),
        ("random pairs, 5", _random_pairs(5, 8, rng)),
        ("ring of ZZ, 5", _ring(5, 2, rng)),
    ]
    target = build_target(twin)
    found = []
    for name, circuit in circuits:
        chain = random_chain(twin, circuit.num_qubits, rng)
        compiled = transpile(
            circuit, target=restrict(target, chain), optimization_level=2, seed_transpiler=seed
        )
        found.append(Case(name, compiled, chain, Statevector(without_waiting(compiled))))
    return found


def random_chain(twin: Snapshot, length: int, rng: np.random.Generator) -> tuple[int, ...]:
    """A random path along couplers whose error, and whose qubits' T1 and T2, are known."""
    times = np.isfinite(twin.t2_per_qubit() + twin.per_qubit(Quantity.T1_S))
    gate = next(name for name, places in twin.gates.items() if len(places[0]) == 2)
    pairs = [
        pair
        for pair in twin.gates[gate]
        if times[list(pair)].all() and (gate_error(twin, gate, pair) or 1.0) < 0.05
    ]
    while True:
        path = list(pairs[rng.integers(len(pairs))])
        while len(path) < length:
            onward = [b for a, b in [*pairs, *(pair[::-1] for pair in pairs)] if a == path[-1]]
            onward = sorted(set(onward) - set(path))
            if not onward:
                break
            path.append(int(rng.choice(onward)))
        else:
            return tuple(path)


def without_waiting(circuit: QuantumCircuit) -> QuantumCircuit:
    """Without delays and barriers, which a state vector does not know."""
    plain = circuit.copy_empty_like()
    for step in circuit.data:
        if step.name not in {"delay", "barrier"}:
            plain.append(step)
    return plain


def _ghz_and_back(width: int) -> QuantumCircuit:
    circuit = QuantumCircuit(width)
    circuit.h(0)
    for qubit in range(width - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.barrier()
    for qubit in reversed(range(width - 1)):
        circuit.cx(qubit, qubit + 1)
    circuit.h(0)
    return circuit


def _qft(width: int, rng: np.random.Generator) -> QuantumCircuit:
    circuit = QuantumCircuit(width)
    for qubit in range(width):
        circuit.ry(rng.uniform(0, math.pi), qubit)
    return circuit.compose(synth_qft_full(width))


def _random_pairs(width: int, pairs: int, rng: np.random.Generator) -> QuantumCircuit:
    circuit = QuantumCircuit(width)
    for _ in range(pairs):
        first = int(rng.integers(width - 1))
        circuit.unitary(random_unitary(4, seed=int(rng.integers(2**31))), [first, first + 1])
    return circuit


def _ring(width: int, rounds: int, rng: np.random.Generator) -> QuantumCircuit:
    circuit = QuantumCircuit(width)
    circuit.h(range(width))
    for _ in range(rounds):
        for qubit in range(width):
            circuit.rzz(rng.uniform(0.3, 1.2), qubit, (qubit + 1) % width)
        circuit.rx(rng.uniform(0.3, 1.2), range(width))
    return circuit
