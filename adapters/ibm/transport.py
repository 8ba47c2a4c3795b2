"""The client's HTTP with deadlines, and an identity that is never told to the wrong side.

As it comes, the client waits for ever for some replies, sends a submission up to six times when
the server stumbles (each may be accepted), sleeps a minute after a failed sign-in, and sends the
API key itself where it got no token. All of it is replaced through interfaces of `requests`.

Imported only inside functions, since `requests` comes with the client.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from requests import PreparedRequest, RequestException, Response
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.exceptions import InvalidJSONError
from urllib3.util.retry import Retry

from adapters.ibm.errors import LONGEST
from qcpaas.errors import CredentialsRefused, DeviceUnavailable, MalformedReply

if TYPE_CHECKING:
    from ibm_cloud_sdk_core import ApiException, IAMTokenManager
    from qiskit_ibm_runtime.api.clients import RuntimeClient

CONNECT_S = 4.0
REPLY_S = 30.0  # between two parts of a reply
SIGN_IN_S = 15.0

Refuse = Callable[[type[Exception], str, Exception], NoReturn]


class Journal(threading.local):
    """What this thread's requests have met, which the client does not pass on.

    Attributes:
        submitted: Whether a job was sent, or may have been.
        trouble: The newest error or refusal, which the client may have swallowed.
        body: The newest reply, as it came.
    """

    submitted: bool = False
    trouble: Exception | Response | None = None
    body: bytes = b""

    def clear(self) -> None:
        self.submitted, self.trouble, self.body = False, None, b""


class Deadlines(HTTPAdapter):
    """Every request ends; only what changes nothing is sent twice."""

    def __init__(self, journal: Journal) -> None:
        retries = Retry(
            total=1,
            connect=0,
            backoff_factor=0.2,
            status_forcelist=(502, 503, 504),
            raise_on_status=False,
            respect_retry_after_header=False,  # the server would choose how long we wait
        )
        super().__init__(max_retries=retries)
        self._journal = journal
        # Behind a proxy urllib3 takes a reply that was lost for an error of the proxy, and sends
        # anything again, whatever methods its retries are allowed for.
        self._once = HTTPAdapter(max_retries=0)

    def send(self, request: PreparedRequest, *args: Any, **settings: Any) -> Response:
        settings["timeout"] = (CONNECT_S, REPLY_S)
        path = (request.path_url or "").partition("?")[0]
        if request.method == "POST" and path.endswith("/jobs"):
            self._journal.submitted = True
        send = super().send if request.method == "GET" else self._once.send
        try:
            reply = send(request, *args, **settings)
            self._journal.body = reply.content
        except RequestException as error:
            self._journal.trouble = error
            raise
        self._journal.trouble = reply if reply.status_code >= 400 else None
        return reply

    def close(self) -> None:
        super().close()
        self._once.close()


class Identity:
    """Exchanges the API key for tokens, again whenever one is about to expire.

    Args:
        manager: Of the client, with the API key.
        refuse: Raises an error of ours, with no secret in it.
    """

    def __init__(self, manager: IAMTokenManager, refuse: Refuse) -> None:
        self._manager = manager
        self._manager.http_config = {"timeout": (CONNECT_S, SIGN_IN_S)}
        self._refuse = refuse
        self._lock = threading.Lock()

    def token(self) -> str:
        """Raises `CredentialsRefused`, `DeviceUnavailable` or `MalformedReply`."""
        from ibm_cloud_sdk_core import ApiException

        with self._lock:
            try:
                return str(self._manager.get_token())
            except ApiException as error:
                self._refuse(*_refusal(error), error)
            except Exception as error:  # noqa: BLE001 - whatever its parser stumbles over
                if isinstance(error, RequestException) and not isinstance(error, InvalidJSONError):
                    text = f"IBM Cloud's sign-in cannot be reached: {error}. Try again later."
                    self._refuse(DeviceUnavailable, text, error)
                text = f"IBM Cloud's sign-in answered what is no token: {error!r:.200}."
                self._refuse(MalformedReply, text, error)
            finally:
                # It would take the failed request for a running one, and wait for its end.
                self._manager.request_time = 0


class Bearer(AuthBase):
    """Marks the requests to one instance; raises where there is no token to mark them with."""

    def __init__(self, identity: Identity, crn: str) -> None:
        self._identity = identity
        self._crn = crn

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Service-CRN"] = self._crn
        request.headers["Authorization"] = f"Bearer {self._identity.token()}"
        return request


def bind(client: RuntimeClient, crn: str, identity: Identity, journal: Journal) -> RuntimeClient:
    """The same client, with deadlines and the identity."""
    session = client._session  # noqa: SLF001 - it has no other way to its deadlines
    session.mount("https://", Deadlines(journal))
    session.mount("http://", Deadlines(journal))
    session.auth = Bearer(identity, crn)
    return client


def _refusal(error: ApiException) -> tuple[type[Exception], str]:
    said = " ".join(str(error.message).split())[:LONGEST]
    if error.status_code in {400, 401, 403}:
        return CredentialsRefused, (
            f"IBM Cloud refuses the API key: {said}. Make a new one at "
            "https://cloud.ibm.com/iam/apikeys, and set QISKIT_IBM_TOKEN to it."
        )
    return DeviceUnavailable, (
        f"IBM Cloud's sign-in answers {error.status_code}: {said}. Try again later."
    )
