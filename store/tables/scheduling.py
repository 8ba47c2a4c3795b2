"""What decides when a job starts: the backlog, reservations, workers, and how it went before."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Text, text
from sqlmodel import Field

from store.tables.row import NUMBER, Row, UtcDateTime

WAITING = text("state = 'waiting'")


class Admission(Row, table=True):
    """A job of the gateway on its way into Prefect; its row in ``job`` says how it goes then.

    Apart from ``job``, whose row changes with each report of progress. ``state`` goes from
    ``waiting`` to ``released`` to ``ended``, and each step is one statement that names the state
    before it.
    """

    __table_args__ = (
        Index("uq_admission_owner_client_key", "owner", "client_key", unique=True),
        Index(
            "ix_admission_waiting",
            "device",
            "submitted_at",
            sqlite_where=WAITING,
            postgresql_where=WAITING,
        ),
        Index(None, "state", "device"),
        Index(None, "owner", "submitted_at"),
        # What limits count, at each submission and release.
        Index(None, "owner", "state", "ended_at"),
    )

    job_id: str = Field(primary_key=True, foreign_key="job.job_id")
    owner: str
    client_key: str | None
    content_key: str  # of the job as submitted: the same key with another content is an error
    state: str
    priority: str
    deadline: datetime | None = Field(sa_type=UtcDateTime)
    submitted_at: datetime = Field(sa_type=UtcDateTime)
    device: str
    pool: str  # the Prefect work pool whose workers have what the job needs
    session: bool  # holds its device from its first execution to its last
    shared: bool  # may run beside others on one device
    reservation_id: str | None
    qpu_s: float
    qpu_s_hi: float
    wall_s: float
    # JSON of `qcpaas.scheduling`: what each device would give, and why this one.
    choice: str = Field(sa_type=Text)
    estimate: str = Field(sa_type=Text)
    released_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    spent_qpu_s: float | None = None


class SharedJob(Row, table=True):
    """A job that runs beside others, as a part of one submission, which is a job of its own."""

    __tablename__ = "shared_job"

    job_id: str = Field(primary_key=True, foreign_key="job.job_id")
    submission_id: str = Field(foreign_key="job.job_id", index=True)
    place: int  # among the jobs of the submission


class ReservedWindow(Row, table=True):
    """A device kept for some users between two moments."""

    __tablename__ = "reservation"
    __table_args__ = (Index(None, "device", "ends_at"),)

    reservation_id: str = Field(primary_key=True)
    device: str
    begins_at: datetime = Field(sa_type=UtcDateTime)
    ends_at: datetime = Field(sa_type=UtcDateTime)
    holder: str  # a user's name; empty keeps everybody out, as maintenance does
    reason: str = Field(sa_type=Text)
    source: str  # "platform", or the adapter whose vendor told of it
    made_by: str
    made_at: datetime = Field(sa_type=UtcDateTime)
    cancelled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class RegisteredWorker(Row, table=True):
    """What a worker has, by its own account; forgotten when it is no longer renewed."""

    __tablename__ = "worker"

    name: str = Field(primary_key=True)
    pool: str
    image: str
    environment: str = Field(sa_type=Text)  # JSON of `qcpaas.schemas.Environment`
    environment_key: str
    registered_at: datetime = Field(sa_type=UtcDateTime)
    renewed_at: datetime = Field(sa_type=UtcDateTime)


class StartForecast(Row, table=True):
    """When a job was expected to start, as it was told, for judging the forecasts."""

    __tablename__ = "start_forecast"
    __table_args__ = (Index(None, "job_id", "made_at"), Index(None, "device", "made_at"))

    forecast_id: int | None = Field(default=None, primary_key=True, sa_type=NUMBER)
    job_id: str
    device: str
    made_at: datetime = Field(sa_type=UtcDateTime)
    earliest_at: datetime = Field(sa_type=UtcDateTime)
    likely_at: datetime = Field(sa_type=UtcDateTime)
    latest_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class UserUsage(Row, table=True):
    """What somebody has used, fading with time: ``qpu_s`` as it stood at ``at``."""

    __tablename__ = "user_usage"

    user_name: str = Field(primary_key=True)
    qpu_s: float
    at: datetime = Field(sa_type=UtcDateTime)


class DeviceTiming(Row, table=True):
    """Constants of ``qpu_s = a + sum(shots * (duration + delay)) + b * circuits``, as fitted.

    ``payload`` is JSON of what the fit keeps: sums, and the spread of what was left.
    """

    __tablename__ = "device_timing"

    device: str = Field(primary_key=True)
    observations: int
    fitted_at: datetime = Field(sa_type=UtcDateTime)
    payload: str = Field(sa_type=Text)
