"""Jobs: what was asked, and how far it is."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    ScalarSelect,
    Table,
    Update,
    case,
    func,
    literal,
    select,
    update,
)

from qcpaas.errors import JobCancelled, UnknownJob
from qcpaas.schemas import CircuitJob, ErrorReport, Job, JobRecord, JobState, Progress, WorkloadJob
from store.database import Store
from store.ledger_rows import CALL, SUBMISSION, SubmissionState
from store.payloads import pack, to_text, unpack
from store.tables import Job as JobRow
from store.tables import table

JOB = table(JobRow)

_PUBLIC = [column for column in JOB.c if column.name != "spec"]
_FINISHED = [state.value for state in JobState if state.finished]
_AT_REST = [*_FINISHED, JobState.INTERRUPTED.value, JobState.HELD.value]
_GOES_ON = [JobState.INTERRUPTED.value, JobState.HELD.value]
_NOT_STARTED_AGAIN = [JobState.RUNNING.value, JobState.COMPLETED.value]
_SPEC: TypeAdapter[CircuitJob | WorkloadJob] = TypeAdapter(Job)


class Jobs:
    """Jobs by id; each change of state is one statement, so that no two writers can both win."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, job: CircuitJob | WorkloadJob, flow_run_id: str | None = None) -> JobRecord:
        """Queue a job.

        A second call with the same job id answers the first one's record, and renews the flow
        run that it belongs to.
        """
        insert = self._store.insert(JOB).values(**job_row(job), flow_run_id=flow_run_id)
        with self._store.write() as connection:
            connection.execute(insert.on_conflict_do_nothing())
            if flow_run_id is not None:
                connection.execute(
                    update(JOB).where(JOB.c.job_id == job.job_id).values(flow_run_id=flow_run_id)
                )
            return _record(connection, job.job_id)

    def start(self, job_id: str) -> JobRecord:
        """Mark a job as running, from any state but running and completed.

        One that was interrupted or held keeps its start and its progress. A running job stays as
        it is, and so does a completed one: look at the answer's state before working on it.
        """
        begun = JOB.c.started_at.is_not(None)
        goes_on = JOB.c.state.in_(_GOES_ON) | ((JOB.c.state == JobState.QUEUED.value) & begun)
        now = literal(datetime.now(UTC), JOB.c.started_at.type)
        change = update(JOB).where(JOB.c.job_id == job_id, JOB.c.state.not_in(_NOT_STARTED_AGAIN))
        return self._change(
            job_id,
            change.values(
                state=JobState.RUNNING.value,
                started_at=case((goes_on, func.coalesce(JOB.c.started_at, now)), else_=now),
                finished_at=None,
                pruned_at=None,
                error=None,
                progress=case((goes_on, JOB.c.progress), else_=to_text(Progress())),
            ),
        )

    def requeue(self, job_id: str) -> JobRecord:
        """Queue a job that ended without a result, or waits, to go on; others stay as they are.

        One that was interrupted or held keeps its start and its progress.

        Raises:
            UnknownJob: There is no such job.
        """
        goes_on = JOB.c.state.in_(_GOES_ON)
        change = update(JOB).where(
            JOB.c.job_id == job_id,
            JOB.c.state.in_([*_GOES_ON, JobState.FAILED.value, JobState.CANCELLED.value]),
        )
        return self._change(
            job_id,
            change.values(
                state=JobState.QUEUED.value,
                started_at=case((goes_on, JOB.c.started_at), else_=None),
                finished_at=None,
                pruned_at=None,
                error=None,
                interruptions=0,
                progress=case((goes_on, JOB.c.progress), else_=to_text(Progress())),
            ),
        )

    def interrupt(self, job_id: str, report: ErrorReport | None = None) -> JobRecord:
        """Mark a queued or running job as interrupted: its process is gone, and it goes on later.

        Counts how often in a row that happened without progress in between: without a new call to
        the device, or a new answer to one of a call's parts.

        Raises:
            UnknownJob: There is no such job.
        """
        progress = _count(CALL, job_id, CALL.c.index >= 0) + _count(
            SUBMISSION, job_id, SUBMISSION.c.state == SubmissionState.DONE.value
        )
        in_vain = JOB.c.calls_when_interrupted >= progress
        change = update(JOB).where(
            JOB.c.job_id == job_id,
            JOB.c.state.in_([JobState.QUEUED.value, JobState.RUNNING.value]),
        )
        return self._change(
            job_id,
            change.values(
                state=JobState.INTERRUPTED.value,
                error=None if report is None else to_text(report),
                interruptions=case((in_vain, JOB.c.interruptions + 1), else_=1),
                calls_when_interrupted=progress,
            ),
        )

    def interruptions(self, job_id: str) -> int:
        """How often in a row a job was interrupted without progress in between.

        Raises:
            UnknownJob: There is no such job.
        """
        with self._store.read() as connection:
            found = connection.scalar(select(JOB.c.interruptions).where(JOB.c.job_id == job_id))
            if found is None:
                raise unknown_job(connection, job_id)
        return int(found)

    def hold(self, job_id: str, report: ErrorReport | None = None) -> JobRecord:
        """Mark an unfinished job as waiting for a person; ``report`` says for what.

        Raises:
            UnknownJob: There is no such job.
        """
        change = update(JOB).where(JOB.c.job_id == job_id, JOB.c.state.not_in(_FINISHED))
        error = None if report is None else to_text(report)
        return self._change(job_id, change.values(state=JobState.HELD.value, error=error))

    def report(self, job_id: str, progress: Progress) -> None:
        """Renew a job's progress; a finished job keeps its last.

        Raises:
            UnknownJob: There is no such job.
        """
        change = update(JOB).where(JOB.c.job_id == job_id, JOB.c.state.not_in(_FINISHED))
        with self._store.write() as connection:
            done = connection.execute(change.values(progress=to_text(progress)))
            if not done.rowcount:
                _require(connection, job_id)

    def finish(self, job_id: str, state: JobState, error: ErrorReport | None = None) -> JobRecord:
        """End a job; one that has ended already stays as it is, whoever was first.

        Raises:
            UnknownJob: There is no such job.
            ValueError: The state is not a final one.
        """
        if not state.finished:
            raise ValueError(f"job {job_id} cannot finish as {state.value}.")
        change = update(JOB).where(JOB.c.job_id == job_id, JOB.c.state.not_in(_FINISHED))
        return self._change(
            job_id,
            change.values(
                state=state.value,
                finished_at=datetime.now(UTC),
                error=None if error is None else to_text(error),
            ),
        )

    def get(self, job_id: str) -> JobRecord:
        """A job's public state.

        Raises:
            UnknownJob: There is no such job; names similar ones, or the newest.
        """
        with self._store.read() as connection:
            return _record(connection, job_id)

    def some(self, job_ids: Collection[str]) -> dict[str, JobRecord]:
        """Those of some jobs that there are, by id."""
        with self._store.read() as connection:
            rows = connection.execute(select(*_PUBLIC).where(JOB.c.job_id.in_(job_ids))).all()
        return {row.job_id: _public(row) for row in rows}

    def all(self, limit: int = 50, state: JobState | None = None) -> list[JobRecord]:
        """The newest first."""
        newest = select(*_PUBLIC).order_by(JOB.c.created_at.desc(), JOB.c.job_id.desc())
        if state is not None:
            newest = newest.where(JOB.c.state == state.value)
        with self._store.read() as connection:
            rows = connection.execute(newest.limit(limit)).all()
        return [_public(row) for row in rows]

    def is_run_at_rest(self, flow_run_id: str) -> bool:
        """Whether a flow run was a job's, and that job has no process: it ended, or waits."""
        query = select(JOB.c.state).where(JOB.c.flow_run_id == flow_run_id)
        with self._store.read() as connection:
            return connection.scalar(query) in _AT_REST

    def spec(self, job_id: str) -> CircuitJob | WorkloadJob:
        """A job as it was submitted.

        Raises:
            UnknownJob: There is no such job.
        """
        with self._store.read() as connection:
            payload = connection.scalar(select(JOB.c.spec).where(JOB.c.job_id == job_id))
            if payload is None:
                raise unknown_job(connection, job_id)
        return unpack(_SPEC, payload)

    def _change(self, job_id: str, change: Any) -> JobRecord:
        with self._store.write() as connection:
            connection.execute(change)
            return _record(connection, job_id)


