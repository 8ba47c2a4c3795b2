"""The tables of the configuration database, the same on SQLite and PostgreSQL."""

from __future__ import annotations

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
)
from sqlmodel import Field, SQLModel


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


class SnapshotContent(Row, table=True):
    """A calibration's content, once however often it was pulled, and its medians."""

    __tablename__ = "snapshot_content"

    content_id: str = Field(primary_key=True)
    device: str
    num_qubits: int
    payload: bytes = Field(sa_type=LargeBinary)
    readings: int
    median_t1_s: float | None
    median_t2_s: float | None
    median_two_qubit_error: float | None
    median_readout_error: float | None


class SnapshotPull(Row, table=True):
    """That a device reported a content at a moment; the device's calibration history."""

    __tablename__ = "snapshot_pull"
    __table_args__ = (
        # Covers 'newest' and 'as of' without reading the table.
        Index(None, "device", "pulled_at", "pull_id", "content_id"),
        Index(None, "content_id", "pulled_at"),
    )

    pull_id: int | None = Field(
        default=None,
        primary_key=True,
        # SQLite numbers rows itself only for a column declared INTEGER.
        sa_type=BigInteger().with_variant(Integer, "sqlite"),
    )
    device: str
    pulled_at: datetime = Field(sa_type=UtcDateTime)
    content_id: str = Field(foreign_key="snapshot_content.content_id")


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


class Result(Row, table=True):
    """A job's value and manifest, without its executions and their circuits."""

    job_id: str = Field(primary_key=True, foreign_key="job.job_id")
    saved_at: datetime = Field(sa_type=UtcDateTime)
    payload: bytes = Field(sa_type=LargeBinary)


class Execution(Row, table=True):
    """One submission of a job to its device."""

    job_id: str = Field(primary_key=True, foreign_key="job.job_id")
    index: int = Field(primary_key=True)
    device_job_id: str
    submitted_at: datetime = Field(sa_type=UtcDateTime)
    qpu_s: float
    payload: bytes = Field(sa_type=LargeBinary)


class ExecutedCircuit(Row, table=True):
    """A circuit as a job executed it, once a job."""

    __tablename__ = "executed_circuit"

    job_id: str = Field(primary_key=True, foreign_key="job.job_id")
    key: str = Field(primary_key=True)
    payload: bytes = Field(sa_type=LargeBinary)


class Template(Row, table=True):
    """A compiled circuit structure, reused by every run on the same topology."""

    key: str = Field(primary_key=True)
    payload: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime = Field(sa_type=UtcDateTime, index=True)


def table(row: type[Row]) -> Table:
    """The table behind a row class, for statements that skip the object mapper.

    Measured: the mapper costs three times the statement itself.
    """
    return Row.metadata.tables[str(row.__tablename__)]
