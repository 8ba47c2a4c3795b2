"""Submissions and results as the open hardware API's messages, and back."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from adapters.contract import DeviceResult, Submission
from adapters.open_hardware.circuits import Columns, write
from adapters.open_hardware.messages import (
    CircuitFormat,
    CountsReply,
    Point,
    Register,
    Result,
    SentCircuit,
    SentExperiment,
    SentJob,
    ValuesReply,
)
from qcpaas.circuit_bytes import to_bytes
from qcpaas.errors import CircuitError, MalformedReply, SubmissionRefused
from qcpaas.execution import Counts, Distribution, ExpectationValues, Experiment

Array = NDArray[np.float64]

_KEPT_CIRCUITS = 512
_REAL = 1e-12  # an observable's weight may have an imaginary part that is rounding


@dataclass(frozen=True, eq=False)
class _Packed:
    """A circuit as it is sent; ``circuit`` is held so that its id is not given to another one."""

    circuit: QuantumCircuit
    sent: SentCircuit
    columns: Columns


class Packer:
    """Writes jobs; each circuit once, so that one that was written must not be changed in place.

    Args:
        form: In which circuits travel.
        own_gates: Names that the device gives a meaning to.
    """

    def __init__(self, form: CircuitFormat, own_gates: Collection[str] = ()) -> None:
        self._form = form
        self._own_gates = frozenset(own_gates)
        self._packed: OrderedDict[int, _Packed] = OrderedDict()
        self._lock = threading.Lock()

    def job(self, submission: Submission, token: str) -> SentJob:
        """A submission as it is sent; a circuit of several experiments travels once.

        Raises:
            CircuitError: A circuit cannot be written.
            SubmissionRefused: An observable is not real.
        """
        index: dict[int, int] = {}
        packed: list[_Packed] = []
        for experiment in submission.experiments:
            if id(experiment.circuit) not in index:
                index[id(experiment.circuit)] = len(packed)
                packed.append(self._pack(experiment.circuit))
        places = [index[id(experiment.circuit)] for experiment in submission.experiments]
        return SentJob(
            token=token,
            seed=submission.seed,
            session_id=None if submission.session is None else submission.session.session_id,
            circuits=tuple(each.sent for each in packed),
            experiments=tuple(
                _experiment(experiment, place, packed[place].columns)
                for experiment, place in zip(submission.experiments, places, strict=True)
            ),
            noise_model=submission.noise_model,
        )

    def _pack(self, circuit: QuantumCircuit) -> _Packed:
        with self._lock:
            packed = self._packed.get(id(circuit))
            if packed is None:
                packed = self._packed[id(circuit)] = self._written(circuit)
            self._packed.move_to_end(id(circuit))
            while len(self._packed) > _KEPT_CIRCUITS:
                self._packed.popitem(last=False)
        return packed

    def _written(self, circuit: QuantumCircuit) -> _Packed:
        registers = registers_of(circuit)
        if self._form == "qpy":
            names = tuple(parameter.name for parameter in circuit.parameters)
            sent = SentCircuit(
                format="qpy",
                data=to_bytes(circuit),
                name=circuit.name[:1000],
                parameters=names,
                registers=registers,
            )
            return _Packed(circuit, sent, lambda values: values)
        written = write(circuit, self._own_gates)
        sent = SentCircuit(
            text=written.text,
            name=circuit.name[:1000],
            parameters=written.parameters,
            registers=registers,
        )
        return _Packed(circuit, sent, written.columns)


def registers_of(circuit: QuantumCircuit) -> tuple[Register, ...]:
    """Classical registers; one named ``c`` where they do not hold each bit once and in order."""
    inside = [bit for register in circuit.cregs for bit in register]
    if inside == list(circuit.clbits):
        return tuple((register.name[:200], register.size) for register in circuit.cregs)
    return (("c", circuit.num_clbits),)


def packed_result(result: DeviceResult) -> Result:
    """A result as it is sent."""
    return Result(
        counts=tuple(map(_packed_counts, result.counts)),
        values=tuple(map(_packed_values, result.values)),
        qpu_s=result.qpu_s,
        details=dict(result.details),
    )


def unpacked_result(result: Result) -> DeviceResult:
    """The result that was sent.

    Raises:
        MalformedReply: It contradicts itself.
    """
    return DeviceResult(
        counts=tuple(map(_unpacked_counts, result.counts)),
        qpu_s=result.qpu_s,
        values=tuple(map(_unpacked_values, result.values)),
        details=result.details,
    )


def floats(data: bytes) -> Array:
    """Raises `ValueError` where the bytes are no float64s."""
    return np.frombuffer(data, "<f8").astype(np.float64)


def _experiment(experiment: Experiment, circuit: int, columns: Columns) -> SentExperiment:
    binding = experiment.binding
    values = np.asarray(experiment.parameter_values, dtype=np.float64)
    shape = (experiment.points, experiment.circuit.num_parameters)
    if values.shape != shape:
        raise CircuitError(
            f"circuit {experiment.circuit.name} has {shape[1]} parameters; its points have shape "
            f"{values.shape}. Give one column for each parameter."
        )
    return SentExperiment(
        circuit=circuit,
        points=experiment.points,
        values=np.ascontiguousarray(columns(values), "<f8").tobytes(),
        shots=experiment.shots,
        physical_qubits=None if binding is None else tuple(map(int, binding.physical_qubits)),
        observables=None
        if experiment.observables is None
        else tuple(map(_terms, experiment.observables)),
    )


def _terms(observable: SparsePauliOp) -> tuple[tuple[str, float], ...]:
    if np.abs(observable.coeffs.imag).max(initial=0.0) > _REAL:
        raise SubmissionRefused("an observable has a weight that is not real.")
    weights = observable.coeffs.real.tolist()
    return tuple(zip(observable.paulis.to_labels(), weights, strict=True))


def _packed_counts(counts: Counts) -> CountsReply:
    points = tuple(
        Point(
            outcomes=point.outcomes.tobytes(),
            weights=np.ascontiguousarray(point.weights, "<f8").tobytes(),
            num_bits=point.num_bits,
            shots=point.shots,
        )
        for point in counts.points
    )
    return CountsReply(registers=counts.registers, points=points)


def _packed_values(values: ExpectationValues) -> ValuesReply:
    points, observables = values.values.shape
    return ValuesReply(
        values=np.ascontiguousarray(values.values, "<f8").tobytes(),
        variances=np.ascontiguousarray(values.variances, "<f8").tobytes(),
        points=points,
        observables=observables,
    )


def _unpacked_counts(sent: CountsReply) -> Counts:
    num_bits = sum(size for _, size in sent.registers)
    for point in sent.points:
        if point.num_bits != num_bits:
            raise MalformedReply(
                f"a point has {point.num_bits} bits, and its registers have {num_bits}."
            )
    return Counts(points=tuple(map(_distribution, sent.points)), registers=sent.registers)


def _distribution(sent: Point) -> Distribution:
    width = max(1, -(-sent.num_bits // 8))
    try:
        outcomes = np.frombuffer(sent.outcomes, np.uint8).reshape(-1, width)
        weights = floats(sent.weights)
    except ValueError as error:
        raise MalformedReply(f"outcomes or weights are cut: {error}.") from None
    _check_point(sent, outcomes, weights)
    return Distribution(outcomes, weights, sent.num_bits, sent.shots)


def _check_point(sent: Point, outcomes: NDArray[np.uint8], weights: Array) -> None:
    if len(outcomes) != len(weights):
        raise MalformedReply(f"{len(outcomes)} outcomes have {len(weights)} weights.")
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise MalformedReply("outcomes have weights that are negative or no numbers.")
    rows = outcomes.tolist()
    if any(before >= after for before, after in itertools.pairwise(rows)):
        raise MalformedReply("outcomes are not distinct and in ascending order.")
    if sent.num_bits % 8 and rows and rows[-1][0] >> (sent.num_bits % 8):
        raise MalformedReply(f"an outcome has more than {sent.num_bits} bits.")
    total = float(weights.sum())
    if sent.shots is not None and total != sent.shots:
        raise MalformedReply(f"the outcomes of {sent.shots} shots add up to {total:g}.")


def _unpacked_values(sent: ValuesReply) -> ExpectationValues:
    shape = (sent.points, sent.observables)
    try:
        values = floats(sent.values).reshape(shape)
        variances = floats(sent.variances).reshape(shape)
    except ValueError as error:
        raise MalformedReply(f"expectation values are cut: {error}.") from None
    if not (np.isfinite(values).all() and np.isfinite(variances).all() and (variances >= 0).all()):
        raise MalformedReply("expectation values or their variances are no numbers.")
    return ExpectationValues(values=values, variances=variances)


def observables_of(
    terms: Sequence[Sequence[tuple[str, float]]], num_qubits: int
) -> tuple[SparsePauliOp, ...]:
    """Raises `SubmissionRefused` where they are no observables on so many qubits."""
    if not all(len(each) and all(len(label) == num_qubits for label, _ in each) for each in terms):
        raise SubmissionRefused(
            f"an observable is not on the {num_qubits} qubits of its circuit. Give one letter of "
            "IXYZ for each."
        )
    try:
        return tuple(SparsePauliOp.from_list([*each]) for each in terms)
    except (ValueError, TypeError) as error:
        raise SubmissionRefused(f"an observable cannot be read: {error}.") from None
