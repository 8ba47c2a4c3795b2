"""Jobs: looked at, ended, resumed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Body, Query, Response

from gateway.answers import TheAnswers
from gateway.exact_json import exact
from gateway.job_control import cancel_job, job_logs, resume_job
from gateway.platform import ThePlatform
from qcpaas.binding import FeedbackReport, ObservedFidelity
from qcpaas.manifest import JobResult
from qcpaas.partial import PartialResult
from qcpaas.scheduling import ForecastRecord
from qcpaas.schemas import JobRecord, JobState, Recovery
from store.forecasts import Forecasts

FEEDBACK = "feedback/feedback"  # the deployment

router = APIRouter(prefix="/v1", tags=["jobs"])


@router.get("/jobs", name="job.list", response_model=list[JobRecord])
def jobs(
    answers: TheAnswers,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    state: JobState | None = None,
    owner: Annotated[str | None, Query(max_length=128)] = None,
) -> Response:
    """The newest first: yours, or as an administrator everybody's."""
    return exact(answers.jobs(limit, owner=owner, state=state))


@router.get("/jobs/{job_id}", name="job.read", response_model=JobRecord)
def job(job_id: str, answers: TheAnswers) -> Response:
    """State, progress, and what is known of its way to the device."""
    return exact(answers.job(job_id))


@router.get("/jobs/{job_id}/result", name="job.result", response_model=JobResult)
def result(job_id: str, answers: TheAnswers) -> Response:
    """Its value and manifest; while it is unfinished `NotReady`, and its own error if it failed."""
    return exact(answers.result(job_id))


@router.get("/jobs/{job_id}/partial", name="job.partial", response_model=PartialResult)
def partial(job_id: str, answers: TheAnswers) -> Response:
    """What it has finished so far, whatever its state."""
    answers.admission(job_id)
    return exact(answers.partial(job_id))


@router.get("/jobs/{job_id}/logs", name="job.logs")
def logs(job_id: str, platform: ThePlatform, answers: TheAnswers) -> list[str]:
    return list(job_logs(platform, answers.job(job_id)))


@router.post("/jobs/{job_id}/cancel", name="job.cancel", response_model=JobRecord)
def cancel(job_id: str, platform: ThePlatform, answers: TheAnswers) -> Response:
    """End it and its device jobs; one that has ended stays as it is."""
    cancel_job(platform, answers.job(job_id), answers.admission(job_id))
    return exact(answers.job(job_id))


@router.post("/jobs/{job_id}/resume", name="job.resume", response_model=JobRecord)
def resume(
    job_id: str,
    platform: ThePlatform,
    answers: TheAnswers,
    recovery: Annotated[Recovery | None, Body()] = None,
) -> Response:
    """Let one that ended without a result go on from where it was."""
    resume_job(platform, answers.job(job_id), recovery)
    return exact(answers.job(job_id))


@router.post("/jobs/{job_id}/fidelity", name="job.observe", response_model=FeedbackReport)
def observe(
    job_id: str, observed: ObservedFidelity, platform: ThePlatform, answers: TheAnswers
) -> Response:
    """Learn from a fidelity that you know of a finished job's circuit; a worker does it."""
    answers.job(job_id)
    seen = {**observed.model_dump(exclude={"device"}), "job_id": job_id}
    device = observed.device and answers.spelt(observed.device)
    return exact(platform.engine.ask(FEEDBACK, FeedbackReport, device=device, observed=seen))


@router.get("/jobs/{job_id}/forecasts", name="job.forecasts")
def forecasts(job_id: str, platform: ThePlatform, answers: TheAnswers) -> Sequence[ForecastRecord]:
    """When it was expected to start, as you were told, the oldest first."""
    answers.admission(job_id)
    return Forecasts(platform.store).of(job_id)
