"""Prefect's REST API, as far as the platform's own parts need it, and its errors in our words."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr, ValidationError

from qcpaas.errors import InputError, PlatformError, PlatformUnavailable
from qcpaas.wire import Wire

_Wire = TypeVar("_Wire", bound=Wire)

ANSWER = "answer"  # type of the artifact that a flow leaves behind where it answers a question
_TIMEOUT_S = 30.0
# Prefect answers 503 while its database is locked, and has done nothing then: SQLite under load.
_BUSY_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
_PAGE = 200  # Prefect's own upper limit for one reply
_DEFAULT_PARAMETER_BYTES = 524_288


class PrefectApi:
    """One Prefect server.

    Args:
        url: Its address, with or without ``/api``.
        token: Its shared authentication string, where it has one; unless given, what Prefect's own
            clients find in ``PREFECT_API_AUTH_STRING``.
        name: What messages call it; its address unless given.
    """

    def __init__(
        self, url: str, token: str | SecretStr | None = None, *, name: str | None = None
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/api")
        self.name = name or f"the Prefect server at {self.url}"
        given = token.get_secret_value() if isinstance(token, SecretStr) else token
        secret = given or os.environ.get("PREFECT_API_AUTH_STRING")
        headers = {}
        if secret:
            headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
        try:
            self._client = httpx.Client(
                base_url=f"{self.url}/api/",
                headers=headers,
                timeout=_TIMEOUT_S,
                transport=httpx.HTTPTransport(retries=2),
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            raise InputError(f"{url!r} is no address: {error}.") from error
        self._parameter_bytes: int | None = None

    def __repr__(self) -> str:
        return f"PrefectApi({self.url!r})"

    def close(self) -> None:
        self._client.close()

    def get(self, path: str) -> Any:
        """The reply's JSON; ``None`` where the server has no such thing."""
        return self._send("GET", path)

    def post(self, path: str, body: Any) -> Any:
        """The reply's JSON; ``None`` where the server has no such thing."""
        return self._send("POST", path, body)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """The reply's JSON; ``None`` where the server has no such thing."""
        return self._send("PATCH", path, body)

    def put(self, path: str, body: dict[str, Any]) -> Any:
        """The reply's JSON; ``None`` where the server has no such thing."""
        return self._send("PUT", path, body)

    def delete(self, path: str) -> Any:
        """The reply's JSON; ``None`` where the server has no such thing."""
        return self._send("DELETE", path)

    def create_run(self, deployment_id: str, body: dict[str, Any]) -> Any:
        """Create a flow run of a deployment.

        Raises:
            InputError: Its parameters are larger than the server takes.
        """
        size = len(json.dumps(body["parameters"]).encode())
        limit = self._max_parameter_bytes()
        if limit and size > limit:
            raise InputError(
                f"the job has {size / 1e6:.2f} MB; {self.name} takes {limit / 1e6:.2f} MB "
                "(PREFECT_SERVER_API_MAX_PARAMETER_SIZE). Send fewer circuits in a job, or less "
                "data in the inputs and the source."
            )
        return self.post(f"deployments/{deployment_id}/create_flow_run", body)

    def runs(self, tags: Sequence[str], limit: int) -> list[dict[str, Any]]:
        """Flow runs that carry all tags, the newest first."""
        found: list[dict[str, Any]] = []
        while len(found) < limit:
            page = self.post(
                "flow_runs/filter",
                {
                    "flow_runs": {"tags": {"all_": list(tags)}},
                    "sort": "EXPECTED_START_TIME_DESC",
                    "limit": min(_PAGE, limit - len(found)),
                    "offset": len(found),
                },
            )
            found += page
            if len(page) < _PAGE:
                break
        return found

    def artifacts(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The latest artifact of every key that has one."""
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(keys), _PAGE):
            chunk = list(keys[start : start + _PAGE])
            body = {"artifacts": {"key": {"any_": chunk}}, "limit": _PAGE}
            page = self.post("artifacts/latest/filter", body)
            found.update({artifact["key"]: artifact for artifact in page})
        return found

    def logs(self, run_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            body = {
                "logs": {"flow_run_id": {"any_": [run_id]}},
                "sort": "TIMESTAMP_ASC",
                "limit": _PAGE,
                "offset": len(found),
            }
            page = self.post("logs/filter", body)
            found += page
            if len(page) < _PAGE:
                return found

    def _max_parameter_bytes(self) -> int:
        if self._parameter_bytes is None:
            settings = self.get("admin/settings") or {}
            limit = settings.get("server", {}).get("api", {}).get("max_parameter_size")
            self._parameter_bytes = _DEFAULT_PARAMETER_BYTES if limit is None else int(limit)
        return self._parameter_bytes

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        try:
            response = self._client.request(method, path, json=body)
            for pause_s in _BUSY_PAUSES_S:
                if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    break
                time.sleep(pause_s)
                response = self._client.request(method, path, json=body)
        except httpx.UnsupportedProtocol as error:
            raise InputError(f"{self.url!r} is no address. Write http://host:port.") from error
        except httpx.TransportError as error:
            raise PlatformUnavailable(
                f"{self.name} does not answer ({type(error).__name__}). `make up` starts it "
                "again; jobs are kept."
            ) from error
        return self._read(response, path)

    def _read(self, response: httpx.Response, path: str) -> Any:
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise PlatformError(
                f"{self.name} refused the platform's own token "
                "(PREFECT_SERVER_API_AUTH_STRING, QCPAAS_GATEWAY_PREFECT_AUTH)."
            )
        if response.is_error:
            kind = PlatformUnavailable if response.is_server_error else PlatformError
            raise kind(
                f"{self.name} answered {response.status_code} to {path}: {_detail(response)}."
            )
        try:
            return response.json() if response.content else {}
        except ValueError as error:
            raise PlatformUnavailable(
                f"{self.name} is none: what answers there gave no JSON to {path}. Check its "
                "address."
            ) from error


def _detail(response: httpx.Response) -> str:
    """The server's own words."""
    try:
        reply = response.json()
    except ValueError:
        return response.text[:300].strip()
    if not isinstance(reply, dict):
        return str(reply)[:300]
    told = reply.get("exception_detail") or reply.get("detail") or reply.get("exception_message")
    if isinstance(told, list):
        told = "; ".join(str(entry.get("msg", entry)) for entry in told if isinstance(entry, dict))
    return str(told or reply)[:300].rstrip(".")


def read_artifact(model: type[_Wire], artifact: Mapping[str, Any]) -> _Wire:
    """What an artifact holds.

    Raises:
        PlatformError: A platform of another version published it.
    """
    data = artifact["data"]
    try:
        if isinstance(data, str | bytes):
            return model.model_validate_json(data)
        return model.model_validate(data)
    except ValidationError as error:
        raise PlatformError(
            f"artifact {artifact.get('key')} cannot be read by this version of the client: "
            f"{error.error_count()} fields differ. Use the client of the platform's version."
        ) from error
