"""Registered devices and their newest calibration."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from qcpaas.calibration import Quantity
from qcpaas.devices import DeviceInfo
from qcpaas.errors import UnknownDevice
from store.calibrations import Calibrations
from store.database import Store
from store.devices import Devices
from store.snapshot import Reading, Snapshot

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def kolkata(**change: object) -> DeviceInfo:
    return DeviceInfo(name="FakeKolkata", adapter="twins", num_qubits=27).model_copy(update=change)


def snapshot(t1_s: float, taken_at: datetime, device: str = "FakeKolkata") -> Snapshot:
    return Snapshot.of(device, 27, [Reading(Quantity.T1_S, (0,), t1_s, NOON)], taken_at)


def test_an_unknown_device_is_none(store: Store) -> None:
    assert Devices(store).get("FakeKolkata") is None


def test_a_registered_device_comes_back(store: Store) -> None:
    info = kolkata(simulator=True, description="27 qubits, heavy-hex")
    Devices(store).register(info)
    assert Devices(store).get("FakeKolkata") == info


def test_registering_again_renews_what_is_known(store: Store) -> None:
    devices = Devices(store)
    devices.register(kolkata(description="old"))
    devices.register(kolkata(description="new", num_qubits=28))
    assert devices.all() == [kolkata(description="new", num_qubits=28)]


def test_the_calibration_is_that_of_the_newest_pull(store: Store) -> None:
    devices, calibrations = Devices(store), Calibrations(store)
    devices.register(kolkata())
    early, late = snapshot(1e-4, NOON), snapshot(2e-4, NOON + timedelta(hours=1))
    calibrations.record(late)
    calibrations.record(early)  # a pull from the past arrives afterwards
    calibrations.record(snapshot(3e-4, NOON + timedelta(days=1), device="FakeTorino"))
    info = devices.get("FakeKolkata")
    assert info is not None
    assert (info.snapshot_id, info.calibrated_at) == (late.content_id, late.taken_at)


def test_what_a_registration_claims_about_calibration_is_not_believed(store: Store) -> None:
    devices = Devices(store)
    devices.register(kolkata(snapshot_id="made-up", calibrated_at=NOON))
    assert devices.get("FakeKolkata") == kolkata()


def test_all_devices_come_by_name_with_or_without_calibration(store: Store) -> None:
    devices = Devices(store)
    for name in ("FakeTorino", "FakeKolkata", "FakeSherbrooke"):
        devices.register(kolkata(name=name))
    Calibrations(store).record(snapshot(1e-4, NOON))
    assert [(info.name, info.calibrated_at) for info in devices.all()] == [
        ("FakeKolkata", NOON),
        ("FakeSherbrooke", None),
        ("FakeTorino", None),
    ]


def test_when_a_device_was_asked_last_and_what_went_wrong(store: Store) -> None:
    devices = Devices(store)
    devices.register(kolkata())
    devices.asked("FakeKolkata", NOON, "no answer within 30 s")
    found = devices.get("FakeKolkata")
    assert found is not None
    assert (found.asked_at, found.problem) == (NOON, "no answer within 30 s")
    devices.register(kolkata(description="new"))  # what is known of its calibration stays
    assert devices.all() == [found.model_copy(update={"description": "new"})]
    devices.asked("FakeKolkata", NOON + timedelta(hours=1))
    found = devices.get("FakeKolkata")
    assert found is not None
    assert (found.asked_at, found.problem) == (NOON + timedelta(hours=1), "")


def test_a_device_that_is_not_registered_cannot_be_asked(store: Store) -> None:
    with pytest.raises(UnknownDevice, match="no device 'FakeKolkata'"):
        Devices(store).asked("FakeKolkata", NOON)
