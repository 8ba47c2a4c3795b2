"""Jobs of a device that lives inside this process."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict

from adapters.contract import DeviceJobState, DeviceResult, JobHandle
from qcpaas.errors import ExecutionFailed, UnknownDeviceJob

Outcome = DeviceResult | ExecutionFailed


class LocalJobs:
    """The newest finished jobs, so that thousands of submissions take no more memory.

    A job is kept until ``capacity`` newer ones have come; after that it is unknown.
    """

    def __init__(self, device: str, capacity: int = 64) -> None:
        self._device = device
        self._capacity = capacity
        self._jobs: OrderedDict[str, tuple[JobHandle, Outcome]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, token: str, outcome: Outcome) -> JobHandle:
        """Give a finished job a new id."""
        job_id = f"{self._device.lower()}-{uuid.uuid4().hex}"
        handle = JobHandle(device=self._device, device_job_id=job_id, token=token)
        with self._lock:
            self._jobs[job_id] = (handle, outcome)
            while len(self._jobs) > self._capacity:
                self._jobs.popitem(last=False)
        return handle

    def state(self, handle: JobHandle) -> DeviceJobState:
        failed = isinstance(self._outcome(handle), ExecutionFailed)
        return DeviceJobState.FAILED if failed else DeviceJobState.COMPLETED

    def result(self, handle: JobHandle) -> DeviceResult:
        outcome = self._outcome(handle)
        if isinstance(outcome, ExecutionFailed):
            raise outcome
        return outcome

    def find_by_token(self, token: str) -> JobHandle | None:
        """The newest job under this token."""
        with self._lock:
            kept = reversed(self._jobs.values())
            return next((handle for handle, _ in kept if handle.token == token), None)

    def _outcome(self, handle: JobHandle) -> Outcome:
        with self._lock:
            kept = self._jobs.get(handle.device_job_id)
        if kept is None:
            raise UnknownDeviceJob(
                f"{self._device} has no job {handle.device_job_id}: it ran in another process, or "
                f"{self._capacity} newer jobs have come since. Submit it again."
            )
        return kept[1]
