"""Devices, and what is known of them beside their calibrations."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, LargeBinary, Text, true
from sqlmodel import Field

from store.tables.row import NUMBER, Row, UtcDateTime


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
    concurrent_jobs: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    # What its vendor said when it was last asked whether it takes work, and how long its queue is.
    online: bool = Field(default=True, sa_column_kwargs={"server_default": true()})
    back_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    queue_length: int | None = None
    # How long a job waits there, and how that is known, for people; or why it is not.
    queue_s: float | None = None
    queue_note: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})
    availability_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


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
