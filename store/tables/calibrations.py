"""Calibrations, their history, and the characterisations that gave them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, LargeBinary, Text, UniqueConstraint
from sqlmodel import Field

from store.tables.row import NUMBER, Row, UtcDateTime


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
