"""The backlog: which jobs wait, which were handed to Prefect, and which have ended.

A job's admission goes from waiting to released to ended. Every step names the state before it, so
that of two who take it one finds it taken. Whatever a limit counts is counted and changed under the
lock of its user; on SQLite writing transactions run one after the other anyway. Here are the
submissions and all questions; `store.releases` has the other steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from qcpaas.errors import Conflict, LimitReached
from qcpaas.scheduling import Choice, JobEstimate, Limits
from qcpaas.schemas import CircuitJob, JobState, WorkloadJob
from store.admission_rows import (
    ADMISSION,
    COLUMNS,
    AdmissionRecord,
    AdmissionState,
    admission_record,
)
from store.database import Store
from store.jobs import JOB, cancelled_row, job_row
from store.payloads import to_text
from store.usage import user_lock, waiting_jobs

__all__ = ["AdmissionRecord", "AdmissionState", "Admissions"]

_WAITING = ADMISSION.c.state == AdmissionState.WAITING.value


class Admissions:
    """Admissions by job id."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # --- submission --------------------------------------------------------------------------

    def repeated(self, owner: str, client_key: str | None, content_key: str) -> str | None:
        """The job that was submitted under this key before; ``None`` where there is none.

        Raises:
            Conflict: It was another job.
        """
        if client_key is None:
            return None
        with self._store.read() as connection:
            return _repeated(connection, owner, client_key, content_key)

    def add(
        self,
        connection: Connection | None,
        job: CircuitJob | WorkloadJob,
        *,
        owner: str,
        client_key: str | None,
        content_key: str,
        device: str,
        pool: str,
        session: bool,
        estimate: JobEstimate,
        choice: Choice,
        limits: Limits,
    ) -> tuple[str, bool]:
        """Create a job and let it wait, both or neither.

        Args:
            connection: A writing transaction to take part in; ``None`` makes its own.
            limits: The user's, those of the platform filled in.

        Returns:
            The job's id, and whether it is new: one that was submitted under the same key, or the
            same id, meanwhile answers that one's.

        Raises:
            LimitReached: Too many jobs of the user wait, or this one alone needs more device time
                than the user has a day.
            Conflict: Another job has this key, or this id.
        """
        check_affordable(job.job_id, estimate, limits)
        row = {
            "job_id": job.job_id,
            "owner": owner,
            "client_key": client_key,
            "content_key": content_key,
            "state": AdmissionState.WAITING.value,
            "priority": job.scheduling.priority.value,
            "deadline": job.scheduling.deadline,
            "device": device,
            "pool": pool,
            "session": session,
            "shared": job.scheduling.share_device,
            "reservation_id": job.scheduling.reservation,
            "qpu_s": estimate.qpu_s,
            "qpu_s_hi": estimate.qpu_s_hi,
            "wall_s": estimate.wall_s,
            "choice": to_text(choice),
            "estimate": to_text(estimate),
        }
        of_job = {**job_row(job), "backend": device}  # packs it: not while others wait
        if connection is not None:
            return self._add(connection, row, of_job, limits)
        with self._store.write() as own:
            return self._add(own, row, of_job, limits)

    def _add(
        self, connection: Connection, row: dict[str, Any], of_job: dict[str, Any], limits: Limits
    ) -> tuple[str, bool]:
        owner, client_key, job_id = row["owner"], row["client_key"], row["job_id"]
        self._store.serialise(connection, user_lock(owner))
        if client_key is not None:
            before = _repeated(connection, owner, client_key, row["content_key"])
            if before is not None:
                return before, False
        _check_queue(connection, owner, limits)
        insert = self._store.insert(JOB).values(**of_job).on_conflict_do_nothing()
        # Not its row count: PostgreSQL's driver does not tell that of an INSERT.
        if connection.scalar(insert.returning(JOB.c.job_id)) is None:
            _check_same(connection, row)
            return job_id, False
        connection.execute(ADMISSION.insert().values(**row, submitted_at=datetime.now(UTC)))
        return job_id, True

    def cancel_waiting(self, job_id: str) -> bool:
        """Cancel a job that waits still, and end its admission.

        Returns:
            False for one that was released: it is cancelled where it runs. Its flow run may be
            about to be made; making it is idempotent, so make it, then cancel it.
        """
        now = datetime.now(UTC)
        take = update(ADMISSION).where(ADMISSION.c.job_id == job_id, _WAITING)
        with self._store.write() as connection:
            ended = take.values(state=AdmissionState.ENDED.value, ended_at=now, spent_qpu_s=0.0)
            if not connection.execute(ended).rowcount:
                return False
            connection.execute(cancelled_row(job_id, "it was cancelled while it waited.", now))
        return True

    # --- questions ---------------------------------------------------------------------------

    def get(self, job_id: str) -> AdmissionRecord | None:
        """``None`` for a job that came through no gateway."""
        found = self._find(select(*COLUMNS).where(ADMISSION.c.job_id == job_id))
        return found[0] if found else None

    def some(self, job_ids: Sequence[str]) -> dict[str, AdmissionRecord]:
        """Those of some jobs that came through a gateway."""
        found = self._find(select(*COLUMNS).where(ADMISSION.c.job_id.in_(job_ids)))
        return {record.job_id: record for record in found}

    def owner(self, job_id: str) -> str | None:
        with self._store.read() as connection:
            query = select(ADMISSION.c.owner).where(ADMISSION.c.job_id == job_id)
            found: str | None = connection.scalar(query)
        return found

    def of(
        self, owner: str | None = None, limit: int = 50, state: JobState | None = None
    ) -> list[AdmissionRecord]:
        """The newest first.

        Args:
            owner: ``None`` for everybody's.
            state: Of the job.
        """
        query = select(*COLUMNS).order_by(
            ADMISSION.c.submitted_at.desc(), ADMISSION.c.job_id.desc()
        )
        if owner is not None:
            query = query.where(ADMISSION.c.owner == owner)
        if state is not None:
            query = query.join(JOB, JOB.c.job_id == ADMISSION.c.job_id)
            query = query.where(JOB.c.state == state.value)
        return self._find(query.limit(limit))

    def waiting(self, device: str | None = None) -> list[AdmissionRecord]:
        """The backlog, or a device's, in the order of submission."""
        query = select(*COLUMNS).where(_WAITING)
        if device is not None:
            query = query.where(ADMISSION.c.device == device)
        return self._find(query.order_by(ADMISSION.c.submitted_at, ADMISSION.c.job_id))

    def position(self, job_id: str) -> int | None:
        """A waiting job's place among its device's by submission; 1 is the oldest.

        The policy's own order is known to releasers (`gateway.admission.outlook`); this is the
        answer before any of them has looked at the job. One count over ``ix_admission_waiting``.
        """
        own = ADMISSION.alias()
        earlier = (
            select(func.count())
            .select_from(ADMISSION)
            .where(_WAITING, ADMISSION.c.device == own.c.device)
            .where(ADMISSION.c.submitted_at <= own.c.submitted_at)
            .scalar_subquery()
        )
        waits = own.c.state == AdmissionState.WAITING.value
        with self._store.read() as connection:
            found = connection.scalar(select(earlier).where(own.c.job_id == job_id, waits))
        return None if found is None else int(found)

    def _find(self, query: Any) -> list[AdmissionRecord]:
        with self._store.read() as connection:
            return [admission_record(row) for row in connection.execute(query)]


