"""Ending and resuming jobs: in the store where they wait, through the engine where they run."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.limits import limits_of
from gateway.platform import Platform
from qcpaas.errors import InputError, JobCancelled, NotReady
from qcpaas.schemas import ErrorReport, JobRecord, JobState, Recovery
from store.admissions import AdmissionRecord, Admissions
from store.jobs import Jobs
from store.releases import Releases

_NOT_BEGUN = "the job was cancelled before it had begun."


def job_logs(platform: Platform, record: JobRecord) -> Sequence[str]:
    if record.flow_run_id is None:
        return ()
    return platform.engine.logs(record.flow_run_id)


def cancel_job(platform: Platform, record: JobRecord, admission: AdmissionRecord | None) -> None:
    """Cancel a job that has not ended; a running one ends in its worker's time.

    Raises:
        PlatformUnavailable: It was handed to the engine, which is away.
    """
    job_id = record.job_id
    if record.state.finished or Admissions(platform.store).cancel_waiting(job_id):
        return
    jobs = Jobs(platform.store)
    if admission is not None and platform.engine.run(job_id) is None:
        # Released, and its run about to be made: whoever makes it second finds it, cancelled.
        platform.engine.create_run(jobs.spec(job_id), admission.pool)
    if platform.engine.cancel(job_id):
        report = ErrorReport(type=JobCancelled.__name__, message=_NOT_BEGUN)
        jobs.finish(job_id, JobState.CANCELLED, report)


def resume_job(platform: Platform, record: JobRecord, recovery: Recovery | None) -> None:
    """Let a job that ended without a result, or waits, go on from where it was.

    Raises:
        InputError: It has completed, or had never begun.
        NotReady: It runs, or is about to.
        LimitReached: As many of the user's jobs run as may.
    """
    job_id, state = record.job_id, record.state
    if state is JobState.COMPLETED:
        raise InputError(
            f"job {job_id} has completed: there is nothing to resume. `qcpaas rerun` repeats it."
        )
    if state in {JobState.QUEUED, JobState.RUNNING}:
        raise NotReady(f"job {job_id} is {state}: there is nothing to resume.")
    releases = Releases(platform.store)
    reopened = releases.reopen(job_id, limits_of(platform, record.owner))
    try:
        platform.engine.resume(job_id, recovery)
    except BaseException:
        if reopened:
            releases.close(job_id)
        raise
    Jobs(platform.store).requeue(job_id)
