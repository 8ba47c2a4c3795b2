"""Devices that live inside this process: a job runs while it is submitted."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

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


class LocalDevice(DeviceAdapter):
    """The job operations over `perform`; a result stays until 64 newer jobs have come."""

    @abstractmethod
    def perform(self, submission: Submission) -> DeviceResult:
        """Run a job that is within the device's limits.

        Raises:
            SubmissionRefused: It asks for what the device does not do; no job comes of it.
            ExecutionFailed: It failed, as its job will tell.
        """

    def submit(self, submission: Submission, token: str) -> JobHandle:
        """Runs it before it returns; errors as in `perform`, but for those that the job tells."""
        check_limits(submission, self.name, self.capabilities())
        try:
            outcome: DeviceResult | ExecutionFailed = self.perform(submission)
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

    @cached_property
    def _jobs(self) -> LocalJobs:
        return LocalJobs(self.name)
