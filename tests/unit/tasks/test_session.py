from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector

from qcpaas.calibration import Quantity
from qcpaas.errors import CircuitError, JobCancelled, ShotsError
from qcpaas.execution import Counts, EnrichedExecutionBackend, Experiment, PlanContext
from store.calibrations import Calibrations
from store.ledger import LedgerReader
from store.snapshot import Snapshot
from tasks import device as device_module

OBSERVABLE = SparsePauliOp(["ZZ", "XX", "IZ"], [0.5, 0.3, -0.2])
ZNE, READOUT = "ZeroNoiseExtrapolation", "ReadoutMitigation"


def ansatz():
    circuit = QuantumCircuit(2, name="pair")
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    circuit.rz(Parameter("b"), 1)
    return circuit


def experiment(a=0.4, b=0.1, shots=1000, circuit=None):
    return Experiment(circuit or ansatz(), np.array([[a, b]]), (OBSERVABLE,), shots)


def bell():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return Experiment(circuit, np.zeros((1, 0)), shots=500)


def executions(run, store):
    run.ledger.flush()
    return LedgerReader(store).executions(run.job.job_id, run.journal.calibrations)


def test_a_plan_is_used_again_at_other_values_and_gives_what_planning_afresh_gives(start):
    reused, fresh = start(), start()
    session = reused.session(ZNE, READOUT)
    for a in (0.1, 0.8):
        (again,) = session.run([experiment(a)])
        (anew,) = fresh.session(ZNE, READOUT).run([experiment(a)])
        assert again.values.tolist() == anew.values.tolist()
        assert again.variances.tolist() == anew.variances.tolist()
    assert len(session._prepared) == 1


def test_equal_circuits_with_other_parameter_objects_share_a_plan(start):
    session = start().session()
    session.run([experiment(circuit=ansatz())])
    session.run([experiment(circuit=ansatz())])
    assert len(session._prepared) == 1


def test_exact_values_are_near_the_state_vectors_and_mitigation_brings_them_nearer(start):
    run = start()
    truth = Statevector(ansatz().assign_parameters([0.4, 0.1])).expectation_value(OBSERVABLE).real
    (raw,) = run.session().run([experiment(shots=None)])
    (mitigated,) = run.session(ZNE, READOUT).run([experiment(shots=None)])
    assert raw.variances[0, 0] == 0
    assert 1e-4 < abs(raw.values[0, 0] - truth) < 0.1
    assert abs(mitigated.values[0, 0] - truth) < 0.2 * abs(raw.values[0, 0] - truth)
    assert mitigated.raw_values[0, 0] == pytest.approx(raw.values[0, 0], abs=1e-12)


@pytest.mark.parametrize("options", [(), (READOUT,), (ZNE,), (ZNE, READOUT)])
def test_every_call_is_one_submission_whatever_the_options(start, store, options):
    run = start()
    session = run.session(*options)
    session.run([experiment(), experiment(0.7), bell()])
    session.run([bell()])
    records = executions(run, store)
    assert [record.index for record in records] == [0, 1]
    bases = 2 * 2 * (3 if ZNE in options else 1)  # two experiments, two bases, three scales
    assert [len(record.circuits) for record in records] == [bases + 1, 1]


def test_counts_come_back_for_circuits_with_measurements(start):
    (counts,) = start().session(ZNE, READOUT).run([bell()])  # both leave counts alone
    assert isinstance(counts, Counts)
    weights = counts.points[0].to_dict()
    assert sum(weights.values()) == 500
    # Half each but for about 3 % of errors; five standard errors of 500 shots are 0.11.
    assert abs(weights["00"] / 500 - 0.5) < 0.14
    assert counts.registers == (("meas", 2),)


def drifted(snapshot, bad_qubit):
    values = snapshot.values.copy()
    for (quantity, gate, qubits), row in snapshot.index.items():
        if quantity == Quantity.GATE_ERROR and gate == "cx" and bad_qubit in qubits:
            values[row] = 0.4
    return replace(snapshot, values=values, taken_at=snapshot.taken_at + timedelta(hours=1))


def test_a_newer_snapshot_in_the_store_moves_the_circuit_off_a_bad_qubit(start, store, monkeypatch):
    monkeypatch.setattr(device_module, "CHECK_EVERY_S", 0.0)
    run = start()
    session = run.session()
    session.run([experiment()])
    first = run.journal.calibrations[0]
    newer = drifted(run.device.snapshot(), first.physical_qubits[0])
    assert isinstance(newer, Snapshot)
    Calibrations(store).record(newer)
    session.run([experiment()])
    second = run.journal.calibrations[1]
    assert second.snapshot_id == newer.content_id != first.snapshot_id
    assert first.physical_qubits[0] not in second.physical_qubits
    assert [record.calibration for record in executions(run, store)] == [0, 1]


