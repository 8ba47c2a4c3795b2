"""From the backlog into Prefect, and out of it again: each step one transaction.

A release is claimed first, then its flow run is made under the job's id as idempotency key, then
the run is noted. Whoever dies in between leaves a released job without a run, which anybody may
finish. Limits are counted and changed under the locks of the device and of the user, taken in this
order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, func, select, update

from qcpaas.errors import LimitReached
from qcpaas.scheduling import Limits
from qcpaas.schemas import JobState
from store.admission_rows import ADMISSION, AdmissionState
from store.database import Store
from store.jobs import JOB
from store.ledger_rows import SUBMISSION
from store.shared_rows import SHARED, runs_by_itself
from store.usage import add_usage, qpu_s_today, released_jobs, user_lock

_WAITING = ADMISSION.c.state == AdmissionState.WAITING.value
_RELEASED = ADMISSION.c.state == AdmissionState.RELEASED.value
_ENDED = ADMISSION.c.state == AdmissionState.ENDED.value
_FINISHED = [state.value for state in JobState if state.finished]
AT_ONCE = 200  # admissions that one transaction ends
RESUMED_WITHIN = timedelta(hours=1)


@dataclass(frozen=True)
class Ended:
    """An admission that ended just now; ``spent_qpu_s`` is what its ledger says."""

    job_id: str
    owner: str
    device: str
    spent_qpu_s: float


class Releases:
    """Steps of admissions after their submission; only one of many who take one succeeds."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def claim(self, job_id: str, limits: Limits, on_device: int | None = None) -> bool:
        """Release a waiting job, unless that breaks a limit.

        Args:
            limits: The user's, those of the platform filled in.
            on_device: The most jobs that the device may have released at once, this one included;
                a held job, which waits for a person, is not counted.

        Returns:
            Whether the job is the caller's to hand to Prefect.
        """
        with self._store.write() as connection:
            job = _in_state(connection, job_id, _WAITING)
            if job is None:
                return False
            self._store.serialise(connection, f"admission/device/{job.device}")
            if on_device is not None and occupying(connection, job.device) >= on_device:
                return False
            self._store.serialise(connection, user_lock(job.owner))
            now = datetime.now(UTC)
            if not may_run(connection, job.owner, job.qpu_s, limits, now):
                return False
            release = update(ADMISSION).where(ADMISSION.c.job_id == job_id, _WAITING)
            released = {"state": AdmissionState.RELEASED.value, "released_at": now}
            return bool(connection.execute(release.values(**released)).rowcount)

    def note_run(self, job_id: str, flow_run_id: str) -> None:
        """Note the flow run that a released job belongs to."""
        change = update(JOB).where(JOB.c.job_id == job_id).values(flow_run_id=flow_run_id)
        with self._store.write() as connection:
            connection.execute(change)

    def without_run(self, older_than: timedelta) -> list[str]:
        """Jobs released so long ago without a flow run: their releaser died, or Prefect was away.

        Whoever finds one makes its run; the job's id as idempotency key keeps it the only one.
        """
        query = (
            select(ADMISSION.c.job_id)
            .join(JOB, JOB.c.job_id == ADMISSION.c.job_id)
            .where(_RELEASED, JOB.c.flow_run_id.is_(None), JOB.c.state == JobState.QUEUED.value)
            .where(runs_by_itself(JOB.c.job_id))
            .where(ADMISSION.c.released_at <= datetime.now(UTC) - older_than)
            .order_by(ADMISSION.c.released_at)
        )
        with self._store.read() as connection:
            return [str(job_id) for job_id in connection.scalars(query)]

    def not_begun(self, older_than: timedelta) -> list[str]:
        """Jobs released so long ago that have a flow run, and have never run."""
        query = (
            select(ADMISSION.c.job_id)
            .join(JOB, JOB.c.job_id == ADMISSION.c.job_id)
            .where(_RELEASED, JOB.c.flow_run_id.is_not(None), JOB.c.state == JobState.QUEUED.value)
            .where(ADMISSION.c.released_at <= datetime.now(UTC) - older_than)
            .where(JOB.c.started_at.is_(None))
        )
        with self._store.read() as connection:
            return [str(job_id) for job_id in connection.scalars(query)]

    def forget_run(self, job_id: str) -> None:
        """Of a job whose flow run is gone: it gets another one."""
        change = update(JOB).where(JOB.c.job_id == job_id, JOB.c.state == JobState.QUEUED.value)
        with self._store.write() as connection:
            connection.execute(change.values(flow_run_id=None))

    def end_finished(self, half_life_s: float) -> list[Ended]:
        """End the admissions of jobs that have finished; what they took is added to their users'.

        Of several that do this at once each ends others.

        Args:
            half_life_s: How fast what users have used is forgotten.
        """
        query = _finished(ADMISSION, JOB.c.finished_at).order_by(ADMISSION.c.job_id).limit(AT_ONCE)
        with self._store.read() as connection:  # which, unlike a transaction, waits for nobody
            if connection.execute(query.limit(1)).first() is None:
                return []
        with self._store.write() as connection:
            mine = query.with_for_update(of=ADMISSION, skip_locked=True)
            rows = connection.execute(mine).all()
            # What ends and what is released count towards the same limits.
            for user in sorted({row.owner for row in rows}):
                self._store.serialise(connection, user_lock(user))
            now = datetime.now(UTC)
            spent = _spent(connection, [row.job_id for row in rows])
            news: dict[str, float] = defaultdict(float)
            for row in rows:
                job_spent = spent.get(row.job_id, 0.0)
                _end(connection, row.job_id, row.finished_at or now, job_spent)
                # One that was resumed has been charged for what it took before.
                news[row.owner] += max(0.0, job_spent - (row.spent_qpu_s or 0.0))
            add_usage(self._store, connection, news, now, half_life_s)
        return [
            Ended(row.job_id, row.owner, row.device, spent.get(row.job_id, 0.0)) for row in rows
        ]

    def reopen(self, job_id: str, limits: Limits) -> bool:
        """Let an ended job count as released again, before its flow run is resumed.

        It ends again when the job does; `close` takes this back where it cannot be resumed, and an
        hour without a sign of the job does so too.

        Returns:
            Whether it had ended.

        Raises:
            LimitReached: As many of the user's jobs run as may.
        """
        with self._store.write() as connection:
            job = _in_state(connection, job_id, _ENDED)
            if job is None:
                return False
            self._store.serialise(connection, user_lock(job.owner))
            now = datetime.now(UTC)
            if not may_run(connection, job.owner, job.qpu_s, limits, now):
                raise LimitReached(
                    f"job {job_id} cannot go on now: {job.owner} has as many jobs running, or as "
                    "much device time today, as their limits allow (`qcpaas usage`). Resume it "
                    "when others have ended."
                )
            released = {"state": AdmissionState.RELEASED.value, "released_at": now}
            release = update(ADMISSION).where(ADMISSION.c.job_id == job_id, _ENDED)
            return bool(connection.execute(release.values(**released)).rowcount)

    def close(self, job_id: str) -> None:
        """Take `reopen` back."""
        change = update(ADMISSION).where(
            ADMISSION.c.job_id == job_id, _RELEASED, ADMISSION.c.ended_at.is_not(None)
        )
        with self._store.write() as connection:
            connection.execute(change.values(state=AdmissionState.ENDED.value))


