"""Errors as the gateway tells them: an `ErrorReport`, whatever went wrong."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from gateway.errors import status_of
from qcpaas.errors import (
    InputError,
    JobError,
    NotLetIn,
    PlatformError,
    PlatformUnavailable,
    QCPaaSError,
)
from qcpaas.reports import report_error
from qcpaas.schemas import ErrorReport

REFUSAL = "refusal"  # in the request's state: the type of the error that it was answered with
# How `store.database` begins what it says of itself, with its address.
_STORE = "the store "
_STORE_TOLD = (
    "the platform's database cannot be used now, and the gateway's log says why. Try again in a "
    "minute."
)
_AWAY_S = 5  # after which a client may ask again for what was away or busy
_SHOWN_PROBLEMS = 5
_SHOWN_CHARACTERS = 60

log = logging.getLogger(__name__)


class Refused(Exception):
    """A request that HTTP itself has a word for, such as 413; ``message`` as in `ErrorReport`."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        *,
        retryable: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        kind: type[QCPaaSError] = PlatformError if status >= 500 else InputError
        self.report = ErrorReport(type=kind.__name__, message=message, retryable=retryable)


def reply(error: QCPaaSError | Refused) -> tuple[Response, ErrorReport]:
    """The answer to a request that was refused or failed."""
    if isinstance(error, Refused):
        return _response(error.status, error.report, error.headers), error.report
    report = _report(error)
    return _response(status_of(error), report, _headers(error)), report


def unexpected_reply(request_id: str) -> tuple[Response, ErrorReport]:
    """The answer where the gateway itself is at fault; the log has the rest."""
    report = ErrorReport(
        type=PlatformError.__name__,
        message="the gateway failed to answer, and its log says why. Tell its administrator the "
        f"request id, {request_id}.",
    )
    return _response(HTTPStatus.INTERNAL_SERVER_ERROR, report, {}), report


# --- what FastAPI calls ----------------------------------------------------------------------


async def told(request: Request, error: Exception) -> Response:
    assert isinstance(error, QCPaaSError | Refused)
    return _noted(request, *reply(error))


async def misread(request: Request, error: Exception) -> Response:
    """What came does not fit the description of the interface."""
    assert isinstance(error, RequestValidationError)
    # Of a secret no part is repeated, whoever sent it: replies end up in logs.
    secret = "credentials" in request.url.path
    return _noted(
        request,
        *reply(
            Refused(
                HTTPStatus.UNPROCESSABLE_ENTITY, problems(error.errors(), show_found=not secret)
            )
        ),
    )


async def misled(request: Request, error: Exception) -> Response:
    """No such path or method, or a body that is no JSON."""
    assert isinstance(error, HTTPException)
    asked = f"{request.method} {request.url.path[:200]}"
    status = HTTPStatus(error.status_code)
    message = {
        HTTPStatus.NOT_FOUND: f"there is no {asked}. See /docs for what there is.",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{asked}: this path does not know that method. See /docs.",
        HTTPStatus.BAD_REQUEST: f"{asked}: the body cannot be read as JSON in UTF-8.",
    }.get(status, f"{asked}: {error.detail}")
    return _noted(request, *reply(Refused(status, message, headers=error.headers)))


def problems(errors: Sequence[Mapping[str, Any]], *, show_found: bool = True) -> str:
    """What was asked for and what came instead, place by place."""
    told = [_problem(error, show_found=show_found) for error in errors[:_SHOWN_PROBLEMS]]
    more = len(errors) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "") + ". See /docs."


def _problem(error: Mapping[str, Any], *, show_found: bool) -> str:
    place = ".".join(map(str, error["loc"]))[:200] or "the request"
    reason = str(error["msg"])[:300].rstrip(".")
    found = _found(error.get("input"))
    if not show_found or not found or error["type"] in {"missing", "json_invalid"}:
        return f"{place}: {reason}"
    return f"{place}: found {found}; {reason}"


def _found(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        text = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "a huge number"
        return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    return ""


def _report(error: QCPaaSError) -> ErrorReport:
    report = report_error(error)
    if isinstance(error, PlatformError) and report.message.startswith(_STORE):
        log.error("%s", error)
        return report.model_copy(update={"message": _STORE_TOLD})
    if isinstance(error, JobError) and not report.traceback_text:
        # `qcpaas.reports.rebuild` keeps a job's own traceback there.
        text = "\n".join(getattr(error, "__notes__", ()))
        return report.model_copy(update={"traceback_text": text})
    return report


def _headers(error: QCPaaSError) -> dict[str, str]:
    headers = {}
    if isinstance(error, NotLetIn):
        headers["WWW-Authenticate"] = "Bearer"
    after_s = getattr(error, "retry_after_s", None)
    if isinstance(error, PlatformUnavailable):
        after_s = after_s or _AWAY_S
    if after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(after_s)))
    return headers


def _response(status: HTTPStatus, report: ErrorReport, headers: Mapping[str, str]) -> Response:
    return Response(
        report.model_dump_json(), status, headers=dict(headers), media_type="application/json"
    )


def _noted(request: Request, response: Response, report: ErrorReport) -> Response:
    setattr(request.state, REFUSAL, report.type)
    return response
