from __future__ import annotations

import pytest
from sqlalchemy import select

from adapters.contract import Availability
from adapters.simulators import SimulatorAdapter
from flows import vendor_queues
from flows.vendor_queues import ask_vendors
from qcpaas.devices import DeviceInfo
from qcpaas.errors import DeviceUnavailable
from store.database import open_store
from store.devices import DEVICE, Devices

ANSWERS = {"answers": Availability(online=True, queue_s=60.0)}


class Asked(SimulatorAdapter):
    def availability(self):
        if self.name not in ANSWERS:
            raise DeviceUnavailable("no route to it")
        return ANSWERS[self.name]


@pytest.fixture
def store(tmp_path, monkeypatch):
    def opened(name, _):
        return Asked(name, "statevector")

    monkeypatch.setattr(vendor_queues, "open_registered", opened)
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        for name, address in (("answers", "a"), ("silent", "b"), ("twin", "")):
            Devices(store).register(
                DeviceInfo(name=name, adapter="iqm", num_qubits=4, address=address)
            )
        yield store


def test_a_vendor_that_does_not_answer_is_said_and_stops_no_other(store, caplog):
    assert ask_vendors(store) == {"silent"}
    with store.read() as connection:
        rows = {row.name: row for row in connection.execute(select(DEVICE))}
    assert (rows["answers"].queue_s, rows["answers"].queue_note) == (60.0, "iqm's own estimate")
    assert (rows["silent"].queue_s, rows["silent"].availability_at) == (None, None)
    assert rows["silent"].queue_note == "not renewed: no route to it"
    assert rows["twin"].availability_at is None  # it has no vendor
    # Whoever was asked a moment ago is not asked again; the silent one is, and logged once.
    assert Devices(store).unheard_since(rows["answers"].availability_at) == ["silent"]
    assert ask_vendors(store, frozenset({"silent"})) == {"silent"}
    assert len(caplog.records) == 1
