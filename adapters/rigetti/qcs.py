"""QCS over HTTP: who we are, and what Rigetti's client does not ask for us."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx

from adapters.contract import Availability, Window
from adapters.rigetti.credentials import (
    API_URL,
    CLIENT_ID,
    GRPC_URL,
    ISSUER,
    RigettiCredentials,
)
from adapters.rigetti.deadline import within
from adapters.rigetti.errors import Trouble
from qcpaas.errors import (
    CredentialsRefused,
    DeviceUnavailable,
    MalformedReply,
    UnknownDevice,
)

_PAGES = 50
_AWAY = frozenset({429, 500, 502, 503, 504})
_UNREACHED = ("server error", "error sending request")
_ADVICE = "Sign in with `qcs auth login`, or name the files in QCS_SECRETS_FILE_PATH."


class Connection(Protocol):
    """How a processor is reached; the adapter's settings have these."""

    @property
    def connection(self) -> str: ...
    @property
    def endpoint_id(self) -> str: ...


class Qcs:
    """A client of QCS with one user's credentials; calls nobody until it is used.

    Args:
        timeout_s: Of one request.
    """

    def __init__(self, credentials: RigettiCredentials, timeout_s: float) -> None:
        self.credentials = credentials
        self.timeout_s = timeout_s
        self._client: Any = None
        self._session: Any = None
        self._lock = threading.Lock()

    def read_profile(self) -> None:
        """Read the files that the environment names now, whatever it names later; calls nobody.

        Raises:
            CredentialsRefused: They cannot be read.
        """
        self._signed_on()

    @property
    def client(self) -> Any:
        """Rigetti's ``QCSClient``.

        Raises:
            CredentialsRefused: There are no credentials, or none that can be read.
        """
        with self._lock:
            if self._client is None:
                self._client = self._load()
            return self._client

    def token(self) -> str:
        """An access token that is still valid; a new one where the last has run out.

        Raises:
            CredentialsRefused: The authorisation server gives none.
            DeviceUnavailable: It cannot be reached.
        """
        session = self._signed_on()
        try:
            return str(session.validate())
        except ValueError:
            return self._new_token()

    def trouble(self, error: BaseException) -> Trouble:
        """What an error of Rigetti's client says, without secrets."""
        return Trouble(error, self.credentials.scrubbed)

    def get(self, path: str, parameters: dict[str, str] | None = None) -> dict[str, Any]:
        """A reply of QCS's HTTP interface.

        Raises:
            CredentialsRefused: The token is not taken, nor a new one.
            UnknownDevice: There is nothing at the path.
            DeviceUnavailable: QCS cannot be reached, or fails.
            MalformedReply: It is not JSON of the expected kind.
        """
        reply = self._send(path, parameters, self.token())
        if reply.status_code == 401:
            reply = self._send(path, parameters, self._new_token())
        what = f"QCS at {path} answers {self._quoted(reply)}"
        if reply.status_code in {401, 403}:
            raise CredentialsRefused(f"{what}. {_ADVICE}")
        if reply.status_code == 404:
            raise UnknownDevice(what)
        if reply.status_code in _AWAY:
            raise DeviceUnavailable(what)
        try:
            found = reply.json()
        except ValueError:
            found = None
        if not reply.is_success or not isinstance(found, dict):
            raise MalformedReply(what)
        return found

    def availability(self, processor: str, connection: Connection) -> Availability:
        """Whether a processor's gateway or endpoint takes work; errors as of `get`."""
        if connection.connection == "gateway":
            path = f"/v1/quantumProcessors/{processor}/accessors"
            accessors = _listed(self.get(path), "accessors")
            # Rigetti's client would ask again and again for what it cannot read.
            if not all(map(_readable, accessors)):
                raise MalformedReply(f"QCS answers no accessors: {str(accessors)[:200]}")
            online = any(
                each.get("live") is True and each.get("accessType") == "gateway.v1"
                for each in accessors
            )
            return Availability(online, message="" if online else f"{processor}: no live gateway")
        path = f"/v1/endpoints/{connection.endpoint_id}"
        if connection.connection == "direct":
            path = f"/v1/quantumProcessors/{processor}/endpoints:getDefault"
        online = self.get(path).get("healthy") is True
        return Availability(online, message="" if online else f"{processor}: endpoint unhealthy")

    def reservations(self, processor: str) -> tuple[Window, ...]:
        """Those of the user that are not over; errors as of `get`."""
        windows = (_window(each) for each in self._reservations() if _counts(each, processor))
        now = datetime.now(UTC)
        kept = (window for window in windows if window.ends_at > now)
        return tuple(sorted(kept, key=lambda window: window.starts_at))

    def _reservations(self) -> Iterator[dict[str, Any]]:
        parameters: dict[str, str] = {"pageSize": "100"}
        for _ in range(_PAGES):
            page = self.get("/v1/reservations", parameters)
            yield from _listed(page, "reservations")
            following = page.get("nextPageToken")
            if not isinstance(following, str) or not following:
                return
            parameters["pageToken"] = following

    def _load(self) -> Any:
        from qcs_sdk import client

        given = self.credentials
        try:
            if given.uses_files:
                return client.QCSClient.load(given.profile)
            return client.QCSClient(
                oauth_session=self._own_session(),
                api_url=given.api_url or API_URL,
                grpc_api_url=given.grpc_url or GRPC_URL,
            )
        except (client.LoadClientError, client.BuildClientError, ValueError) as error:
            raise CredentialsRefused(
                f"QCS's credentials cannot be read: {given.scrubbed(str(error))[:300]}. {_ADVICE}"
            ) from None

    def _own_session(self) -> Any:
        from qcs_sdk import client

        given = self.credentials
        client_id = given.client_id or CLIENT_ID
        server = client.AuthServer(client_id, given.issuer or ISSUER)
        payload: Any
        if given.client_secret is not None:
            payload = client.ClientCredentials(client_id, given.client_secret.get_secret_value())
        else:
            assert given.refresh_token is not None
            payload = client.RefreshToken(given.refresh_token.get_secret_value())
        return client.OAuthSession(payload, server)

    def _signed_on(self) -> Any:
        """Rigetti's ``OAuthSession``."""
        client = self.client
        with self._lock:
            if self._session is None:
                try:
                    self._session = client.oauth_session
                except Exception as error:  # noqa: BLE001 - not told which
                    raise CredentialsRefused(
                        f"there are no credentials of QCS: {self.trouble(error).text}. {_ADVICE}"
                    ) from None
            return self._session

    def _new_token(self) -> str:
        from qcs_sdk.client import OAuthSession

        session = self._signed_on()
        try:
            token = str(within(self.timeout_s, session.request_access_token_async))
        except Exception as error:  # noqa: BLE001 - the client's own errors have no common class
            trouble = self.trouble(error)
            if trouble.late or any(words in trouble.text for words in _UNREACHED):
                raise DeviceUnavailable(
                    f"QCS's sign-on does not answer: {trouble.text}. Ask again later."
                ) from None
            if trouble.unreadable:
                raise MalformedReply(f"QCS's sign-on answers no token: {trouble.text}") from None
            raise CredentialsRefused(
                f"QCS gives no access token: {trouble.text}. {_ADVICE}"
            ) from None
        with self._lock:
            self._session = OAuthSession(session.payload, session.auth_server, token)
        return token

    def _send(self, path: str, parameters: dict[str, str] | None, token: str) -> httpx.Response:
        url = str(self.client.api_url).rstrip("/")
        try:
            return httpx.get(
                url + path,
                params=parameters,
                headers={"Authorization": f"Bearer {token}"},
                timeout=httpx.Timeout(self.timeout_s, connect=3.0),
                verify=url.startswith("https"),
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DeviceUnavailable(
                f"QCS at {url} cannot be reached ({type(error).__name__}). Ask again later."
            ) from None

    def _quoted(self, reply: httpx.Response) -> str:
        return f"{reply.status_code}: {self.credentials.scrubbed(reply.text)[:200]}"


def _listed(page: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = page.get(name)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise MalformedReply(f"QCS answers no list of {name}: {str(page)[:200]}")
    return found


def _readable(accessor: dict[str, Any]) -> bool:
    rank = accessor.get("rank", 0)
    return (
        isinstance(rank, int)
        and abs(rank) < 2**63
        and isinstance(accessor.get("live"), bool)
        and isinstance(accessor.get("url"), str)
    )


def _counts(reservation: dict[str, Any], processor: str) -> bool:
    return reservation.get("quantumProcessorId") == processor and not reservation.get("cancelled")


def _window(reservation: dict[str, Any]) -> Window:
    try:
        starts_at, ends_at = (
            datetime.fromisoformat(reservation[key]) for key in ("startTime", "endTime")
        )
        starts_at, ends_at = starts_at.astimezone(UTC), ends_at.astimezone(UTC)
        ordered = starts_at < ends_at
    except (KeyError, TypeError, ValueError, OverflowError):
        ordered = False
    if not ordered:
        raise MalformedReply(f"QCS answers a reservation without times: {str(reservation)[:200]}")
    notes = reservation.get("notes")
    return Window(
        starts_at,
        ends_at,
        str(reservation.get("id", "")),
        notes if isinstance(notes, str) else "",
    )
