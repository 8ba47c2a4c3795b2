"""Whether the gateway is alive, and whether it can work."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gateway.platform import ThePlatform
from gateway.telemetry.metrics import CONTENT_TYPE, Metrics
from qcpaas.errors import Forbidden, PlatformUnavailable
from qcpaas.scheduling import Role
from qcpaas.wire import Wire
from store.people import People

router = APIRouter(tags=["health"])


class Health(Wire):
    """``ok``; anything else comes as an `ErrorReport`."""

    status: str = "ok"


@router.get("/health", name="health.alive")
async def alive() -> Health:
    """Whether the process answers; asks nothing of anybody."""
    return Health()


@router.get("/ready", name="health.ready")
def ready(platform: ThePlatform) -> Health:
    """Whether the store answers, and Prefect."""
    People(platform.store).user("")
    if not platform.engine.is_ready():
        raise PlatformUnavailable("the gateway's engine does not answer. Jobs wait until it does.")
    return Health()


@router.get(
    "/metrics",
    name="health.metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    """Figures for Prometheus; for this machine, or an administrator."""
    person = request.state.person
    if person is not None and not person.is_at_least(Role.ADMINISTRATOR):
        raise Forbidden(f"figures are for administrators; {person.name} is {person.role.value}.")
    kept: Metrics = request.app.state.metrics
    return Response(kept.text(), media_type=CONTENT_TYPE)
