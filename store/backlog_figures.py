"""How many jobs wait, run and have ended, in a few statements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, func, select

from qcpaas.schemas import JobState
from store.admission_rows import ADMISSION, AdmissionState
from store.database import Store
from store.jobs import JOB

_ENDED = [state.value for state in JobState if state.finished]


@dataclass(frozen=True)
class BacklogFigures:
    """By device, and ``ended`` by state.

    Attributes:
        released: Handed to Prefect and not begun; ``running`` have begun.
        oldest_s: How long the longest waiting job waits.
        qpu_s: Device seconds of admitted jobs that ended.
    """

    waiting: dict[str, float]
    released: dict[str, float]
    running: dict[str, float]
    ended: dict[str, float]
    oldest_s: dict[str, float]
    qpu_s: dict[str, float]


def backlog_figures(store: Store) -> BacklogFigures:
    with store.read() as connection:
        waiting, oldest_s = _waiting(connection)
        return BacklogFigures(
            waiting=waiting,
            released=_released(connection, begun=False),
            running=_released(connection, begun=True),
            ended=_ended(connection),
            oldest_s=oldest_s,
            qpu_s=_spent(connection),
        )


def _waiting(connection: Connection) -> tuple[dict[str, float], dict[str, float]]:
    rows = connection.execute(
        select(ADMISSION.c.device, func.count().label("jobs"), func.min(ADMISSION.c.submitted_at))
        .where(ADMISSION.c.state == AdmissionState.WAITING.value)
        .group_by(ADMISSION.c.device)
    ).all()
    now = datetime.now(UTC)
    return (
        {device: jobs for device, jobs, _ in rows},
        {device: max(0.0, (now - oldest).total_seconds()) for device, _, oldest in rows},
    )


def _released(connection: Connection, *, begun: bool) -> dict[str, float]:
    runs = JOB.c.state == JobState.RUNNING.value
    rows = connection.execute(
        select(ADMISSION.c.device, func.count().label("jobs"))
        .select_from(ADMISSION.join(JOB, JOB.c.job_id == ADMISSION.c.job_id))
        .where(ADMISSION.c.state == AdmissionState.RELEASED.value, runs if begun else ~runs)
        .group_by(ADMISSION.c.device)
    )
    return {row.device: row.jobs for row in rows}


def _ended(connection: Connection) -> dict[str, float]:
    rows = connection.execute(
        select(JOB.c.state, func.count().label("jobs"))
        .where(JOB.c.state.in_(_ENDED))
        .group_by(JOB.c.state)
    )
    return {row.state: row.jobs for row in rows}


def _spent(connection: Connection) -> dict[str, float]:
    rows = connection.execute(
        select(ADMISSION.c.device, func.coalesce(func.sum(ADMISSION.c.spent_qpu_s), 0.0))
        .where(ADMISSION.c.state == AdmissionState.ENDED.value)
        .group_by(ADMISSION.c.device)
    )
    return {device: float(spent) for device, spent in rows}
