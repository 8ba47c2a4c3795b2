"""Jobs: created once, changed by whoever is first, found or explained."""

from __future__ import annotations

import math
import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert

from qcpaas.errors import UnknownJob
from qcpaas.schemas import (
    Bundle,
    CircuitItem,
    CircuitJob,
    CircuitPayload,
    ErrorReport,
    ExecutionSettings,
    JobState,
    Observable,
    ObservableTerm,
    OptionSpec,
    Progress,
    WorkloadJob,
)
from store.database import Store
from store.jobs import Jobs
from store.tables import Call, Submission, table

ERROR = ErrorReport(type="WorkloadError", message="it broke\x00", traceback_text="line 1\n")
EXECUTION = ExecutionSettings(
    backend="FakeKolkata",
    options=(
        OptionSpec(name="ZeroNoiseExtrapolation", settings={"factors": [1, 3]}),
        OptionSpec(name="ReadoutMitigation"),
    ),
    seed=7,
)


def circuit_job(job_id: str = "job-1") -> CircuitJob:
    item = CircuitItem(
        circuit=CircuitPayload(format="qasm3", text="OPENQASM 3.0; // Київ"),
        observables=(Observable(terms=(ObservableTerm(pauli="ZZ", coefficient=0.1 + 0.2),)),),
        parameter_values=((math.pi, 1e-300, -0.0),),
    )
    return CircuitJob(job_id=job_id, name="pair", execution=EXECUTION, items=(item,))


def workload_job(job_id: str = "job-2") -> WorkloadJob:
    bundle = Bundle(entry="work:Ground", modules={"work": "class Ground: ..."})
    return WorkloadJob(
        job_id=job_id, execution=EXECUTION, bundle=bundle, inputs={"steps": 3, "x": 0.1}
    )


def test_a_created_job_is_queued(store: Store) -> None:
    before = datetime.now(UTC)
    record = Jobs(store).create(circuit_job(), flow_run_id="run-1")
    assert before <= record.created_at <= datetime.now(UTC)
    assert record.model_dump(exclude={"created_at", "progress"}) == {
        "job_id": "job-1",
        "kind": "circuits",
        "name": "pair",
        "backend": "FakeKolkata",
        "options": ("ZeroNoiseExtrapolation", "ReadoutMitigation"),
        "state": JobState.QUEUED,
        "started_at": None,
        "finished_at": None,
        "error": None,
        "flow_run_id": "run-1",
        "owner": "",
        "schedule": None,
    }
    assert Jobs(store).get("job-1") == record


@pytest.mark.parametrize("job", [circuit_job(), workload_job()], ids=["circuits", "workload"])
def test_a_job_is_kept_as_it_was_submitted(store: Store, job: CircuitJob | WorkloadJob) -> None:
    Jobs(store).create(job)
    assert Jobs(store).spec(job.job_id) == job


def test_creating_a_job_again_answers_the_first_and_renews_the_flow_run(store: Store) -> None:
    jobs = Jobs(store)
    first = jobs.create(circuit_job())
    jobs.start("job-1")
    again = jobs.create(circuit_job(), flow_run_id="run-2")
    assert (again.created_at, again.state) == (first.created_at, JobState.RUNNING)
    assert again.flow_run_id == "run-2"
    assert jobs.create(circuit_job()).flow_run_id == "run-2"
    assert len(jobs.all()) == 1


def test_a_job_runs_from_start_to_finish(store: Store) -> None:
    jobs = Jobs(store)
    jobs.create(circuit_job())
    started = jobs.start("job-1")
    assert started.state is JobState.RUNNING
    assert started.started_at is not None
    finished = jobs.finish("job-1", JobState.COMPLETED)
    assert finished.state is JobState.COMPLETED
    assert finished.finished_at is not None
    assert started.created_at <= started.started_at <= finished.finished_at
    assert jobs.get("job-1") == finished


def test_a_queued_job_that_goes_on_keeps_its_start_and_one_that_failed_begins_anew(
    store: Store,
) -> None:
    jobs = Jobs(store)
    jobs.create(circuit_job())
    begun = jobs.start("job-1")
    jobs.report("job-1", Progress(stage="execute", done=1))
    jobs.interrupt("job-1", ERROR)
    waiting = jobs.requeue("job-1")
    assert (waiting.state, waiting.error) == (JobState.QUEUED, None)
    assert jobs.requeue("job-1") == waiting
    again = jobs.start("job-1")
    assert (again.started_at, again.progress.done) == (begun.started_at, 1)
    assert jobs.requeue("job-1") == again
    jobs.finish("job-1", JobState.FAILED, ERROR)
    anew = jobs.requeue("job-1")
    assert (anew.state, anew.started_at, anew.finished_at) == (JobState.QUEUED, None, None)
    assert jobs.start("job-1").progress.done == 0


def test_starting_a_running_job_keeps_its_start(store: Store) -> None:
    jobs = Jobs(store)
    jobs.create(circuit_job())
    assert jobs.start("job-1") == jobs.start("job-1")


