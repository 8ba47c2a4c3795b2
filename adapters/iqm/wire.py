"""Every request of IQM's client: with a deadline, the right token, and an answer that is checked.

The client waits for two minutes, prefers the environment's token to the one that it was given, and
tells a refusal from a broken connection by many types of error. What goes wrong on the way is one
`WireError` here; what it means depends on what was asked (`adapters.iqm.errors`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import Enum
from typing import Any

from adapters.iqm.credentials import IqmCredentials

CONNECT_S = 4.0
REPLY_S = 30.0
SUBMISSION_REPLY_S = 90.0  # a large batch is validated before it is accepted
QUOTED = 200  # characters

Send = Callable[..., Any]


class Stage(Enum):
    """How far a request came."""

    NOT_SENT = "not sent"
    NO_ANSWER = "no answer"
    ANSWERED = "answered"


class WireError(Exception):
    """A request without the answer that was asked for.

    Attributes:
        status: HTTP status of the answer; 0 where none came.
    """

    def __init__(self, stage: Stage, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.stage = stage
        self.status = status


class Authorization:
    """The header that lets requests in; knows every token that it has handed out.

    The client's own reading of the environment is not used: a server whose credentials hold no
    token would be sent another server's.
    """

    def __init__(self, credentials: IqmCredentials) -> None:
        self._credentials = credentials
        self._told: set[str] = set()

    def header(self) -> str | None:
        """Raises the client's ``ClientAuthenticationError`` where a tokens file cannot be used."""
        given = self._credentials
        if given.token is not None:
            return f"Bearer {given.token.get_secret_value()}"
        if given.tokens_file is None:
            return None
        from iqm.station_control.client.authentication import TokensFileReader

        token = TokensFileReader(str(given.tokens_file)).get_token()
        self._told.add(token)
        return f"Bearer {token}"

    def scrubbed(self, text: str) -> str:
        for token in self._told:
            text = text.replace(token, "***")
        return self._credentials.scrubbed(text)


def guarded(method: Send, authorization: Authorization) -> Send:
    """One of the methods of ``requests`` as the client is to call it.

    Raises:
        WireError: Instead of an answer with an error status, and of every error of ``requests``.
    """
    import requests

    @functools.wraps(method)
    def send(url: str, **given: Any) -> Any:
        headers = {k: v for k, v in given.pop("headers", {}).items() if k != "Authorization"}
        bearer = authorization.header()
        if bearer is not None:
            headers["Authorization"] = bearer
        posts = method.__name__ == "post" and given.get("data") is not None
        given["timeout"] = (CONNECT_S, SUBMISSION_REPLY_S if posts else REPLY_S)
        try:
            reply = method(url, headers=headers, **given)
        except requests.RequestException as error:
            message = authorization.scrubbed(f"{type(error).__name__}: {error}")
            raise WireError(_stage(error), message[: 2 * QUOTED]) from None
        if reply.status_code >= 300:
            message = authorization.scrubbed(_told(reply))
            raise WireError(Stage.ANSWERED, message, reply.status_code)
        return reply

    return send


def _stage(error: Exception) -> Stage:
    """Whether anything of a request can have reached the other side; in doubt, it can."""
    import requests
    from urllib3 import exceptions as urllib3

    # Where what is asked for is no address at all, `requests` raises a ValueError too.
    unsent = (requests.ConnectTimeout, requests.exceptions.ProxyError, ValueError)
    unreadable = requests.JSONDecodeError | requests.exceptions.ContentDecodingError
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(error, unsent) and not isinstance(error, unreadable):
        return Stage.NOT_SENT
    if isinstance(reason, urllib3.NewConnectionError | urllib3.ConnectTimeoutError):
        return Stage.NOT_SENT
    return Stage.NOT_SENT if "CERTIFICATE_VERIFY_FAILED" in str(error) else Stage.NO_ANSWER


def _told(reply: Any) -> str:
    """The server's own words, or the beginning of what it sent."""
    try:
        body = reply.json()
        told = body.get("message") or body.get("detail")
    except (ValueError, AttributeError, RecursionError):
        told = None
    text = told if isinstance(told, str) else reply.text
    return f"status {reply.status_code}: {text[:QUOTED]}"
