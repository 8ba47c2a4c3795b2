"""What goes wrong between the client and IBM, as errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from ssl import SSLCertVerificationError
from typing import Any, NoReturn

from adapters.credentials import HIDDEN, Credentials
from qcpaas.errors import (
    AcceptanceUnknown,
    AdapterError,
    CredentialsRefused,
    DeviceUnavailable,
    MalformedReply,
    QCPaaSError,
    SubmissionRefused,
)

LONGEST = 300  # characters of a vendor's message

_REFUSED = {401, 403}
_AWAY = {429, 503}  # a bad gateway (502) may have lost the way after the job was taken


class Translator:
    """Errors of one device's client.

    Args:
        device: For messages.
        credentials: Whose secrets no message tells.
    """

    def __init__(self, device: str, credentials: Credentials) -> None:
        self._device = device
        self._credentials = credentials

    def refuse(self, kind: type[Exception], text: str, cause: Exception | None) -> NoReturn:
        """Raise an error of ours; its cause is left out where it tells a secret."""
        error = kind(self._credentials.scrubbed(text))
        if cause is not None and self._is_clean(cause):
            raise error from cause
        raise error from None

    def asked(self, error: Exception, trouble: Any = None) -> NoReturn:
        """Of a request that changes nothing, or that may be repeated.

        Args:
            trouble: What the transport met, where the client does not tell.
        """
        self._ours(error)
        status, text = status_of(error, trouble), self._text(error, trouble)
        if status is not None:
            kind, advice = _of_status(status)
            self.refuse(kind, f"{self._device}: {text}. {advice}", error)
        if _lost(error, trouble):
            self.refuse(
                DeviceUnavailable,
                f"{self._device} cannot be reached: {text}. Try again later.",
                error,
            )
        self.refuse(
            MalformedReply,
            f"{self._device} answered what its interface does not allow: {text}. Ask again later.",
            error,
        )

    def submitted(self, error: Exception, trouble: Any, token: str) -> NoReturn:
        """Of a submission that was sent, as far as one can know."""
        self._ours(error)
        status, text = status_of(error, trouble), self._text(error, trouble)
        if status in _REFUSED:
            self.refuse(CredentialsRefused, f"{self._device}: {text}. Check the API key.", error)
        if status in _AWAY or _unsent(error, trouble):
            self.refuse(
                DeviceUnavailable,
                f"{self._device} took no job: {text}. Send it again later.",
                error,
            )
        if status is not None and 400 <= status < 500:
            self.refuse(SubmissionRefused, f"{self._device} refuses the job: {text}", error)
        self.refuse(
            AcceptanceUnknown,
            f"a job was sent to {self._device} under token {token}, and no readable answer came: "
            f"{text}. Look for the token before it is sent again.",
            error,
        )

    def unsent(self, error: Exception, trouble: Any) -> NoReturn:
        """Of a submission that the client gave up before it sent it."""
        self._ours(error)
        checked = isinstance(error, ValueError) and not _is_parsing(error)
        if checked and trouble is None:
            self.refuse(
                SubmissionRefused,
                f"{self._device} cannot run the job: {self._text(error, None)}",
                error,
            )
        self.asked(error, trouble)

    def _ours(self, error: BaseException) -> None:
        for each in _chain(error):
            if isinstance(each, QCPaaSError):
                raise each

    def _text(self, error: Exception, trouble: Any) -> str:
        text = _message(trouble if isinstance(trouble, Exception) else error)
        if hasattr(trouble, "status_code"):
            text = f"status {trouble.status_code}: {trouble.text}"
        text = " ".join(text.split()) or type(error).__name__
        return text[:LONGEST].rstrip(". ")

    def _is_clean(self, error: BaseException) -> bool:
        texts = [f"{each} {each.args!r}" for each in _chain(error)]
        return not any(HIDDEN in self._credentials.scrubbed(text) for text in texts)


def _of_status(status: int) -> tuple[type[AdapterError], str]:
    if status in _REFUSED:
        return CredentialsRefused, "Check the API key, and that its account has the instance."
    if status == 429 or status >= 500:
        return DeviceUnavailable, "Try again later."
    return AdapterError, "Check the device's name and settings."


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from, each once."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def status_of(error: BaseException, trouble: Any) -> int | None:
    """The HTTP status that was refused with."""
    for each in [*_chain(error), trouble]:
        reply = getattr(each, "response", None)
        for status in (getattr(reply, "status_code", None), getattr(each, "status_code", None)):
            if isinstance(status, int) and status >= 400:
                return status
    return None


def _message(error: BaseException) -> str:
    """What the server says, without the client's words around it, or what the client says."""
    for each in _chain(error):
        reply = getattr(each, "response", None)
        if reply is not None:
            return f"status {reply.status_code}: {reply.text}"
    return str(error) if isinstance(error, ValueError) else repr(error)


def _lost(error: BaseException, trouble: Any) -> bool:
    """Whether a request failed on its way."""
    from requests import RequestException
    from requests.exceptions import InvalidJSONError

    return any(
        isinstance(each, RequestException) and not isinstance(each, InvalidJSONError)
        for each in [*_chain(error), trouble]
    )


def _unsent(error: BaseException, trouble: Any) -> bool:
    """Whether no byte of the request can have reached the server.

    An error of a proxy alone does not say so: see `adapters.ibm.transport.Deadlines`.
    """
    from requests.exceptions import ConnectTimeout
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    never = (ConnectTimeout, ConnectTimeoutError, NewConnectionError, SSLCertVerificationError)
    met = trouble if isinstance(trouble, Exception) else None
    for each in [*_chain(error), *_chain(met)]:
        for reason in _reasons(each):
            if isinstance(reason, never) or "Tunnel connection failed" in str(reason):
                return True
    return False


def _reasons(error: BaseException) -> Iterator[Any]:
    """An error and those that are packed into it."""
    yield error
    inside = (getattr(error, "reason", None), getattr(error, "original_error", None))
    for packed in (*error.args, *inside):
        if isinstance(packed, Exception):
            yield from _reasons(packed)


def _is_parsing(error: Exception) -> bool:
    from json import JSONDecodeError

    return isinstance(error, JSONDecodeError | UnicodeDecodeError)
