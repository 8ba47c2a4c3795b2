"""The tables of the configuration database, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import ClassVar

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

# SQLite numbers rows itself only for a column declared INTEGER.
NUMBER = BigInteger().with_variant(Integer, "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """An instant to the microsecond; SQLite has no time zones, so UTC is kept and given back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone. Give datetimes in UTC.")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Row(SQLModel):
    """What all tables share: names of constraints that migrations can rely on."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Device(Row, table=True):
    """A device that the platform can execute on."""

    name: str = Field(primary_key=True)
    adapter: str
    num_qubits: int
    simulator: bool
    description: str
    registered_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    # When it was last asked for its calibration, and why it did not answer then.
    asked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    answered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    problem: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})
    # How a registered one is reached: its vendor's name for it, the name of the credentials that
    # open it (never what they hold), and its adapter's settings as JSON.
    address: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})
    credentials: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})
    settings: str = Field(default="{}", sa_type=Text, sa_column_kwargs={"server_default": "{}"})


class SnapshotLayout(Row, table=True):
    """What the columns of snapshots stand for, once for all snapshots that share it."""

    __tablename__ = "snapshot_layout"

    layout_id: str = Field(primary_key=True)
    header: bytes = Field(sa_type=LargeBinary)


class SnapshotContent(Row, table=True):
    """A calibration's content, once however often it was pulled, and its medians.

    ``store.snapshot_codec`` describes the payload.
    """

    __tablename__ = "snapshot_content"
    # A device's layouts, and the contents of each, without reading a row and its payload.
    __table_args__ = (Index(None, "device", "layout_id", "content_id"),)

    content_id: str = Field(primary_key=True)
    device: str
    num_qubits: int
    payload: bytes = Field(sa_type=LargeBinary)
    readings: int
    median_t1_s: float | None
    median_t2_s: float | None
    median_two_qubit_error: float | None
    median_readout_error: float | None
    # Never null; SQLite cannot add a reference that says so to a table that others refer to.
    layout_id: str | None = Field(foreign_key="snapshot_layout.layout_id")
    std_error_bytes: int = Field(default=0, sa_column_kwargs={"server_default": "0"})


class SnapshotPull(Row, table=True):
    """That a device reported a content at a moment; the device's calibration history."""

    __tablename__ = "snapshot_pull"
    __table_args__ = (
        # Covers 'newest' and 'as of' without reading the table.
        Index(None, "device", "pulled_at", "pull_id", "content_id"),
        Index(None, "content_id", "pulled_at"),
    )

    pull_id: int | None = Field(default=None, primary_key=True, sa_type=NUMBER)
    device: str
    pulled_at: datetime = Field(sa_type=UtcDateTime)
    content_id: str = Field(foreign_key="snapshot_content.content_id")


class Drift(Row, table=True):
    """That a calibrated value moved further than its own history explains; once a measurement."""

    __table_args__ = (UniqueConstraint("device", "quantity", "gate", "qubits", "measured_at"),)

    drift_id: int | None = Field(default=None, primary_key=True, sa_type=NUMBER)
    device: str
    quantity: str
    gate: str
    qubits: str
    measured_at: datetime = Field(sa_type=UtcDateTime)
    detected_at: datetime = Field(sa_type=UtcDateTime)
    value_before: float
    value_after: float
    score: float


class FittedValue(Row, table=True):
    """What a characterisation protocol found for one value, promoted or rejected."""

    __tablename__ = "fit"
    __table_args__ = (Index(None, "device", "measured_at"),)

    fit_id: int | None = Field(default=None, primary_key=True, sa_type=NUMBER)
    device: str
    protocol: str
    quantity: str
    gate: str
    qubits: str
    value: float | None
    std_error: float | None
    measured_at: datetime = Field(sa_type=UtcDateTime)
    verdict: str
    reason: str = Field(sa_type=Text)
    report: str


class NodeState(Row, table=True):
    """Where a node of the calibration graph stands for one target."""

    __tablename__ = "calibration_node"

    device: str = Field(primary_key=True)
    node: str = Field(primary_key=True)
    target: str = Field(primary_key=True)
    state: str
    checked_at: datetime | None = Field(sa_type=UtcDateTime)
    calibrated_at: datetime | None = Field(sa_type=UtcDateTime)
    failures: int
    reason: str = Field(sa_type=Text)


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


class ExecutedCircuit(Row, table=True):
    """A circuit as a job executed it, once a job."""

    __tablename__ = "executed_circuit"

    job_id: str = Field(primary_key=True, foreign_key="job.job_id")
    key: str = Field(primary_key=True)
    payload: bytes = Field(sa_type=LargeBinary)


class Curve(Row, table=True):
    """The figures that a job reports, over its iterations."""

    job_id: str = Field(primary_key=True, foreign_key="job.job_id")
    saved_at: datetime = Field(sa_type=UtcDateTime)
    payload: bytes = Field(sa_type=LargeBinary)


class Compiled(Row, table=True):
    """What compiling gave, reused by every run: routed circuits, and where patterns fit."""

    key: str = Field(primary_key=True)
    payload: bytes = Field(sa_type=LargeBinary)
    size_bytes: int
    created_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime = Field(sa_type=UtcDateTime, index=True)


class Feedback(Row, table=True):
    """What observed fidelities say about a device's calibrated errors."""

    device: str = Field(primary_key=True)
    version: int
    updated_at: datetime = Field(sa_type=UtcDateTime)
    payload: bytes = Field(sa_type=LargeBinary)


class Observation(Row, table=True):
    """A fidelity that was seen, beside the one that was promised."""

    __table_args__ = (Index("ix_observation_device_observed_at", "device", "observed_at"),)

    observation_id: int | None = Field(default=None, primary_key=True, sa_type=NUMBER)
    device: str
    job_id: str
    observed_at: datetime = Field(sa_type=UtcDateTime)
    log_fidelity: float
    std_error: float
    predicted: float
    source: str


class LearntNoise(Row, table=True):
    """Noise of a gate layer as it was learnt under one calibration.

    ``layer`` is a hash of its gates and their physical qubits, ``elements`` one of what the
    calibration said of these: noise stays valid under a new snapshot that changes nothing of it.
    """

    __table_args__ = (Index("ix_learntnoise_device_measured_at", "device", "measured_at"),)

    device: str = Field(primary_key=True)
    layer: str = Field(primary_key=True)
    elements: str = Field(primary_key=True)
    measured_at: datetime = Field(sa_type=UtcDateTime)
    payload: bytes = Field(sa_type=LargeBinary)


def table(row: type[Row]) -> Table:
    """The table behind a row class, for statements that skip the object mapper.

    Measured: the mapper costs three times the statement itself.
    """
    return Row.metadata.tables[str(row.__tablename__)]


def qubits_text(qubits: Iterable[int]) -> str:
    """Qubits as a column holds them: ``0,1``."""
    return ",".join(map(str, qubits))


def listed_qubits(text: str) -> tuple[int, ...]:
    """What `qubits_text` wrote."""
    return tuple(int(qubit) for qubit in text.split(",") if qubit)