def test_an_error_comes_back_whole(store: Store) -> None:
    jobs = Jobs(store)
    jobs.create(circuit_job())
    jobs.start("job-1")
    assert jobs.finish("job-1", JobState.FAILED, ERROR).error == ERROR


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED])
@pytest.mark.parametrize("later", [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED])
def test_a_finished_job_does_not_change_by_itself(
    store: Store, state: JobState, later: JobState
) -> None:
    jobs = Jobs(store)
    jobs.create(circuit_job())
    finished = jobs.finish("job-1", state)
    jobs.report("job-1", Progress(stage="execute", done=1))
    assert jobs.finish("job-1", later, ERROR) == finished
    assert jobs.interrupt("job-1", ERROR) == finished
    assert jobs.hold("job-1", ERROR) == finished
    assert jobs.get("job-1") == finished


def test_a_completed_job_is_not_started_again(store: Store) -> None:
    jobs = Jobs(store)
    jobs.create(circuit_job())
    completed = jobs.finish("job-1", JobState.COMPLETED)
    assert jobs.start("job-1") == completed


@pytest.mark.parametrize("ending", [JobState.FAILED, JobState.CANCELLED])
def test_a_job_that_ended_badly_may_be_started_again(store: Store, ending: JobState) -> None:
    jobs = Jobs(store)
    jobs.create(circuit_job())
    jobs.start("job-1")
    failed = jobs.finish("job-1", ending, ERROR)
    assert jobs.finish("job-1", JobState.COMPLETED) == failed
    again = jobs.start("job-1")
    assert (again.state, again.error, again.finished_at) == (JobState.RUNNING, None, None)
    assert jobs.finish("job-1", JobState.COMPLETED).state is JobState.COMPLETED


@pytest.mark.parametrize("state", [JobState.INTERRUPTED, JobState.HELD])
def test_a_job_that_goes_on_keeps_its_start_and_progress(store: Store, state: JobState) -> None:
    jobs = Jobs(store)
    jobs.create(circuit_job())
    started = jobs.start("job-1")
    jobs.report("job-1", Progress(stage="execute", done=3))
    stop = jobs.interrupt if state is JobState.INTERRUPTED else jobs.hold
    stopped = stop("job-1", ERROR)
    assert (stopped.state, stopped.error, stopped.finished_at) == (state, ERROR, None)
    again = jobs.start("job-1")
    assert (again.state, again.error) == (JobState.RUNNING, None)
    assert again.started_at == started.started_at
    assert again.progress == stopped.progress
    assert again.progress.done == 3


def test_a_job_interrupted_in_the_queue_starts_when_it_first_runs(store: Store) -> None:
    jobs = Jobs(store)
    jobs.create(circuit_job())
    assert jobs.interrupt("job-1").started_at is None
    before = datetime.now(UTC)
    started = jobs.start("job-1").started_at
    assert started is not None
    assert started >= before


@pytest.mark.parametrize("state", [JobState.INTERRUPTED, JobState.HELD])
def test_a_stopped_job_can_finish(store: Store, state: JobState) -> None:
    jobs = Jobs(store)
    jobs.create(circuit_job())
    (jobs.interrupt if state is JobState.INTERRUPTED else jobs.hold)("job-1")
    assert jobs.finish("job-1", JobState.CANCELLED).state is JobState.CANCELLED


def test_a_held_job_is_not_interrupted_by_whoever_looks_late(store: Store) -> None:
    jobs = Jobs(store)
    jobs.create(circuit_job())
    held = jobs.hold("job-1", ERROR)
    assert jobs.interrupt("job-1") == held


def test_interruptions_are_counted_until_there_is_a_new_call(store: Store) -> None:
    def call(index: int) -> None:
        row = {"job_id": "job-1", "index": index, "key": "k", "plan_key": "p", "state": "open"}
        with store.write() as connection:
            connection.execute(
                insert(table(Call)), {**row, "asked": b"", "created_at": datetime.now(UTC)}
            )

    def interrupted() -> int:
        jobs.start("job-1")
        jobs.interrupt("job-1")
        jobs.interrupt("job-1")  # a second look counts nothing
        return jobs.interruptions("job-1")

    jobs = Jobs(store)
    jobs.create(circuit_job())
    assert jobs.interruptions("job-1") == 0
    assert [interrupted(), interrupted()] == [1, 2]
    call(0)
    assert [interrupted(), interrupted(), interrupted()] == [1, 2, 3]
    call(1)
    assert interrupted() == 1


