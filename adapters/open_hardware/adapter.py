"""The client of a device behind the open hardware API."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import quote

from pydantic import BaseModel
from qiskit import qpy

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
    Window,
)
from adapters.limits import check_limits
from adapters.open_hardware import describing
from adapters.open_hardware.connection import Connection
from adapters.open_hardware.credentials import OpenHardwareCredentials
from adapters.open_hardware.messages import (
    API_VERSION,
    JOB_ID,
    Calibration,
    CircuitFormat,
    Closed,
    Description,
    Found,
    Job,
    Result,
    Session,
    Status,
    Windows,
)
from adapters.open_hardware.packing import Packer, unpacked_result
from adapters.open_hardware.settings import OpenHardwareSettings
from adapters.own_gates import teach
from qcpaas.errors import (
    AdapterError,
    DeviceUnavailable,
    InputError,
    MalformedReply,
    ResultPending,
    UnknownDeviceJob,
)
from store.snapshot import Snapshot

_WAIT_S = 10.0  # for a result, in one request
_FIRST_REST_S, _LONGEST_REST_S, _GROWTH = 0.02, 5.0, 1.5

Message = TypeVar("Message", bound=BaseModel)


class OpenHardwareAdapter(DeviceAdapter):
    """Calls nobody before its first operation.

    Args:
        name: What the device is called here.

    Raises:
        InputError: The address is no URL, or would take the token over plain HTTP.
    """

    def __init__(
        self,
        name: str,
        url: str,
        credentials: OpenHardwareCredentials,
        settings: OpenHardwareSettings,
    ) -> None:
        self.name = name
        self._settings = settings
        self._connection = Connection(name, url, credentials, settings)
        self._known: tuple[Capabilities, Packer] | None = None

    def capabilities(self) -> Capabilities:
        """Makes the device's own gates known to the compiler of this process.

        Raises:
            DeviceUnavailable: It cannot be asked now.
            MalformedReply: Its gates cannot be understood.
        """
        told = self._value(self._connection.get("/device", Description))
        if told.api.partition(".")[0] != API_VERSION.partition(".")[0]:
            raise AdapterError(
                f"{self.name} speaks version {told.api} of the open hardware API; this client "
                f"speaks {API_VERSION}. Update the older of the two."
            )
        capabilities = describing.capabilities_of(told)
        if self._known is None or self._known[0] != capabilities:
            try:
                teach(told.gate_definitions, self.name)
            except InputError as error:
                raise self._connection.malformed(MalformedReply(str(error))) from None
            self._known = (capabilities, Packer(self._form(told), _names(told)))
        return capabilities

    def calibration(self, at: datetime | None = None) -> Snapshot | Unsupported:
        query = None if at is None else {"at": at.astimezone(UTC).isoformat()}
        told = self._connection.get("/calibration", Calibration, query)
        if isinstance(told, Unsupported):
            return told
        try:
            return describing.unpacked_calibration(told, self.name)
        except MalformedReply as error:
            raise self._connection.malformed(error) from None

    def availability(self) -> Availability:
        try:
            told = self._value(self._connection.get("/availability", Status))
            return describing.unpacked_availability(told)
        except DeviceUnavailable as error:
            return Availability(online=False, message=str(error))
        except MalformedReply as error:
            raise self._connection.malformed(error) from None

    def submit(self, submission: Submission, token: str) -> JobHandle:
        capabilities, packer = self._device()
        check_limits(submission, self.name, capabilities)
        body = packer.job(submission, token).model_dump_json().encode()
        job = self._connection.submit(body, Job, token)
        return JobHandle(device=self.name, device_job_id=job.job_id, token=token)

    def status(self, handle: JobHandle) -> DeviceJobState:
        return DeviceJobState(self._value(self._connection.get(_path(handle), Job)).state)

    def result(self, handle: JobHandle, timeout_s: float | None = None) -> DeviceResult:
        deadline = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        rest = _FIRST_REST_S
        while True:
            asked = time.monotonic()
            wait = max(0.0, min(_WAIT_S, deadline - asked))
            answer = self._connection.ask(
                "GET", f"{_path(handle)}/result", {"wait_s": f"{wait:.3f}"}, wait_s=wait
            )
            if answer.status != 202:
                return self._unpacked(self._value(self._connection.read(answer, Result)))
            now = time.monotonic()
            if now >= deadline:
                state = self._value(self._connection.read(answer, Job)).state
                raise ResultPending(
                    f"job {handle.device_job_id} on {self.name} is {state} after {timeout_s} s. "
                    "Ask again later."
                )
            if now - asked < wait / 2:  # this one does not wait
                time.sleep(min(rest, max(0.0, deadline - now)))
                rest = min(rest * _GROWTH, _LONGEST_REST_S)

    def cancel(self, handle: JobHandle) -> Unsupported | None:
        found = self._connection.post(f"{_path(handle)}/cancel", Job)
        return found if isinstance(found, Unsupported) else None

    def find_by_token(self, token: str) -> JobHandle | Unsupported | None:
        found = self._connection.get("/jobs", Found, {"token": token})
        if isinstance(found, Unsupported):
            return found
        if found.job is None:
            return None
        return JobHandle(device=self.name, device_job_id=found.job.job_id, token=token)

    def open_session(self) -> DeviceSession | Unsupported:
        found = self._connection.post("/sessions", Session)
        if isinstance(found, Unsupported):
            return found
        try:
            return describing.unpacked_session(found)
        except MalformedReply as error:
            raise self._connection.malformed(error) from None

    def close_session(self, session: DeviceSession) -> Unsupported | None:
        path = f"/sessions/{quote(session.session_id, safe='')}/close"
        found = self._connection.post(path, Closed)
        return found if isinstance(found, Unsupported) else None

    def reservations(self) -> Sequence[Window] | Unsupported:
        found = self._connection.get("/reservations", Windows)
        if isinstance(found, Unsupported):
            return found
        try:
            return tuple(map(describing.unpacked_window, found.windows))
        except MalformedReply as error:
            raise self._connection.malformed(error) from None

    def _device(self) -> tuple[Capabilities, Packer]:
        """What it can do, and who writes its jobs; asked once."""
        if self._known is None:
            self.capabilities()
        assert self._known is not None
        return self._known

    def _form(self, told: Description) -> CircuitFormat:
        reads_ours = told.qpy_version >= qpy.common.QPY_VERSION
        if self._settings.circuits == "best" and "qpy" in told.circuit_formats and reads_ours:
            return "qpy"
        return "openqasm3"

    def _value(self, found: Message | Unsupported) -> Message:
        if isinstance(found, Unsupported):
            raise MalformedReply(
                f"{self.name} says that it has no {found.operation}: {found.reason}. Every device "
                "has it."
            )
        return found

    def _unpacked(self, result: Result) -> DeviceResult:
        try:
            return unpacked_result(result)
        except MalformedReply as error:
            raise self._connection.malformed(error) from None


def _names(told: Description) -> frozenset[str]:
    return frozenset(told.basis_gates) | {gate.name for gate in told.own_gates}


def _path(handle: JobHandle) -> str:
    """Raises `UnknownDeviceJob` for an id that no device gives."""
    if not re.fullmatch(JOB_ID, handle.device_job_id) or not handle.device_job_id.strip("."):
        raise UnknownDeviceJob(f"{handle.device} has no job {handle.device_job_id!r}.")
    return f"/jobs/{handle.device_job_id}"
