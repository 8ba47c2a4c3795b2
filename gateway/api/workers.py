"""Workers that are alive, and what the platform has altogether."""

from __future__ import annotations

from fastapi import APIRouter

from gateway.answers import TheAnswers
from gateway.platform import ThePerson, ThePlatform
from qcpaas.scheduling import WorkerInfo
from qcpaas.schemas import Environment
from store.workers import Workers

router = APIRouter(prefix="/v1", tags=["workers"])


@router.get("/workers", name="workers.list")
def workers(platform: ThePlatform, person: ThePerson) -> list[WorkerInfo]:
    """Each worker that is alive, by its own account."""
    return [info for info, _ in Workers(platform.store).living()]


@router.get("/environment", name="environment.read")
def environment(answers: TheAnswers) -> Environment:
    """What all workers have together, for checking a job before it is sent."""
    return answers.environment()
