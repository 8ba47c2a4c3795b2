"""A device as the stages see it: its adapter, its newest calibration, its target."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from adapters.registry import describe_device, open_device
from qiskit.transpiler import Target

from adapters.contract import Capabilities, DeviceAdapter, Unsupported
from adapters.target import build_target
from qcpaas.errors import CalibrationError
from store.calibrations import Calibrations
from store.database import Store
from store.devices import Devices
from store.snapshot import Snapshot
from store.templates import Templates

CHECK_EVERY_S = 5.0  # how often a loop asks the store for a newer snapshot


@dataclass(eq=False)
class Device:
    """Opened by name with `open`.

    Attributes:
        pinned: The only snapshot that may be used, where a job repeats another.
    """

    name: str
    adapter: DeviceAdapter
    store: Store
    pinned: Snapshot | None = None
    capabilities: Capabilities = field(init=False)
    _newest: Snapshot | None = field(init=False, default=None)
    _checked_at: float = field(init=False, default=float("-inf"))
    _targets: dict[str, Target] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.capabilities = self.adapter.capabilities()
        self.templates = Templates(self.store)

    @classmethod
    def open(cls, name: str, store: Store, snapshot_id: str | None = None) -> Device:
        """Open a device, registering it in the store on its first use.

        Raises:
            UnknownDevice: No adapter has a device of that name.
            UnknownSnapshot: The store has no such snapshot.
        """
        info = describe_device(name)
        calibrations = Calibrations(store)
        pinned = calibrations.get(snapshot_id) if snapshot_id else None
        adapter = open_device(info.name, known=pinned or calibrations.latest(info.name))
        Devices(store).register(info)
        return cls(info.name, adapter, store, pinned)

    def snapshot(self) -> Snapshot:
        """The newest calibration in the store, pulled from the device where there is none yet.

        Raises:
            CalibrationError: The device has no calibration at all.
        """
        if self.pinned is not None:
            return self.pinned
        now = time.monotonic()
        if self._newest is None or now - self._checked_at > CHECK_EVERY_S:
            self._newest = self._read_newest(self._newest)
            self._checked_at = now
        return self._newest

    def target(self, snapshot: Snapshot) -> Target:
        """The compiler's view of the device under a snapshot."""
        target = self._targets.get(snapshot.content_id)
        if target is None:
            target = self._targets[snapshot.content_id] = build_target(snapshot)
        return target

    def _read_newest(self, held: Snapshot | None) -> Snapshot:
        calibrations = Calibrations(self.store)
        newest_id = calibrations.latest_id(self.name)
        if held is not None and held.content_id == newest_id:
            return held
        newest = calibrations.latest(self.name)
        return newest if newest is not None else pull_calibration(self.adapter, self.store)


def pull_calibration(adapter: DeviceAdapter, store: Store) -> Snapshot:
    """Read a device's calibration and keep it.

    Raises:
        CalibrationError: The device reports none.
    """
    snapshot = adapter.calibration()
    if isinstance(snapshot, Unsupported):
        raise CalibrationError(f"{adapter.name} has no calibration: {snapshot.reason}.")
    Calibrations(store).record(snapshot)
    return snapshot
