"""What ended jobs teach, from jobs that ran on a twin, their ledgers as they wrote them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from qiskit import QuantumCircuit
from sqlalchemy import update

from qcpaas.execution import Experiment
from qcpaas.manifest import JobResult
from qcpaas.scheduling import Choice, JobEstimate, Limits
from qcpaas.schemas import Bundle, ExecutionSettings, JobState, WorkloadJob
from store.admissions import Admissions
from store.jobs import JOB, Jobs
from store.results import Results
from store.timings import Timings
from tasks.estimation import estimate_job
from tasks.estimation.learning import learn_timings
from tasks.estimation.workload_key import workload_key

WALL_S = 40.0


def bell():
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return Experiment(circuit, np.zeros((1, 0)), shots=1000)


def workload(**inputs):
    execution = ExecutionSettings(backend="FakeLima", seed=3)
    bundle = Bundle(entry="work:Work", modules={"work": "class Work: ..."})
    return WorkloadJob(execution=execution, bundle=bundle, inputs=inputs)


def admit(store, job, estimate):
    Admissions(store).add(
        None,
        job,
        owner="ada",
        client_key=None,
        content_key=job.job_id,
        device="FakeLima",
        pool="p",
        session=True,
        estimate=estimate,
        choice=Choice(device="FakeLima", explanation="named"),
        limits=Limits(),
    )


@pytest.fixture
def ran(start, store):
    """Run a job of so many calls; its record says that it took `WALL_S`."""

    def run(job, calls=2, estimate=None):
        if estimate is None:
            Jobs(store).create(job)
        else:
            admit(store, job, estimate)
        run = start(job=job)
        session = run.session()
        for _ in range(calls):
            session.run([bell()])
        run.ledger.flush()
        manifest = run.journal.manifest(job)
        Results(store).save(JobResult(job_id=job.job_id, value=None, manifest=manifest))
        Jobs(store).start(job.job_id)
        Jobs(store).finish(job.job_id, JobState.COMPLETED)
        ended = datetime.now(UTC)
        times = {"started_at": ended - timedelta(seconds=WALL_S), "finished_at": ended}
        with store.write() as connection:
            connection.execute(update(JOB).where(JOB.c.job_id == job.job_id).values(**times))
        return manifest

    return run


def test_every_submission_is_taken_in_once_with_what_its_circuit_takes(ran, store):
    manifest = ran(workload(steps=2), calls=3)
    assert learn_timings(store, "FakeLima") == 1
    assert learn_timings(store, "FakeLima") == 0
    known, _ = Timings(store).read("FakeLima")
    assert len(known.observed) == 3
    for seen in known.observed:
        assert (seen.circuits, seen.shots) == (1, 1000)
        # A twin reckons schedules and 250 us between shots, by its own means.
        assert seen.qpu_s == pytest.approx(seen.circuit_s + 1000 * 250e-6, rel=1e-6)
    assert sum(seen.qpu_s for seen in known.observed) == pytest.approx(manifest.spent_qpu_s)
    ran(workload(steps=2), calls=1)
    assert learn_timings(store, "FakeLima") == 1
    assert len(Timings(store).read("FakeLima")[0].observed) == 4


def test_a_workload_that_ran_before_is_expected_to_take_what_it_took(ran, store):
    job = workload(steps=2)
    spent = ran(job, calls=3).spent_qpu_s
    before = estimate_job(workload(steps=500), ["FakeLagos"], store)[0]
    learn_timings(store, "FakeLima")
    (found,) = estimate_job(workload(steps=3), ["FakeLima"], store)  # inputs of the same length
    assert (found.circuits, found.shots) == (3, 3000)
    assert found.qpu_s == pytest.approx(spent)
    assert found.wall_s == pytest.approx(WALL_S, abs=1.0)
    assert found.qpu_s_lo < spent < found.qpu_s_hi
    assert "1 runs" not in " ".join(before.methods)
    other = job.model_copy(update={"bundle": Bundle(entry="work:Work", modules={"work": "#"})})
    assert workload_key(other) != workload_key(job)
    assert "has not run here" in " ".join(estimate_job(other, ["FakeLima"], store)[0].methods)


def test_an_estimate_is_judged_by_what_its_job_took(ran, store):
    asked = JobEstimate(device="FakeLima", qpu_s=0.5, qpu_s_lo=0.4, qpu_s_hi=0.6)
    spent = ran(workload(), calls=2, estimate=asked).spent_qpu_s
    assert 0.4 < spent < 0.6
    learn_timings(store, "FakeLima")
    record = Timings(store).read("FakeLima")[0].judged["workload"]
    assert (record.jobs, record.covered) == (1, 1)
    assert record.log_ratio == pytest.approx(np.log(spent / 0.5))
    low = JobEstimate(device="FakeLima", qpu_s=0.1, qpu_s_lo=0.09, qpu_s_hi=0.11)
    ran(workload(), calls=2, estimate=low)
    learn_timings(store, "FakeLima")
    missed = Timings(store).read("FakeLima")[0].judged["workload"]
    assert (missed.jobs, missed.covered) == (2, 1)
    assert missed.log_widening > record.log_widening


def test_of_two_who_learn_at_once_one_does(ran, store):
    ran(workload())
    timings = Timings(store)
    known, before = timings.read("FakeLima")
    assert learn_timings(store, "FakeLima") == 1
    assert not timings.keep("FakeLima", known, before)
    assert len(timings.read("FakeLima")[0].observed) == 2
