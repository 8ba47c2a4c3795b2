"""Jobs as they arrive at a device: read, and held against what it can do, before it takes them."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np
from qiskit import QuantumCircuit

from adapters.contract import Capabilities, DeviceSession, Submission
from adapters.dynamic_circuits import check_dynamic
from adapters.limits import check_limits
from adapters.open_hardware.circuits import read
from adapters.open_hardware.messages import Register, SentCircuit, SentExperiment, SentJob
from adapters.open_hardware.packing import Array, floats, observables_of, registers_of
from qcpaas.circuit_bytes import from_bytes
from qcpaas.circuit_key import circuit_key
from qcpaas.errors import CircuitError, SubmissionRefused
from qcpaas.execution import Binding, Experiment

MAX_BITS = 100_000  # classical, of one circuit
OLDEST_QPY = 13  # older ones hold expressions as text that has to be evaluated
_KEPT_CIRCUITS = 512


class Intake:
    """Reads jobs of one device; a circuit that comes again is the same object, read once."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._read: OrderedDict[bytes, tuple[QuantumCircuit, str]] = OrderedDict()
        self._lock = threading.Lock()

    def submission(
        self, job: SentJob, capabilities: Capabilities, session: DeviceSession | None = None
    ) -> Submission:
        """The submission that was sent.

        Raises:
            CircuitError: A circuit cannot be read.
            SubmissionRefused: The job asks for what the device does not do.
        """
        if not all(each.circuit < len(job.circuits) for each in job.experiments):
            raise SubmissionRefused("an experiment names a circuit that the job does not hold.")
        circuits = [self._circuit(each, capabilities)[0] for each in job.circuits]
        experiments = tuple(
            _experiment(each, job.circuits, circuits, capabilities) for each in job.experiments
        )
        submission = Submission(experiments, job.seed, job.noise_model, session)
        check_limits(submission, self._device, capabilities)
        for circuit in circuits:
            check_dynamic(circuit, self._device, capabilities)
        return submission

    def content(self, job: SentJob, capabilities: Capabilities) -> str:
        """Hash of what a job asks for, in every process: all but its token, seed and session."""
        digest = hashlib.blake2b(digest_size=16)
        for sent in job.experiments:
            _, key = self._circuit(job.circuits[sent.circuit], capabilities)
            head = f"{key} {sent.points} {sent.shots} {sent.physical_qubits} {sent.observables} "
            digest.update(head.encode() + sent.values)
        return digest.hexdigest()

    def _circuit(self, sent: SentCircuit, capabilities: Capabilities) -> tuple[QuantumCircuit, str]:
        digest = hashlib.blake2b(sent.data, digest_size=16)
        digest.update(repr((sent.format, sent.name, sent.parameters, sent.registers)).encode())
        digest.update(sent.text.encode())
        name = digest.digest()
        with self._lock:
            found = self._read.get(name)
            if found is None:
                circuit = _read_circuit(sent, capabilities)
                found = self._read[name] = (circuit, circuit_key(circuit))
            self._read.move_to_end(name)
            while len(self._read) > _KEPT_CIRCUITS:
                self._read.popitem(last=False)
        return found


def _read_circuit(sent: SentCircuit, capabilities: Capabilities) -> QuantumCircuit:
    if sent.format == "qpy":
        if len(sent.data) > 6 and sent.data[6] < OLDEST_QPY:
            raise CircuitError(
                f"circuit {sent.name} is QPY of version {sent.data[6]}; versions from {OLDEST_QPY} "
                "on are read. Send OpenQASM 3."
            )
        circuit = from_bytes(sent.data, f"circuit {sent.name}")
    else:
        circuit = read(sent.text, capabilities.num_qubits, MAX_BITS, capabilities.basis_gates)
    circuit.name = sent.name or circuit.name
    _check_names(circuit, sent)
    return circuit


def _check_names(circuit: QuantumCircuit, sent: SentCircuit) -> None:
    held, told = {p.name for p in circuit.parameters}, list(sent.parameters)
    if len(set(told)) < len(told) or held - set(told):
        raise SubmissionRefused(
            f"circuit {circuit.name} has the parameters {sorted(held)}; the job names {told}. Name "
            "each once, in the order of the columns."
        )
    bits = sum(size for _, size in sent.registers)
    if sent.registers and bits != circuit.num_clbits:
        raise SubmissionRefused(
            f"circuit {circuit.name} has {circuit.num_clbits} classical bits; the job's registers "
            f"have {bits}."
        )


def _experiment(
    sent: SentExperiment,
    circuits: Sequence[SentCircuit],
    read_circuits: Sequence[QuantumCircuit],
    capabilities: Capabilities,
) -> Experiment:
    circuit = read_circuits[sent.circuit]
    _check_places(sent, circuit, capabilities)
    observables = None
    if sent.observables is not None:
        observables = observables_of(sent.observables, circuit.num_qubits)
    places = sent.physical_qubits
    return Experiment(
        circuit=circuit,
        parameter_values=_values(sent, circuits[sent.circuit], circuit),
        observables=observables,
        shots=sent.shots,
        binding=None if places is None else Binding(places, "", None, capabilities.basis_gates),
    )


def _check_places(
    sent: SentExperiment, circuit: QuantumCircuit, capabilities: Capabilities
) -> None:
    places = sent.physical_qubits
    qubits = tuple(range(circuit.num_qubits)) if places is None else places
    if len(qubits) != circuit.num_qubits or len(set(qubits)) < len(qubits):
        raise SubmissionRefused(
            f"circuit {circuit.name} has {circuit.num_qubits} qubits; it is to run on {qubits}. "
            "Name another device qubit for each."
        )
    if any(qubit >= capabilities.num_qubits for qubit in qubits):
        raise SubmissionRefused(
            f"circuit {circuit.name} is on qubits {qubits}; there are {capabilities.num_qubits}."
        )


def _values(sent: SentExperiment, told: SentCircuit, circuit: QuantumCircuit) -> Array:
    shape = (sent.points, len(told.parameters))
    if len(sent.values) != 8 * shape[0] * shape[1]:
        raise SubmissionRefused(
            f"circuit {circuit.name} has {shape[1]} parameters and {shape[0]} points; the job "
            f"brings {len(sent.values) / 8:g} values."
        )
    values = floats(sent.values).reshape(shape)
    if not np.isfinite(values).all():
        raise SubmissionRefused(f"circuit {circuit.name} has values that are no numbers.")
    order = [told.parameters.index(parameter.name) for parameter in circuit.parameters]
    return values[:, order]


def told_registers(
    job: SentJob, circuits: Mapping[int, QuantumCircuit]
) -> list[tuple[Register, ...]]:
    """How the sender calls the registers of each experiment's circuit.

    Args:
        circuits: Those that were read, by their index in the job.
    """
    return [
        job.circuits[each.circuit].registers or registers_of(circuits[each.circuit])
        for each in job.experiments
    ]
