"""A circuit routed for a device's topology, its parameters symbolic, free of its place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, ForLoopOp

from qcpaas import circuit_bytes

IGNORED = frozenset({"barrier", "delay", "break_loop", "continue_loop"})


@dataclass(frozen=True, eq=False)
class Template:
    """A routed circuit on the qubits that it uses, free of the place where it was routed.

    Attributes:
        circuit: In the device's gates, on compact qubits ``0..k-1``.
        positions: Compact qubit that holds each of the original circuit's qubits at the end.
        home: Device qubit of each compact qubit where it was routed; one valid placement.
        source: The circuit as given, where it needed no routing and the device has gates in one
            direction only: where they are turned, compiling it anew saves 1-qubit gates.
    """

    circuit: QuantumCircuit
    positions: tuple[int, ...]
    home: tuple[int, ...]
    source: QuantumCircuit | None = None

    @classmethod
    def in_place(cls, circuit: QuantumCircuit, physical_qubits: tuple[int, ...]) -> Template:
        """A circuit whose qubits lie on these device qubits already."""
        return cls(circuit, tuple(range(circuit.num_qubits)), physical_qubits)

    @classmethod
    def compact(cls, routed: QuantumCircuit, ends: Sequence[int]) -> Template:
        """Keep the qubits that are used, and those where the original circuit's qubits end.

        Args:
            routed: On all of the device's qubits.
            ends: Device qubit that holds each of the original circuit's qubits at the end.
        """
        number = {qubit: index for index, qubit in enumerate(routed.qubits)}
        used = {
            number[qubit]
            for step in routed.data
            if step.name not in IGNORED
            for qubit in step.qubits
        }
        home = tuple(sorted(used | set(ends)))
        place = {physical: compact for compact, physical in enumerate(home)}
        circuit = without_qubits(routed, len(home))
        moved = {routed.qubits[physical]: circuit.qubits[at] for physical, at in place.items()}
        for step in routed.data:
            kept = [moved[qubit] for qubit in step.qubits if qubit in moved]
            if len(kept) == len(step.qubits):
                # Without the checks of ``append``, which take longer than the rest of a join.
                circuit._append(step.replace(qubits=kept))  # noqa: SLF001
            elif kept and step.name == "barrier":
                circuit.barrier(kept, label=step.operation.label)
        return cls(circuit, tuple(place[end] for end in ends), home)

    @cached_property
    def interactions(self) -> dict[tuple[int, int, str], int]:
        """Two-qubit gates by compact qubits, in the gate's order, and gate name.

        Inside control flow a branch counts in full, a loop as often as it says.
        """
        found: dict[tuple[int, int, str], int] = {}
        for operation, qubits, times in leaves(self.circuit):
            if len(qubits) == 2 and operation.name not in IGNORED:
                key = (qubits[0], qubits[1], operation.name)
                found[key] = found.get(key, 0) + times
        return found

    @cached_property
    def movable(self) -> bool:
        """Whether its two-qubit gates say all about where it can go."""
        return not any(
            len(qubits) > 2 and operation.name not in IGNORED
            for operation, qubits, _ in leaves(self.circuit)
        )

    def to_bytes(self) -> bytes:
        circuits = [circuit_bytes.to_bytes(self.circuit)]
        if self.source is not None:
            circuits.append(circuit_bytes.to_bytes(self.source))
        sizes = [len(circuit) for circuit in circuits]
        layout = json.dumps([self.positions, self.home, sizes]).encode()
        return b"".join([len(layout).to_bytes(4, "little"), layout, *circuits])

    @classmethod
    def from_bytes(cls, payload: bytes) -> Template:
        start = 4 + int.from_bytes(payload[:4], "little")
        positions, home, sizes = json.loads(payload[4:start])
        circuits = []
        for size in sizes:
            part = payload[start : start + size]
            circuits.append(circuit_bytes.from_bytes(part, source="a stored template"))
            start += size
        return cls(circuits[0], tuple(positions), tuple(home), *circuits[1:])


def leaves(circuit: QuantumCircuit) -> Iterator[tuple[CircuitInstruction, tuple[int, ...], int]]:
    """Every instruction with its qubits and how often it counts; control flow opened.

    Of a wide circuit, making the Python object of every gate takes longer than anything that is
    counted of them: ask an instruction for its ``name``, and for its operation where needed alone.
    """
    number = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    for step in circuit.data:
        qubits = tuple([number[qubit] for qubit in step.qubits])
        if not step.is_control_flow():
            yield step, qubits, 1
            continue
        operation = step.operation
        rounds = len(operation.params[0]) if isinstance(operation, ForLoopOp) else 1
        for block in operation.blocks:
            for inner, places, times in leaves(block):
                yield inner, tuple(qubits[place] for place in places), times * rounds


def without_qubits(routed: QuantumCircuit, width: int) -> QuantumCircuit:
    """An empty circuit on so many qubits, with the same classical part and global phase."""
    circuit = QuantumCircuit(width, name=routed.name, global_phase=routed.global_phase)
    circuit.add_bits(routed.clbits)
    for register in routed.cregs:
        circuit.add_register(register)
    for variable in routed.iter_input_vars():
        circuit.add_input(variable)
    for variable in routed.iter_declared_vars():
        circuit.add_uninitialized_var(variable)
    for stretch in routed.iter_declared_stretches():
        circuit.add_stretch(stretch)
    return circuit
