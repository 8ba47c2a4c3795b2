"""Fresh calibrations: concurrent demands share one pull, and a silent device keeps what it had."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.fake_backends import read_snapshot
from adapters.twins import TwinAdapter
from qcpaas.calibration import Quantity
from qcpaas.errors import CalibrationError, DeviceUnavailable, NotReady
from store.calibrations import Calibrations
from store.database import Store, open_store
from store.devices import Devices
from store.exclusive import holding
from store.snapshot import Provenance, Reading, Snapshot
from tasks.calibrate import is_too_old, promote, shared_pull
from tasks.device import Device
from tasks.registered import open_registered

NAME = "FakeAthens"


class Counted(TwinAdapter):
    """A twin that counts how often it is asked, takes its time, and can be silent."""

    def __init__(self, takes_s: float = 0.0) -> None:
        super().__init__(NAME, read_snapshot(NAME))
        self.asked = 0
        self.silent = False
        self._takes_s = takes_s
        self._counting = threading.Lock()

    def calibration(self, at: datetime | None = None) -> Snapshot:
        with self._counting:
            self.asked += 1
        time.sleep(self._takes_s)
        if self.silent:
            raise DeviceUnavailable(f"{NAME} does not answer.")
        found = super().calibration(at)
        assert isinstance(found, Snapshot)
        return found


@pytest.fixture
def store(tmp_path: Path):
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        open_registered(NAME, opened)
        yield opened


def measured(value: float, at: datetime) -> Reading:
    return Reading(
        Quantity.T1_S, (2,), value, at, std_error=1e-6, provenance=Provenance("protocol:qibocal")
    )


def test_demands_at_the_same_time_share_one_pull(store: Store) -> None:
    adapter = Counted(takes_s=0.5)
    now = datetime.now(UTC)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: shared_pull(adapter, store, now), range(8)))
    assert adapter.asked == 1
    assert {snapshot.content_id for snapshot in found} == {read_snapshot(NAME).content_id}


def test_demands_of_several_processes_share_one_pull(
    store: Store, tmp_path: Path, fork: Callable[..., object]
) -> None:
    asked = tmp_path / "asked"

    class Noted(Counted):
        def calibration(self, at: datetime | None = None) -> Snapshot:
            with asked.open("a") as file:
                file.write("x")
            return super().calibration(at)

    now = datetime.now(UTC)
    url = str(store.engine.url)

    def demand() -> None:
        with open_store(url) as opened:
            shared_pull(Noted(takes_s=0.5), opened, now)

    processes = [fork(demand) for _ in range(4)]
    for process in processes:
        process.join(60)  # type: ignore[attr-defined]
        assert process.exitcode == 0  # type: ignore[attr-defined]
    assert asked.read_text() == "x"


def test_a_later_demand_asks_again(store: Store) -> None:
    adapter = Counted()
    shared_pull(adapter, store, datetime.now(UTC))
    shared_pull(adapter, store, datetime.now(UTC))
    assert adapter.asked == 2
    assert len(Calibrations(store).history(NAME)) == 1  # the content had not changed


def test_a_device_that_does_not_answer_keeps_its_calibration_and_its_age_shows(
    store: Store,
) -> None:
    adapter = Counted()
    shared_pull(adapter, store, datetime.now(UTC))
    answered = Devices(store).get(NAME)
    adapter.silent = True
    with pytest.raises(DeviceUnavailable, match="does not answer"):
        shared_pull(adapter, store, datetime.now(UTC))
    info = Devices(store).get(NAME)
    assert info is not None
    assert answered is not None
    assert info.snapshot_id == answered.snapshot_id
    assert info.answered_at == answered.answered_at
    assert info.asked_at > info.answered_at
    assert "does not answer" in info.problem
    adapter.silent = False
    shared_pull(adapter, store, datetime.now(UTC))
    mended = Devices(store).get(NAME)
    assert mended is not None
    assert mended.problem == ""


def test_those_who_waited_for_a_failed_pull_are_told_why(store: Store) -> None:
    adapter = Counted(takes_s=0.3)
    adapter.silent = True
    now = datetime.now(UTC)

    def told(_: int) -> str:
        with pytest.raises(DeviceUnavailable) as caught:
            shared_pull(adapter, store, now)
        return str(caught.value)

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(told, range(4))) == {f"{NAME} does not answer."}
    assert adapter.asked == 1


def test_a_job_that_wants_a_fresh_calibration_asks_the_device_where_it_is_too_old(
    store: Store,
) -> None:
    adapter = Counted()
    Device(NAME, adapter, store, max_age_s=3600.0).snapshot()
    assert adapter.asked == 1  # there was none
    Device(NAME, adapter, store, max_age_s=3600.0).snapshot()
    assert adapter.asked == 1  # it is fresh
    Devices(store).asked(NAME, datetime.now(UTC) - timedelta(hours=2))
    Device(NAME, adapter, store, max_age_s=3600.0).snapshot()
    assert adapter.asked == 2
    Devices(store).asked(NAME, datetime.now(UTC) - timedelta(hours=2))
    Device(NAME, adapter, store).snapshot()
    assert adapter.asked == 2  # this one takes what there is


def test_a_job_goes_on_with_an_old_calibration_where_the_device_is_silent(store: Store) -> None:
    adapter = Counted()
    shared_pull(adapter, store, datetime.now(UTC))
    Devices(store).asked(NAME, datetime.now(UTC) - timedelta(hours=2))
    adapter.silent = True
    device = Device(NAME, adapter, store, max_age_s=3600.0)
    assert device.snapshot().content_id == read_snapshot(NAME).content_id
    assert adapter.asked == 2
    assert not is_too_old(NAME, store, 3600.0)  # not asked again at every step


def test_a_promoted_value_stands_until_the_device_measures_a_later_one(store: Store) -> None:
    adapter = Counted()
    before = shared_pull(adapter, store, datetime.now(UTC))
    promoted = promote(NAME, store, [measured(91e-6, datetime.now(UTC))])
    assert promoted.get(Quantity.T1_S, 2) == 91e-6
    assert promoted.get(Quantity.T1_S, 1) == before.get(Quantity.T1_S, 1)
    again = shared_pull(adapter, store, datetime.now(UTC))
    assert again.content_id == promoted.content_id
    newest = Calibrations(store).latest(NAME)
    assert newest is not None
    assert newest.get(Quantity.T1_S, 2) == 91e-6


def test_nothing_is_lost_where_a_pull_and_promotions_meet(store: Store) -> None:
    adapter = Counted(takes_s=0.05)
    shared_pull(adapter, store, datetime.now(UTC))
    at = datetime.now(UTC)

    def work(qubit: int) -> None:
        reading = Reading(
            Quantity.T1_S, (qubit,), 1e-6 * qubit, at, provenance=Provenance("protocol:qibocal")
        )
        promote(NAME, store, [reading])
        shared_pull(adapter, store, datetime.now(UTC))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(1, 5)))
    newest = Calibrations(store).latest(NAME)
    assert newest is not None
    assert [newest.get(Quantity.T1_S, qubit) for qubit in range(1, 5)] == [1e-6, 2e-6, 3e-6, 4e-6]


def test_a_value_cannot_be_promoted_to_a_device_of_which_nothing_is_known(store: Store) -> None:
    with pytest.raises(CalibrationError, match="has no calibration yet"):
        promote(NAME, store, [measured(1e-5, datetime.now(UTC))])


def test_one_at_a_time_holds_a_lease_and_the_others_wait_or_are_told(store: Store) -> None:
    told: list[str] = []
    again = holding(
        store, "characterise/qpu", patience_s=0.3, waiting=lambda record: told.append(record.name)
    )
    with (
        holding(store, "characterise/qpu"),
        pytest.raises(NotReady, match="characterise/qpu is held by"),
        again,
    ):
        pass
    assert told == ["characterise/qpu"]
    with holding(store, "characterise/qpu", patience_s=0.0):
        pass
