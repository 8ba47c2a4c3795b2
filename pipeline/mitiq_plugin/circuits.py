"""Bound circuits handed to Mitiq, and its circuits taken back into the device's gates.

Mitiq works on Cirq's circuits and knows neither a device's gates nor its qubits. What comes back is
therefore translated gate by gate, with no optimisation that would cancel what Mitiq has added, and
every instruction is checked against the device's calibration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit.equivalence_library import SessionEquivalenceLibrary
from qiskit.transpiler import PassManager
from qiskit.transpiler.passes import BasisTranslator

from adapters.compiler_stages import compiling
from qcpaas.calibration import Quantity
from qcpaas.errors import MitigationError
from qcpaas.execution import Binding, CalibrationValues, Experiment

Gates = Mapping[str, Sequence[tuple[int, ...]]]

NATIVE = "ZeroNoiseExtrapolation, DynamicalDecoupling and ProbabilisticErrorCancellation keep them"
REFUSED = {
    "delay": f"leave out decoupling (binding policy decouple=False), or Mitiq: {NATIVE}",
    "reset": f"leave out Mitiq's option: {NATIVE}",
    "measure": "ask for observables of a circuit without measurements",
}
# What passes Cirq's OpenQASM 2 in both directions as the same gate.
ROTATIONS = ("rx", "ry", "rz", "x", "y", "z", "h", "s", "t", "sdg", "tdg", "sx", "sxdg", "id")
UNDERSTOOD = frozenset((*ROTATIONS, "cx", "cz", "swap"))
ANY_ROTATION = ("rz", "sx", "x")
MORE_ERROR = 1.3  # an echoed cross-resonance gate comes back with a few more pulses about it
NOT_GATES = frozenset(("measure", "delay", "reset", "barrier"))


@dataclass(frozen=True, eq=False)
class Handed:
    """A circuit as Mitiq has it.

    Attributes:
        circuit: Mitiq's (Cirq's) circuit; its qubits, sorted, are ``qubits`` of the bound circuit.
        basis: Gates that its circuits are translated back into.
        template: The bound circuit without its instructions.
    """

    circuit: Any
    qubits: tuple[int, ...]
    basis: tuple[str, ...]
    template: QuantumCircuit
    binding: Binding | None
    gates: Gates


def hand_over(
    experiment: Experiment, point: int, calibration: CalibrationValues | None
) -> tuple[Handed, QuantumCircuit]:
    """The circuit at one parameter point, for Mitiq, and the bound circuit itself.

    Raises:
        MitigationError: It holds what Mitiq's conversions do not carry.
    """
    from mitiq.interface import convert_to_mitiq

    circuit = experiment.circuit
    if circuit.num_parameters:
        circuit = circuit.assign_parameters(experiment.parameter_values[point])
    check_carried(circuit)
    basis = _basis(experiment.binding, circuit)
    used = tuple(
        sorted({circuit.find_bit(q).index for step in circuit.data for q in step.qubits})
    ) or (0,)
    spoken = _translated(_narrowed(circuit, used), _shared_basis(basis))
    cirq_circuit, _ = convert_to_mitiq(spoken)
    handed = Handed(
        circuit=cirq_circuit,
        qubits=used,
        basis=basis,
        template=circuit.copy_empty_like(),
        binding=experiment.binding,
        gates={} if calibration is None else calibration.gates,
    )
    _check_same(circuit, take_back(handed, cirq_circuit), handed, calibration)
    return handed, circuit


def check_carried(circuit: QuantumCircuit) -> None:
    """Refuse instructions that Mitiq's conversions lose or fail on."""
    for step in circuit.data:
        operation = step.operation
        if operation.name in REFUSED or step.clbits or hasattr(operation, "blocks"):
            advice = REFUSED.get(operation.name, f"leave out Mitiq's option: {NATIVE}")
            raise MitigationError(
                f"circuit {circuit.name} contains {operation.name!r}, which Mitiq's circuits "
                f"cannot hold. To go on, {advice}."
            )


def take_back(handed: Handed, cirq_circuit: Any) -> QuantumCircuit:
    """One of Mitiq's circuits on the bound circuit's qubits, in the device's gates.

    Raises:
        MitigationError: The device does not have one of its instructions.
    """
    from mitiq.interface import convert_from_mitiq

    returned = convert_from_mitiq(cirq_circuit, "qiskit")
    if returned.num_qubits != len(handed.qubits):
        raise MitigationError(
            f"circuit {handed.template.name}: Mitiq returned {returned.num_qubits} qubits in place "
            f"of {len(handed.qubits)}."
        )
    circuit = handed.template.copy_empty_like()
    translated = _translated(returned, handed.basis)
    circuit.compose(translated, list(handed.qubits), inplace=True)
    _check_gates(circuit, handed)
    return circuit


