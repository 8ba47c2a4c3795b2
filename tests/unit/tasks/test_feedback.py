"""Echoes on a twin that is not as calibrated teach what is wrong with it; so do users."""

import math
import threading
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from adapters.fake_backends import read_snapshot
from adapters.twins import TwinAdapter
from calibration.elements import NO_CORRECTIONS, Element
from calibration.feedback import elements_of, marks_of
from pipeline.echoes.echo import EchoCheck
from qcpaas.calibration import Quantity
from qcpaas.errors import CalibrationError, InputError, NotReady, UnknownDevice, UnknownJob
from qcpaas.execution import Experiment
from qcpaas.manifest import JobResult
from qcpaas.schemas import JobState
from store.calibrations import Calibrations
from store.feedback import Feedbacks
from store.jobs import Jobs
from store.results import Results
from store.snapshot import Snapshot
from tasks.bind import calibration_uses
from tasks.feedback import (
    echo_placer,
    expected_losses,
    feedback_report,
    learn_from,
    observe_fidelity,
    reset_feedback,
)
from tasks.learnt import DeviceFeedback
from tasks.registered import open_registered
from tasks.transpile import transpile_circuit

NAME = "FakeLima"  # a T of five qubits: 0-1-2, 1-3-4
PAIR = (1, 3)  # in the middle: its qubits are used without it too
LAYERS = 8  # deep enough that its gates lose more than the readout beside it could


@pytest.fixture(autouse=True)
def registered(store):
    open_registered(NAME, store)


def misreported(factor):
    """What the vendor says: the error of one coupler is ``factor`` times smaller than it is."""
    truth = read_snapshot(NAME)
    readings = [
        replace(reading, value=reading.value / factor)
        if reading.quantity is Quantity.GATE_ERROR and set(reading.qubits) == set(PAIR)
        else reading
        for reading in truth.readings()
    ]
    told = Snapshot.of(NAME, truth.num_qubits, readings, truth.taken_at, truth.dt_s)

    class Misreporting(TwinAdapter):
        def calibration(self, at=None):
            return told

    return Misreporting(NAME, truth)


def chain(width):
    circuit = QuantumCircuit(width, name=f"chain-{width}")
    angle = Parameter("angle")
    for _ in range(LAYERS):
        for qubit in range(width - 1):
            circuit.ry(angle + qubit, qubit)
            circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def bound_experiment(device, width=2):
    circuit = chain(width)
    bound = device.binder.bind(transpile_circuit(circuit, device), device.snapshot())
    values = np.array([[0.7]])
    return Experiment(bound.circuit, values, shots=1024, binding=bound.binding)


def call(run, experiment, seed):
    """One call with an echo; what was submitted, and its answer."""
    device = run.device
    option = EchoCheck(
        run.backend, EchoCheck.Settings(seed=seed), echo_placer(device, seed)
    )  # fmt: skip
    plan = option.plan([experiment])
    return plan.experiments, option.combine(plan, run.backend.execute(plan.experiments))


def test_misreported_coupler_is_found_by_echoes(start, store):
    run = start(adapter=misreported(6.0))
    experiments = [bound_experiment(run.device, width) for width in (2, 3)]
    for seed in range(10):
        planned, outcomes = call(run, experiments[seed % 2], seed)
        (seen,) = learn_from(run.device, run.job.job_id, planned, outcomes)
        assert (seen.job_id, seen.source) == (run.job.job_id, "echo")
        assert seen.log_fidelity < 0
    corrections = DeviceFeedback(NAME, store).corrections(run.device.snapshot())
    # No circuit tells the coupler from the readout of its qubit at the rim; both are the pair's.
    worst = max(corrections.log_factors, key=corrections.log_factors.__getitem__)
    assert set(worst.qubits) <= set(PAIR)
    assert corrections.log_factors[worst] > math.log(2)
    report = feedback_report(store, NAME)
    assert report.observations == len(report.newest) == 10
    assert (report.factors[0].kind, report.factors[0].qubits) == worst
    surprises = [abs(math.log(one.factor)) / one.log_std_error for one in report.factors]
    assert surprises == sorted(surprises, reverse=True)
    # The next binding knows: the pair is worth less, and another is chosen.
    portfolio, snapshot = transpile_circuit(chain(2), run.device), run.device.snapshot()
    placer, template = run.device.binder.placer, portfolio.templates[0]
    told = placer.value(template, PAIR, snapshot)
    assert placer.value(template, PAIR, snapshot, corrections) < told - 0.03
    bound = run.device.binder.bind(portfolio, snapshot, corrections)
    assert set(bound.binding.physical_qubits) != set(PAIR)


