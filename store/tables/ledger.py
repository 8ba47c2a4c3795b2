"""What jobs asked of devices and were answered, and what they executed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, Text, text
from sqlmodel import Field

from store.tables.row import Row, UtcDateTime


class Call(Row, table=True):
    """What a job's code asked of its device, and was answered.

    A call that is set aside moves to a negative index, so that its own is free again.
    """

    job_id: str = Field(primary_key=True, foreign_key="job.job_id")
    index: int = Field(primary_key=True)
    key: str
    plan_key: str
    state: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(sa_type=UtcDateTime)
    asked: bytes = Field(sa_type=LargeBinary)
    outcomes: bytes | None = Field(sa_type=LargeBinary)


OPEN = text("state IN ('intent', 'accepted')")


class Submission(Row, table=True):
    """One device job sent, or about to be, for a call; named for ever by its token."""

    __table_args__ = (
        # Partial: small however long the job, and not touched by an answer's other columns.
        Index("ix_submission_open", "job_id", sqlite_where=OPEN, postgresql_where=OPEN),
    )

    job_id: str = Field(primary_key=True, foreign_key="job.job_id")
    call: int = Field(primary_key=True)
    part: int = Field(primary_key=True)
    attempt: int = Field(primary_key=True)
    token: str = Field(unique=True)
    device: str
    state: str
    device_job_id: str | None
    session_id: str | None
    snapshot_id: str | None
    content_key: str
    seed: int = Field(sa_type=BigInteger)
    submitted_at: datetime = Field(sa_type=UtcDateTime)
    seconds: float | None
    qpu_s: float | None
    note: str | None = Field(sa_type=Text)
    request: bytes = Field(sa_type=LargeBinary)
    answer: bytes | None = Field(sa_type=LargeBinary)


class SentPlan(Row, table=True):
    """What a call's circuits became, so that the call can be finished after a crash."""

    __tablename__ = "plan"

    job_id: str = Field(primary_key=True, foreign_key="job.job_id")
    key: str = Field(primary_key=True)
    saved_at: datetime = Field(sa_type=UtcDateTime)
    placements: str = Field(sa_type=Text)
    payload: bytes = Field(sa_type=LargeBinary)


class ExecutedCircuit(Row, table=True):
    """A circuit as a job executed it, once a job."""

    __tablename__ = "executed_circuit"

    job_id: str = Field(primary_key=True, foreign_key="job.job_id")
    key: str = Field(primary_key=True)
    payload: bytes = Field(sa_type=LargeBinary)


class Compiled(Row, table=True):
    """What compiling gave, reused by every run: routed circuits, and where patterns fit."""

    key: str = Field(primary_key=True)
    payload: bytes = Field(sa_type=LargeBinary)
    size_bytes: int
    created_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime = Field(sa_type=UtcDateTime, index=True)
