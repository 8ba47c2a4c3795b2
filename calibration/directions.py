"""Gate directions: turn the two-qubit gates that a place has only the other way round."""

from __future__ import annotations

from collections.abc import Mapping

from qiskit import QuantumCircuit
from qiskit.transpiler import CouplingMap, PassManager
from qiskit.transpiler.passes import GateDirection, Optimize1qGatesDecomposition

from adapters.target import is_usable
from calibration.template import Template
from store.snapshot import Snapshot

Interaction = tuple[int, int, str]


def turned_interactions(
    template: Template, physical_qubits: tuple[int, ...], snapshot: Snapshot
) -> frozenset[Interaction]:
    """The template's two-qubit gates that this place has only the other way round."""
    turned = []
    for first, second, gate in template.interactions:
        place = physical_qubits[first], physical_qubits[second]
        places = snapshot.gates.get(gate, ())
        forward = place in places and is_usable(snapshot, gate, place)
        if not forward and place[::-1] in places:
            turned.append((first, second, gate))
    return frozenset(turned)


def turn(
    circuit: QuantumCircuit,
    interactions: Mapping[Interaction, int],
    turned: frozenset[Interaction],
    basis_gates: tuple[str, ...],
) -> QuantumCircuit:
    """The circuit with these gates turned; the very same object where there are none."""
    if not turned:
        return circuit
    pairs = {(b, a) if (a, b, g) in turned else (a, b) for a, b, g in interactions}
    one_qubit = [gate for gate in basis_gates if gate not in {"measure", "reset", "delay"}]
    passes = [
        GateDirection(CouplingMap(sorted(pairs))),
        Optimize1qGatesDecomposition(basis=one_qubit),
    ]
    return PassManager(passes).run(circuit)
