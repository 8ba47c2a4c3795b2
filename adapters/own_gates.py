"""Gates of a device's own, made known to Qiskit's compiler.

A device says in OpenQASM 3 what its own gates do, and how standard gates are made of them
(`Capabilities.gate_definitions`). Both go into the library of equivalences that every compilation
of this process reads.
"""

from __future__ import annotations

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Parameter
from qiskit.circuit.equivalence_library import SessionEquivalenceLibrary
from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping
from qiskit.quantum_info import Operator

from adapters.compiler_stages import compiling
from adapters.open_hardware.circuits import definitions
from qcpaas.errors import InputError

_MAX_QUBITS = 6  # whose matrices are compared


def teach(gate_definitions: str, device: str) -> None:
    """Let circuits be compiled for a device's own gates.

    Raises:
        CircuitError: The definitions cannot be read.
        InputError: A standard gate is made of other gates wrongly, or this process knows another
            gate by the same name.
    """
    if gate_definitions.strip():
        with compiling():
            _teach(definitions(gate_definitions), device)


def _teach(found: dict[str, QuantumCircuit], device: str) -> None:
    standard = get_standard_gate_name_mapping()
    own = {name: body for name, body in found.items() if name not in standard}
    for name, body in found.items():
        if name in standard:
            gate = standard[name].base_class(*body.parameters)
            _check(gate, body, own, device)
        else:
            gate = Gate(name, body.num_qubits, list(body.parameters))
            _check_new(gate, body, device)
        if body not in SessionEquivalenceLibrary.get_entry(gate):
            SessionEquivalenceLibrary.add_equivalence(gate, body)


def own_gate(name: str, num_qubits: int) -> Gate | None:
    """A gate that was taught, with free parameters."""
    with compiling():
        for key in SessionEquivalenceLibrary.keys():  # noqa: SIM118  no dictionary
            if (key.name, key.num_qubits) == (name, num_qubits):
                node = SessionEquivalenceLibrary.graph[SessionEquivalenceLibrary.node_index(key)]
                count = len(node.equivs[0].params) if node.equivs else 0
                return Gate(name, num_qubits, [Parameter(f"p{index}") for index in range(count)])
    return None


def in_standard_gates(circuit: QuantumCircuit, own: dict[str, QuantumCircuit]) -> QuantumCircuit:
    """A circuit with own gates replaced by what they do."""
    plain: QuantumCircuit = circuit.copy_empty_like()
    for item in circuit.data:
        body = own.get(item.name)
        if body is None:
            plain.append(item)
        else:
            values = dict(zip(body.parameters, item.operation.params, strict=True))
            inner = in_standard_gates(body.assign_parameters(values), own)
            plain.compose(inner, item.qubits, item.clbits, inplace=True)
    return plain


def _check(gate: Gate, body: QuantumCircuit, own: dict[str, QuantumCircuit], device: str) -> None:
    """At one point of its parameters, which no wrong recipe meets by chance."""
    if body.num_qubits > _MAX_QUBITS:
        return
    point = np.random.default_rng(1).uniform(0.1, 3.0, len(body.parameters))
    made = in_standard_gates(body.assign_parameters(point), own)
    if not Operator(made).equiv(Operator(gate.base_class(*point))):
        raise InputError(
            f"{device} says that {gate.name} is made of {', '.join(sorted(body.count_ops()))}, and "
            "these make something else. Correct its gate definitions."
        )


def _check_new(gate: Gate, body: QuantumCircuit, device: str) -> None:
    known = SessionEquivalenceLibrary.get_entry(gate)
    if known and body not in known:
        raise InputError(
            f"{device} has a gate {gate.name}, and this process knows another one by that name. "
            "Open the two devices in processes of their own, or rename the gate."
        )
