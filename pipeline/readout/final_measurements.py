"""Which readings of a circuit are final, so that a readout correction can act on them."""

from __future__ import annotations

from dataclasses import dataclass

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Clbit, ControlFlowOp, Qubit

from adapters.backend import measures

_LATER_BUT_HARMLESS = frozenset({"barrier", "delay"})


@dataclass(frozen=True)
class Readings:
    """The measurements of a circuit.

    Attributes:
        final: (qubit, clbit), in the circuit's order, where nothing else touches either any more.
        earlier: Other clbits that are measured into: in mid-circuit, in control flow, or where
            control flow depends on them. The circuit has acted on these readings as they were.
    """

    final: tuple[tuple[int, int], ...]
    earlier: tuple[int, ...]


def readings_of(circuit: QuantumCircuit) -> Readings:
    """Tell final measurements from others."""
    final: list[tuple[int, int]] = []
    earlier: set[int] = set()
    used: set[Qubit | Clbit] = set()
    for step in reversed(circuit.data):
        if step.name in _LATER_BUT_HARMLESS:
            continue
        clbits = [circuit.find_bit(clbit).index for clbit in step.clbits]
        if step.name == "measure" and used.isdisjoint((*step.qubits, *step.clbits)):
            final.append((circuit.find_bit(step.qubits[0]).index, clbits[0]))
        elif _measures(step):
            earlier.update(clbits)
        used.update(step.qubits, step.clbits)
    overwritten = {clbit for _, clbit in final}
    return Readings(tuple(reversed(final)), tuple(sorted(earlier - overwritten)))


def _measures(step: CircuitInstruction) -> bool:
    operation = step.operation
    if isinstance(operation, ControlFlowOp):
        return any(map(measures, operation.blocks))
    return bool(step.name == "measure")
