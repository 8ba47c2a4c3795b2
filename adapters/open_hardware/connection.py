"""HTTP to one device behind the open hardware API: requests, replies, and what goes wrong."""

from __future__ import annotations

import ssl
import weakref
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from adapters.contract import Unsupported
from adapters.open_hardware.credentials import OpenHardwareCredentials
from adapters.open_hardware.messages import PREFIX, Problem
from adapters.open_hardware.problems import UNSUPPORTED, kind_named
from adapters.open_hardware.settings import OpenHardwareSettings
from qcpaas.errors import (
    AcceptanceUnknown,
    AdapterError,
    CredentialsRefused,
    DeviceUnavailable,
    InputError,
    MalformedReply,
    QCPaaSError,
    SubmissionRefused,
)

# Nothing of the request can have left this machine.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NOT_TAKEN = frozenset({501, 503})
_QUOTED = 200
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_BY_STATUS: dict[int, type[QCPaaSError]] = {
    401: CredentialsRefused,
    403: CredentialsRefused,
    413: SubmissionRefused,
    429: DeviceUnavailable,
    500: DeviceUnavailable,
    502: DeviceUnavailable,
    503: DeviceUnavailable,
    504: DeviceUnavailable,
}

Message = TypeVar("Message", bound=BaseModel)


@dataclass(frozen=True)
class Answer:
    """``body`` is whole: nothing of it is left on the way."""

    status: int
    body: bytes


