"""The open hardware API over HTTP: any device adapter, for FastAPI."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from adapters.contract import Unsupported
from adapters.open_hardware import describing
from adapters.open_hardware.desk import Desk
from adapters.open_hardware.entrance import Entrance
from adapters.open_hardware.job_file import KeptJob
from adapters.open_hardware.messages import (
    API_VERSION,
    PREFIX,
    Calibration,
    Closed,
    Description,
    Found,
    Job,
    Problem,
    Result,
    SentJob,
    Session,
    Status,
    Token,
    Windows,
)
from adapters.open_hardware.problems import problem_of, unsupported_problem
from adapters.open_hardware.tokens import Tokens
from adapters.open_hardware.waiters import Waiters
from qcpaas.errors import DeviceUnavailable, QCPaaSError

MAX_BODY_BYTES = 64 * 2**20
MAX_WAIT_S = 30.0

log = logging.getLogger(__name__)

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": meaning}
    for status, meaning in (
        (401, "CredentialsRefused: no token, or a wrong one"),
        (404, "UnknownDeviceJob"),
        (409, "ExecutionFailed: the job failed or was cancelled"),
        (410, "SessionClosed"),
        (413, "SubmissionRefused: the body is too large"),
        (422, "SubmissionRefused or CircuitError: the device does not take this"),
        (501, "Unsupported: the device has no such operation, and why"),
        (503, "DeviceUnavailable: nothing was taken; try again later"),
    )
}


_bearer = HTTPBearer(auto_error=False, description="A token of the device's owner")


@dataclass(frozen=True)
class Visit:
    """Who asks, and whom."""

    desk: Desk
    owner: str
    waiters: Waiters


async def _visit(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Visit:
    """`Entrance` has looked at the token; it is named here for the interface's description."""
    state = request.app.state
    return Visit(state.desk, request.state.owner, state.waiters)


def _some(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _PROBLEMS[status] for status in statuses}


Here = Annotated[Visit, Depends(_visit)]
routes = APIRouter()


def make_app(
    desk: Desk, tokens: Tokens, *, prefix: str = "", max_body_bytes: int = MAX_BODY_BYTES
) -> FastAPI:
    """The device behind a desk.

    Args:
        prefix: Of every path, such as ``/emu``.
        max_body_bytes: Of one request.
    """
    app = FastAPI(
        title=f"Open hardware API: {desk.adapter.name}",
        version=API_VERSION,
        description="A quantum device over HTTP. See docs/open_hardware_api.md.",
        docs_url=f"{prefix}/docs",
        redoc_url=None,
        openapi_url=f"{prefix}/openapi.json",
    )
    app.add_middleware(
        Entrance, tokens=tokens, guarded=f"{prefix}{PREFIX}/", max_bytes=max_body_bytes
    )
    app.add_exception_handler(QCPaaSError, _told)
    app.add_exception_handler(RequestValidationError, _misread)
    app.add_exception_handler(HTTPException, _misled)
    app.add_exception_handler(Exception, _broken)
    app.state.desk, app.state.waiters = desk, Waiters()
    desk.changed = app.state.waiters.wake
    app.include_router(routes, prefix=f"{prefix}{PREFIX}")
    return app


@routes.get("/device", response_model=Description, responses=_some(401, 503))
def describe(visit: Here) -> Response:
    """What the device is, and what it can be asked for."""
    return _reply(visit.desk.description())


@routes.get("/availability", response_model=Status, responses=_some(401))
def availability(visit: Here) -> Response:
    """Whether it takes work now, and how many jobs are before a new one."""
    try:
        found = visit.desk.adapter.availability()
    except DeviceUnavailable as error:
        return _reply(Status(online=False, message=str(error), queue_length=visit.desk.waiting()))
    return _reply(describing.packed_availability(found, visit.desk.waiting()))


@routes.get("/calibration", response_model=Calibration, responses=_some(401, 501, 503))
def calibration(
    visit: Here,
    at: Annotated[datetime | None, Query(description="The one in force then")] = None,
) -> Response:
    """The newest calibration, or the one in force at a past moment."""
    found = visit.desk.adapter.calibration(at)
    if isinstance(found, Unsupported):
        return _unsupported(found)
    return _reply(describing.packed_calibration(found))


