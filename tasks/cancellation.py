"""Stopping what a cancelled job still has at its device, and saying what could not be stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from adapters.contract import DeviceAdapter, DeviceJobState, JobHandle, Unsupported
from qcpaas.errors import AdapterError, JobCancelled, UnknownDevice, UnknownDeviceJob
from qcpaas.schemas import ErrorReport, JobState
from store.database import Store
from store.jobs import Jobs
from store.ledger import Ledger, LedgerReader, RecordedSubmission
from tasks.registered import open_named

STOPS_WITHIN_S = 5.0  # a device may need a moment between the request and the end of its job
_ASKED_EVERY_S = 0.2
_GOING_ON = {DeviceJobState.QUEUED, DeviceJobState.RUNNING}


@dataclass(frozen=True)
class Stop:
    """What became of an open submission when its job was cancelled.

    Attributes:
        device_job_id: ``None`` where the device took none, or nobody knows its id.
        problem: Why it could not be stopped; empty where nothing is left to stop.
    """

    device: str
    token: str
    device_job_id: str | None = None
    problem: str = ""


def cancel_job(store: Store, job_id: str, message: str) -> ErrorReport:
    """Stop what a job has at its device, and record that it was cancelled; returns the record.

    Args:
        message: Why; what could not be stopped is added.

    Raises:
        UnknownJob: There is no such job.
        PlatformUnavailable: The store cannot be reached.
    """
    stops = describe_stops(stop_device_jobs(store, job_id))
    told = f"{message.rstrip('.')}. {stops}".rstrip()
    report = ErrorReport(type=JobCancelled.__name__, message=told)
    Jobs(store).finish(job_id, JobState.CANCELLED, report)
    return report


def stop_device_jobs(store: Store, job_id: str) -> list[Stop]:
    """Cancel every submission of a job that its device may still be working on.

    For a job whose process has ended, or is about to end. An answer that was ready in time stays
    at the device, and a resumed job reads it from there.

    Raises:
        PlatformUnavailable: The store cannot be reached.
    """
    found = LedgerReader(store).open_submissions(job_id)
    if not found:
        return []
    adapters: dict[str, DeviceAdapter] = {}
    with Ledger(store, job_id, guards=tuple) as ledger:
        return [_stop(submission, adapters, ledger, store) for submission in found]


def describe_stops(stops: Sequence[Stop]) -> str:
    """Sentences for the job's record; empty where no device job was at stake."""
    stopped = [stop.device_job_id for stop in stops if stop.device_job_id and not stop.problem]
    sentences = []
    if stopped:
        were = "device job was" if len(stopped) == 1 else "device jobs were"
        sentences.append(f"{len(stopped)} {were} stopped ({', '.join(stopped)}).")
    sentences += [
        f"{_named(stop)} could not be stopped: {stop.problem.rstrip('.')}."
        for stop in stops
        if stop.problem
    ]
    return " ".join(sentences)


def _stop(
    submission: RecordedSubmission,
    adapters: dict[str, DeviceAdapter],
    ledger: Ledger,
    store: Store,
) -> Stop:
    stop = Stop(submission.device, submission.token, submission.device_job_id)
    try:
        adapter = adapters.get(submission.device)
        if adapter is None:
            adapter = adapters[submission.device] = open_named(submission.device, store)
        if not adapter.capabilities().keeps_jobs:
            return stop  # it went with its process
        handle = _handle(submission, adapter)
        if isinstance(handle, Unsupported):
            sent = f"{submission.submitted_at:%Y-%m-%d %H:%M:%S} UTC"
            why = f"it was sent at {sent}, and {handle.reason}, so that nobody knows its id"
            return replace(stop, problem=why)
        if handle is None:
            ledger.failed(submission.token, "cancelled before the device had it", cancelled=True)
            return stop
        ledger.accepted(submission.token, handle.device_job_id)
        stop = replace(stop, device_job_id=handle.device_job_id)
        return replace(stop, problem=_cancel(handle, adapter, ledger))
    except (AdapterError, UnknownDevice) as error:
        return replace(stop, problem=str(error))


def _handle(
    submission: RecordedSubmission, adapter: DeviceAdapter
) -> JobHandle | Unsupported | None:
    """The device job of a submission; ``None`` where none was accepted under its token."""
    if submission.device_job_id is not None:
        return JobHandle(
            device=adapter.name, device_job_id=submission.device_job_id, token=submission.token
        )
    found = adapter.find_by_token(submission.token)
    age_s = (datetime.now(UTC) - submission.submitted_at).total_seconds()
    missing_s = adapter.capabilities().token_lag_s - age_s
    if found is None and missing_s > 0:  # too early to be believed
        time.sleep(missing_s)
        found = adapter.find_by_token(submission.token)
    return found


def _cancel(handle: JobHandle, adapter: DeviceAdapter, ledger: Ledger) -> str:
    """Cancel a device job and wait for its end; why that failed, or nothing."""
    try:
        answer = adapter.cancel(handle)
        if isinstance(answer, Unsupported):
            return answer.reason
        state = _last_state(handle, adapter)
    except UnknownDeviceJob as error:
        ledger.failed(handle.token, str(error), cancelled=True)
        return ""
    if state in _GOING_ON:
        return f"it was asked to end, and is still {state} after {STOPS_WITHIN_S:g} s"
    if state is not DeviceJobState.COMPLETED:
        ledger.failed(handle.token, "cancelled with its job", cancelled=True)
    return ""


def _last_state(handle: JobHandle, adapter: DeviceAdapter) -> DeviceJobState:
    deadline = time.monotonic() + STOPS_WITHIN_S
    while True:
        state = adapter.status(handle)
        if state not in _GOING_ON or time.monotonic() > deadline:
            return state
        time.sleep(_ASKED_EVERY_S)


def _named(stop: Stop) -> str:
    if stop.device_job_id is None:
        return f"the submission {stop.token} to {stop.device}"
    return f"device job {stop.device_job_id} on {stop.device}"
