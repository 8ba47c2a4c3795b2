"""Removing what old jobs left in the store; their records and what they asked for stay.

An execution of one circuit of four qubits takes about 0.8 kB here, calls and indexes included.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Table, delete, func, select, update

from qcpaas.errors import PlatformError
from qcpaas.schemas import JobState
from store.database import Store
from store.jobs import JOB
from store.leases import LEASE
from store.ledger_rows import CALL, CHECKPOINT, JOURNAL, PLAN, SUBMISSION
from store.results import CIRCUIT, RESULT
from store.tables import Curve, table

# Whatever belongs to one job: each table, and its columns that grow with what they hold.
_OF_A_JOB = {
    SUBMISSION: (SUBMISSION.c.request, SUBMISSION.c.answer, SUBMISSION.c.note),
    CALL: (CALL.c.asked, CALL.c.outcomes),
    PLAN: (PLAN.c.payload, PLAN.c.placements),
    CIRCUIT: (CIRCUIT.c.payload,),
    CHECKPOINT: (CHECKPOINT.c.payload,),
    JOURNAL: (JOURNAL.c.payload,),
    table(Curve): (table(Curve).c.payload,),
    RESULT: (RESULT.c.payload,),
}
_FINISHED = [state.value for state in JobState if state.finished]
_ROW_BYTES = 150  # of a row's other columns and its place in the indexes


@dataclass(frozen=True)
class OldJob:
    """A job whose result went, or would go; ``size_bytes`` is about what it took."""

    job_id: str
    name: str
    flow_run_id: str | None
    finished_at: datetime
    rows: int
    size_bytes: int


@dataclass(frozen=True)
class Pruned:
    """What went, or would go, oldest first."""

    jobs: tuple[OldJob, ...]

    @property
    def rows(self) -> int:
        return sum(job.rows for job in self.jobs)

    @property
    def size_bytes(self) -> int:
        return sum(job.size_bytes for job in self.jobs)


def prune(store: Store, older_than: timedelta, now: datetime, dry_run: bool = False) -> Pruned:
    """Remove result, ledger and circuits of every job that ended longer ago than ``older_than``.

    Never of a job that has not ended, or has been started again. Jobs keep their rows, which say
    when this happened. A job's lease goes too, unless somebody has it.

    Args:
        dry_run: Remove nothing, and answer what would go.

    Raises:
        ValueError: ``older_than`` is negative.
        PlatformUnavailable: The database cannot be reached.
    """
    if older_than < timedelta(0):
        raise ValueError(f"{older_than} is in the future. Give a time of at least 0.")
    if dry_run:
        with store.read() as connection:
            ids = _old(connection, now - older_than)
            return Pruned(tuple(_measured(connection, job_id) for job_id in ids))
    with store.read() as connection:
        ids = _old(connection, now - older_than)
    # One transaction a job, so that jobs that run wait for one at most.
    removed = [_removed(store, job_id, now - older_than, now) for job_id in ids]
    pruned = Pruned(tuple(job for job in removed if job is not None))
    if pruned.jobs:
        _give_space_back(store)
    return pruned


def _old(connection: Connection, before: datetime) -> list[str]:
    query = select(JOB.c.job_id).where(
        JOB.c.state.in_(_FINISHED), JOB.c.finished_at < before, JOB.c.pruned_at.is_(None)
    )
    return list(connection.scalars(query.order_by(JOB.c.finished_at, JOB.c.job_id)))


def _removed(store: Store, job_id: str, before: datetime, now: datetime) -> OldJob | None:
    """``None`` for a job that was started again meanwhile."""
    mark = update(JOB).where(
        JOB.c.job_id == job_id,
        JOB.c.state.in_(_FINISHED),
        JOB.c.finished_at < before,
        JOB.c.pruned_at.is_(None),
    )
    with store.write() as connection:
        if not connection.execute(mark.values(pruned_at=now)).rowcount:
            return None
        job = _measured(connection, job_id)
        for each in _OF_A_JOB:
            connection.execute(delete(each).where(each.c.job_id == job_id))
        free = LEASE.c.expires_at.is_(None) | (LEASE.c.expires_at < before)
        connection.execute(delete(LEASE).where(LEASE.c.name == f"job/{job_id}", free))
    return job


def _measured(connection: Connection, job_id: str) -> OldJob:
    job = connection.execute(
        select(JOB.c.name, JOB.c.flow_run_id, JOB.c.finished_at).where(JOB.c.job_id == job_id)
    ).one()
    sizes = [_size(connection, each, job_id) for each in _OF_A_JOB]
    rows = sum(rows for rows, _ in sizes)
    size_bytes = rows * _ROW_BYTES + sum(size for _, size in sizes)
    return OldJob(job_id, job.name, job.flow_run_id, job.finished_at, rows, size_bytes)


def _size(connection: Connection, each: Table, job_id: str) -> tuple[int, int]:
    """How many rows a job has in a table, and the bytes that they hold."""
    lengths = (func.coalesce(func.sum(func.length(column)), 0) for column in _OF_A_JOB[each])
    query = select(func.count(), *lengths).select_from(each).where(each.c.job_id == job_id)
    rows, *sizes = connection.execute(query).one()
    return int(rows), int(sum(sizes))


def _give_space_back(store: Store) -> None:
    """Shrink an SQLite file; PostgreSQL uses the space again by itself, and so does SQLite else."""
    if not store.is_sqlite:
        return
    try:
        with store.read() as connection:
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()
    except PlatformError:
        # On a full disk there is no room for the copy that this makes. Everything that is written
        # from now on takes the space that has become free within the file.
        return