def _check_same(
    circuit: QuantumCircuit,
    returned: QuantumCircuit,
    handed: Handed,
    calibration: CalibrationValues | None,
) -> None:
    """Refuse a device whose gates Mitiq's circuits cannot express without many more of them."""
    gates = [_two_qubit_gates(each) for each in (circuit, returned)]
    errors = [_error_sum(each, handed.binding, calibration) for each in (circuit, returned)]
    if gates[0] != gates[1] or errors[1] > MORE_ERROR * errors[0] + 1e-9:
        raise MitigationError(
            f"circuit {circuit.name}: in the gates that Mitiq knows and back, its {gates[0]} "
            f"two-qubit gates become {gates[1]}, and the sum of its gate errors {errors[0]:.3g} "
            f"becomes {errors[1]:.3g}, so that Mitiq would mitigate another circuit. "
            f"{NATIVE.partition(' keep')[0]} work on the device's own gates."
        )


def _error_sum(
    circuit: QuantumCircuit, binding: Binding | None, calibration: CalibrationValues | None
) -> float:
    if binding is None or calibration is None:
        return 0.0
    physical = binding.physical_qubits
    return sum(
        calibration.get(
            Quantity.GATE_ERROR,
            *(physical[circuit.find_bit(qubit).index] for qubit in step.qubits),
            gate=step.operation.name,
        )
        or 0.0
        for step in circuit.data
    )


def _check_gates(circuit: QuantumCircuit, handed: Handed) -> None:
    if handed.binding is None or not handed.gates:
        return
    physical = handed.binding.physical_qubits
    known = {name: frozenset(places) for name, places in handed.gates.items()}
    for step in circuit.data:
        place = tuple(physical[circuit.find_bit(qubit).index] for qubit in step.qubits)
        if place not in known.get(step.operation.name, ()):
            raise MitigationError(
                f"circuit {circuit.name}: Mitiq's circuit has {step.operation.name!r} on qubits "
                f"{', '.join(map(str, place))}, which the device does not have there. Choose "
                f"another technique, or another setting of this one."
            )


def _basis(binding: Binding | None, circuit: QuantumCircuit) -> tuple[str, ...]:
    """The device's gates; the circuit's own where it takes all, since noise may hang on names."""
    own = sorted({step.operation.name for step in circuit.data})
    gates = own if binding is None or not binding.basis_gates else binding.basis_gates
    return tuple(gate for gate in gates if gate not in NOT_GATES)


def _shared_basis(basis: Sequence[str]) -> tuple[str, ...]:
    """The device's gates that Mitiq knows, and what it takes to express the others."""
    shared = [gate for gate in basis if gate in UNDERSTOOD]
    if not {"cx", "cz"} & set(shared):
        shared.append("cx")
    return tuple(dict.fromkeys((*shared, *ANY_ROTATION)))


def _narrowed(circuit: QuantumCircuit, used: Sequence[int]) -> QuantumCircuit:
    """Its gates on its used qubits alone, since Cirq forgets the others; no barriers."""
    place = {circuit.qubits[index]: number for number, index in enumerate(used)}
    narrow = QuantumCircuit(len(used))
    for step in circuit.data:
        if step.operation.name != "barrier":
            narrow.append(step.operation, [place[qubit] for qubit in step.qubits])
    for number in set(range(len(used))) - {narrow.find_bit(q).index for q in _touched(narrow)}:
        narrow.rz(0.0, number)  # keeps its place among Cirq's qubits
    return narrow


def _touched(circuit: QuantumCircuit) -> set[Any]:
    return {qubit for step in circuit.data for qubit in step.qubits}


def _translated(circuit: QuantumCircuit, basis: Sequence[str]) -> QuantumCircuit:
    """Gate by gate; nothing is merged or cancelled."""
    if {step.operation.name for step in circuit.data} <= set(basis):
        return circuit
    with compiling():
        return PassManager([BasisTranslator(SessionEquivalenceLibrary, list(basis))]).run(circuit)


def _two_qubit_gates(circuit: QuantumCircuit) -> int:
    return sum(step.operation.num_qubits == 2 for step in circuit.data)
