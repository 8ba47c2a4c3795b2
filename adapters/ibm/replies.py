"""IBM's replies, as far as they are read: one that does not fit is malformed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from adapters.contract import DeviceJobState
from qcpaas.errors import MalformedReply

_STATES = {
    "queued": DeviceJobState.QUEUED,
    "running": DeviceJobState.RUNNING,
    "completed": DeviceJobState.COMPLETED,
    "failed": DeviceJobState.FAILED,
    "cancelled": DeviceJobState.CANCELLED,
    "cancelled - ran too long": DeviceJobState.FAILED,
}
_RAN_TOO_LONG = 1305
_MOST_S = 1e9  # 30 years: no device time, and no limit of a session, is longer


class Reply(BaseModel):
    """What else the vendor tells is left alone."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=False)


class Listed(Reply):
    """A backend of a list."""

    name: str = Field(min_length=1)
    qubits: int = Field(0, ge=0, le=1_000_000)
    is_simulator: bool = False


class BackendList(Reply):
    devices: tuple[Listed, ...] = Field(strict=False)


class Configuration(Reply):
    """Of a backend, its times in seconds."""

    n_qubits: int = Field(ge=1, le=1_000_000)
    max_shots: int = Field(ge=1, le=10**9)
    max_experiments: int | None = Field(None, ge=1, le=10**9)
    basis_gates: tuple[str, ...] = Field(strict=False)
    supported_instructions: tuple[str, ...] = Field((), strict=False)
    default_rep_delay: float = Field(0.0, ge=0, le=_MOST_S)
    dt: float | None = Field(None, ge=0, le=1.0)
    simulator: bool = False


class Status(Reply):
    """Of a backend; ``state`` says whether it is operational."""

    state: bool
    status: str = ""
    length_queue: int | None = Field(None, ge=0, le=10**9)


class State(Reply):
    status: str
    reason: str | None = None
    reason_code: int | None = Field(None, alias="reasonCode")


class Job(Reply):
    id: str = Field(min_length=1)
    state: State
    created: str | datetime | None = None
    session_id: str | None = None
    tags: tuple[str, ...] | None = Field(None, strict=False)
    estimated_running_time_seconds: float | None = Field(None, ge=0, le=_MOST_S)

    @property
    def progress(self) -> DeviceJobState:
        known = _STATES.get(self.state.status.lower())
        if known is None:
            raise MalformedReply(f"IBM's job {self.id} is {self.state.status[:100]!r}: no state.")
        too_long = known is DeviceJobState.CANCELLED and self.state.reason_code == _RAN_TOO_LONG
        return DeviceJobState.FAILED if too_long else known


class JobList(Reply):
    jobs: tuple[Job, ...] = Field(strict=False)


class Usage(Reply):
    quantum_seconds: float | None = Field(None, ge=0, le=_MOST_S)
    seconds: float | None = Field(None, ge=0, le=_MOST_S)


class Metrics(Reply):
    usage: Usage = Usage()
    timestamps: dict[str, str | None] = {}
    executions: int | None = Field(None, ge=0)


class Session(Reply):
    """Limits in seconds."""

    id: str = Field(min_length=1)
    state: str | None = None
    accepting_jobs: bool = True
    interactive_ttl: float | None = Field(None, ge=0, le=_MOST_S)
    max_ttl: float | None = Field(None, ge=0, le=_MOST_S)
    started_at: AwareDatetime | None = Field(None, strict=False)
    activated_at: AwareDatetime | None = Field(None, strict=False)

    @property
    def open(self) -> bool:
        return self.state != "closed" and self.accepting_jobs


def details_of(job: Job, metrics: Metrics) -> Mapping[str, JsonValue]:
    """What the vendor tells of an ended job besides its result."""
    details: dict[str, Any] = {
        "timestamps": dict(metrics.timestamps),
        "usage": metrics.usage.model_dump(exclude_none=True),
        "executions": metrics.executions,
        "estimated_running_time_seconds": job.estimated_running_time_seconds,
        "session_id": job.session_id,
    }
    return {name: value for name, value in details.items() if value not in (None, {})}
