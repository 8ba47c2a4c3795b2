"""Devices that Aer simulates."""

from __future__ import annotations

from adapters.aer import AerRunner
from adapters.contract import DeviceResult, Submission
from adapters.local_device import LocalDevice


class SimulatedAdapter(LocalDevice):
    """The job operations over `AerRunner`."""

    def __init__(self, name: str, runner: AerRunner) -> None:
        self.name = name
        self._runner = runner

    def perform(self, submission: Submission) -> DeviceResult:
        return self._runner.run(submission)
