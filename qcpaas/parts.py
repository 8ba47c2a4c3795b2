"""Circuits in parts: a fixed one, and one that changes from call to call.

    circuit = ansatz()                  # large, and always the same
    next_part(circuit)
    circuit.compose(probe, inplace=True)  # small, and another one each time

What stands before a mark is compiled once; a circuit with the same beginning has only its new parts
compiled. Parameters are not changes: a circuit that differs in values alone needs no parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.circuit import CircuitInstruction

PART = "qcpaas.part"


def next_part(circuit: QuantumCircuit) -> QuantumCircuit:
    """End a part here, and begin the next one.

    The mark is a barrier over all qubits with a label of its own: it travels with the circuit,
    means nothing elsewhere, and is gone once the circuit is compiled. Gates on both sides of it
    are not optimised together, but for those on one qubit, and what comes after it starts from
    where the part before has left the qubits; so put it where little is lost, and once or twice
    rather than often.

    Returns:
        The same circuit, for chaining.
    """
    circuit.barrier(label=PART)
    return circuit


def is_mark(step: CircuitInstruction) -> bool:
    """Whether an instruction is where one part ends."""
    return bool(step.name == "barrier" and step.label == PART)


def has_parts(circuit: QuantumCircuit) -> bool:
    return any(is_mark(step) for step in circuit.data)


def split(circuit: QuantumCircuit) -> list[QuantumCircuit]:
    """The parts in order, each on all qubits and clbits; the first has the global phase."""
    parts = [circuit.copy_empty_like()]
    for step in circuit.data:
        if is_mark(step):
            parts.append(circuit.copy_empty_like())
            parts[-1].global_phase = 0
        else:
            parts[-1]._append(step)  # noqa: SLF001  as it stood before: no checks are needed
    return parts


def whole(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit without the marks."""
    if not has_parts(circuit):
        return circuit
    unmarked = circuit.copy_empty_like()
    for step in circuit.data:
        if not is_mark(step):
            unmarked._append(step)  # noqa: SLF001
    return unmarked
