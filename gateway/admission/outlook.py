"""What this process expects of waiting jobs, from the releaser's last look at the backlog.

Each gateway works it out for itself, from the same store by the same policy. Asking costs a look
into a dictionary, however long the backlog is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qcpaas.scheduling import Schedule, StartsIn
from qcpaas.schemas import JobRecord, JobState
from store.admission_rows import AdmissionRecord


@dataclass(frozen=True)
class Expected:
    """Attributes:
    starts_in: ``None`` where the job can never start as things stand.
    score: What its place comes from, part by part.
    """

    starts_in: StartsIn | None = None
    score: Mapping[str, float] = field(default_factory=dict)


class Outlook:
    """What is expected, by job id; renewed as a whole, and safe to share among threads."""

    def __init__(self) -> None:
        self._expected: Mapping[str, Expected] = {}

    def renew(self, expected: Mapping[str, Expected]) -> None:
        self._expected = expected

    def of(self, job_id: str) -> Expected:
        return self._expected.get(job_id, Expected())

    def schedule(self, record: JobRecord, admission: AdmissionRecord) -> Schedule:
        """What a job's owner is told of its way to the device, and of its end."""
        expected = self.of(record.job_id)
        return admission.schedule(
            starts_in=expected.starts_in,
            score=dict(expected.score),
            finishes_at=record.progress.finishes_at(record.started_at)
            if record.state is JobState.RUNNING
            else None,
        )
