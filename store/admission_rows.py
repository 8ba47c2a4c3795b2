"""Admissions as they are read: rows of the backlog, and of what was let through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row

from qcpaas.scheduling import Choice, JobEstimate, Priority, Schedule, StartsIn
from store.tables import Admission, table

ADMISSION = table(Admission)


class AdmissionState(StrEnum):
    """``released``: handed to Prefect, and not ended yet."""

    WAITING = "waiting"
    RELEASED = "released"
    ENDED = "ended"


@dataclass(frozen=True)
class AdmissionRecord:
    """A job of the gateway on its way to its device.

    Attributes:
        content_key: Of the job as submitted.
        session: It holds its device from its first execution to its last.
        shared: It may run beside others on one device.
        qpu_s, qpu_s_hi, wall_s: As estimated at submission.
        choice_json, estimate_json: Read by `choice` and `estimate`, where they are wanted.
        spent_qpu_s: Device seconds by its ledger; ``None`` until it has ended.
    """

    job_id: str
    owner: str
    client_key: str | None
    content_key: str
    state: AdmissionState
    priority: Priority
    deadline: datetime | None
    submitted_at: datetime
    device: str
    pool: str
    session: bool
    shared: bool
    reservation_id: str | None
    qpu_s: float
    qpu_s_hi: float
    wall_s: float
    choice_json: str
    estimate_json: str
    released_at: datetime | None
    ended_at: datetime | None
    spent_qpu_s: float | None

    @property
    def choice(self) -> Choice:
        return Choice.model_validate_json(self.choice_json)

    @property
    def estimate(self) -> JobEstimate:
        return JobEstimate.model_validate_json(self.estimate_json)

    def schedule(
        self,
        starts_in: StartsIn | None = None,
        score: dict[str, float] | None = None,
        finishes_at: datetime | None = None,
    ) -> Schedule:
        """What the job's owner is told, with what is known beside this row."""
        return Schedule(
            priority=self.priority,
            deadline=self.deadline,
            choice=self.choice,
            estimate=self.estimate,
            starts_in=starts_in if self.state is AdmissionState.WAITING else None,
            score=score or {},
            pool=self.pool,
            released_at=self.released_at,
            finishes_at=finishes_at,
        )


_RENAMED = {"choice": "choice_json", "estimate": "estimate_json"}
COLUMNS = [column.label(_RENAMED.get(column.name, column.name)) for column in ADMISSION.c]


def admission_record(row: Row[Any]) -> AdmissionRecord:
    """Of a row of `COLUMNS`."""
    values = row._asdict()
    values["state"] = AdmissionState(values["state"])
    values["priority"] = Priority(values["priority"])
    return AdmissionRecord(**values)