@routes.get("/reservations", response_model=Windows, responses=_some(401, 501, 503))
def reservations(visit: Here) -> Response:
    """What of the device is reserved, from now on."""
    found = visit.desk.adapter.reservations()
    if isinstance(found, Unsupported):
        return _unsupported(found)
    return _reply(Windows(windows=tuple(map(describing.packed_window, found))))


@routes.post(
    "/jobs",
    response_model=Job,
    status_code=201,
    responses=_some(401, 410, 413, 422, 503),
)
def submit(job: SentJob, visit: Here) -> Response:
    """Accept a job for good. A token that is known answers its job."""
    return _reply(_job(visit.desk.accept(job, visit.owner)), 201)


@routes.get("/jobs", response_model=Found, responses=_some(401))
def find(token: Annotated[Token, Query()], visit: Here) -> Response:
    """The job that was accepted under a token; a null says that none ever was."""
    kept = visit.desk.find(token, visit.owner)
    return _reply(Found(job=None if kept is None else _job(kept)))


@routes.get("/jobs/{job_id}", response_model=Job, responses=_some(401, 404))
def job_state(job_id: str, visit: Here) -> Response:
    """How far a job is."""
    return _reply(_job(visit.desk.job(job_id, visit.owner)))


@routes.get(
    "/jobs/{job_id}/result",
    response_model=Result,
    responses={**_some(401, 404, 409, 410), 202: {"model": Job, "description": "Not yet"}},
)
async def result(
    job_id: str,
    visit: Here,
    wait_s: Annotated[float, Query(ge=0, le=MAX_WAIT_S, allow_inf_nan=False)] = 0.0,
) -> Response:
    """A job's result, as soon as it is there; 202 with its state where it is not in time."""
    answer = await visit.waiters.wait(
        job_id, wait_s, lambda: run_in_threadpool(visit.desk.answer, job_id, visit.owner)
    )
    if answer is None:
        return _reply(_job(await run_in_threadpool(visit.desk.job, job_id, visit.owner)), 202)
    return Response(answer, media_type="application/json")


@routes.post("/jobs/{job_id}/cancel", response_model=Job, responses=_some(401, 404, 501, 503))
def cancel(job_id: str, visit: Here) -> Response:
    """Stop a job; nothing happens to one that has ended."""
    found = visit.desk.cancel(job_id, visit.owner)
    return _unsupported(found) if isinstance(found, Unsupported) else _reply(_job(found))


@routes.post("/sessions", response_model=Session, status_code=201, responses=_some(401, 501, 503))
def open_session(visit: Here) -> Response:
    """A session for this client's jobs, within the device's time limits."""
    found = visit.desk.open_session(visit.owner)
    if isinstance(found, Unsupported):
        return _unsupported(found)
    return _reply(describing.packed_session(found), 201)


@routes.post(
    "/sessions/{session_id}/close",
    response_model=Closed,
    responses=_some(401, 410, 501, 503),
)
def close_session(session_id: str, visit: Here) -> Response:
    """Give a session back; nothing happens to one that has ended."""
    found = visit.desk.close_session(session_id, visit.owner)
    return _reply(Closed(session_id=session_id)) if found is None else _unsupported(found)


def _job(kept: KeptJob) -> Job:
    return Job.model_validate({"job_id": kept.job_id, "token": kept.token, "state": kept.state})


def _reply(message: BaseModel, status: int = 200) -> Response:
    return Response(message.model_dump_json(), status, media_type="application/json")


def _unsupported(answer: Unsupported) -> Response:
    return _reply(unsupported_problem(answer), 501)


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, QCPaaSError)
    status, problem = problem_of(error)
    response = _reply(problem, status)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


async def _misread(request: Request, error: Exception) -> Response:
    """What came is no message of this version."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return _reply(
        Problem(error="SubmissionRefused", message=f"{place[:200]}: {first['msg']}."), 422
    )


async def _misled(request: Request, error: Exception) -> Response:
    """No such path or method, or a body that is no JSON."""
    assert isinstance(error, HTTPException)
    message = f"{error.detail}: {request.method} {request.url.path[:200]}"
    return _reply(Problem(error="AdapterError", message=message), error.status_code)


async def _broken(request: Request, error: Exception) -> Response:
    """A defect here; its traceback is in the server's log and nowhere else."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    message = "the server failed to answer. Its log says why; tell its owner the time."
    return _reply(Problem(error="AdapterError", message=message), 500)
