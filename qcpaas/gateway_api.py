"""The gateway's HTTP interface, and its errors as they were raised."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from qcpaas.errors import InputError, PlatformError, PlatformUnavailable, QCPaaSError, TooMuch
from qcpaas.reports import rebuild
from qcpaas.schemas import ErrorReport
from qcpaas.tracing import HEADER, current_traceparent

T = TypeVar("T")

_TIMEOUT_S = 30.0
# Of a request that may be repeated: a gateway that restarts is back within seconds.
_PAUSES_S = (0.2, 0.5, 1.0, 2.0)
_LONGEST_WAIT_S = 30.0
_REPEATABLE = {"GET", "PUT", "DELETE"}
_AWAY = {httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT}


class GatewayApi:
    """One gateway.

    Args:
        url: Its address, with or without ``/v1``.
        token: What lets its holder in; none where the gateway lets everybody in.
    """

    def __init__(self, url: str, token: str | SecretStr | None = None) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        secret = token.get_secret_value() if isinstance(token, SecretStr) else token
        headers = {"User-Agent": f"qcpaas/{_version()}", "Accept": "application/json"}
        if secret:
            headers["Authorization"] = f"Bearer {secret}"
        try:
            self._client = httpx.Client(
                base_url=f"{self.url}/v1/",
                headers=headers,
                timeout=_TIMEOUT_S,
                event_hooks={"request": [_join_trace]},
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            raise InputError(f"{url!r} is no address: {error}.") from error

    def __repr__(self) -> str:
        return f"GatewayApi({self.url!r})"

    def close(self) -> None:
        self._client.close()

    def ask(
        self,
        method: str,
        path: str,
        kind: type[T] | TypeAdapter[T],
        *,
        query: Mapping[str, Any] | None = None,
        body: BaseModel | Mapping[str, Any] | None = None,
        repeatable: bool | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> T:
        """What the gateway answers.

        Args:
            path: Below ``/v1``, its parts quoted.
            kind: What the reply is read as.
            repeatable: Whether the same request can be sent again where no answer came; by its
                method unless given.

        Raises:
            QCPaaSError: What the gateway raised.
            PlatformUnavailable: There is none at that address.
        """
        again = method in _REPEATABLE if repeatable is None else repeatable
        params = {name: value for name, value in (query or {}).items() if value is not None}
        response = self._send(
            method, path, again=again, params=params, timeout=timeout_s, **_content(body)
        )
        adapter = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
        try:
            return adapter.validate_json(response.content)
        except ValidationError as error:
            raise self._foreign(path, error) from error

    def tell(
        self, method: str, path: str, body: BaseModel | Mapping[str, Any] | None = None
    ) -> None:
        """As `ask`, of a request whose reply is empty."""
        self._send(method, path, again=method in _REPEATABLE, **_content(body))

    @contextmanager
    def stream(self, path: str) -> Iterator[Iterator[str]]:
        """The lines of a reply that has no end yet.

        Raises:
            QCPaaSError: What the gateway raised.
            PlatformUnavailable: There is none at that address, or it went away.
        """
        accept = {"Accept": "text/event-stream"}
        with self._translated(), self._client.stream("GET", path, headers=accept) as response:
            if response.is_error:
                response.read()
                raise self._error(response, path)
            yield response.iter_lines()

    def _send(self, method: str, path: str, *, again: bool, **asked: Any) -> httpx.Response:
        pauses = iter(_PAUSES_S)
        while True:
            pause_s = next(pauses, None)
            try:
                with self._translated():
                    response = self._client.request(method, path, **asked)
                if not response.is_error:
                    return response
                raise self._error(response, path)
            except (PlatformUnavailable, TooMuch) as error:
                refused = isinstance(error, TooMuch)  # it did nothing, whatever was asked
                if pause_s is None or not (again or refused):
                    raise
                told_s = error.retry_after_s if isinstance(error, TooMuch) else None
                wait_s = told_s or pause_s
                if wait_s > _LONGEST_WAIT_S:
                    raise
            time.sleep(wait_s)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.UnsupportedProtocol as error:
            raise InputError(f"{self.url!r} is no address. Write http://host:port.") from error
        except httpx.TransportError as error:
            raise PlatformUnavailable(
                f"no platform answers at {self.url} ({type(error).__name__}). Start one with "
                "`make up`, or check the address (--remote, QCPAAS_API_URL)."
            ) from error

    def _error(self, response: httpx.Response, path: str) -> QCPaaSError:
        """The error that a refusal stands for; the gateway's own words where there are any."""
        try:
            error = rebuild(ErrorReport.model_validate_json(response.content))
        except ValidationError:
            kind = PlatformUnavailable if response.status_code in _AWAY else PlatformError
            return kind(
                f"what answers at {self.url} is no platform, or is behind something else: it "
                f"answered {response.status_code} to {path}. Check the address (--remote, "
                "QCPAAS_API_URL): it is the gateway's, which `make up` tells."
            )
        if isinstance(error, TooMuch):
            error.retry_after_s = _seconds(response.headers.get("Retry-After"))
        return error

    def _foreign(self, path: str, error: ValidationError) -> PlatformError:
        return PlatformError(
            f"the reply of {self.url} to {path} cannot be read by this version of the client: "
            f"{error.error_count()} fields differ. Use the client of the platform's version, and "
            "check the address (--remote, QCPAAS_API_URL): it is the gateway's."
        )


def _content(body: BaseModel | Mapping[str, Any] | None) -> dict[str, Any]:
    if body is None:
        return {}
    plain = body.model_dump(mode="json") if isinstance(body, BaseModel) else body
    # NaN as such: the gateway says what is wrong with it.
    return {"content": json.dumps(plain), "headers": {"Content-Type": "application/json"}}


def _join_trace(request: httpx.Request) -> None:
    """Where the caller's program traces itself with OpenTelemetry, the gateway's spans join it."""
    traceparent = current_traceparent()
    if traceparent:
        request.headers[HEADER] = traceparent


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdigit() else None


def _version() -> str:
    try:
        return version("qcpaas")
    except PackageNotFoundError:
        return "unknown"
