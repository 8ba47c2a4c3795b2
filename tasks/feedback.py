"""Observed fidelities become lessons about a device: from echoes, and from users."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from qiskit import QuantumCircuit

from calibration.binding import Binder
from calibration.elements import Element
from calibration.factors import SLAB, Seen
from calibration.feedback import USER, elements_of, marks_of
from calibration.placement import Placer
from calibration.portfolio import Portfolio
from calibration.template import Template
from pipeline.echoes.echo import Elsewhere
from qcpaas.binding import FeedbackReport, Observation
from qcpaas.circuit_key import circuit_key
from qcpaas.circuits import from_payload
from qcpaas.errors import CalibrationError, InputError
from qcpaas.execution import Binding, Experiment, Outcome
from qcpaas.manifest import CalibrationUse, Diagnostic, Manifest
from qcpaas.schemas import CircuitJob, CircuitPayload
from store.database import Store
from store.results import Results
from store.snapshot import Snapshot
from tasks.calibration_reports import device_name
from tasks.device import Device
from tasks.learnt import DeviceFeedback, Lesson

UNKNOWN_NATS = -15.0  # what an error that was not reported counts as losing, or more
ECHO = "EchoCheck"

log = logging.getLogger(__name__)


def learn_from(
    device: Device,
    job_id: str,
    planned: Sequence[Experiment],
    outcomes: Iterable[Outcome],
) -> tuple[Observation, ...]:
    """Learn from the echoes that a call carried along; to be called once a call.

    Args:
        planned: The circuits that were submitted.
        outcomes: The call's answer, whose diagnostics say how the echoes went.
    """
    notes = [note for outcome in outcomes for note in outcome.diagnostics if note.option == ECHO]
    told = {str(note.figures.get("circuit")): note for note in notes}
    lessons = []
    for experiment in planned if told else ():
        note = told.get(circuit_key(experiment.circuit))
        if note is None or experiment.binding is None or "log_survival" not in note.figures:
            continue
        try:
            lessons.append(_echo_lesson(device, job_id, experiment, experiment.binding, note))
        except CalibrationError as error:
            log.info("the echo of job %s: %s", job_id, error)
    return DeviceFeedback(device.name, device.store).learn(lessons)


def feedback_report(store: Store, device: str) -> FeedbackReport:
    """What was learnt of a device; raises `UnknownDevice`."""
    return DeviceFeedback(device_name(store, device), store).report()


def reset_feedback(store: Store, device: str) -> FeedbackReport:
    """Forget what was learnt of a device; raises `UnknownDevice`."""
    feedback = DeviceFeedback(device_name(store, device), store)
    feedback.reset()
    return feedback.report()


def observe_fidelity(
    store: Store, job_id: str, fidelity: float, std_error: float, device: str | None = None
) -> FeedbackReport:
    """Learn from a fidelity that a user knows of a finished job's circuit.

    It stands beside what the circuit as executed was calibrated to lose, readout included. A
    second figure for the same job takes the place of the first.

    Args:
        fidelity: Of the answer, above 0 and at most 1.
        std_error: Of ``fidelity``.
        device: Where the job is believed to have run; left out, wherever it did.

    Returns:
        What is known of the device then.

    Raises:
        InputError: The figures make no sense, the job ran several circuits, or elsewhere.
        UnknownJob: The platform has no such job.
        NotReady: It is unfinished.
        CalibrationError: It ran on a device without calibration, or nothing can be learnt.
    """
    _check_fidelity(fidelity, std_error)
    manifest = Results(store).load(job_id).manifest
    ran = _bound_circuits(job_id, manifest)
    where = Device.open(ran[0][1].device, store)
    if device is not None and device_name(store, device) != where.name:
        raise InputError(f"job {job_id} ran on {where.name}, not on {device}.")
    losses: dict[Element, float] = {}
    for payload, use in ran:
        snapshot = where.snapshot_named(use.snapshot_id)
        one = expected_losses(from_payload(payload), use.physical_qubits, snapshot)
        for element, nats in one.items():
            losses[element] = losses.get(element, 0.0) + nats / len(ran)
    lesson = lesson_of(
        where,
        job_id,
        losses,
        where.snapshot_named(ran[-1][1].snapshot_id),
        log_fidelity=math.log(fidelity),
        std_error=std_error / fidelity,
        source=USER,
        of=job_id,
    )
    feedback = DeviceFeedback(where.name, store)
    feedback.learn([lesson])
    return feedback.report()


def lesson_of(
    device: Device,
    job_id: str,
    losses: Mapping[Element, float],
    snapshot: Snapshot,
    *,
    log_fidelity: float,
    std_error: float,
    source: str,
    of: str,
) -> Lesson:
    """An observed fidelity under the device's newest calibration.

    An element that was calibrated again while the circuit ran may have lost anything.

    Args:
        losses: As calibrated by ``snapshot``, from `expected_losses`.
        of: Names what was run: observations of the same are averaged.

    Raises:
        CalibrationError: It teaches nothing.
    """
    known = {element: nats for element, nats in losses.items() if nats > UNKNOWN_NATS}
    then, marks = marks_of(snapshot, known), marks_of(device.snapshot(), known)
    text = f"{source} {of} {sorted(marks.items())}"
    name = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    seen = Seen.of(name, known, log_fidelity, std_error, source)
    for element in seen.elements:
        if then[element] != marks[element]:
            seen = seen.without(element, 1.0, SLAB)
    return Lesson(seen, marks, job_id)


def expected_losses(
    circuit: QuantumCircuit,
    physical_qubits: tuple[int, ...],
    snapshot: Snapshot,
    bits: Sequence[int] | None = None,
) -> dict[Element, float]:
    """What each element adds to a circuit's log fidelity as calibrated, nats.

    Args:
        bits: What should be read into each clbit, where that is known: the two readout errors of
            a qubit differ.
    """
    template = Template.in_place(circuit, physical_qubits)
    losses = Placer().contributions(template, physical_qubits, snapshot)
    if bits is None:
        return losses
    for step in circuit.data:
        if step.name == "measure":
            qubit = physical_qubits[circuit.find_bit(step.qubits[0]).index]
            errors = snapshot.readout_error(qubit)
            if errors is not None and max(errors) < 1:
                error = errors[bits[circuit.find_bit(step.clbits[0]).index]]
                losses[Element("readout", (qubit,))] = math.log1p(-error)
    return losses


def echo_placer(device: Device, seed: int) -> Elsewhere:
    """Where an echo is worth running: where a draw from what is known calls it best.

    The circuit's own place is the likeliest. Others come up where their elements are little known
    or hardly worse, so that one that is better than reported is found, at no cost to the answer.
    """
    binder = Binder(device.capabilities.basis_gates, Placer(device.binder.placer.embeddings))
    feedback = DeviceFeedback(device.name, device.store)

    def elsewhere(circuit: QuantumCircuit, binding: Binding) -> tuple[QuantumCircuit, Binding]:
        snapshot = device.snapshot_named(binding.snapshot_id)
        drawn = feedback.evidence().drawn(elements_of(snapshot), seed)
        template = Template.in_place(circuit, binding.physical_qubits)
        try:
            bound = binder.bind(Portfolio((template,), "", snapshot.content_id), snapshot, drawn)
        except CalibrationError:
            return circuit, binding
        if bound.binding.physical_qubits == binding.physical_qubits:
            return circuit, binding
        return bound.circuit, replace(bound.binding, reason="an echo, where one is worth a look")

    return elsewhere


def _bound_circuits(job_id: str, manifest: Manifest) -> list[tuple[CircuitPayload, CalibrationUse]]:
    """The first circuit of each submission, once a place: it is the one that was placed there.

    The others of a job of one circuit measure it in another basis.
    """
    job = manifest.job
    if isinstance(job, CircuitJob) and len(job.items) > 1:
        raise InputError(
            f"job {job_id} ran {len(job.items)} circuits, and one fidelity says nothing of each. "
            "Give the fidelity of a job of one circuit."
        )
    found = {
        (execution.circuits[0], execution.calibration): manifest.calibrations[execution.calibration]
        for execution in manifest.executions
        if execution.calibration is not None
    }
    if not found:
        raise CalibrationError(
            f"job {job_id} ran on {job.execution.backend}, without a calibration that its fidelity "
            "could correct. Feedback is for devices with calibrated errors."
        )
    return [(manifest.circuits[key], use) for (key, _), use in found.items()]


def _check_fidelity(fidelity: float, std_error: float) -> None:
    if not 0 < fidelity <= 1:
        raise InputError(f"a fidelity lies above 0 and at most at 1; got {fidelity}.")
    if not 0 <= std_error < math.inf:
        raise InputError(f"a standard error is a finite number, zero or more; got {std_error}.")


def _echo_lesson(
    device: Device, job_id: str, experiment: Experiment, binding: Binding, note: Diagnostic
) -> Lesson:
    figures = note.figures
    bits = [int(bit) for bit in reversed(str(figures["expected"]))]
    snapshot = device.snapshot_named(binding.snapshot_id)
    place = binding.physical_qubits
    return lesson_of(
        device,
        job_id,
        expected_losses(experiment.circuit, place, snapshot, bits),
        snapshot,
        log_fidelity=float(str(figures["log_survival"])),
        std_error=float(str(figures["std_error"])),
        source="echo",
        of=f"{figures['of']} {place}",
    )
