"""Devices that live inside this process: a job runs while it is submitted."""

from __future__ import annotations

from adapters.aer import AerRunner
from adapters.contract import (
    DeviceAdapter,
    DeviceJobState,
    DeviceResult,
    JobHandle,
    Submission,
    Unsupported,
)
from adapters.jobs import LocalJobs
from adapters.limits import check_limits
from qcpaas.errors import ExecutionFailed


class SimulatedAdapter(DeviceAdapter):
    """The job operations over `AerRunner`; a result stays until 64 newer jobs have come."""

    def __init__(self, name: str, runner: AerRunner) -> None:
        self.name = name
        self._runner = runner
        self._jobs = LocalJobs(name)

    def submit(self, submission: Submission, token: str) -> JobHandle:
        check_limits(submission, self.name, self.capabilities())
        try:
            outcome: DeviceResult | ExecutionFailed = self._runner.run(submission)
        except ExecutionFailed as error:
            outcome = error
        return self._jobs.keep(token, outcome)

    def status(self, handle: JobHandle) -> DeviceJobState:
        return self._jobs.state(handle)

    def result(self, handle: JobHandle, timeout_s: float | None = None) -> DeviceResult:
        return self._jobs.result(handle)

    def cancel(self, handle: JobHandle) -> Unsupported | None:
        self._jobs.state(handle)
        return Unsupported("cancel", f"a job on {self.name} has ended when its submission returns")

    def find_by_token(self, token: str) -> JobHandle | Unsupported | None:
        """Only among the jobs that this process ran, and keeps."""
        return self._jobs.find_by_token(token)
