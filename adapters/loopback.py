"""The loopback QPU: a quantum computer in a process of its own, reached over HTTP.

``python -m benchmarks.qpu`` starts one. It stands where a vendor's service stands: it keeps its
jobs, and it can be killed, restarted, slow or silent. Its device is listed where
``QCPAAS_LOOPBACK_URL`` is set; the last part of that address names the device that it imitates.
"""

from __future__ import annotations

import os
import ssl
import time
import weakref
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote, urlsplit

import httpx

from adapters.contract import (
    Availability,
    Capabilities,
    DeviceAdapter,
    DeviceJobState,
    DeviceResult,
    DeviceSession,
    JobHandle,
    Submission,
    Unsupported,
)
from adapters.fake_backends import NUM_QUBITS, read_snapshot
from adapters.loopback_wire import (
    PID_HEADER,
    Accepted,
    Answer,
    CircuitWriter,
    Description,
    Found,
    Message,
    OpenSession,
    Problem,
    State,
)
from qcpaas.devices import DeviceInfo
from qcpaas.errors import (
    AcceptanceUnknown,
    AdapterError,
    DeviceUnavailable,
    ExecutionFailed,
    QCPaaSError,
    ResultPending,
    SessionClosed,
    SubmissionRefused,
    UnknownDevice,
    UnknownDeviceJob,
    nearest,
)
from qcpaas.settings import Settings
from store.snapshot import Snapshot

NAME = "loopback"
IDEAL = "ideal"
IDEAL_QUBITS = 28

_CONNECT_S = 3.0
_REPLY_S = 20.0
_WAIT_S = 10.0  # for a result, in one request
_ERRORS: dict[int, type[QCPaaSError]] = {
    404: UnknownDeviceJob,
    409: ExecutionFailed,
    410: SessionClosed,
    422: SubmissionRefused,
    503: DeviceUnavailable,
}
# Nothing of the request can have left this machine.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

Reply = TypeVar("Reply", bound=Message)


