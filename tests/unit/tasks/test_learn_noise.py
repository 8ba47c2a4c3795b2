"""Noise is learnt when it is needed and not known, by one job for all."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from qiskit import QuantumCircuit

from adapters.backend import DeviceBackend
from pipeline.noise.calibrated import noise_from_calibration
from qcpaas.calibration import Quantity
from qcpaas.errors import ExecutionFailed, MitigationError
from qcpaas.execution import Binding, Experiment
from qcpaas.noise import GateLayer, LayerGate, NoiseLearning
from store.calibrations import Calibrations
from store.exclusive import holding
from store.noise import LearntNoises
from store.snapshot import Snapshot
from tasks.device import Device
from tasks.learn_noise import known_noise, learn_missing, noise_report
from tasks.plan import learn_noise
from tasks.planning import DeviceServices

QUICK = NoiseLearning(depths=(0, 4), twirls=4, shots=64)


def layer(*pairs, name="cx"):
    return GateLayer(gates=tuple(LayerGate(name=name, qubits=pair) for pair in pairs))


class Twin:
    """A twin that counts what it was asked for."""

    def __init__(self, store):
        self.device = Device.open("FakeLima", store)
        self.backend = DeviceBackend(self.device.adapter, lambda: 11)
        self.submissions = []

    def run(self, experiments):
        self.submissions.append(list(experiments))
        return self.backend.run(experiments)

    def learn(self, *layers, snapshot=None, settings=QUICK, job_id="job", **options):
        device = self.device
        under = snapshot or device.snapshot()
        return learn_missing(
            layers, device, under, settings, self.run, device.store, job_id, **options
        )


@pytest.fixture
def twin(store):
    return Twin(store)


def moved(snapshot, quantity, qubits, gate=""):
    """The next day's calibration, in which one value has changed."""
    tomorrow = snapshot.taken_at + timedelta(days=1)
    readings = [
        replace(reading, value=reading.value * 1.1)
        if reading.key == (quantity.value, gate, qubits)
        else reading
        for reading in snapshot.readings()
    ]
    return Snapshot.of(snapshot.device, snapshot.num_qubits, readings, tomorrow, snapshot.dt_s)


def test_learnt_noise_of_a_twin_agrees_with_its_calibration(twin):
    """Twice within the error: no depth tells apart what relaxation does to a pair's two strings."""
    settings = NoiseLearning(depths=(0, 8, 24), shots=512)
    lone = layer((3, 4))
    (found,) = twin.learn(lone, settings=settings)
    snapshot = twin.device.snapshot()
    assert found.device == "FakeLima"
    assert found.snapshot_id == snapshot.content_id
    expected = noise_from_calibration(snapshot, lone)
    # Between the gates each qubit has two pulses, whose errors are the layer's too.
    pulses = sum(2 * snapshot.get(Quantity.GATE_ERROR, q, gate="sx") * 1.5 for q in (3, 4))
    gamma, promised = sum(found.rates), sum(expected.rates) + pulses
    error = np.sqrt(np.sum(np.square(found.std_errors)))
    # What no depth tells moves between strings: it is in their errors, hardly in the sum.
    assert gamma == pytest.approx(promised, rel=0.15)
    assert error < 0.25 * gamma


def test_what_is_known_is_not_run_again(twin):
    one, other = layer((0, 1)), layer((1, 3))
    assert len(twin.learn(one, one)) == 1
    assert twin.learn(one) == ()
    (found,) = twin.learn(one, other, job_id="second")
    assert found.layer == other
    assert found.job_id == "second"
    assert len(twin.submissions) == 2
    known = known_noise([other, one], twin.device.snapshot(), twin.device.store)
    assert [noise.job_id for noise in known] == ["second", "job"]


def test_several_layers_are_learnt_in_one_submission(twin):
    found = twin.learn(layer((0, 1)), layer((1, 2)), layer((0, 1), (3, 4)))
    assert [noise.layer for noise in found] == [layer((0, 1)), layer((1, 2)), layer((0, 1), (3, 4))]
    assert len(twin.submissions) == 1
    # Qubits 1 and 3 are coupled on this device: what joins the two gates is looked at.
    assert len(found[2].paulis) == 15 + 15 + 9


