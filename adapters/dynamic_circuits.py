"""Refuses circuits that act on outcomes where the device cannot."""

from __future__ import annotations

from qiskit import QuantumCircuit

from adapters.contract import Capabilities
from qcpaas.errors import SubmissionRefused

_FLOW = frozenset({"if_else", "for_loop", "while_loop", "switch_case"})


def check_dynamic(circuit: QuantumCircuit, device: str, capabilities: Capabilities) -> None:
    """Refuse control flow, and use of a qubit after its measurement, that the device has not.

    Raises:
        SubmissionRefused: With what stands in the circuit.
    """
    missing = sorted((_FLOW & set(circuit.count_ops())) - capabilities.control_flow)
    if missing:
        raise SubmissionRefused(
            f"circuit {circuit.name} has {missing[0]}, which {device} does not execute. Write it "
            "without, or choose another device."
        )
    if capabilities.mid_circuit_measurement:
        return
    measured: set[object] = set()
    for item in circuit.data:
        if item.name == "barrier":
            continue
        if not measured.isdisjoint((*item.qubits, *item.clbits)):
            raise SubmissionRefused(
                f"circuit {circuit.name} uses a qubit or a bit again after its measurement, which "
                f"{device} does not do. Measure once, at the end."
            )
        if item.name == "measure":
            measured.update((*item.qubits, *item.clbits))
