"""What a job would take, before it is submitted."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from gateway.answers import TheAnswers
from gateway.api.names import DeviceName
from gateway.platform import ThePlatform
from gateway.submission.content import check_content
from qcpaas.scheduling import JobEstimate
from qcpaas.schemas import Job
from qcpaas.wire import Wire

MOST_DEVICES = 100

router = APIRouter(prefix="/v1", tags=["jobs"])


class EstimatesAsked(Wire):
    """A job as it would be submitted, and where it might run.

    Attributes:
        devices: Every one that can run it where empty, without ideal simulators.
        fault_tolerant: Also on an error-corrected machine.
    """

    job: Job
    devices: tuple[DeviceName, ...] = Field(default=(), max_length=MOST_DEVICES)
    fault_tolerant: bool = False


@router.post("/estimates", name="job.estimate")
def estimates(
    asked: EstimatesAsked, platform: ThePlatform, answers: TheAnswers
) -> list[JobEstimate]:
    """Seconds, success and money on each device; nothing is submitted, and nothing is run."""
    check_content(asked.job)
    wants = asked.fault_tolerant
    if asked.devices:
        return platform.estimation.estimate(asked.job, asked.devices, fault_tolerant=wants)
    return platform.estimation.compare(asked.job, answers.devices(), fault_tolerant=wants)
