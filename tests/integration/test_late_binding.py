"""Circuit jobs whose calibration moves after they were bound."""

from dataclasses import replace
from datetime import timedelta

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from flows import stages
from qcpaas.binding import BindingPolicy
from qcpaas.calibration import Quantity
from qcpaas.errors import StaleCalibration
from store.calibrations import Calibrations

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]
DEVICE = "FakeAthens"


def pair() -> QuantumCircuit:
    circuit = QuantumCircuit(2, name="pair")
    circuit.ry(Parameter("angle"), 0)
    circuit.cx(0, 1)
    return circuit


def spoil(store, device, placed) -> None:
    """The coupler that a circuit was placed on becomes bad; what was bad before is mended."""
    place = set(placed[0].experiment.binding.physical_qubits)
    now = device.newest()
    values = now.values.copy()
    for (quantity, gate, qubits), row in now.index.items():
        if quantity == Quantity.GATE_ERROR and gate == "cx":
            values[row] = 0.25 if set(qubits) == place else 0.01
    later = now.taken_at + timedelta(hours=1)
    Calibrations(store).record(replace(now, values=values, taken_at=later))


@pytest.fixture
def spoiled(monkeypatch):
    """After the plan stage, or after the execution, a newer calibration says otherwise."""

    def begin(when: str) -> None:
        if when == "before submission":
            stage = stages.plan.fn

            def planned(run, batch, placed, call):
                answer = stage(run, batch, placed, call)
                spoil(run.store, run.device, placed)
                return answer

            monkeypatch.setattr(stages.plan, "fn", planned)
        else:
            done, spoilt = stages.performed, []

            def performed(run, planned, call):
                answer = done(run, planned, call)
                if not spoilt:
                    spoilt.append(True)
                    spoil(run.store, run.device, [_Only(planned.experiments[0])])
                return answer

            monkeypatch.setattr(stages, "performed", performed)

    return begin


class _Only:
    def __init__(self, experiment):
        self.experiment = experiment


def run(platform, **policy):
    job = platform.run_circuits(
        pair(),
        observables=["ZZ"],
        parameter_values=[[0.3]],
        backend=DEVICE,
        shots=1000,
        seed=5,
        options=["ReadoutMitigation"],
        binding=BindingPolicy(**policy),
    )
    job.result(timeout=300)
    return job.answer()


def test_it_is_bound_again_before_it_is_sent(platform, spoiled):
    spoiled("before submission")
    _, manifest = run(platform)
    (change,) = manifest.changes
    assert (change.when, change.done) == ("before submission", "bound again")
    assert "coupler" in change.reason
    (execution,) = manifest.executions
    sent = manifest.calibrations[execution.calibration]
    assert sent.snapshot_id == change.newest_snapshot_id == execution.snapshot_id
    assert sent.compiled_snapshot_id
    assert change.bound_snapshot_id not in {use.snapshot_id for use in manifest.calibrations}


def test_a_job_that_wants_to_end_then_spends_nothing(platform, spoiled):
    spoiled("before submission")
    with pytest.raises(StaleCalibration, match="Nothing was sent"):
        run(platform, stale="fail")


def test_it_is_run_once_more_where_the_job_wants_that(platform, spoiled):
    spoiled("after execution")
    value, manifest = run(platform, after="retry")
    assert manifest.changes[0].done == "run once more"
    assert [execution.index for execution in manifest.executions] == [0, 1]
    first, second = (manifest.calibrations[e.calibration] for e in manifest.executions)
    assert set(first.physical_qubits) != set(second.physical_qubits)
    assert len(value) == 1
