import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qcpaas.circuits import circuit_key, from_payload
from qcpaas.execution import Experiment
from qcpaas.manifest import ExecutionRecord, JobResult
from qcpaas.schemas import JobState
from store.jobs import Jobs
from store.results import Results


def experiment(points=1, shots=100):
    circuit = QuantumCircuit(2, name="pair")
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    rows = np.linspace(0.1, 0.9, points)[:, None]
    return Experiment(circuit, rows, (SparsePauliOp(["ZZ", "XX"]),), shots)


@pytest.fixture
def finished(start, store):
    run = start()
    session = run.session("ReadoutMitigation")
    outcomes = [session.run([experiment(points)])[0] for points in (1, 2)]
    manifest = run.journal.manifest(run.job)
    Results(store).save(JobResult(job_id=run.job.job_id, value=None, manifest=manifest))
    Jobs(store).start(run.job.job_id)
    Jobs(store).finish(run.job.job_id, JobState.COMPLETED)
    return run, Results(store).load(run.job.job_id).manifest, outcomes


def test_every_submission_is_recorded_with_what_was_sent_and_what_came_back(finished):
    _, manifest, _ = finished
    assert manifest.execution_count == len(manifest.executions) == 2
    for record, points in zip(manifest.executions, (1, 2), strict=True):
        assert record.shots == (100, 100)
        assert [len(rows) for rows in record.parameter_values] == [points, points]
        assert all(sum(counts.values()) == 100 for one in record.counts for counts in one)
        assert record.calibration == 0
    assert manifest.executions[1].parameter_values[0] == ((0.1,), (0.9,))
    assert len({record.seed for record in manifest.executions}) == 2
    assert len({record.device_job_id for record in manifest.executions}) == 2
    assert manifest.spent_qpu_s == pytest.approx(sum(r.qpu_s for r in manifest.executions))


def test_executed_circuits_are_kept_once_and_can_be_read_back(finished):
    _, manifest, _ = finished
    keys = {key for record in manifest.executions for key in record.circuits}
    assert keys == set(manifest.circuits)
    assert len(keys) == 2  # two bases, the same at both submissions
    for key, payload in manifest.circuits.items():
        assert circuit_key(from_payload(payload)) == key


def test_raw_counts_of_the_manifest_give_the_raw_values_again(finished):
    _, manifest, outcomes = finished
    record = manifest.executions[0]

    def parity(counts):
        return sum((-1) ** bits.count("1") * n for bits, n in counts.items()) / 100

    total = sum(parity(counts[0]) for counts in record.counts)
    assert outcomes[0].raw_values[0, 0] == pytest.approx(total)


def test_the_manifest_names_calibration_versions_stages_and_diagnostics(finished):
    run, manifest, _ = finished
    (use,) = manifest.calibrations
    assert use.snapshot_id == run.device.snapshot().content_id
    assert use.age_s > 0
    assert len(use.physical_qubits) == 2
    assert {"python", "qiskit", "qiskit-aer", "numpy"} <= set(manifest.versions)
    assert {"transpile", "bind", "plan", "estimate", "execute", "mitigate"} <= set(
        manifest.stage_seconds
    )
    assert [note.option for note in manifest.diagnostics] == ["ReadoutMitigation"]


def test_a_record_is_what_its_schema_says(finished):
    _, manifest, _ = finished
    record = manifest.executions[0]
    assert ExecutionRecord.model_validate_json(record.model_dump_json()) == record


def test_stage_times_add_up_even_when_a_block_raises(start):
    journal = start().journal
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), journal.stage("bind"):
            _ = 1 / 0
    assert journal.stage_seconds["bind"] > 0


def test_only_the_latest_diagnostics_of_an_option_are_kept(start):
    run = start()
    session = run.session("ZeroNoiseExtrapolation(gates=all)", "ReadoutMitigation")
    for _ in range(3):
        session.run([experiment()])
    names = [note.option for note in run.journal.diagnostics]
    assert sorted(names) == ["ReadoutMitigation", "ZeroNoiseExtrapolation"]


def test_a_run_that_goes_on_has_the_journal_of_the_one_before(start):
    run = start()
    run.session("ReadoutMitigation").run([experiment()])
    run.journal.keep()
    run.ledger.flush()
    again = start(job=run.job).journal
    assert (again.count, again.spent_qpu_s) == (1, run.journal.spent_qpu_s)
    assert again.calibrations == run.journal.calibrations
    assert again.diagnostics == run.journal.diagnostics
    assert again.estimate == run.journal.estimate
    assert dict(again.stage_seconds) == dict(run.journal.stage_seconds)
