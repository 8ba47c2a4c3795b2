"""Jobs that run side by side in one submission, which is a job of its own and of nobody's.

Forming one is a single transaction: its members are released, and their places in it noted, or
nothing is. From then on a member has no flow run of its own until it is let go; whoever dies in
between leaves a submission without a run, which anybody may hand over (`Shared.without_run`), or
members of one that has ended, which anybody may let go (`Shared.let_go_of_ended`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, exists, select, update

from qcpaas.scheduling import Limits
from qcpaas.schemas import CircuitJob, JobState, Progress
from store.admission_rows import ADMISSION, AdmissionState
from store.database import Store
from store.jobs import JOB, job_row
from store.payloads import to_text
from store.releases import may_run, occupying
from store.shared_rows import SHARED
from store.usage import user_lock

_WAITING = ADMISSION.c.state == AdmissionState.WAITING.value
_FINISHED = [state.value for state in JobState if state.finished]


class Shared:
    """Submissions that several jobs share, by the id that each has as a job."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def form(
        self,
        submission: CircuitJob,
        members: Sequence[str],
        limits: Mapping[str, Limits],
        on_device: int | None = None,
    ) -> bool:
        """Release waiting jobs into one submission: all of them, or none.

        Args:
            submission: What runs in their place; it gets no owner.
            members: Ids, the first being whose turn it is.
            limits: Of each member's owner, by name.
            on_device: The most jobs that the device may have released at once, before the others
                join the first one.

        Returns:
            Whether it was formed here; then hand it over.
        """
        try:
            with self._store.write() as connection:
                self._form(connection, submission, members, limits, on_device)
        except _NotNow:
            return False
        return True

    def members(self, submission_id: str) -> list[str]:
        """Ids of those that are still a part of it, in their order."""
        query = select(SHARED.c.job_id).where(SHARED.c.submission_id == submission_id)
        with self._store.read() as connection:
            return [str(found) for found in connection.scalars(query.order_by(SHARED.c.place))]

    def submission_of(self, job_id: str) -> str | None:
        """The submission that a job is a part of; ``None`` for one that runs by itself."""
        query = select(SHARED.c.submission_id).where(SHARED.c.job_id == job_id)
        with self._store.read() as connection:
            found: str | None = connection.scalar(query)
        return found

    def places(self, job_ids: Collection[str]) -> int:
        """How many submissions some jobs make, each by itself or together with others."""
        query = select(SHARED.c.job_id, SHARED.c.submission_id).where(SHARED.c.job_id.in_(job_ids))
        with self._store.read() as connection:
            found = {row.job_id: row.submission_id for row in connection.execute(query)}
        return len({found.get(job_id, job_id) for job_id in job_ids})

    def without_run(self, older_than: timedelta) -> list[str]:
        """Submissions formed so long ago that were never handed over."""
        query = (
            select(JOB.c.job_id)
            .where(JOB.c.flow_run_id.is_(None), JOB.c.state == JobState.QUEUED.value)
            .where(JOB.c.created_at <= datetime.now(UTC) - older_than)
            .where(exists().where(SHARED.c.submission_id == JOB.c.job_id))
        )
        with self._store.read() as connection:
            return [str(job_id) for job_id in connection.scalars(query)]

    def not_begun(self, older_than: timedelta) -> list[str]:
        """Submissions handed over so long ago that have never run."""
        query = (
            select(JOB.c.job_id)
            .where(JOB.c.flow_run_id.is_not(None), JOB.c.state == JobState.QUEUED.value)
            .where(JOB.c.created_at <= datetime.now(UTC) - older_than, JOB.c.started_at.is_(None))
            .where(exists().where(SHARED.c.submission_id == JOB.c.job_id))
        )
        with self._store.read() as connection:
            return [str(job_id) for job_id in connection.scalars(query)]

    def let_go(self, job_id: str) -> None:
        """Let a member run by itself; its own flow run is made as for any released job."""
        with self._store.write() as connection:
            _let_go(connection, [job_id])

    def let_go_of_ended(self) -> list[str]:
        """Let unfinished members of submissions that have ended run by themselves; their ids."""
        submission = JOB.alias()
        query = (
            select(SHARED.c.job_id)
            .join(JOB, JOB.c.job_id == SHARED.c.job_id)
            .join(submission, submission.c.job_id == SHARED.c.submission_id)
            .where(submission.c.state.in_(_FINISHED), JOB.c.state.not_in(_FINISHED))
        )
        with self._store.read() as connection:
            found = [str(job_id) for job_id in connection.scalars(query)]
        if found:
            with self._store.write() as connection:
                _let_go(connection, found)
        return found

    def _form(
        self,
        connection: Connection,
        submission: CircuitJob,
        members: Sequence[str],
        limits: Mapping[str, Limits],
        on_device: int | None,
    ) -> None:
        rows = _waiting(connection, members)
        if len(rows) < len(members):
            raise _NotNow
        device = rows[members[0]].device
        self._store.serialise(connection, f"admission/device/{device}")
        for owner in sorted({row.owner for row in rows.values()}):
            self._store.serialise(connection, user_lock(owner))
        if on_device is not None and occupying(connection, device) >= on_device:
            raise _NotNow
        connection.execute(self._store.insert(JOB).values(**job_row(submission)))
        now = datetime.now(UTC)
        for place, job_id in enumerate(members):
            owner = rows[job_id].owner
            if not may_run(connection, owner, rows[job_id].qpu_s, limits[owner], now):
                raise _NotNow
            if not _release(connection, job_id, now):
                raise _NotNow
            row = {"job_id": job_id, "submission_id": submission.job_id, "place": place}
            connection.execute(SHARED.insert().values(**row))


class _NotNow(Exception):
    """A member no longer waits, or may not start now."""


def _waiting(connection: Connection, members: Sequence[str]) -> dict[str, Any]:
    columns = (ADMISSION.c.job_id, ADMISSION.c.owner, ADMISSION.c.device, ADMISSION.c.qpu_s)
    query = select(*columns).where(ADMISSION.c.job_id.in_(members), _WAITING)
    return {row.job_id: row for row in connection.execute(query)}


def _release(connection: Connection, job_id: str, now: datetime) -> bool:
    change = update(ADMISSION).where(ADMISSION.c.job_id == job_id, _WAITING)
    released = {"state": AdmissionState.RELEASED.value, "released_at": now}
    return bool(connection.execute(change.values(**released)).rowcount)


def _let_go(connection: Connection, job_ids: Sequence[str]) -> None:
    gone = connection.execute(delete(SHARED).where(SHARED.c.job_id.in_(job_ids)))
    if not gone.rowcount:
        return
    back = update(JOB).where(JOB.c.job_id.in_(job_ids), JOB.c.state.not_in(_FINISHED))
    connection.execute(
        back.values(
            state=JobState.QUEUED.value,
            started_at=None,
            flow_run_id=None,
            progress=to_text(Progress()),
        )
    )
