"""Devices as an estimate sees them: by what the store knows, without asking any vendor."""

from __future__ import annotations

from datetime import datetime
from typing import NoReturn

from adapters.contract import (
    Capabilities,
    DeviceAdapter,
    DeviceJobState,
    DeviceResult,
    JobHandle,
    Submission,
    Unsupported,
)
from qcpaas.devices import DeviceInfo
from qcpaas.errors import SubmissionRefused, UnknownDevice
from store.calibrations import Calibrations
from store.database import Store
from store.devices import Devices
from store.snapshot import Snapshot
from tasks.device import Device

# Superconducting devices mostly wait between shots until their qubits have relaxed; IBM's default.
USUAL_REP_DELAY_S = 250e-6
ANY_WIDTH = 1_000_000  # of a device of which nothing is known


class KnownDevice(DeviceAdapter):
    """A device by what the store knows of it; it can be asked for nothing else."""

    def __init__(self, info: DeviceInfo, snapshot: Snapshot | None) -> None:
        self.name = info.name
        self._info, self._snapshot = info, snapshot

    def capabilities(self) -> Capabilities:
        basis = () if self._snapshot is None else (*self._snapshot.gates, "measure", "delay")
        return Capabilities(
            num_qubits=self._info.num_qubits or ANY_WIDTH,
            basis_gates=basis,
            simulator=self._info.simulator,
            rep_delay_s=0.0 if self._info.simulator else USUAL_REP_DELAY_S,
            concurrent_jobs=self._info.concurrent_jobs,
        )

    def calibration(self, at: datetime | None = None) -> Snapshot | Unsupported:
        if self._snapshot is None:
            return Unsupported("calibration", f"nothing is known of {self.name} yet")
        return self._snapshot

    def submit(self, submission: Submission, token: str) -> JobHandle:
        self._refuse()

    def status(self, handle: JobHandle) -> DeviceJobState:
        self._refuse()

    def result(self, handle: JobHandle, timeout_s: float | None = None) -> DeviceResult:
        self._refuse()

    def cancel(self, handle: JobHandle) -> Unsupported | None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise SubmissionRefused(f"{self.name} is only looked at here: a worker runs jobs on it.")


def view_device(name: str, store: Store) -> Device:
    """A device whose estimates need nobody's credentials and no network.

    One that is part of the platform, such as a twin, is opened as it is.

    Raises:
        UnknownDevice: There is no such device.
    """
    devices = Devices(store)
    info = devices.get(name)
    if info is None or not info.address:
        if ":" in name:  # an address, which only a worker may open
            adapter, _, address = name.partition(":")
            info = info or DeviceInfo(name=name, adapter=adapter, num_qubits=0, address=address)
        else:
            try:
                return Device.open(name, store)
            except UnknownDevice:
                if info is None:
                    raise
    return Device(name, KnownDevice(info, Calibrations(store).latest(name)), store)
