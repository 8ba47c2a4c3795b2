"""A job's run as a part of the trace that its submission began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qcpaas.schemas import CircuitJob, WorkloadJob
from qcpaas.tracing import exporting, listening, span


@contextmanager
def job_trace(job: CircuitJob | WorkloadJob, endpoint: str) -> Iterator[None]:
    """Spans of a block, a job's, sent to ``endpoint``; what the job computes is in none of them.

    Args:
        endpoint: As `qcpaas.tracing.exporting` has it; empty sends them nowhere.
    """
    with (
        exporting(endpoint, "qcpaas-worker") as provider,
        listening(provider, job.traceparent),
        span("job", job_id=job.job_id, kind=job.kind, device=job.execution.backend),
    ):
        yield
