"""Reading a request's body: so much, so fast, and JSON that says what it means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from gateway.replies import Refused

PIECE_WITHIN_S = 60.0  # from one piece of a body to the next
_HELD_BODIES = 4  # largest ones that a process holds at once
_METHODS = {"POST", "PUT", "PATCH", "DELETE"}


class Bodies:
    """Args:
    max_bytes: Of one request.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held_bytes = 0

    @asynccontextmanager
    async def taken(self, scope: Scope, receive: Receive) -> AsyncIterator[Receive]:
        """Read a body in full, and hand it to the application as one piece.

        Raises:
            Refused: It is compressed, no JSON, too large or too slow, or many others are held.
            ClientDisconnect: Nobody waits for an answer.
        """
        headers = dict(scope["headers"])
        if scope["method"] not in _METHODS or not _has_body(headers):
            yield receive
            return
        _check_headers(headers, self._max_bytes)
        pieces: list[bytes] = []
        try:
            async for piece in _pieces(receive):
                self._held_bytes += len(piece)
                pieces.append(piece)
                self._check_size(sum(map(len, pieces)))
            body = b"".join(pieces)
            await _check_json(body)
            yield _replay(body, receive)
        finally:
            self._held_bytes -= sum(map(len, pieces))

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise _too_large(self._max_bytes)
        if self._held_bytes > _HELD_BODIES * self._max_bytes:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "many large requests are being read now. Send this one again in a few seconds.",
                retryable=True,
                headers={"Retry-After": "5", "Connection": "close"},
            )


def _has_body(headers: dict[bytes, bytes]) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def _check_headers(headers: dict[bytes, bytes], max_bytes: int) -> None:
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding != b"identity":
        # A few kilobytes of gzip can unfold to gigabytes.
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the body is compressed ({encoding[:40].decode('latin-1')}), and the gateway unfolds "
            "nothing. Send it as it is.",
            headers={"Accept-Encoding": "identity", "Connection": "close"},
        )
    kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    # A page in a browser cannot send JSON to another site without asking first.
    if kind != b"application/json":
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the body is {kind[:80].decode('latin-1') or 'of no named type'}. Send JSON, as "
            "Content-Type: application/json.",
            headers={"Connection": "close"},
        )
    length = headers.get(b"content-length", b"")
    if length and not length.isdigit():
        raise Refused(HTTPStatus.BAD_REQUEST, "Content-Length is no number.")
    if length and int(length[:20]) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is larger than the {max_bytes} bytes that this gateway takes. Send fewer "
        "circuits in a job, or less data in its inputs and source.",
        headers={"Connection": "close"},
    )


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        try:
            message = await asyncio.wait_for(receive(), PIECE_WITHIN_S)
        except TimeoutError:
            raise Refused(
                HTTPStatus.REQUEST_TIMEOUT,
                f"no more of the body came within {PIECE_WITHIN_S:g} s.",
                retryable=True,
                headers={"Connection": "close"},
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _check_json(body: bytes) -> None:
    """NaN and Infinity are no JSON, and Python's reader takes them silently."""
    if b"NaN" in body or b"Infinity" in body:  # often a text that speaks of them
        await run_in_threadpool(_refuse_constants, body)


def _refuse_constants(body: bytes) -> None:
    try:
        json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return  # no JSON at all: that is found again, and told, where it is read


def _refuse_constant(name: str) -> float:
    raise Refused(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"the body says {name}, which JSON does not have. Leave the value out, or send a number.",
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    message = {"type": "http.request", "body": body, "more_body": False}
    replay = iter([message])

    async def received() -> Any:
        return next(replay, None) or await receive()

    return received
