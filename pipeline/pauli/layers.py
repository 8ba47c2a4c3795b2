"""The layers of a compiled circuit: gates on two or more qubits that run at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qiskit import QuantumCircuit
from qiskit.circuit import Bit, CircuitInstruction, Gate

from qcpaas.noise import GateLayer, LayerGate


@dataclass(frozen=True)
class CircuitLayer:
    """One layer of a circuit.

    Attributes:
        instructions: Places of its gates in ``circuit.data``, in the order of ``gate_layer``.
        gate_layer: The same gates on physical qubits.
    """

    instructions: tuple[int, ...]
    gate_layer: GateLayer


def layers_of(circuit: QuantumCircuit, physical_qubits: Sequence[int]) -> list[CircuitLayer]:
    """Every gate in the first layer that the gates, measurements and barriers before it allow.

    Gates on one qubit belong to no layer. Anything else that joins qubits or clbits, such as
    control flow, ends the layers of its bits like a barrier.

    Args:
        physical_qubits: Device qubit of each circuit qubit.

    Returns:
        In the order of time.
    """
    number = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    found: dict[int, list[tuple[LayerGate, int]]] = {}
    free: dict[Bit, int] = {}  # first layer that a bit can still join
    for index, step in enumerate(circuit.data):
        bits = list(_joined(step))
        layer = max((free.get(bit, 0) for bit in bits), default=0)
        if is_layered(step):
            place = tuple(physical_qubits[number[qubit]] for qubit in step.qubits)
            found.setdefault(layer, []).append((LayerGate(name=step.name, qubits=place), index))
            layer += 1
        free.update(dict.fromkeys(bits, layer))
    return [_layer(found[layer]) for layer in sorted(found)]


def is_layered(step: CircuitInstruction) -> bool:
    """Whether it is a gate on two or more qubits."""
    return isinstance(step.operation, Gate) and len(step.qubits) > 1


def _joined(step: CircuitInstruction) -> Iterator[Bit]:
    yield from step.qubits
    yield from step.clbits


def _layer(gates: list[tuple[LayerGate, int]]) -> CircuitLayer:
    ordered = sorted(gates, key=lambda found: (found[0].qubits, found[0].name))
    return CircuitLayer(
        tuple(index for _, index in ordered),
        GateLayer(gates=tuple(gate for gate, _ in ordered)),
    )
