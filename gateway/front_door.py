"""What every request passes on its way in, and every answer on its way out."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from opentelemetry.trace import Span
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.audit import Audit, route_name
from gateway.body import Bodies
from gateway.platform import Platform
from gateway.rate_limits import RateLimits
from gateway.replies import REFUSAL, Refused, reply, unexpected_reply
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import ended
from gateway.visit import Visit
from qcpaas.errors import NotLetIn, QCPaaSError

OPEN_PATHS = {"/health", "/ready", "/docs", "/openapi.json"}
METRICS = "/metrics"
LOGGED = logging.INFO
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
# The page of the description draws itself with a script from there.
_DOCS_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data: https://fastapi.tiangolo.com; "
    "style-src https://cdn.jsdelivr.net 'unsafe-inline'; "
    "script-src https://cdn.jsdelivr.net 'unsafe-inline'; frame-ancestors 'none'"
)

log = logging.getLogger(__name__)


class FrontDoor:
    """Identifies, lets in, limits and audits; plain ASGI, so that streams flow through it.

    Puts ``person`` and ``request_id`` into the request's state. Whatever goes wrong is answered
    with an `ErrorReport`.
    """

    def __init__(self, app: ASGIApp, platform: Platform, metrics: Metrics) -> None:
        self._app = app
        self._platform = platform
        self._limits = RateLimits(platform.settings.requests_a_minute)
        self._bodies = Bodies(platform.settings.max_body_bytes)
        self._audit = Audit(platform.store, self._limits)
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = Visit.of(scope)
        scope.setdefault("state", {})["request_id"] = visit.request_id
        traceparent = visit.headers.get("traceparent", "")
        with self._platform.tracing.request(visit.method, traceparent, visit.request_id) as span:
            answer = _Answer(visit, scope, send, self._audit.note)
            try:
                await self._answer(visit, scope, receive, answer)
            finally:
                self._note(visit, scope, answer, span)

    async def _answer(self, visit: Visit, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            await self._serve(visit, scope, receive, answer)
        except ClientDisconnect:
            return
        except Exception as error:
            if answer.status:  # too late for another answer: the connection is cut
                raise
            await self._refuse(error, visit, scope, answer)

    async def _serve(self, visit: Visit, scope: Scope, receive: Receive, answer: _Answer) -> None:
        visit.check_headers()
        await self._let_in(visit)
        scope["state"]["person"] = visit.person
        async with self._bodies.taken(scope, receive) as received:
            await self._app(scope, received, answer)

    async def _let_in(self, visit: Visit) -> None:
        if self._platform.settings.auth == "none":
            visit.check_local()
        if visit.path in OPEN_PATHS or (visit.path == METRICS and self._shows_metrics(visit)):
            self._limits.address(visit.address)
            return
        self._limits.may_try(visit.address)
        try:
            visit.person = await run_in_threadpool(
                self._platform.authenticator.person, visit.headers.get("authorization")
            )
        except NotLetIn:
            self._limits.failure(visit.address)
            raise
        self._limits.user(visit.person.name)

    def _shows_metrics(self, visit: Visit) -> bool:
        return self._platform.settings.metrics == "local" and visit.is_local

    async def _refuse(self, error: Exception, visit: Visit, scope: Scope, answer: _Answer) -> None:
        if isinstance(error, QCPaaSError | Refused):
            response, report = reply(error)
        else:
            log.error("%s %s %s", visit.request_id, visit.method, visit.path, exc_info=error)
            response, report = unexpected_reply(visit.request_id)
        scope["state"][REFUSAL] = report.type
        await response(scope, _nothing, answer)

    def _note(self, visit: Visit, scope: Scope, answer: _Answer, span: Span) -> None:
        seconds = answer.seconds()
        route, refusal = route_name(scope), scope["state"].get(REFUSAL, "")
        self._metrics.answered(route, answer.status, seconds, refusal)
        ended(span, route, visit.method, answer.status, refusal)
        level = logging.WARNING if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR else LOGGED
        log.log(
            level,
            "%s %s %s %d %.1f ms user=%s address=%s %s",
            visit.request_id,
            visit.method,
            visit.path[:200].encode("unicode_escape").decode(),
            answer.status,
            seconds * 1000,
            visit.person.name if visit.person else "-",
            visit.address,
            refusal,
        )


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


class _Answer:
    """The way out: notes status and time, adds headers; ``status`` is 0 until it begins."""

    def __init__(
        self,
        visit: Visit,
        scope: Scope,
        send: Send,
        audit: Callable[[Visit, Scope, int], Awaitable[None]],
    ) -> None:
        self._visit = visit
        self._scope = scope
        self._send = send
        self._audit = audit
        self._asked_at = time.perf_counter()
        self._began_at: float | None = None
        self.status = 0

    def seconds(self) -> float:
        """From the request to the first byte of its answer, or so far."""
        return (self._began_at or time.perf_counter()) - self._asked_at

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            await self._audit(self._visit, self._scope, self.status)
            self._add_headers(MutableHeaders(scope=message))
            self._began_at = time.perf_counter()
        await self._send(message)

    def _add_headers(self, headers: MutableHeaders) -> None:
        headers["X-Request-ID"] = self._visit.request_id
        for name, value in _SECURITY.items():
            headers.setdefault(name, value)
        if self._visit.path == "/docs":
            headers["Content-Security-Policy"] = _DOCS_POLICY
        if self._scope.get("scheme") == "https":
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
