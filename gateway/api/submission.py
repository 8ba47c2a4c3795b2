"""Handing a job in."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Header, Request, Response

from gateway.answers import TheAnswers
from gateway.audit import about
from gateway.exact_json import exact
from gateway.platform import ThePerson, ThePlatform
from gateway.submission.submit import submit
from qcpaas.schemas import Job, JobRecord

router = APIRouter(prefix="/v1", tags=["jobs"])


@router.post(
    "/jobs",
    name="job.submit",
    status_code=HTTPStatus.CREATED,
    response_model=JobRecord,
    responses={200: {"model": JobRecord, "description": "It was submitted before."}},
)
def submit_job(  # noqa: PLR0917 - FastAPI fills them in
    job: Annotated[Job, Body()],
    platform: ThePlatform,
    person: ThePerson,
    answers: TheAnswers,
    request: Request,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> Response:
    """Check a job, choose where it runs, and let it wait for its turn.

    The same job with the same id, or the same ``Idempotency-Key``, is answered with its record and
    makes no other.
    """
    about(request, job.job_id)
    job_id, new = submit(platform, person, job, idempotency_key)
    about(request, job_id)
    return exact(answers.job(job_id), HTTPStatus.CREATED if new else HTTPStatus.OK)
