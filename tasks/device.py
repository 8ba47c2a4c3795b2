"""A device as the stages see it: its adapter, its newest calibration, its target."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from qiskit.transpiler import Target

from adapters.contract import Capabilities, DeviceAdapter
from adapters.target import build_target
from calibration.binding import Binder
from calibration.elements import NO_CORRECTIONS, Corrections
from calibration.embedding import Embeddings
from calibration.placement import Placer
from qcpaas.binding import BindingPolicy
from qcpaas.errors import AdapterError, PlatformUnavailable
from store.calibrations import Calibrations
from store.compiled import CompiledCache
from store.database import Store
from store.snapshot import Snapshot
from tasks.calibrate import is_too_old, shared_pull
from tasks.learnt import DeviceFeedback
from tasks.registered import open_registered

KEPT_SNAPSHOTS = 8
CHECK_EVERY_S = 5.0  # how often a loop asks the store for a newer snapshot

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Device:
    """Opened by name with `open`.

    Attributes:
        pinned: The only snapshot that may be used, where a job repeats another.
        max_age_s: A device that answered longer ago is asked again before its calibration is used.
    """

    name: str
    adapter: DeviceAdapter
    store: Store
    pinned: Snapshot | None = None
    max_age_s: float | None = None
    capabilities: Capabilities = field(init=False)
    _newest: Snapshot | None = field(init=False, default=None)
    _checked_at: float = field(init=False, default=float("-inf"))
    _earlier: OrderedDict[str, Snapshot] = field(init=False, default_factory=OrderedDict)
    _learnt: Corrections = field(init=False, default=NO_CORRECTIONS)
    _learnt_at: float = field(init=False, default=float("-inf"))
    _target: tuple[str, Target] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.capabilities = self.adapter.capabilities()
        self.compiled = CompiledCache(self.store)
        self.feedback = DeviceFeedback(self.name, self.store)
        self.binder = Binder(self.capabilities.basis_gates, Placer(Embeddings(self.compiled)))

    @classmethod
    def open(
        cls,
        name: str,
        store: Store,
        snapshot_id: str | None = None,
        max_age_s: float | None = None,
    ) -> Device:
        """Open a device, registering it in the store on its first use.

        Raises:
            UnknownDevice: No adapter has a device of that name.
            UnknownSnapshot: The store has no such snapshot.
        """
        pinned = Calibrations(store).get(snapshot_id) if snapshot_id else None
        adapter = open_registered(name, store, pinned)
        return cls(adapter.name, adapter, store, pinned, max_age_s)

    def snapshot(self) -> Snapshot:
        """The newest calibration in the store; from the device where that is missing or too old.

        A device that does not answer keeps the calibration that it had.

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

    def newest(self) -> Snapshot:
        """`snapshot`, asked of the store at once."""
        self._checked_at = float("-inf")
        return self.snapshot()

    def corrections(self, policy: BindingPolicy) -> Corrections:
        """What observed fidelities say about the newest calibration; nothing where not wanted."""
        if not policy.learn or self.pinned is not None or not self.capabilities.compiles:
            return NO_CORRECTIONS
        now = time.monotonic()
        if now - self._learnt_at > CHECK_EVERY_S:
            with suppress(PlatformUnavailable):
                self._learnt = self.feedback.corrections(self.snapshot())
            self._learnt_at = now
        return self._learnt

    def snapshot_named(self, snapshot_id: str) -> Snapshot:
        """The snapshot that a circuit was bound with, though newer ones may have come since.

        Raises:
            UnknownSnapshot: The store has no such snapshot.
        """
        held = self.pinned or self._newest
        if held is not None and held.content_id == snapshot_id:
            return held
        if snapshot_id not in self._earlier:
            self._earlier[snapshot_id] = Calibrations(self.store).get(snapshot_id)
            while len(self._earlier) > KEPT_SNAPSHOTS:
                self._earlier.popitem(last=False)
        return self._earlier[snapshot_id]

    def target(self, snapshot: Snapshot) -> Target:
        """The compiler's view of the device under a snapshot."""
        if self._target is None or self._target[0] != snapshot.content_id:
            self._target = (snapshot.content_id, build_target(snapshot))
        return self._target[1]

    def _read_newest(self, held: Snapshot | None) -> Snapshot:
        calibrations = Calibrations(self.store)
        try:
            self._renew()
            newest_id = calibrations.latest_id(self.name)
        except PlatformUnavailable:
            if held is None:
                raise
            return held  # a loop goes on with what it has while the store is away
        if held is not None and held.content_id == newest_id:
            return held
        newest = calibrations.latest(self.name)
        return newest if newest is not None else self._pull(datetime.now(UTC))

    def _renew(self) -> None:
        """Ask the device again where it answered too long ago."""
        if self.max_age_s is None or not is_too_old(self.name, self.store, self.max_age_s):
            return
        try:
            self._pull(datetime.now(UTC) - timedelta(seconds=self.max_age_s))
        except AdapterError as error:
            log.warning("%s keeps its calibration, which is older than asked: %s", self.name, error)

    def _pull(self, since: datetime) -> Snapshot:
        return shared_pull(self.adapter, self.store, since)
