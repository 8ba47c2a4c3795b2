"""Who is let in, and how much and for how long a client may send."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from adapters.open_hardware.messages import Problem
from adapters.open_hardware.tokens import Tokens
from qcpaas.errors import CredentialsRefused, DeviceUnavailable, InputError

BODY_WITHIN_S = 60.0  # from one piece of a request's body to the next

log = logging.getLogger(__name__)


class Entrance:
    """Looks at the token, then reads a request's body for the application.

    Turned away are a wrong token, before anything else is read; a body that is too large or slow;
    and one that is no JSON by its own word: a page in a browser cannot send JSON to another site
    without asking first.

    Args:
        guarded: How the paths begin that need a token.
        max_bytes: Of one body.
    """

    def __init__(self, app: Any, tokens: Tokens, guarded: str, max_bytes: int) -> None:
        self._app = app
        self._tokens = tokens
        self._guarded = guarded
        self._max_bytes = max_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if scope["path"].startswith(self._guarded):
            try:
                owner = self._tokens.owner(_bearer(headers))
            except CredentialsRefused as error:
                problem = Problem(error=CredentialsRefused.__name__, message=str(error))
                await _refuse(send, 401, problem)
                return
            except InputError:
                log.exception("nobody is let in")
                problem = Problem(
                    error=DeviceUnavailable.__name__,
                    message="the device cannot look up its tokens. Tell its owner.",
                    retryable=True,
                )
                await _refuse(send, 503, problem)
                return
            scope.setdefault("state", {})["owner"] = owner
        kind = headers.get(b"content-type", b"application/json").split(b";")[0].strip().lower()
        if scope["method"] == "POST" and kind != b"application/json":
            await _refuse(send, 415, _too("send JSON, as Content-Type: application/json."))
            return
        body = await self._body(headers, receive, send)
        if body is None:
            return
        replay = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def received() -> Any:
            return next(replay, None) or await receive()

        await self._app(scope, received, send)

    async def _body(self, headers: dict[bytes, bytes], receive: Any, send: Any) -> bytes | None:
        """``None`` where it was turned away, or the client has gone."""
        length = headers.get(b"content-length", b"0")
        pieces: list[bytes] = []
        whole = length.isdigit() and int(length) <= self._max_bytes
        while whole:
            try:
                message = await asyncio.wait_for(receive(), BODY_WITHIN_S)
            except TimeoutError:
                await _refuse(send, 408, _too(f"no more of it came in {BODY_WITHIN_S:g} s."))
                return None
            if message["type"] == "http.disconnect":
                return None
            pieces.append(message.get("body", b""))
            whole = sum(map(len, pieces)) <= self._max_bytes
            if whole and not message.get("more_body", False):
                return b"".join(pieces)
        await _refuse(
            send,
            413,
            _too(f"the body is larger than {self._max_bytes} bytes. Send fewer circuits in a job."),
        )
        return None


def _bearer(headers: dict[bytes, bytes]) -> str | None:
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _too(message: str) -> Problem:
    return Problem(error="SubmissionRefused", message=message)


async def _refuse(send: Any, status: int, problem: Problem) -> None:
    body = problem.model_dump_json().encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