def test_losses_of_an_echo_use_the_readout_error_of_the_bit_that_is_expected(start):
    device = start(adapter=misreported(1.0)).device
    circuit = QuantumCircuit(2, 2)
    circuit.measure([0, 1], [1, 0])
    losses = expected_losses(circuit, (3, 4), device.snapshot(), bits=(1, 0))
    p10, p01 = device.snapshot().readout_error(3), device.snapshot().readout_error(4)
    assert losses[Element("readout", (3,))] == pytest.approx(math.log1p(-p10[0]))
    assert losses[Element("readout", (4,))] == pytest.approx(math.log1p(-p01[1]))


def test_call_without_an_echo_teaches_nothing(start, store):
    run = start(adapter=misreported(1.0))
    experiment = bound_experiment(run.device)
    outcomes = run.backend.execute([experiment])
    assert learn_from(run.device, run.job.job_id, [experiment], outcomes) == ()
    assert Feedbacks(store).version(NAME) == 0
    assert DeviceFeedback(NAME, store).corrections(run.device.snapshot()) is NO_CORRECTIONS


def recalibrated(snapshot, element_qubits):
    later = snapshot.taken_at + timedelta(days=1)
    readings = [
        replace(r, measured_at=later) if set(r.qubits) == set(element_qubits) else r
        for r in snapshot.readings()
    ]
    return Snapshot.of(snapshot.device, snapshot.num_qubits, readings, later, snapshot.dt_s)


def test_calibration_that_is_renewed_makes_what_was_learnt_void(start, store):
    run = start(adapter=misreported(6.0))
    planned, outcomes = call(run, bound_experiment(run.device), seed=1)
    learn_from(run.device, run.job.job_id, planned, outcomes)
    feedback = DeviceFeedback(NAME, store)
    snapshot = run.device.snapshot()
    used = set(feedback.corrections(snapshot).log_factors)
    newer = recalibrated(snapshot, PAIR)
    left = set(feedback.corrections(newer).log_factors)
    assert used - left <= {Element("two_qubit", PAIR)}
    assert left == {e for e in used if e != Element("two_qubit", PAIR)}
    assert set(feedback.corrections(snapshot).log_factors) == used


def test_echo_of_an_outdated_calibration_teaches_nothing_of_what_was_renewed(start, store):
    run = start(adapter=misreported(6.0))
    experiment = bound_experiment(run.device)
    planned, outcomes = call(run, experiment, seed=1)
    place = planned[-1].binding.physical_qubits
    Calibrations(store).record(recalibrated(run.device.snapshot(), place))
    run.device.newest()
    learn_from(run.device, run.job.job_id, planned, outcomes)
    factors = DeviceFeedback(NAME, store).evidence().factors
    assert Element("two_qubit", tuple(sorted(place))) not in factors
    assert factors


def test_what_one_process_learns_another_sees(start, store):
    run = start(adapter=misreported(6.0))
    elsewhere = DeviceFeedback(NAME, store)
    snapshot = run.device.snapshot()
    assert elsewhere.corrections(snapshot) is NO_CORRECTIONS
    planned, outcomes = call(run, bound_experiment(run.device), seed=1)
    learn_from(run.device, run.job.job_id, planned, outcomes)
    corrections = elsewhere.corrections(snapshot)
    assert corrections.version == 1
    assert elsewhere.corrections(snapshot) is corrections
    reset_feedback(store, NAME)
    assert elsewhere.corrections(snapshot) is NO_CORRECTIONS
    assert feedback_report(store, NAME).observations == 0