def test_a_pinned_snapshot_is_kept_whatever_the_store_has(start, store, monkeypatch):
    monkeypatch.setattr(device_module, "CHECK_EVERY_S", 0.0)
    snapshot = start().device.snapshot()
    run = start(snapshot_id=snapshot.content_id)
    Calibrations(store).record(drifted(snapshot, 0))
    run.session().run([experiment()])
    assert run.journal.calibrations[0].snapshot_id == snapshot.content_id


def test_the_same_seed_gives_the_same_bits_and_another_gives_others(start, store):
    counts = []
    for seed in (3, 3, 4):
        run = start(seed=seed)
        session = run.session(READOUT)
        session.run([experiment()])
        session.run([experiment()])
        counts.append([record.counts for record in executions(run, store)])
    assert counts[0] == counts[1] != counts[2]
    assert counts[0][0] != counts[0][1]  # each submission draws anew


def test_cancellation_raises_before_the_next_submission(start, store):
    run = start()
    session = run.session()
    session.run([experiment()])
    run.cancelled.set()
    with pytest.raises(JobCancelled):
        session.run([experiment()])
    assert len(executions(run, store)) == 1


def test_the_estimate_grows_with_the_points_of_each_call(start):
    run = start()
    session = run.session()
    session.run([experiment()])
    one = run.journal.estimate
    three = replace(experiment(), parameter_values=np.zeros((3, 2)))
    session.run([three])
    assert run.journal.estimate.circuits == 4 * one.circuits
    assert run.journal.estimate.qpu_s == pytest.approx(4 * one.qpu_s)
    assert run.journal.spent_qpu_s == pytest.approx(run.journal.estimate.qpu_s, rel=0.05)


@pytest.mark.parametrize("width", [0, 1, 3])
def test_rows_of_the_wrong_width_are_refused_at_every_call(start, store, width):
    run = start()
    session = run.session()
    session.run([experiment()])
    with pytest.raises(CircuitError, match="parameter"):
        session.run([replace(experiment(), parameter_values=np.zeros((1, width)))])
    assert len(executions(run, store)) == 1


def test_no_points_at_all_are_refused(start):
    session = start().session()
    session.run([experiment()])
    with pytest.raises(CircuitError, match="empty list of parameter values"):
        session.run([replace(experiment(), parameter_values=np.zeros((0, 2)))])


def test_absurd_shots_are_refused_before_anything_is_sent(start, store):
    run = start()
    with pytest.raises(ShotsError, match="takes 1 to"):
        run.session().run([experiment(shots=10**9)])
    assert executions(run, store) == ()


class NoContext(PlanContext):
    pass


class FreshTwirl(EnrichedExecutionBackend):
    """Draws another, equivalent circuit at every plan."""

    rank = 40
    reusable_plan = False
    drawn = 0

    def expand(self, experiments):
        type(self).drawn += 1
        twirled = []
        for given in experiments:
            circuit = given.circuit.copy()
            for _ in range(2 * type(self).drawn):
                circuit.x(0)
            twirled.append(replace(given, circuit=circuit))
        return twirled, NoContext()

    def reduce(self, context, outcomes):
        return tuple(outcomes)


def test_an_option_with_fresh_circuits_is_planned_anew_at_every_call(start, store):
    FreshTwirl.drawn = 0
    run = start()
    session = run.session("FreshTwirl")
    for _ in range(3):
        session.run([experiment()])
    keys = [record.circuits for record in executions(run, store)]
    assert FreshTwirl.drawn == 3
    assert len(set(keys)) == 3


def test_dynamic_circuits_run_where_they_were_routed(start):
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], True)):
        circuit.x(1)
    circuit.measure(1, 1)
    run = start()
    (counts,) = run.session().run([Experiment(circuit, np.zeros((1, 0)), shots=400)])
    assert counts.points[0].to_dict()["11"] > 340


def test_a_loop_that_counts_runs(start):
    circuit = QuantumCircuit(1, 1)
    with circuit.for_loop(range(1, 5)) as step:
        circuit.rx(step * np.pi / 10, 0)  # pi in all
    circuit.measure(0, 0)
    (counts,) = start().session().run([Experiment(circuit, np.zeros((1, 0)), shots=400)])
    assert counts.points[0].to_dict()["1"] > 370


def test_resets_delays_and_mid_circuit_measurements_run(start):
    circuit = QuantumCircuit(2, 3)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.delay(200, 0, "ns")
    circuit.cx(0, 1)
    circuit.measure([0, 1], [1, 2])
    (counts,) = start().session().run([Experiment(circuit, np.zeros((1, 0)), shots=400)])
    assert counts.points[0].to_dict()["001"] > 360


def test_an_ideal_simulator_takes_the_circuit_as_given(start, store):
    run = start("statevector")
    (outcome,) = run.session().run([experiment(shots=None)])
    truth = Statevector(ansatz().assign_parameters([0.4, 0.1])).expectation_value(OBSERVABLE).real
    assert outcome.values[0, 0] == pytest.approx(truth, abs=1e-9)
    assert run.journal.calibrations == []
    assert executions(run, store)[0].calibration is None
