"""Compile once: a circuit routed for a device's topology, its parameters symbolic."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import qiskit
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import ControlFlowOp
from qiskit.transpiler import Target

from qcpaas import circuit_bytes
from qcpaas.circuits import circuit_key
from qcpaas.errors import CircuitError

SEEDS = (11, 23, 47)  # routing is a lottery: three tickets, the shortest circuit wins
IGNORED = frozenset({"barrier", "delay"})


@dataclass(frozen=True, eq=False)
class Template:
    """A routed circuit on the qubits that it uses, free of the place where it was routed.

    Attributes:
        circuit: In the device's gates, on compact qubits ``0..k-1``.
        positions: Compact qubit that holds each of the original circuit's qubits at the end.
        home: Device qubit of each compact qubit where it was routed; one valid placement.
    """

    circuit: QuantumCircuit
    positions: tuple[int, ...]
    home: tuple[int, ...]

    @classmethod
    def in_place(cls, circuit: QuantumCircuit, physical_qubits: tuple[int, ...]) -> Template:
        """A circuit whose qubits lie on these device qubits already."""
        return cls(circuit, tuple(range(circuit.num_qubits)), physical_qubits)

    @cached_property
    def interactions(self) -> dict[tuple[int, int, str], int]:
        """Two-qubit gates on each undirected pair of compact qubits, by gate name."""
        found: dict[tuple[int, int, str], int] = {}
        for step in self.circuit.data:
            name = step.operation.name
            if len(step.qubits) == 2 and name not in IGNORED:
                first, second = sorted(self.circuit.find_bit(q).index for q in step.qubits)
                found[first, second, name] = found.get((first, second, name), 0) + 1
        return found

    @cached_property
    def movable(self) -> bool:
        """Whether its two-qubit gates say all about where it can go."""
        return not any(
            isinstance(step.operation, ControlFlowOp)
            or (len(step.qubits) > 2 and step.operation.name not in IGNORED)
            for step in self.circuit.data
        )

    def to_bytes(self) -> bytes:
        layout = json.dumps([self.positions, self.home]).encode()
        return len(layout).to_bytes(4, "little") + layout + circuit_bytes.to_bytes(self.circuit)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Template:
        size = int.from_bytes(payload[:4], "little")
        positions, home = json.loads(payload[4 : 4 + size])
        circuit = circuit_bytes.from_bytes(payload[4 + size :], source="a stored template")
        return cls(circuit, tuple(positions), tuple(home))


def template_key(circuit: QuantumCircuit, topology_id: str) -> str:
    """Changes with the circuit's structure, the device's topology, and the compiler."""
    parts = [circuit_key(circuit), topology_id, qiskit.__version__, str(SEEDS)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def compile_template(circuit: QuantumCircuit, target: Target) -> Template:
    """Route a circuit and translate it to the device's gates.

    Args:
        target: Only its topology and gates decide; where the circuit will run is chosen later.

    Raises:
        CircuitError: The circuit is too wide, or cannot be translated.
    """
    if circuit.num_qubits > target.num_qubits:
        raise CircuitError(
            f"circuit {circuit.name} needs {circuit.num_qubits} qubits; the device has "
            f"{target.num_qubits}. Choose a larger device or cut the circuit."
        )
    try:
        routed = [
            transpile(circuit, target=target, optimization_level=3, seed_transpiler=seed)
            for seed in SEEDS
        ]
    except qiskit.exceptions.QiskitError as error:
        raise CircuitError(
            f"circuit {circuit.name} cannot be compiled for this device: {error.message}"
        ) from error
    return _compact(min(routed, key=_length), circuit.num_qubits)


def _length(circuit: QuantumCircuit) -> tuple[int, int]:
    return circuit.num_nonlocal_gates(), circuit.depth()


def _compact(routed: QuantumCircuit, width: int) -> Template:
    """Keep the qubits that are used, and those where the original circuit's qubits end."""
    ends: Sequence[int] = (
        routed.layout.final_index_layout() if routed.layout is not None else range(width)
    )
    used = {
        routed.find_bit(qubit).index
        for step in routed.data
        if step.operation.name not in IGNORED
        for qubit in step.qubits
    }
    home = tuple(sorted(used | set(ends)))
    place = {physical: compact for compact, physical in enumerate(home)}
    circuit = QuantumCircuit(len(home), name=routed.name, global_phase=routed.global_phase)
    circuit.add_bits(routed.clbits)
    for register in routed.cregs:
        circuit.add_register(register)
    for variable in routed.iter_input_vars():
        circuit.add_input(variable)
    for variable in routed.iter_declared_vars():
        circuit.add_uninitialized_var(variable)
    for step in routed.data:
        physical = [routed.find_bit(qubit).index for qubit in step.qubits]
        if all(index in place for index in physical):
            circuit.append(
                step.operation, [place[index] for index in physical], step.clbits, copy=False
            )
        elif step.operation.name == "barrier":
            kept = [place[index] for index in physical if index in place]
            circuit.barrier(kept)
    return Template(circuit, tuple(place[end] for end in ends), home)