def occupying(connection: Connection, device: str) -> int:
    """Released jobs of a device, without those that wait for a person; one submission is one."""
    place = func.coalesce(SHARED.c.submission_id, ADMISSION.c.job_id)
    jobs = ADMISSION.join(JOB, JOB.c.job_id == ADMISSION.c.job_id)
    query = (
        select(func.count(place.distinct()))
        .select_from(jobs.outerjoin(SHARED, SHARED.c.job_id == ADMISSION.c.job_id))
        .where(_RELEASED, ADMISSION.c.device == device, JOB.c.state != JobState.HELD.value)
    )
    return int(connection.scalar(query) or 0)


def _finished(*columns: Any) -> Select[Any]:
    """Released admissions whose jobs have finished since; `reopen` keeps the earlier end."""
    again = JOB.c.finished_at.is_distinct_from(ADMISSION.c.ended_at)
    given_up = ADMISSION.c.released_at < datetime.now(UTC) - RESUMED_WITHIN
    return (
        select(*columns)
        .join(JOB, JOB.c.job_id == ADMISSION.c.job_id)
        .where(_RELEASED, JOB.c.state.in_(_FINISHED), again | given_up)
    )


def _in_state(connection: Connection, job_id: str, state: Any) -> Any:
    query = select(ADMISSION.c.owner, ADMISSION.c.device, ADMISSION.c.qpu_s)
    return connection.execute(query.where(ADMISSION.c.job_id == job_id, state)).one_or_none()


def may_run(
    connection: Connection, owner: str, qpu_s: float, limits: Limits, now: datetime
) -> bool:
    """Whether a user's limits let one more job run; under the user's lock."""
    most = limits.running_jobs
    if most is not None and released_jobs(connection, owner) >= most:
        return False
    if limits.qpu_s_a_day is None:
        return True
    return qpu_s_today(connection, owner, now) + qpu_s <= limits.qpu_s_a_day


def _spent(connection: Connection, job_ids: Sequence[str]) -> dict[str, float]:
    """Device seconds of each job, by its ledger."""
    query = (
        select(SUBMISSION.c.job_id, func.sum(SUBMISSION.c.qpu_s))
        .where(SUBMISSION.c.job_id.in_(job_ids))
        .group_by(SUBMISSION.c.job_id)
    )
    return {job_id: float(total or 0.0) for job_id, total in connection.execute(query)}


def _end(connection: Connection, job_id: str, ended_at: datetime, spent_qpu_s: float) -> None:
    change = update(ADMISSION).where(ADMISSION.c.job_id == job_id, _RELEASED)
    ended = {
        "state": AdmissionState.ENDED.value,
        "ended_at": ended_at,
        "spent_qpu_s": spent_qpu_s,
    }
    connection.execute(change.values(**ended))