def unknown_job(connection: Connection, job_id: str) -> UnknownJob:
    """The error for a job id that is not there, with a hint at what is."""
    newest = select(JOB.c.job_id).order_by(JOB.c.created_at.desc(), JOB.c.job_id.desc())
    ids = [str(found) for found in connection.scalars(newest.limit(200))]
    close = difflib.get_close_matches(job_id, ids, n=3, cutoff=0.8)
    if close:
        hint = f"Did you mean {' or '.join(close)}?"
    elif ids:
        hint = f"The newest are {', '.join(ids[:5])}; qcpaas jobs lists more."
    else:
        hint = "There is none yet; qcpaas run submits one."
    return UnknownJob(f"there is no job {job_id!r}. {hint}")


def _count(rows: Table, job_id: str, condition: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(func.count()).where(rows.c.job_id == job_id, condition).scalar_subquery()


def _require(connection: Connection, job_id: str) -> None:
    if connection.scalar(select(JOB.c.job_id).where(JOB.c.job_id == job_id)) is None:
        raise unknown_job(connection, job_id)


def _record(connection: Connection, job_id: str) -> JobRecord:
    row = connection.execute(select(*_PUBLIC).where(JOB.c.job_id == job_id)).one_or_none()
    if row is None:
        raise unknown_job(connection, job_id)
    return _public(row)


def cancelled_row(job_id: str, why: str, now: datetime) -> Update:
    """The statement that cancels a job which has no process."""
    error = ErrorReport(type=JobCancelled.__name__, message=f"job {job_id}: {why}")
    return (
        update(JOB)
        .where(JOB.c.job_id == job_id, JOB.c.state.not_in(_FINISHED))
        .values(state=JobState.CANCELLED.value, finished_at=now, error=to_text(error))
    )


def job_row(job: CircuitJob | WorkloadJob) -> dict[str, Any]:
    """A new job's row."""
    return {
        "job_id": job.job_id,
        "kind": job.kind,
        "name": job.name,
        "backend": job.execution.backend,
        "options": json.dumps([option.name for option in job.execution.options]),
        "state": JobState.QUEUED.value,
        "created_at": datetime.now(UTC),
        "progress": to_text(Progress()),
        "spec": pack(job),
    }


def _public(row: Row[Any]) -> JobRecord:
    error = None if row.error is None else ErrorReport.model_validate_json(row.error)
    return JobRecord(
        job_id=row.job_id,
        kind=row.kind,
        name=row.name,
        backend=row.backend,
        options=tuple(json.loads(row.options)),
        state=JobState(row.state),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        progress=Progress.model_validate_json(row.progress),
        error=error,
        flow_run_id=row.flow_run_id,
    )
