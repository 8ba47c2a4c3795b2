"""Which requests are written into the audit, and what of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from gateway.rate_limits import RateLimits
from gateway.replies import REFUSAL
from gateway.visit import Visit
from qcpaas.errors import QCPaaSError
from qcpaas.scheduling import AuditRecord
from store.audit import AuditTrail
from store.database import Store

TARGET = "audit_target"
# They spend nothing and change nothing, though they carry a body.
_QUESTIONS = {"/v1/estimates"}
_READS = {"GET", "HEAD", "OPTIONS"}
_TELLING = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}

log = logging.getLogger(__name__)


def about(request: Request, target: str) -> None:
    """Say what a request was about, where its path does not: the id of a new job."""
    setattr(request.state, TARGET, target)


class Audit:
    """Every change is written, and so is every refusal of one.

    Of questions only refusals count: a wrong token, a missing role, too many requests, another
    user's job; at most 30 a minute of one user or address, so that nobody fills the disk.
    """

    def __init__(self, store: Store, limits: RateLimits) -> None:
        self._trail = AuditTrail(store)
        self._limits = limits

    async def note(self, visit: Visit, scope: Scope, status: int) -> None:
        """Before the answer goes out: who is told that it is done finds it in the audit."""
        if not self._counts(visit, scope, status):
            return
        record = _record(visit, scope, status)
        try:
            await run_in_threadpool(self._trail.add, record)
        except QCPaaSError as error:
            # What was asked is done or refused; the log has the line that the store could not take.
            log.warning("audit %s: %s", record.model_dump_json(), error)

    def _counts(self, visit: Visit, scope: Scope, status: int) -> bool:
        changes = visit.method not in _READS and visit.path not in _QUESTIONS
        if changes and status < 400:
            return True
        foreign = status == HTTPStatus.NOT_FOUND and "path_params" in scope and _route(scope)
        if not changes and status not in _TELLING and not foreign:
            return False
        known = visit.person is not None and status != HTTPStatus.TOO_MANY_REQUESTS
        if changes and known:
            return True  # of one user the rate limit bounds them
        whom = visit.address if visit.person is None else visit.person.name
        return self._limits.may_note(whom)


def _record(visit: Visit, scope: Scope, status: int) -> AuditRecord:
    state: Mapping[str, Any] = scope.get("state", {})
    parameters: Mapping[str, Any] = scope.get("path_params") or {}
    target = state.get(TARGET) or "/".join(map(str, parameters.values()))
    refusal = state.get(REFUSAL) or f"HTTP {status}"
    return AuditRecord(
        at=datetime.now(UTC),
        user="" if visit.person is None else visit.person.name,
        action=route_name(scope) or f"{visit.method} {visit.path}",
        target=target,
        outcome="done" if status < 400 else refusal,
        address=visit.address,
        request_id=visit.request_id,
    )


def route_name(scope: Scope) -> str:
    """Such as ``job.submit``; empty before a request has found its endpoint."""
    return str(getattr(_route(scope), "name", "") or "")


def _route(scope: Scope) -> Any:
    return scope.get("route")
