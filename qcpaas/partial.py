"""What a job has finished so far, in any of its states."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, JsonValue

from qcpaas.schemas import JobState, Progress
from qcpaas.wire import Wire


class CallOutcome(Wire):
    """Expectation values with standard errors, shape (points, observables), or counts a point."""

    values: tuple[tuple[float, ...], ...] | None = None
    standard_errors: tuple[tuple[float, ...], ...] | None = None
    counts: tuple[dict[str, float], ...] | None = None


class FinishedCall(Wire):
    """What a job asked of its device, and was answered.

    Attributes:
        circuits: Their names.
        parameter_values: For each circuit one row a parameter point.
        outcomes: For each circuit.
    """

    index: int
    circuits: tuple[str, ...]
    parameter_values: tuple[tuple[tuple[float, ...], ...], ...]
    outcomes: tuple[CallOutcome, ...]
    finished_at: datetime


class OpenSubmission(Wire):
    """A submission without an answer; ``device_job_id`` is unknown until it is accepted."""

    token: str
    device: str
    device_job_id: str | None
    submitted_at: datetime


class PartialResult(Wire):
    """What a running or ended job has finished so far.

    Attributes:
        finished: How many calls; ``calls`` may hold only the newest of them.
        metrics: Points (done, value) of each figure that the workload reported.
        checkpoint: The workload's newest, as `qcpaas.values.decode` reads it.
    """

    job_id: str
    state: JobState
    progress: Progress
    finished: int
    calls: tuple[FinishedCall, ...] = ()
    open_submissions: tuple[OpenSubmission, ...] = ()
    metrics: dict[str, tuple[tuple[float, float], ...]] = Field(default_factory=dict)
    checkpoint: JsonValue = None