def check_affordable(job_id: str, estimate: JobEstimate, limits: Limits) -> None:
    """Raises `LimitReached` for a job that alone needs more device time than its user has a day."""
    most = limits.qpu_s_a_day
    if most is not None and estimate.qpu_s > most:
        raise LimitReached(
            f"job {job_id} needs about {estimate.qpu_s:.3g} s of {estimate.device}, and its owner "
            f"has {most:.3g} s a day: it could never start. Ask for fewer shots or circuits, split "
            "the job, or ask an administrator for a higher limit."
        )


def _check_queue(connection: Connection, owner: str, limits: Limits) -> None:
    if limits.queued_jobs is None:
        return
    waiting = waiting_jobs(connection, owner)
    if waiting >= limits.queued_jobs:
        raise LimitReached(
            f"{owner} has {waiting} jobs waiting, and may have {limits.queued_jobs}. Cancel some, "
            "or submit again when others have started."
        )


def _repeated(connection: Connection, owner: str, client_key: str, content_key: str) -> str | None:
    query = select(ADMISSION.c.job_id, ADMISSION.c.content_key).where(
        ADMISSION.c.owner == owner, ADMISSION.c.client_key == client_key
    )
    found = connection.execute(query).one_or_none()
    if found is None:
        return None
    if found.content_key != content_key:
        raise Conflict(
            f"the key {client_key!r} was used for another job, {found.job_id}. Give each job a key "
            "of its own."
        )
    return str(found.job_id)


def _check_same(connection: Connection, row: dict[str, Any]) -> None:
    """Raises `Conflict` where a job id is another job's; without a word about whose."""
    found = connection.execute(
        select(ADMISSION.c.owner, ADMISSION.c.client_key, ADMISSION.c.content_key).where(
            ADMISSION.c.job_id == row["job_id"]
        )
    ).one_or_none()
    same = (row["owner"], row["client_key"], row["content_key"])
    if found is None or tuple(found) != same:
        raise Conflict(f"the id {row['job_id']!r} is taken. Submit the job again under a new one.")
