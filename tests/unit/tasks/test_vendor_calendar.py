"""What vendors say of their devices' time, in the platform's calendar."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from adapters.contract import Availability, Unsupported, Window
from adapters.simulators import SimulatorAdapter
from qcpaas.devices import DeviceInfo
from qcpaas.errors import UnknownDevice
from qcpaas.schemas import CircuitItem, CircuitJob, CircuitPayload, ExecutionSettings
from store.database import Store, open_store
from store.devices import DEVICE, Devices
from store.jobs import Jobs
from store.ledger import Intent, Ledger, NewCall
from store.reservations import Reservations
from store.timings import DeviceTimings, Observed, Timings
from tasks.vendor_calendar import TYPICAL_S, refresh_vendor_calendar

NOW = datetime.now(UTC)


class Reserved(SimulatorAdapter):
    """A device with a calendar of its own."""

    def __init__(self, windows: Sequence[Window] | Unsupported, availability: Availability) -> None:
        super().__init__("alpha", "statevector")
        self._windows, self._availability = windows, availability

    def availability(self) -> Availability:
        return self._availability

    def reservations(self) -> Sequence[Window] | Unsupported:
        return self._windows


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        Devices(opened).register(DeviceInfo(name="alpha", adapter="rigetti", num_qubits=4))
        yield opened


def hours(begin: float, end: float, reservation_id: str = "") -> Window:
    return Window(NOW + timedelta(hours=begin), NOW + timedelta(hours=end), reservation_id, "ours")


def test_a_vendors_windows_are_in_the_calendar_and_follow_it(store: Store) -> None:
    online = Availability(online=True)
    refresh_vendor_calendar("alpha", Reserved([hours(1, 2, "17"), hours(3, 4)], online), store)
    first, second = Reservations(store).between(NOW)
    assert (first.reservation_id, first.source, first.holder) == ("rigetti-17", "rigetti", "*")
    assert (first.begins_at, first.ends_at) == (NOW + timedelta(hours=1), NOW + timedelta(hours=2))
    assert first.reason == "ours"
    refresh_vendor_calendar("alpha", Reserved([hours(3, 5)], online), store)
    (found,) = Reservations(store).between(NOW)
    assert found.reservation_id == second.reservation_id
    assert found.ends_at == NOW + timedelta(hours=5)


def test_a_vendor_without_reservations_changes_no_calendar(store: Store) -> None:
    online = Availability(online=True)
    refresh_vendor_calendar("alpha", Reserved([hours(1, 2, "17")], online), store)
    without = Reserved(Unsupported("reservations", "alpha takes none"), online)
    refresh_vendor_calendar("alpha", without, store)
    assert len(Reservations(store).between(NOW)) == 1


def test_a_device_that_is_away_says_when_it_is_back(store: Store) -> None:
    away = Availability(online=False, queue_length=7, next_window=hours(2, 3))
    refresh_vendor_calendar("alpha", Reserved([], away), store)
    with store.read() as connection:
        row = connection.execute(select(DEVICE)).one()
    assert (row.online, row.queue_length) == (False, 7)
    assert row.back_at == NOW + timedelta(hours=2)
    refresh_vendor_calendar("alpha", Reserved([], Availability(online=True)), store)
    with store.read() as connection:
        row = connection.execute(select(DEVICE)).one()
    assert (row.online, row.back_at, row.queue_length) == (True, None, None)


def test_an_unregistered_device_has_no_calendar(store: Store) -> None:
    with pytest.raises(UnknownDevice):
        refresh_vendor_calendar("beta", Reserved([], Availability(online=True)), store)


# --- the vendor's own queue ------------------------------------------------------------------

GARNET = DeviceInfo(name="garnet", adapter="iqm", num_qubits=20, address="garnet")


def queue_of_garnet(
    store: Store, device: DeviceInfo = GARNET, **told: float
) -> tuple[float | None, str]:
    """What stands in the store once the vendor has told that."""
    Devices(store).register(device)
    said = Availability(**{"online": True, **told})
    refresh_vendor_calendar("garnet", Reserved([], said), store)
    with store.read() as connection:
        row = connection.execute(select(DEVICE).where(DEVICE.c.name == "garnet")).one()
    return row.queue_s, row.queue_note


def send_a_job(store: Store, device: str) -> None:
    """A job of the platform that the device has accepted and not answered."""
    items = (CircuitItem(circuit=CircuitPayload(format="qasm2", text="OPENQASM 2.0;")),)
    execution = ExecutionSettings(backend=device, seed=1)
    Jobs(store).create(CircuitJob(job_id="job", execution=execution, items=items))
    intent = Intent(
        call=0,
        part=0,
        attempt=0,
        token="token",
        device=device,
        session_id=None,
        content_key="content",
        seed=1,
        request=b"",
        submitted_at=NOW,
    )
    with Ledger(store, "job", lambda: ()) as ledger:
        ledger.intend(intent, NewCall(0, "key", "plan", b""))
        ledger.accepted("token", "at-the-vendor")


def test_a_vendors_own_estimate_is_taken_as_it_is(store: Store) -> None:
    assert queue_of_garnet(store, queue_length=7, queue_s=90.0) == (90.0, "iqm's own estimate")


def test_jobs_of_others_count_as_long_as_jobs_took_before(store: Store) -> None:
    seconds, how = queue_of_garnet(store, queue_length=3)
    assert seconds == 3 * TYPICAL_S
    assert "none has run here yet" in how
    took = tuple(Observed(1, 100, 0.1, qpu_s, qpu_s + 60.0) for qpu_s in (2.0, 4.0, 30.0))
    assert Timings(store).keep("garnet", DeviceTimings(observed=took), None)
    send_a_job(store, "garnet")
    seconds, how = queue_of_garnet(store, queue_length=3)
    assert seconds == 2 * 4.0  # one of the three is the platform's own
    assert how == "2 jobs of others at iqm, 4 s each (as jobs took here before)"


def test_of_simulators_those_that_queue_are_asked_again(store: Store) -> None:
    simulator = GARNET.model_copy(update={"simulator": True})
    assert queue_of_garnet(store, simulator) == (None, "")
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert Devices(store).unheard_since(later) == []
    assert queue_of_garnet(store, simulator, queue_length=2)[0] == 2 * TYPICAL_S
    assert Devices(store).unheard_since(later) == ["garnet"]


def test_a_queue_that_is_not_told_is_said_to_be_so(store: Store) -> None:
    assert queue_of_garnet(store) == (None, "iqm does not tell its queue")
    away = queue_of_garnet(store, online=False, queue_length=3)
    assert away == (None, "iqm takes nothing now")
