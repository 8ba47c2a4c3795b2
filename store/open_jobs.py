"""Jobs that have not ended, as whoever looks after them needs to know them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from qcpaas.schemas import JobState
from store.database import Store
from store.jobs import JOB
from store.ledger_rows import SUBMISSION, SubmissionState

_OPEN = [state.value for state in JobState if not state.finished]


@dataclass(frozen=True)
class OpenJob:
    """Attributes:
    interruptions: In a row, without a new call to the device in between.
    """

    job_id: str
    state: JobState
    flow_run_id: str
    interruptions: int


def open_jobs(store: Store) -> list[OpenJob]:
    """Jobs that have not ended and that a flow run belongs to, the oldest first."""
    columns = (JOB.c.job_id, JOB.c.state, JOB.c.flow_run_id, JOB.c.interruptions)
    query = (
        select(*columns)
        .where(JOB.c.state.in_(_OPEN), JOB.c.flow_run_id.is_not(None))
        .order_by(JOB.c.created_at, JOB.c.job_id)
    )
    with store.read() as connection:
        return [
            OpenJob(row.job_id, JobState(row.state), row.flow_run_id, row.interruptions)
            for row in connection.execute(query)
        ]


def at_the_device(store: Store, device: str) -> int:
    """How many submissions a device has accepted and not answered."""
    accepted = SUBMISSION.c.state == SubmissionState.ACCEPTED.value
    query = select(func.count()).where(SUBMISSION.c.device == device, accepted)
    with store.read() as connection:
        return connection.scalar(query) or 0


def state_of(store: Store, job_id: str) -> JobState | None:
    """A job's state; ``None`` where the store does not know the job."""
    with store.read() as connection:
        state = connection.scalar(select(JOB.c.state).where(JOB.c.job_id == job_id))
    return None if state is None else JobState(state)
