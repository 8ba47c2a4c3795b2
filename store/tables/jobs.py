"""Jobs, their answers, and who works on them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, Text
from sqlmodel import Field

from store.tables.row import Row, UtcDateTime


class Job(Row, table=True):
    """A job as it was submitted and its public state; JSON columns hold our wire schemas."""

    __table_args__ = (Index(None, "created_at", "job_id"), Index(None, "state", "created_at"))

    job_id: str = Field(primary_key=True)
    kind: str
    name: str
    backend: str
    options: str = Field(sa_type=Text)
    state: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(sa_type=UtcDateTime)
    progress: str = Field(sa_type=Text)
    error: str | None = Field(sa_type=Text)
    flow_run_id: str | None = Field(index=True)
    spec: bytes = Field(sa_type=LargeBinary)
    # In a row, without progress in between; and how far it was at the last one: calls begun and
    # submissions answered.
    interruptions: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    calls_when_interrupted: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    pruned_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Result(Row, table=True):
    """A job's value and manifest, without its executions and their circuits."""

    job_id: str = Field(primary_key=True, foreign_key="job.job_id")
    saved_at: datetime = Field(sa_type=UtcDateTime)
    payload: bytes = Field(sa_type=LargeBinary)


class Curve(Row, table=True):
    """The figures that a job reports, over its iterations."""

    job_id: str = Field(primary_key=True, foreign_key="job.job_id")
    saved_at: datetime = Field(sa_type=UtcDateTime)
    payload: bytes = Field(sa_type=LargeBinary)


class Checkpoint(Row, table=True):
    """A workload's newest own state, and the number of calls that it stands for."""

    job_id: str = Field(primary_key=True, foreign_key="job.job_id")
    position: int
    saved_at: datetime = Field(sa_type=UtcDateTime)
    payload: bytes = Field(sa_type=LargeBinary)


class SavedJournal(Row, table=True):
    """What a job's manifest needs besides its calls."""

    __tablename__ = "journal"

    job_id: str = Field(primary_key=True, foreign_key="job.job_id")
    saved_at: datetime = Field(sa_type=UtcDateTime)
    payload: str = Field(sa_type=Text)


class Lease(Row, table=True):
    """Who may act for a job or on a device; ``fence`` grows whenever that changes."""

    name: str = Field(primary_key=True)
    fence: int = Field(sa_type=BigInteger)
    holder: str
    job_id: str
    expires_at: datetime | None = Field(sa_type=UtcDateTime)