def test_a_calibration_that_moved_renews_the_noise(twin):
    twin.learn(layer((0, 1)))
    before = twin.device.snapshot()
    elsewhere = moved(before, Quantity.GATE_ERROR, (3, 4), "cx")
    assert elsewhere.content_id != before.content_id
    assert twin.learn(layer((0, 1)), snapshot=elsewhere) == ()
    here = moved(before, Quantity.GATE_ERROR, (0, 1), "cx")
    assert len(twin.learn(layer((0, 1)), snapshot=here)) == 1
    # What was learnt before is still there for whoever is bound to the earlier calibration.
    assert known_noise([layer((0, 1))], before, twin.device.store) != (None,)
    assert twin.learn(layer((0, 1)), snapshot=before) == ()


def test_old_noise_is_learnt_anew(twin):
    (found,) = twin.learn(layer((0, 1)))
    noises = LearntNoises(twin.device.store)
    noises.keep([found.model_copy(update={"measured_at": datetime.now(UTC) - timedelta(hours=2)})])
    assert twin.learn(layer((0, 1)), settings=QUICK.model_copy(update={"max_age_s": 8000})) == ()
    assert (
        len(twin.learn(layer((0, 1)), settings=QUICK.model_copy(update={"max_age_s": 7000}))) == 1
    )


def test_two_jobs_that_need_the_same_learn_it_once(twin):
    begun, go_on = threading.Event(), threading.Event()
    run = twin.run

    def slowly(experiments):
        begun.set()
        assert go_on.wait(30)
        return run(experiments)

    twin.run = slowly
    found = {}
    names = ("first", "second")
    jobs = [
        threading.Thread(target=lambda n=n: found.update({n: twin.learn(layer((0, 1)), job_id=n)}))
        for n in names
    ]
    jobs[0].start()
    assert begun.wait(30)
    jobs[1].start()
    go_on.set()
    for job in jobs:
        job.join(60)
    assert [len(found[name]) for name in names] == [1, 0]
    assert len(twin.submissions) == 1


def test_a_job_that_waits_too_long_learns_by_itself(twin):
    with holding(twin.device.store, "noise/FakeLima"):
        assert len(twin.learn(layer((0, 1)), patience_s=0.0)) == 1


def test_a_resumed_job_asks_for_the_same_circuits(twin):
    twin.run, run = fail_after(twin), twin.run
    with pytest.raises(ExecutionFailed):
        twin.learn(layer((0, 1)))
    twin.run = run
    assert len(twin.learn(layer((0, 1)))) == 1
    asked = [
        np.concatenate([e.parameter_values.ravel() for e in sent]) for sent in twin.submissions
    ]
    assert (asked[0] == asked[1]).all()


def fail_after(twin):
    run = twin.run

    def failing(experiments):
        run(experiments)
        raise ExecutionFailed("the device broke down.")

    return failing


def test_nothing_is_run_for_a_layer_that_cannot_be_learnt(twin):
    with pytest.raises(MitigationError, match="rzz cannot be learnt"):
        twin.learn(layer((0, 1)), layer((3, 4), name="rzz"))
    assert twin.submissions == []


def test_the_report_says_which_noise_the_newest_calibration_still_bears_out(twin):
    twin.learn(layer((0, 1)))
    (second,) = twin.learn(layer((1, 3)))
    store = twin.device.store
    near = noise_report(store, "FakeLima")
    assert near.learnt[0] == second
    assert near.valid == (True, True)
    before = twin.device.snapshot()
    Calibrations(store).record(moved(before, Quantity.T1_S, (0,)))
    assert noise_report(store, "FakeLima").valid == (True, False)


def test_noise_is_learnt_through_a_jobs_ledger_and_found_by_its_plans(start):
    run = start("FakeLima", noise_learning=QUICK)
    snapshot = run.device.snapshot()
    bound = Experiment(
        QuantumCircuit(2), np.empty((1, 0)), binding=Binding((0, 1), snapshot.content_id, None, ())
    )
    wanted = [layer((0, 1)), layer((3, 4))]
    assert learn_noise(wanted, [bound], run.backend) == 2
    assert learn_noise(wanted, [bound], run.backend) == 0
    services = DeviceServices(run.device, lambda: 0)
    found = services.learnt_noise(bound.binding, wanted)
    assert [noise.layer for noise in found] == wanted
    assert {noise.job_id for noise in found} == {run.job.job_id}