class LoopbackAdapter(DeviceAdapter):
    """A client of one loopback QPU.

    Args:
        url: With the device as its last part: ``http://127.0.0.1:8100/FakeAthens``.
        snapshot: Its calibration; ``None`` for an ideal one.
    """

    name = NAME

    def __init__(self, url: str, snapshot: Snapshot | None) -> None:
        self._url = url
        self._snapshot = snapshot
        self._writer = CircuitWriter()
        self._client = httpx.Client(
            base_url=url,
            timeout=httpx.Timeout(_REPLY_S, connect=_CONNECT_S),
            # A proxy of this machine does not lead to itself, and no certificate is read for it.
            trust_env=False,
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )
        weakref.finalize(self, self._client.close)

    def capabilities(self) -> Capabilities:
        """Raises `DeviceUnavailable` where it cannot be asked now."""
        described = self._describe()
        return Capabilities(
            num_qubits=described.num_qubits,
            basis_gates=described.basis_gates,
            max_shots=described.max_shots,
            max_circuits=described.max_circuits,
            simulator=True,
            concurrent_jobs=described.concurrent_jobs,
            rep_delay_s=described.rep_delay_s,
            keeps_jobs=True,
            token_lag_s=described.token_lag_s,
        )

    def calibration(self, at: datetime | None = None) -> Snapshot | Unsupported:
        if self._snapshot is None:
            return Unsupported("calibration", f"{self.name} imitates an ideal device")
        if at is not None and at < self._snapshot.taken_at:
            return Unsupported("calibration", f"{self.name} has one snapshot, and no history")
        return self._snapshot

    def availability(self) -> Availability:
        try:
            return Availability(online=True, queue_length=self._describe().queue_length)
        except DeviceUnavailable as error:
            return Availability(online=False, message=str(error))

    def submit(self, submission: Submission, token: str) -> JobHandle:
        if submission.noise_model is not None:
            raise SubmissionRefused(f"{self.name} takes no noise model. Choose a simulator.")
        if any(experiment.observables is not None for experiment in submission.experiments):
            raise SubmissionRefused(f"{self.name} answers counts, and observables were asked.")
        body = self._writer.job(submission, token).model_dump_json()
        try:
            reply = self._client.post("/jobs", content=body, headers={PID_HEADER: str(os.getpid())})
        except _NOT_SENT as error:
            raise self._away(error) from error
        except httpx.TransportError as error:
            raise self._unknown(token, repr(error)) from error
        if reply.status_code >= 500 and reply.status_code not in _ERRORS:
            raise self._unknown(token, f"status {reply.status_code}")
        job_id = self._read(reply, Accepted).job_id
        return JobHandle(device=self.name, device_job_id=job_id, token=token)

    def status(self, handle: JobHandle) -> DeviceJobState:
        return DeviceJobState(self._ask("GET", _path(handle), State).state)

    def result(self, handle: JobHandle, timeout_s: float | None = None) -> DeviceResult:
        deadline = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        while True:
            wait = max(0.0, min(_WAIT_S, deadline - time.monotonic()))
            reply = self._send("GET", f"{_path(handle)}/result?wait={wait}")
            if reply.status_code != 202:
                return self._read(reply, Answer).result()
            if time.monotonic() >= deadline:
                raise ResultPending(
                    f"job {handle.device_job_id} on {self.name} is {self._read(reply, State).state}"
                    f" after {timeout_s} s. Ask again later."
                )

    def cancel(self, handle: JobHandle) -> Unsupported | None:
        self._ask("POST", f"{_path(handle)}/cancel", State)
        return None

    def find_by_token(self, token: str) -> JobHandle | Unsupported | None:
        """The first job under the token, where the QPU is set to search."""
        reply = self._send("GET", f"/jobs?token={quote(token, safe='')}")
        if reply.status_code == 501:
            return Unsupported("find_by_token", _message(reply))
        job_id = self._read(reply, Found).job_id
        if job_id is None:
            return None
        return JobHandle(device=self.name, device_job_id=job_id, token=token)

    def open_session(self) -> DeviceSession | Unsupported:
        reply = self._send("POST", "/sessions")
        if reply.status_code == 501:
            return Unsupported("open_session", _message(reply))
        opened = self._read(reply, OpenSession)
        return DeviceSession(opened.session_id, opened.expires_at, opened.max_idle_s)

    def close_session(self, session: DeviceSession) -> Unsupported | None:
        self._send("POST", f"/sessions/{quote(session.session_id, safe='')}/close")
        return None

    # --- requests ---------------------------------------------------------------------------

    def _describe(self) -> Description:
        return self._ask("GET", "", Description)

    def _ask(self, method: str, path: str, kind: type[Reply]) -> Reply:
        return self._read(self._send(method, path), kind)

    def _send(self, method: str, path: str) -> httpx.Response:
        """A request that may be sent twice without harm."""
        try:
            reply = self._client.request(method, path)
        except httpx.TransportError as error:
            raise self._away(error) from error
        if reply.status_code == 503:
            raise DeviceUnavailable(f"{self.name}: {_message(reply)}")
        return reply

    def _read(self, reply: httpx.Response, kind: type[Reply]) -> Reply:
        if reply.is_success:
            return kind.model_validate_json(reply.content)
        error = _ERRORS.get(reply.status_code, AdapterError)
        raise error(f"{self.name}: {_message(reply)}")

    def _away(self, error: httpx.TransportError) -> DeviceUnavailable:
        return DeviceUnavailable(
            f"{self.name} at {self._url} cannot be reached: {error!r}. Start it with "
            "python -m benchmarks.qpu, or correct QCPAAS_LOOPBACK_URL."
        )

    def _unknown(self, token: str, found: str) -> AcceptanceUnknown:
        return AcceptanceUnknown(
            f"a job was sent to {self.name} under token {token}, and no answer came: {found}. "
            "Look for the token before it is sent again."
        )


class LoopbackProvider:
    """``loopback``, where ``QCPAAS_LOOPBACK_URL`` is set."""

    def devices(self) -> Sequence[DeviceInfo]:
        url = Settings().loopback_url
        if url is None:
            return []
        imitated = _imitated(url)
        width = IDEAL_QUBITS if imitated == IDEAL else NUM_QUBITS.get(imitated, 0)
        return [
            DeviceInfo(
                name=NAME,
                adapter="loopback",
                num_qubits=width,
                simulator=True,
                description=f"Loopback QPU at {url}",
            )
        ]

    def open(self, name: str, known: Snapshot | None = None) -> LoopbackAdapter:
        """Calls nobody.

        Raises:
            UnknownDevice: Another device, or no address is set.
            DeviceUnavailable: The address names no device that can be imitated.
        """
        url = Settings().loopback_url
        if url is None or name != NAME:
            raise UnknownDevice(f"there is no loopback device {name!r}. Set QCPAAS_LOOPBACK_URL.")
        imitated = _imitated(url)
        if imitated == IDEAL:
            return LoopbackAdapter(url, None)
        if imitated not in NUM_QUBITS:
            raise DeviceUnavailable(
                f"QCPAAS_LOOPBACK_URL {url} ends with {imitated!r}, which is no device to "
                f"imitate. {nearest(imitated, [IDEAL, *NUM_QUBITS])}"
            )
        return LoopbackAdapter(url, known or read_snapshot(imitated).of_device(NAME))


def _imitated(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


def _path(handle: JobHandle) -> str:
    return f"/jobs/{quote(handle.device_job_id, safe='')}"


def _message(reply: httpx.Response) -> str:
    """What the other side says; a proxy's page is quoted as it is."""
    try:
        return Problem.model_validate_json(reply.content).message
    except ValueError:
        return f"status {reply.status_code}: {reply.text[:200]}"
