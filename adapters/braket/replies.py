"""What AWS answers of tasks, and the tasks of one job together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from adapters.braket.aws import Reply
from adapters.braket.properties import Count
from adapters.braket.tasks import SEPARATOR
from adapters.contract import DeviceJobState, JobHandle
from qcpaas.errors import UnknownDeviceJob

_STATES = {
    "CREATED": DeviceJobState.QUEUED,
    "QUEUED": DeviceJobState.QUEUED,
    "RUNNING": DeviceJobState.RUNNING,
    "CANCELLING": DeviceJobState.RUNNING,
    "COMPLETED": DeviceJobState.COMPLETED,
    "FAILED": DeviceJobState.FAILED,
    "CANCELLED": DeviceJobState.CANCELLED,
}
ENDED = frozenset({DeviceJobState.FAILED, DeviceJobState.CANCELLED, DeviceJobState.COMPLETED})


class TaskReply(Reply):
    """Of ``GetQuantumTask``."""

    quantum_task_arn: str
    status: Literal[
        "CREATED", "QUEUED", "RUNNING", "CANCELLING", "COMPLETED", "FAILED", "CANCELLED"
    ]
    device_arn: str
    shots: Count
    output_s3_bucket: str
    output_s3_directory: str
    created_at: datetime
    ended_at: datetime | None = None
    failure_reason: str = ""
    num_successful_shots: Count | None = None

    @property
    def state(self) -> DeviceJobState:
        return _STATES[self.status]


class Accepted(Reply):
    quantum_task_arn: str = Field(pattern=r"^arn:[^\s]+$", max_length=256)


class TaskSummary(Reply):
    quantum_task_arn: str
    tags: dict[str, str] = Field(default_factory=dict)


class TaskPage(Reply):
    quantum_tasks: tuple[TaskSummary, ...]
    next_token: str | None = None


def arns_of(handle: JobHandle) -> list[str]:
    arns = handle.device_job_id.split(SEPARATOR)
    for arn in arns:
        if arn.count(":") < 5 or not arn.startswith("arn:"):
            raise UnknownDeviceJob(
                f"{handle.device} has no task {handle.device_job_id}: it is not the ARN of one."
            )
    return arns


def together(states: Sequence[DeviceJobState]) -> DeviceJobState:
    """Of several tasks: not ended while one has not, then the worst."""
    order = (
        DeviceJobState.RUNNING,
        DeviceJobState.QUEUED,
        DeviceJobState.FAILED,
        DeviceJobState.CANCELLED,
    )
    if DeviceJobState.QUEUED in states and set(states) & ENDED:
        return DeviceJobState.RUNNING
    return next((state for state in order if state in states), DeviceJobState.COMPLETED)