def test_learners_side_by_side_lose_nothing(start, store):
    run = start(adapter=misreported(1.0))
    calls = [call(run, bound_experiment(run.device, width), width) for width in (2, 3, 4, 5)]
    threads = [
        threading.Thread(target=learn_from, args=(run.device, run.job.job_id, *one))
        for one in calls
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(DeviceFeedback(NAME, store).evidence().seen) == 4
    assert Feedbacks(store).version(NAME) == 4


@pytest.mark.parametrize("payload", [b"\x00old", b"\x01damaged"])
def test_what_cannot_be_read_counts_as_nothing(start, store, payload, caplog):
    run = start(adapter=misreported(6.0))
    Feedbacks(store).update(NAME, lambda _: payload)
    assert DeviceFeedback(NAME, store).corrections(run.device.snapshot()) is NO_CORRECTIONS
    assert "cannot be read" in caplog.text
    planned, outcomes = call(run, bound_experiment(run.device), seed=1)
    learn_from(run.device, run.job.job_id, planned, outcomes)
    assert feedback_report(store, NAME).factors


def finished(run, store):
    """A finished job of one circuit on the device."""
    experiment = bound_experiment(run.device)
    run.journal.placed(calibration_uses([experiment], run.device))
    run.backend.execute([experiment])
    run.ledger.flush()
    manifest = run.journal.manifest(run.job)
    Results(store).save(JobResult(job_id=run.job.job_id, value=None, manifest=manifest))
    Jobs(store).finish(run.job.job_id, JobState.COMPLETED)
    return experiment


def test_users_fidelity_corrects_what_the_job_used(start, store):
    run = start(adapter=misreported(6.0))
    experiment = finished(run, store)
    place = experiment.binding.physical_qubits
    promised = math.exp(
        sum(expected_losses(experiment.circuit, place, run.device.snapshot()).values())
    )
    report = observe_fidelity(store, run.job.job_id, promised / 2, 0.01, device="fakelima")
    (seen,) = report.newest
    assert (seen.source, seen.job_id) == ("user", run.job.job_id)
    assert seen.predicted == pytest.approx(math.log(promised), rel=1e-6)
    assert seen.log_fidelity == pytest.approx(math.log(promised / 2))
    assert seen.std_error == pytest.approx(0.01 / (promised / 2))
    assert report.factors[0].factor > 1
    # A second figure replaces the first: as promised, nothing is amiss.
    again = observe_fidelity(store, run.job.job_id, promised, 0.01)
    assert again.observations == 2
    assert all(abs(math.log(one.factor)) < 0.05 for one in again.factors)


@pytest.mark.parametrize(
    ("fidelity", "error", "reason"),
    [
        (0.0, 0.1, "above 0 and at most at 1; got 0"),
        (1.2, 0.1, "got 1.2"),
        (math.nan, 0.1, "got nan"),
        (0.9, -0.1, "standard error is a finite number"),
        (0.9, math.inf, "got inf"),
    ],
)
def test_fidelity_that_makes_no_sense_is_refused(store, fidelity, error, reason):
    with pytest.raises(InputError, match=reason):
        observe_fidelity(store, "any", fidelity, error)


def test_fidelity_of_a_job_that_cannot_teach_is_refused(start, store):
    with pytest.raises(UnknownJob):
        observe_fidelity(store, "no-such-job", 0.9, 0.01)
    run = start(adapter=misreported(1.0))
    with pytest.raises(NotReady):
        observe_fidelity(store, run.job.job_id, 0.9, 0.01)
    finished(run, store)
    with pytest.raises(InputError, match="ran on FakeLima, not on FakeQuito"):
        observe_fidelity(store, run.job.job_id, 0.9, 0.01, device="FakeQuito")
    with pytest.raises(UnknownDevice):
        feedback_report(store, "FakeNowhere")


def test_job_without_a_calibration_or_of_many_circuits_is_refused(start, store):
    run = start("statevector")
    run.backend.execute([Experiment(chain(2), np.array([[0.7]]), shots=100)])
    run.ledger.flush()
    manifest = run.journal.manifest(run.job)
    Results(store).save(JobResult(job_id=run.job.job_id, value=None, manifest=manifest))
    Jobs(store).finish(run.job.job_id, JobState.COMPLETED)
    with pytest.raises(CalibrationError, match="without a calibration"):
        observe_fidelity(store, run.job.job_id, 0.9, 0.01)


def test_marks_of_a_devices_elements_are_all_there(start):
    snapshot = start(adapter=misreported(1.0)).device.snapshot()
    elements = elements_of(snapshot)
    assert set(marks_of(snapshot, elements)) == set(elements)
