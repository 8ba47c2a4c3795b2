"""Compile once: a circuit's best few distinct routings for a device's topology."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import qiskit
from qiskit import QuantumCircuit, transpile
from qiskit.transpiler import Target

from calibration.template import IGNORED, Template
from qcpaas.circuits import circuit_key
from qcpaas.errors import CircuitError

SEEDS = (11, 23, 47)  # routing is a lottery: three tickets, the shortest circuit wins


@dataclass(frozen=True, eq=False)
class Portfolio:
    """A circuit's routings, the one with the fewest two-qubit gates first.

    Attributes:
        key: Of the circuit's structure, the topology and the compiler.
        snapshot_id: Of the calibration whose topology it was compiled for.
    """

    templates: tuple[Template, ...]
    key: str
    snapshot_id: str

    def to_bytes(self) -> bytes:
        parts = [self.key.encode(), self.snapshot_id.encode()]
        parts += [template.to_bytes() for template in self.templates]
        return b"".join(struct.pack("<I", len(part)) + part for part in parts)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Portfolio:
        parts, start = [], 0
        while start < len(payload):
            (size,) = struct.unpack_from("<I", payload, start)
            parts.append(payload[start + 4 : start + 4 + size])
            start += 4 + size
        key, snapshot_id, *templates = parts
        return cls(tuple(map(Template.from_bytes, templates)), key.decode(), snapshot_id.decode())


def portfolio_key(circuit: QuantumCircuit, topology_id: str) -> str:
    """Changes with the circuit's structure, the device's topology, and the compiler."""
    parts = [circuit_key(circuit), topology_id, qiskit.__version__, str(SEEDS)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def compile_portfolio(
    circuit: QuantumCircuit, target: Target, key: str = "", snapshot_id: str = ""
) -> Portfolio:
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
    best = _compact(min(routed, key=_length), circuit.num_qubits)
    return Portfolio((best,), key, snapshot_id)


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
