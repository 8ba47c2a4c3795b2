"""How a job's run ends: what its record says then, and what Prefect is told."""

from __future__ import annotations

import threading
import uuid
from typing import Any

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import get_run_context
from prefect.exceptions import Abort, Pause, TerminationSignal
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_API_URL
from prefect.states import Suspended
from prefect.utilities.engine import propose_state_sync

from flows import artifacts
from flows.limits import said_of
from flows.prefect_outage import reaching_prefect
from qcpaas.errors import (
    JobCancelled,
    JobFailed,
    JobHeld,
    NotReady,
    PlatformError,
    Superseded,
    UnknownJob,
)
from qcpaas.prefect_api import PrefectApi
from qcpaas.reports import report_error
from qcpaas.schemas import ErrorReport, JobState
from qcpaas.settings import Settings
from store.database import Store, open_store
from store.holder import alive
from store.jobs import Jobs
from store.leases import Leases
from tasks.cancellation import cancel_job
from tasks.patience import Patience

RECORDED_WITHIN_S = 600.0
CANCELLED = "the job was cancelled"
HELD_FOR_S = 10 * 365 * 24 * 3600  # a decision has no deadline, and Prefect wants one


def ending_of(job_id: str, store: Store, error: BaseException) -> BaseException:
    """Record an error that ended a job's run; returns what to raise in its place."""
    if isinstance(error, TerminationSignal):
        _record_if_cancelled(job_id, store)
        return error  # the worker ends this process
    if isinstance(error, Superseded):
        get_run_logger().warning("%s", error)
        return Abort(str(error))  # another process has the job: nothing is said of it here
    error = said_of(error)
    try:
        _record(job_id, store, error)
    except PlatformError as unrecorded:  # no space, or no database: the flow run still says why
        get_run_logger().error("how job %s ended could not be recorded: %s", job_id, unrecorded)
    return (_suspended(str(error)) if isinstance(error, JobHeld) else None) or error


def _record_if_cancelled(job_id: str, store: Store) -> None:
    """Record a cancellation here, where the worker has said that it is one.

    Its hook does that too, in another process and seconds later: for a run that could not.
    """
    from flows.warm.prefect_parts import get_intent

    if get_intent() != "cancel":
        return
    try:
        cancel_job(store, job_id, CANCELLED)
    except PlatformError as unrecorded:
        get_run_logger().warning("the cancellation is left to the worker: %s", unrecorded)


def _record(job_id: str, store: Store, error: BaseException) -> None:
    patience = Patience(threading.Event(), give_up_after_s=RECORDED_WITHIN_S)
    jobs = Jobs(store)
    report = report_error(error)
    if isinstance(error, JobHeld):
        patience.through(lambda: jobs.hold(job_id, report))
        return
    if isinstance(error, JobCancelled | KeyboardInterrupt):
        report = patience.through(lambda: cancel_job(store, job_id, report.message))
    else:
        patience.through(lambda: jobs.finish(job_id, JobState.FAILED, report))
    try:
        artifacts.publish_error(job_id, report)
    except Exception as unpublished:  # noqa: BLE001 - the job's own error matters more
        get_run_logger().warning("the error could not be shown in the UI: %s", unpublished)


def mark_cancelled(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's cancellation hook: runs in the worker after it has ended the process."""
    job_id = _job_id(flow_run)
    with open_store(Settings().resolved_store_url) as store:
        try:
            known = Jobs(store).get(job_id)
            report = known.error if known.state is JobState.CANCELLED else None
            report = report or cancel_job(store, job_id, CANCELLED)
            artifacts.post_error(PrefectApi(str(PREFECT_API_URL.value())), job_id, report)
        except UnknownJob:
            return  # it ended before it had begun


def mark_crashed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's crash hook: the job will go on in another process, or does already."""
    job_id = _job_id(flow_run)
    why = (state.message or "no reason is known").rstrip(".")
    report = goes_on(f"its process died ({why}).", job_id)
    with open_store(Settings().resolved_store_url) as store:
        lease = Leases(store).get(f"job/{job_id}")
        if lease is not None and not lease.free and alive(lease.holder) is not False:
            return
        jobs = Jobs(store)
        try:
            if jobs.get(job_id).state is JobState.RUNNING:  # one that had not begun stays queued
                jobs.interrupt(job_id, report)
        except UnknownJob:
            return


def goes_on(why: str, job_id: str) -> ErrorReport:
    """Why an interrupted job has no answer yet."""
    return ErrorReport(
        type=NotReady.__name__,
        message=f"{why} It goes on by itself within some minutes; `qcpaas resume {job_id} "
        "--remote` lets it go on now.",
        retryable=True,
    )


def mark_failed(flow_run: FlowRun, message: str) -> None:
    """Of a run whose process was ended for good: its job is not taken up again."""
    job_id = _job_id(flow_run)
    report = ErrorReport(type=JobFailed.__name__, message=message)
    with open_store(Settings().resolved_store_url) as store:
        try:
            Jobs(store).finish(job_id, JobState.FAILED, report)
        except UnknownJob:
            return  # it ended before it had begun
    artifacts.post_error(PrefectApi(str(PREFECT_API_URL.value())), job_id, report)


def _job_id(flow_run: FlowRun) -> str:
    return str(flow_run.parameters.get("job", {}).get("job_id") or flow_run.name)


def _suspended(why: str) -> BaseException | None:
    """Suspend the flow run until a person resumes it; ``None`` where no worker could."""
    flow_run = getattr(get_run_context(), "flow_run", None)
    if flow_run is None or flow_run.deployment_id is None:
        return None
    waiting: State[Any] = Suspended(
        timeout_seconds=HELD_FOR_S, pause_key=uuid.uuid4().hex, message=why
    )
    run_id = flow_run.id

    @reaching_prefect()
    def proposed() -> State[Any]:
        with get_client(sync_client=True) as client:
            return propose_state_sync(client, waiting, flow_run_id=run_id)

    state = Patience(threading.Event(), give_up_after_s=RECORDED_WITHIN_S).through(proposed)
    return Pause(state=state) if state.is_paused() else None
