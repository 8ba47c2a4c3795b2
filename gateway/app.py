"""The gateway as an application: its rooms behind one front door."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from gateway import api
from gateway.front_door import FrontDoor
from gateway.platform import Platform
from gateway.replies import Refused, misled, misread, told
from gateway.telemetry.metrics import Metrics
from qcpaas.errors import QCPaaSError
from qcpaas.schemas import ErrorReport

VERSION = "1"

_MEANINGS = {
    HTTPStatus.BAD_REQUEST: "The request is malformed.",
    HTTPStatus.UNAUTHORIZED: "NotLetIn: no token, or one that opens nothing.",
    HTTPStatus.FORBIDDEN: "Forbidden: it needs another role.",
    HTTPStatus.NOT_FOUND: "There is no such thing, or it is another user's.",
    HTTPStatus.CONFLICT: "It does not fit what is there: Conflict, NotReady, NoWorker, or an "
    "error of the job itself.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than the gateway takes.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is no plain JSON.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "InputError: the request is wrong, and nothing was spent.",
    HTTPStatus.TOO_MANY_REQUESTS: "TooMuch or LimitReached; Retry-After says when, where known.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The gateway failed; its log has the request id.",
    HTTPStatus.BAD_GATEWAY: "AdapterError: a device, or the way to it.",
    HTTPStatus.SERVICE_UNAVAILABLE: "PlatformUnavailable: try again later.",
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    int(status): {"model": ErrorReport, "description": meaning}
    for status, meaning in _MEANINGS.items()
}

_bearer = HTTPBearer(
    auto_error=False, description="A token of `qcpaas token create`, or of an identity provider."
)


async def _described(
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """`FrontDoor` has looked at the token; it is named here for the interface's description."""


def create_app(platform: Platform, rooms: Sequence[APIRouter] | None = None) -> FastAPI:
    """The gateway of a platform, which the caller opens and closes.

    Args:
        rooms: What it answers; everything in `gateway.api` unless given.
    """
    app = FastAPI(
        title="QCPaaS gateway",
        version=VERSION,
        summary="Runs hybrid quantum-classical jobs close to the hardware.",
        docs_url="/docs",
        redoc_url=None,
        openapi_url="/openapi.json",
        generate_unique_id_function=_operation_id,
    )
    app.state.platform = platform
    app.state.metrics = Metrics(platform.store)
    app.add_middleware(FrontDoor, platform=platform, metrics=app.state.metrics)
    app.add_exception_handler(QCPaaSError, told)
    app.add_exception_handler(Refused, told)
    app.add_exception_handler(RequestValidationError, misread)
    app.add_exception_handler(HTTPException, misled)
    for router in _rooms() if rooms is None else rooms:
        guarded = [] if router.prefix == "" else [Depends(_described)]
        app.include_router(router, responses=_ERRORS, dependencies=guarded)
    return app


def _rooms() -> Iterator[APIRouter]:
    """The routers of the modules in `gateway.api`, in the order of their names."""
    for module in pkgutil.iter_modules(api.__path__, f"{api.__name__}."):
        router = getattr(importlib.import_module(module.name), "router", None)
        if router is not None:
            yield router


def _operation_id(route: APIRoute) -> str:
    return route.name
