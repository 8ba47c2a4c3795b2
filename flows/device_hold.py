"""Holding a device for a job, and letting go of it while it is reserved for somebody else."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists

from flows.ownership import Ownership
from flows.prefect_outage import reaching_prefect
from qcpaas.errors import PlatformUnavailable
from qcpaas.scheduling import Reservation
from store.reservations import EVERYBODY, Reservations
from tasks.patience import Patience

SLOT_LEASE_S = 60.0  # the shortest that Prefect takes: how long a dead run's slot stays taken
CALENDAR_READ_EVERY_S = 10.0
LOOKED_AGAIN_EVERY_S = 5.0

_FORBIDDEN = re.compile(r"[/%&><]")  # in the name of a Prefect limit; addresses have them


@dataclass(eq=False)
class DeviceHold:
    """One of a device's slots, held while the block runs.

    Prefect's limit is the queue, which its pages show. The lease behind it is the lock: it stands
    when a server that was away has given the slot to somebody else.

    Attributes:
        owner: Whose job it is; reserved windows mean nothing to a job that is nobody's.
        let_go: Called before the device is left to others, for what is held of it besides.
    """

    device: str
    slots: int
    run_id: UUID
    ownership: Ownership
    patience: Patience
    say: Callable[[str], None]
    calendar: Reservations
    owner: str | None
    let_go: Callable[[], None] = lambda: None
    _held: ExitStack = field(init=False, default_factory=ExitStack)
    _windows: list[Reservation] = field(init=False, default_factory=list)
    _read_at: float = field(init=False, default=-math.inf)

    def __enter__(self) -> DeviceHold:
        self.wait_for_windows()
        self._take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.close()

    def make_way(self, lasts_s: float) -> None:
        """Leave the device to whoever has reserved it, and take it up again afterwards.

        Args:
            lasts_s: How long what is about to be sent will keep the device.
        """
        if self._foreign(lasts_s) is None:
            return
        self.let_go()
        self._held.close()
        self.wait_for_windows(lasts_s)
        self._take()

    def wait_for_windows(self, lasts_s: float = 0.0) -> None:
        """Return when no window of another is open, or opens before something could end."""
        waited = False
        while (window := self._foreign(lasts_s)) is not None:
            waited = True
            until = f"{window.ends_at.astimezone(UTC):%Y-%m-%d %H:%M}"
            self.say(f"{self.device} is reserved for others until {until} UTC")
            left_s = (window.ends_at - datetime.now(UTC)).total_seconds()
            self.patience.pause(max(0.1, min(left_s, LOOKED_AGAIN_EVERY_S)))
            self._read_at = -math.inf
        if waited:
            self.say("")

    def _foreign(self, lasts_s: float) -> Reservation | None:
        if self.owner is None:
            return None
        now = datetime.now(UTC)
        known_for_s = time.monotonic() - self._read_at
        if known_for_s > (LOOKED_AGAIN_EVERY_S if self._windows else CALENDAR_READ_EVERY_S):
            self._windows = self.patience.through(
                lambda: self.calendar.between(now, now + timedelta(hours=1), self.device)
            )
            self._read_at = time.monotonic()
        ends = now + timedelta(seconds=lasts_s)
        for window in self._windows:
            open_by_then = window.begins_at <= ends and window.ends_at > now
            if open_by_then and window.holder not in {self.owner, EVERYBODY}:
                return window
        return None

    def _take(self) -> None:
        limit = f"device-{_FORBIDDEN.sub('_', self.device)}"
        holder = ConcurrencyLeaseHolder(type="flow_run", id=self.run_id)
        self.patience.through(lambda: self._limit(limit))
        with ExitStack() as held:
            held.callback(self._free, self.patience.through(lambda: _slot(limit, holder)))
            held.enter_context(self.ownership.device(self.device, self.slots, self.say))
            self._held = held.pop_all()

    @reaching_prefect()
    def _limit(self, limit: str) -> None:
        # Two first jobs of a device make the limit at once: one of them finds it made.
        with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
            client.upsert_global_concurrency_limit_by_name(limit, self.slots)

    def _free(self, slot: ExitStack) -> None:
        try:
            with reaching_prefect():
                slot.close()
        except PlatformUnavailable as error:  # what a job has found out does not depend on it
            self.patience.log.warning(
                "%s's slot is free in %.0f s at the latest: %s", self.device, SLOT_LEASE_S, error
            )


@reaching_prefect()
def _slot(limit: str, holder: ConcurrencyLeaseHolder) -> ExitStack:
    """A slot of Prefect's limit, until it is closed."""
    slot = ExitStack()
    slot.enter_context(
        concurrency(
            limit,
            occupy=1,
            strict=True,
            holder=holder,
            lease_duration=SLOT_LEASE_S,
            raise_on_lease_renewal_failure=False,
        )
    )
    return slot
