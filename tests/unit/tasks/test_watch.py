"""Calibrations that move between binding, submission and answer."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from adapters.twins import TwinAdapter
from qcpaas.binding import BindingPolicy
from qcpaas.calibration import Quantity
from qcpaas.errors import StaleCalibration
from qcpaas.execution import Experiment
from store.calibrations import Calibrations
from store.ledger import LedgerReader
from tasks import device as device_module

OBSERVABLE = SparsePauliOp(["ZZ"])


@pytest.fixture(autouse=True)
def look_at_every_call(monkeypatch):
    monkeypatch.setattr(device_module, "CHECK_EVERY_S", 0.0)


def experiment(a=0.4):
    circuit = QuantumCircuit(2, name="pair")
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    return Experiment(circuit, np.array([[a]]), (OBSERVABLE,), 1000)


def drifted(snapshot, factor, qubits=None):
    """Every 2-qubit error of some qubits, or of all, times a factor, an hour later."""
    values = snapshot.values.copy()
    for (quantity, gate, place), row in snapshot.index.items():
        concerned = qubits is None or set(place) & set(qubits)
        if quantity == Quantity.GATE_ERROR and gate == "cx" and concerned:
            values[row] = min(1.0, values[row] * factor)
    return replace(snapshot, values=values, taken_at=snapshot.taken_at + timedelta(hours=1))


def executions(run, store):
    run.ledger.flush()
    return LedgerReader(store).executions(run.job.job_id, run.journal.calibrations)


def test_mild_drift_costs_a_look_and_changes_nothing(start, store):
    run = start()
    session = run.session()
    session.run([experiment()])
    mild = drifted(run.device.snapshot(), 1.02)
    Calibrations(store).record(mild)
    session.run([experiment()])
    assert len(run.journal.calibrations) == 1
    assert run.journal.changes == []
    bound, in_force = run.journal.calibrations[0].snapshot_id, mild.content_id
    assert [record.snapshot_id for record in executions(run, store)] == [bound, in_force]


def test_small_changes_add_up_since_they_are_measured_from_the_binding(start, store):
    run = start()
    session = run.session()
    for step in range(12):
        session.run([experiment()])
        newest = run.device.snapshot()
        if step < 11:
            used = run.journal.calibrations[0].physical_qubits
            Calibrations(store).record(drifted(newest, 1.3, used))
    assert len(run.journal.calibrations) > 1
    assert run.journal.changes[0].done == "bound again"


@pytest.mark.parametrize("policy", ["flag", "fail"])
def test_a_job_can_keep_its_binding_or_end(start, store, policy):
    run = start(binding=BindingPolicy(stale=policy))
    session = run.session()
    session.run([experiment()])
    used = run.journal.calibrations[0].physical_qubits
    Calibrations(store).record(drifted(run.device.snapshot(), 20, used))
    if policy == "fail":
        with pytest.raises(StaleCalibration, match="Nothing was sent"):
            session.run([experiment()])
        assert len(executions(run, store)) == 1
    else:
        session.run([experiment()])
        session.run([experiment(0.7)])
        assert len(executions(run, store)) == 3
    assert len(run.journal.calibrations) == 1
    (change,) = run.journal.changes
    assert change.when == "before submission"
    assert change.done == {"flag": "submitted as bound", "fail": "ended"}[policy]
    assert change.element_change > 0.02
    assert "coupler" in change.reason


class Drifting(TwinAdapter):
    """Its calibration moves while it has the first job."""

    def __init__(self, twin, store, qubits_of):
        super().__init__(twin.name, twin.calibration())
        self.store, self.qubits_of, self.answered = store, qubits_of, 0

    def result(self, handle, timeout_s=None):
        self.answered += 1
        if self.answered == 1:
            snapshot = self.calibration()
            Calibrations(self.store).record(drifted(snapshot, 20, self.qubits_of()))
        return super().result(handle, timeout_s)


@pytest.fixture
def drifting(start, store):
    """A job on a device that drifts while it runs its first call."""

    def begin(**policy):
        runs = []
        plain = start()
        adapter = Drifting(
            plain.device.adapter, store, lambda: runs[0].journal.calibrations[0].physical_qubits
        )
        runs.append(start(adapter=adapter, binding=BindingPolicy(**policy)))
        return runs[0]

    return begin


def test_a_calibration_that_moves_while_the_device_has_the_job_is_recorded(drifting, store):
    run = drifting()
    run.session().run([experiment()])
    (change,) = run.journal.changes
    assert (change.when, change.done, change.call) == ("after execution", "recorded", 0)
    (record,) = executions(run, store)
    assert record.snapshot_id == change.newest_snapshot_id != change.bound_snapshot_id


def test_a_job_can_have_such_a_call_run_once_more(drifting, store, start):
    run = drifting(after="retry")
    (outcome,) = run.session().run([experiment()])
    assert [change.done for change in run.journal.changes] == ["run once more", "bound again"]
    first, second = run.journal.calibrations
    assert set(first.physical_qubits) != set(second.physical_qubits)
    assert [record.calibration for record in executions(run, store)] == [0, 1]

    again = start(job=run.job)
    session = again.session()
    (replayed,) = session.run([experiment()])
    assert replayed.values.tolist() == outcome.values.tolist()
    session.run([experiment(0.9)])  # goes on after both
    assert [record.index for record in executions(again, store)] == [0, 1, 2]


def test_a_retry_that_was_interrupted_is_finished_and_not_made_twice(drifting, store, start):
    run = drifting(after="retry")

    class KilledError(BaseException):
        pass

    def killed(call, outcomes):
        run.ledger.flush()
        raise KilledError

    run.backend.finish = killed  # both calls were answered, neither answer was kept
    with pytest.raises(KilledError):
        run.session().run([experiment()])
    assert len(executions(run, store)) == 2
    again = start(job=run.job)
    again.session().run([experiment()])
    assert [record.index for record in executions(again, store)] == [0, 1]
