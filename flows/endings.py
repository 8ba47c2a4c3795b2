"""What a flow's own process can no longer say: that it was cancelled, or that it died."""

from __future__ import annotations

from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State

from qcpaas.errors import UnknownJob
from qcpaas.schemas import ErrorReport, JobState
from qcpaas.settings import Settings
from store.database import open_store
from store.jobs import Jobs


def mark_cancelled(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's cancellation hook: runs in the worker after it has ended the process."""
    _finish(flow_run, JobState.CANCELLED, "JobCancelled", "the job was cancelled.")


def mark_crashed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's crash hook."""
    message = f"the job's process died: {state.message or 'no reason is known'}."
    _finish(flow_run, JobState.FAILED, "JobFailed", message)


def _finish(flow_run: FlowRun, state: JobState, error: str, message: str) -> None:
    job_id = flow_run.parameters.get("job", {}).get("job_id") or flow_run.name
    with open_store(Settings().resolved_store_url) as store:
        try:
            Jobs(store).finish(job_id, state, ErrorReport(type=error, message=message))
        except UnknownJob:
            return  # it ended before it had begun
