"""Retention: old results go, what has not ended stays, and jobs say what became of them."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, func, select, update

from qcpaas.errors import NotReady
from qcpaas.manifest import JobResult, Manifest
from qcpaas.schemas import CircuitItem, CircuitJob, CircuitPayload, ExecutionSettings, JobState
from store.curves import Curves
from store.database import Store, open_store
from store.jobs import JOB, Jobs
from store.leases import Leases
from store.ledger import Intent, Ledger, LedgerReader, NewCall
from store.records import encode_outcomes, encode_request
from store.results import Results
from store.retention import prune
from store.tables import Row

NOW = datetime.now(UTC)
DAYS = timedelta(days=1)
CIRCUIT = CircuitPayload(format="qasm2", text="OPENQASM 2.0; qreg q[1];")


def leave(store: Store, job_id: str, ended: timedelta | None, size: int = 1000) -> None:
    """A job that has left rows in every table; ``None`` for one that still runs."""
    job = CircuitJob(
        job_id=job_id,
        name=f"name of {job_id}",
        execution=ExecutionSettings(backend="FakeKolkata", seed=1),
        items=(CircuitItem(circuit=CIRCUIT),),
    )
    Jobs(store).create(job, flow_run_id=f"run-{job_id}")
    Jobs(store).start(job_id)
    Results(store).keep_circuits(job_id, {"a": CIRCUIT})
    with Ledger(store, job_id, tuple) as ledger:
        ledger.keep_plan("plan", b"p" * size, "[]")
        request = encode_request(["a"], [[[]]], [1])
        token = f"token-{job_id}"
        ledger.intend(
            Intent(0, 0, 0, token, "qpu", None, "c", 1, request, NOW),
            NewCall(0, "key", "plan", b"a" * size),
        )
        ledger.answered(token, encode_outcomes([]), 1.0, 1.0)
        ledger.finished(0, b"o" * size)
        ledger.checkpoint(1, b"c" * size)
        ledger.keep_journal("j" * size)
    Curves(store).keep(job_id, {"energy": [(0.0, 1.0)]})
    Results(store).save(JobResult(job_id=job_id, value=1.0, manifest=Manifest(job=job)))
    if ended is not None:
        Jobs(store).finish(job_id, JobState.COMPLETED)
        with store.write() as connection:
            connection.execute(
                update(JOB).where(JOB.c.job_id == job_id).values(finished_at=NOW - ended)
            )


OF_DEVICES = {"lease", "observation"}
# As the job's own row: whose it was, what it took, and with whom.
OF_THE_BACKLOG = {"admission", "shared_job", "start_forecast"}


def rows_of(store: Store, job_id: str) -> dict[str, int]:
    """How many rows a job has in each table that knows jobs."""
    tables = [each for each in Row.metadata.sorted_tables if "job_id" in each.c]
    with store.read() as connection:
        return {
            each.name: connection.scalar(
                select(func.count()).select_from(each).where(each.c.job_id == job_id)
            )
            for each in tables
            if each.name not in {*OF_DEVICES, *OF_THE_BACKLOG}
        }


def test_results_older_than_the_policy_go_and_the_jobs_stay(store: Store) -> None:
    leave(store, "old", 91 * DAYS)
    leave(store, "older", 200 * DAYS)
    leave(store, "young", 89 * DAYS)
    full = dict.fromkeys(rows_of(store, "old"), 1)
    assert rows_of(store, "old") == full  # nothing that a job leaves is forgotten here
    pruned = prune(store, 90 * DAYS, NOW)
    assert [job.job_id for job in pruned.jobs] == ["older", "old"]
    assert rows_of(store, "old") == dict.fromkeys(full, 0) | {"job": 1}
    assert rows_of(store, "young") == full
    assert Jobs(store).get("old").state is JobState.COMPLETED
    assert Jobs(store).spec("old").job_id == "old"
    assert Results(store).load("young").value == 1.0


def test_a_lease_goes_with_its_job_unless_somebody_has_it(store: Store) -> None:
    leases = Leases(store)
    for job_id in ("old", "held", "young"):
        leave(store, job_id, (1 if job_id == "young" else 9) * DAYS)
        lease = leases.take(f"job/{job_id}", "a process", job_id, 60.0)
        if job_id != "held":
            assert leases.expire(lease.name, lease.fence)
    prune(store, 2 * DAYS, NOW)
    assert [record.name for record in leases.all()] == ["job/held", "job/young"]


def test_what_went_is_told(store: Store) -> None:
    leave(store, "old", 2 * DAYS, size=100_000)
    (job,) = prune(store, DAYS, NOW).jobs
    assert (job.name, job.flow_run_id) == ("name of old", "run-old")
    assert job.finished_at == NOW - 2 * DAYS
    assert job.rows == 8
    assert job.size_bytes == pytest.approx(5 * 100_000, rel=0.02)


def test_a_dry_run_tells_the_same_and_removes_nothing(store: Store) -> None:
    leave(store, "old", 2 * DAYS)
    before = rows_of(store, "old")
    told = prune(store, DAYS, NOW, dry_run=True)
    assert rows_of(store, "old") == before
    assert Results(store).load("old").value == 1.0
    done = prune(store, DAYS, NOW)
    assert told == done
    assert (done.rows, done.size_bytes) == (8, done.jobs[0].size_bytes)


def test_asking_for_a_result_that_went_says_when(store: Store) -> None:
    leave(store, "old", 2 * DAYS)
    prune(store, DAYS, NOW)
    with pytest.raises(NotReady, match=rf"removed on {NOW:%Y-%m-%d}"):
        Results(store).load("old")


@pytest.mark.parametrize(
    "state", [JobState.QUEUED, JobState.RUNNING, JobState.INTERRUPTED, JobState.HELD]
)
def test_a_job_that_has_not_ended_keeps_everything(store: Store, state: JobState) -> None:
    leave(store, "open", None)
    with store.write() as connection:
        old = {"created_at": NOW - 900 * DAYS, "started_at": NOW - 900 * DAYS}
        connection.execute(update(JOB).values(state=state.value, **old))
    before = rows_of(store, "open")
    assert prune(store, timedelta(0), NOW + DAYS).jobs == ()
    assert rows_of(store, "open") == before


def test_a_job_is_pruned_once(store: Store) -> None:
    leave(store, "old", 2 * DAYS)
    assert len(prune(store, DAYS, NOW).jobs) == 1
    assert prune(store, DAYS, NOW).jobs == ()


def test_a_job_that_runs_again_after_its_result_went_gets_another(store: Store) -> None:
    leave(store, "old", 2 * DAYS)
    with store.write() as connection:
        connection.execute(update(JOB).values(state=JobState.FAILED.value))
    prune(store, DAYS, NOW)
    Jobs(store).start("old")
    manifest = Manifest(job=Jobs(store).spec("old"))
    Results(store).save(JobResult(job_id="old", value=2.0, manifest=manifest))
    Jobs(store).finish("old", JobState.COMPLETED)
    assert Results(store).load("old").value == 2.0
    assert len(prune(store, timedelta(0), NOW + DAYS).jobs) == 1


def test_a_policy_of_less_than_nothing_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        prune(store, -DAYS, NOW)


def test_of_a_job_that_starts_while_it_is_pruned_nothing_is_half_there(store: Store) -> None:
    for number in range(10):
        leave(store, f"old-{number}", 2 * DAYS)
    with store.write() as connection:
        connection.execute(update(JOB).values(state=JobState.FAILED.value))
    barrier = threading.Barrier(2)

    def start() -> None:
        barrier.wait()
        for number in reversed(range(10)):
            Jobs(store).start(f"old-{number}")

    thread = threading.Thread(target=start)
    thread.start()
    barrier.wait()
    gone = {job.job_id for job in prune(store, DAYS, NOW).jobs}
    thread.join()
    for number in range(10):
        left = LedgerReader(store).finished_count(f"old-{number}")
        assert left == (0 if f"old-{number}" in gone else 1)
        assert set(rows_of(store, f"old-{number}").values()) <= ({0, 1} if not left else {1})


def test_an_sqlite_file_becomes_smaller(tmp_path) -> None:
    path = tmp_path / "store.db"
    with open_store(f"sqlite:///{path}") as store:
        leave(store, "old", 2 * DAYS, size=2_000_000)
        with store.read() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()
        before = path.stat().st_size
        prune(store, DAYS, NOW)
        assert before - path.stat().st_size > 7_000_000
        assert os.path.getsize(f"{path}-wal") == 0  # noqa: PTH202


def test_on_a_full_disk_the_space_is_free_for_what_comes_next(tmp_path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        leave(store, "old", 2 * DAYS, size=200_000)
        with store.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

        @event.listens_for(store.engine, "connect")
        def _limited(connection: object, record: object) -> None:
            connection.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]

        store.engine.dispose()
        assert len(prune(store, DAYS, NOW).jobs) == 1
        leave(store, "new", None, size=150_000)
