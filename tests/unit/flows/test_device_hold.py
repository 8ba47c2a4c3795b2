from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.processes import free_port
from flows import device_hold
from flows.device_hold import DeviceHold
from qcpaas.errors import JobCancelled
from qcpaas.scheduling import Reservation
from store.database import open_store
from store.reservations import Reservations
from tasks.patience import Patience


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


@pytest.fixture
def hold(store):
    told: list[str] = []
    made = DeviceHold(
        device="FakeLima",
        slots=1,
        run_id=uuid4(),
        ownership=None,
        patience=Patience(threading.Event()),
        say=told.append,
        calendar=Reservations(store),
        owner="ada",
    )
    made.told = told
    return made


def reserve(store, holder, begins_s, lasts_s, device="FakeLima"):
    begins = datetime.now(UTC) + timedelta(seconds=begins_s)
    asked = Reservation(
        device=device,
        holder=holder,
        begins_at=begins,
        ends_at=begins + timedelta(seconds=lasts_s),
    )
    return Reservations(store).add(asked, "owner")


def test_a_job_waits_until_another_s_window_is_over(store, hold):
    window = reserve(store, "grace", 0.0, 1.0)
    hold.wait_for_windows()
    assert datetime.now(UTC) >= window.ends_at
    assert "FakeLima is reserved for others until" in hold.told[0]
    assert hold.told[-1] == ""


@pytest.mark.parametrize(
    ("holder", "device", "begins_s"),
    [("ada", "FakeLima", 0.0), ("grace", "FakeKolkata", 0.0), ("grace", "FakeLima", 600.0)],
)
def test_its_own_window_another_device_s_and_a_later_one_are_no_reason(
    store, hold, holder, device, begins_s
):
    reserve(store, holder, begins_s, 3600.0, device)
    hold.wait_for_windows()
    assert hold.told == []


def test_what_would_run_into_a_window_waits_before_it(store, hold):
    hold.patience.cancelled.set()
    reserve(store, "grace", 30.0, 3600.0)
    hold.make_way(10.0)
    with pytest.raises(JobCancelled):
        hold.make_way(60.0)
    assert "reserved for others" in hold.told[0]


def test_a_cancelled_window_lets_it_go_on(store, hold):
    window = reserve(store, "grace", 0.0, 3600.0)
    hold.patience.pause = lambda seconds: Reservations(store).cancel(window.reservation_id)
    hold.wait_for_windows()
    assert hold.told[-1] == ""


def test_a_job_of_nobody_knows_no_windows(store, hold):
    reserve(store, "grace", 0.0, 3600.0)
    hold.owner = None
    hold.wait_for_windows()
    assert hold.told == []


@pytest.mark.timeout(60)
def test_a_job_that_cannot_reach_prefect_waits_for_its_slot(hold):
    def cancelled(seconds):
        raise JobCancelled("enough")

    hold.patience.tell, hold.patience.pause = hold.told.append, cancelled
    away = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
    with temporary_settings(away), pytest.raises(JobCancelled), hold:
        pass
    assert hold.told == ["waiting: Prefect's server does not answer (ConnectError)."]


def test_a_slot_that_cannot_be_given_back_costs_no_answer(hold, monkeypatch, caplog):
    @contextmanager
    def slot(*_, **__):
        yield
        raise httpx.ConnectError("All connection attempts failed")

    monkeypatch.setattr(device_hold, "concurrency", slot)
    monkeypatch.setattr(hold, "_limit", lambda limit: None)
    hold.ownership = SimpleNamespace(device=lambda *_: nullcontext())
    with hold:
        answer = 42
    assert answer == 42
    assert "FakeLima's slot is free in 60 s at the latest" in caplog.text