def test_an_answer_to_a_part_of_a_large_call_is_progress_and_a_new_try_is_none(
    store: Store,
) -> None:
    def submission(part: int, attempt: int, state: str) -> None:
        row = {"job_id": "job-1", "call": 0, "part": part, "attempt": attempt, "state": state}
        more = {"token": f"{part} {attempt}", "device": "qpu", "content_key": "k", "seed": 1}
        sent = {"submitted_at": datetime.now(UTC), "request": b""}
        with store.write() as connection:
            connection.execute(insert(table(Submission)), {**row, **more, **sent})

    def interrupted() -> int:
        jobs.start("job-1")
        jobs.interrupt("job-1")
        return jobs.interruptions("job-1")

    jobs = Jobs(store)
    jobs.create(circuit_job())
    submission(0, 0, "failed")
    assert [interrupted(), interrupted()] == [1, 2]
    submission(0, 1, "done")
    assert [interrupted(), interrupted()] == [1, 2]
    submission(1, 0, "accepted")
    assert interrupted() == 3


@pytest.mark.parametrize(
    "state", [JobState.QUEUED, JobState.RUNNING, JobState.INTERRUPTED, JobState.HELD]
)
def test_a_job_cannot_finish_as_unfinished(store: Store, state: JobState) -> None:
    Jobs(store).create(circuit_job())
    with pytest.raises(ValueError, match="cannot finish"):
        Jobs(store).finish("job-1", state)


def test_of_eight_that_finish_a_job_one_wins(store: Store) -> None:
    Jobs(store).create(circuit_job())
    barrier, seen = threading.Barrier(8), []

    def finish(number: int) -> None:
        barrier.wait()
        error = ErrorReport(type="JobFailed", message=str(number))
        seen.append(Jobs(store).finish("job-1", JobState.FAILED, error))

    threads = [threading.Thread(target=finish, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert all(record == seen[0] for record in seen)


def test_the_latest_progress_is_shown(store: Store) -> None:
    jobs = Jobs(store)
    jobs.create(circuit_job())
    progress = Progress(
        stage="execute", done=3, total=10, message="step 3", metrics={"energy": -1.1}
    )
    jobs.report("job-1", Progress(stage="bind"))
    jobs.report("job-1", progress)
    assert jobs.get("job-1").progress == progress
    jobs.finish("job-1", JobState.COMPLETED)
    assert jobs.get("job-1").progress == progress


def test_a_figure_that_is_not_a_number_does_not_break_progress(store: Store) -> None:
    jobs = Jobs(store)
    jobs.create(circuit_job())
    jobs.report("job-1", Progress(metrics={"energy": math.nan, "bound": -math.inf}))
    metrics = jobs.get("job-1").progress.metrics
    assert math.isnan(metrics["energy"])
    assert metrics["bound"] == -math.inf


def test_the_newest_jobs_come_first(store: Store) -> None:
    jobs = Jobs(store)
    for number in range(5):
        jobs.create(circuit_job(f"job-{number}"))
    assert [record.job_id for record in jobs.all(limit=3)] == ["job-4", "job-3", "job-2"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda jobs: jobs.get("20261123-101502-5f0c1c"),
        lambda jobs: jobs.spec("20261123-101502-5f0c1c"),
        lambda jobs: jobs.start("20261123-101502-5f0c1c"),
        lambda jobs: jobs.interrupt("20261123-101502-5f0c1c"),
        lambda jobs: jobs.interruptions("20261123-101502-5f0c1c"),
        lambda jobs: jobs.hold("20261123-101502-5f0c1c"),
        lambda jobs: jobs.report("20261123-101502-5f0c1c", Progress()),
        lambda jobs: jobs.finish("20261123-101502-5f0c1c", JobState.FAILED),
    ],
    ids=["get", "spec", "start", "interrupt", "interruptions", "hold", "report", "finish"],
)
def test_an_unknown_job_is_an_error_that_names_a_similar_one(store: Store, ask: object) -> None:
    jobs = Jobs(store)
    jobs.create(circuit_job("20261123-101502-5f0c1b"))
    with pytest.raises(UnknownJob, match=r"5f0c1c'\. Did you mean 20261123-101502-5f0c1b\?"):
        ask(jobs)  # type: ignore[operator]


def test_an_id_like_no_other_is_answered_with_the_newest(store: Store) -> None:
    jobs = Jobs(store)
    for number in range(7):
        jobs.create(circuit_job(f"20261123-101502-00000{number}"))
    with pytest.raises(UnknownJob, match=r"newest are 20261123-101502-000006, .*000002; "):
        jobs.get("zzz")


def test_without_any_job_the_error_says_so(store: Store) -> None:
    with pytest.raises(UnknownJob, match="none yet"):
        Jobs(store).get("zzz")


def test_flow_run_is_at_rest_when_its_job_is_interrupted_held_or_finished(store: Store):
    jobs = Jobs(store)
    jobs.create(circuit_job(), flow_run_id="run-1")
    assert not jobs.is_run_at_rest("run-1")
    assert not jobs.is_run_at_rest("of-no-job")
    jobs.interrupt("job-1")
    assert jobs.is_run_at_rest("run-1")
    jobs.start("job-1")
    assert not jobs.is_run_at_rest("run-1")
    jobs.hold("job-1")
    assert jobs.is_run_at_rest("run-1")
    jobs.finish("job-1", JobState.FAILED)
    assert jobs.is_run_at_rest("run-1")