class Connection:
    """Args:
    device: Its name here, for messages.

    Raises:
        InputError: The address is no URL, would take the token over plain HTTP, or the file of
            certificates cannot be read.
    """

    def __init__(
        self,
        device: str,
        url: str,
        credentials: OpenHardwareCredentials,
        settings: OpenHardwareSettings,
    ) -> None:
        self.device = device
        self.url = url.rstrip("/")
        self._credentials = credentials
        self._settings = settings
        token = None if credentials.token is None else credentials.token.get_secret_value()
        host = _checked_host(device, self.url, has_token=bool(token), settings=settings)
        self._client = httpx.Client(
            base_url=f"{self.url}{PREFIX}",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(settings.reply_s, connect=settings.connect_s),
            trust_env=host not in _LOCAL,  # a proxy of this machine does not lead to itself
            verify=_trusted(settings, self.url),
        )
        weakref.finalize(self, self._client.close)

    def get(
        self, path: str, kind: type[Message], query: dict[str, str] | None = None
    ) -> Message | Unsupported:
        """What is read may be asked twice; a connection that the other side closed is renewed."""
        return self.read(self.ask("GET", path, query=query), kind)

    def post(self, path: str, kind: type[Message]) -> Message | Unsupported:
        """For what does no harm when it is asked twice."""
        return self.read(self.ask("POST", path), kind)

    def ask(
        self, method: str, path: str, query: dict[str, str] | None = None, wait_s: float = 0.0
    ) -> Answer:
        """A request that may be sent twice without harm.

        Args:
            wait_s: How much longer than usual the answer may take.

        Raises:
            DeviceUnavailable: It cannot be reached.
        """
        for attempt in (1, 2):
            try:
                return self._sent(method, path, query=query, wait_s=wait_s)
            except httpx.RemoteProtocolError as error:
                if attempt == 2:
                    raise self._away(error) from None
            except httpx.HTTPError as error:
                raise self._away(error) from None
        raise AssertionError

    def submit(self, body: bytes, kind: type[Message], token: str) -> Message:
        """A submission, sent once.

        Raises:
            DeviceUnavailable: Nothing was sent, or nothing taken.
            AcceptanceUnknown: It was sent, and no answer came that can be read.
            QCPaaSError: Whatever the device says against it.
        """
        headers = {"Content-Type": "application/json"}
        try:
            answer = self._sent("POST", "/jobs", content=body, headers=headers)
        except _NOT_SENT as error:
            raise self._away(error) from None
        except (httpx.HTTPError, MalformedReply) as error:
            raise self._unknown(token, _said(error)) from None
        if answer.status >= 500 and answer.status not in _NOT_TAKEN:
            raise self._unknown(token, f"status {answer.status}: {self._quoted(answer)}")
        try:
            found = self.read(answer, kind)
        except MalformedReply as error:
            raise self._unknown(token, str(error)) from None
        if isinstance(found, Unsupported):
            raise SubmissionRefused(f"{self.device}: {found.reason}")
        return found

    def read(self, answer: Answer, kind: type[Message]) -> Message | Unsupported:
        """The message of an answer.

        Raises:
            MalformedReply: It is none.
            QCPaaSError: The problem that the device tells.
        """
        if 200 <= answer.status < 300:
            return self._validated(answer, kind)
        problem = _problem(answer)
        if problem is not None and problem.error == UNSUPPORTED:
            return Unsupported(problem.operation or "operation", self._scrub(problem.message))
        raise self._error(answer, problem)

    def malformed(self, error: MalformedReply) -> MalformedReply:
        """The same, saying whose reply it is."""
        return MalformedReply(f"{self.device} at {self.url}: {self._scrub(str(error))}")

    # --- what goes wrong --------------------------------------------------------------------

    def _sent(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        wait_s: float = 0.0,
    ) -> Answer:
        settings = self._settings
        most = settings.max_reply_mib * 2**20
        timeout = httpx.Timeout(settings.reply_s + wait_s, connect=settings.connect_s)
        with self._client.stream(
            method, path, params=query, content=content, headers=headers, timeout=timeout
        ) as reply:
            pieces, size = [], 0
            for piece in reply.iter_bytes():
                pieces.append(piece)
                size += len(piece)
                if size > most:
                    raise MalformedReply(
                        f"{self.device} at {self.url} sent a reply of over "
                        f"{settings.max_reply_mib} MiB. Ask for less, or raise max_reply_mib."
                    )
        return Answer(reply.status_code, b"".join(pieces))

    def _validated(self, answer: Answer, kind: type[Message]) -> Message:
        try:
            return kind.model_validate_json(answer.body)
        except (ValidationError, ValueError, RecursionError) as error:
            raise MalformedReply(
                f"{self.device} at {self.url} sent no {kind.__name__}: {_first(error)}; it sent "
                f"{self._quoted(answer)!r}."
            ) from None

    def _error(self, answer: Answer, problem: Problem | None) -> QCPaaSError:
        told = self._scrub(problem.message) if problem else f"{self._quoted(answer)!r}"
        kind = kind_named(problem.error) if problem else None
        kind = kind or _BY_STATUS.get(answer.status)
        if kind is None and problem is None:
            return MalformedReply(
                f"{self.device}: nothing at {self.url} speaks the open hardware API: status "
                f"{answer.status}, {told}. Correct the address."
            )
        if kind is CredentialsRefused:
            return CredentialsRefused(f"{self.device} at {self.url}: {told}")
        return (kind or AdapterError)(f"{self.device}: {told}")

    def _away(self, error: Exception) -> DeviceUnavailable:
        return DeviceUnavailable(
            f"{self.device} at {self.url} cannot be reached: {self._scrub(_said(error))}. Try "
            "again later, or correct its address."
        )

    def _unknown(self, token: str, found: str) -> AcceptanceUnknown:
        return AcceptanceUnknown(
            f"a job was sent to {self.device} under token {token}, and no answer came: "
            f"{self._scrub(found)}. Look for the token before it is sent again."
        )

    def _quoted(self, answer: Answer) -> str:
        return self._scrub(answer.body[: 2 * _QUOTED].decode("utf-8", "replace"))[:_QUOTED]

    def _scrub(self, text: str) -> str:
        return self._credentials.scrubbed(text)


def _checked_host(device: str, url: str, *, has_token: bool, settings: OpenHardwareSettings) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        valid = parts.scheme in {"http", "https"} and host and (parts.port or 1)
    except ValueError:
        valid, host = False, ""
    if not valid or parts.query or parts.fragment or parts.username:
        raise InputError(
            f"{device}: the address {url!r} is no URL of a device. Write it as "
            "https://qpu.lab.example/emu; a token goes into QCPAAS_QPU_TOKEN."
        )
    if has_token and parts.scheme == "http" and host not in _LOCAL and not settings.clear_text:
        raise InputError(
            f"{device}: the token would travel to {host} over plain HTTP, for everybody to read. "
            "Give an https address, or register the device with the setting clear_text."
        )
    return host


def _trusted(settings: OpenHardwareSettings, url: str) -> ssl.SSLContext:
    if url.startswith("http:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # no file is read for it
    try:
        return ssl.create_default_context(cafile=settings.ca_bundle or None)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"the certificates {settings.ca_bundle} cannot be read: {error}. Correct ca_bundle."
        ) from error


def _problem(answer: Answer) -> Problem | None:
    if answer.status < 400:
        return None
    try:
        return Problem.model_validate_json(answer.body)
    except (ValidationError, ValueError, RecursionError):
        return None


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place or 'it'}: {first['msg']}"[:_QUOTED]
    return type(error).__name__


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
