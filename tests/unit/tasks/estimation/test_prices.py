"""Prices against amounts reckoned by hand."""

import json

import pytest

from qcpaas.devices import DeviceInfo
from qcpaas.errors import InputError
from qcpaas.scheduling import JobEstimate
from tasks.estimation.prices import PerSecond, PerTaskAndShot, find_prices, price_for

JOB = JobEstimate(device="d", qpu_s=12.5, circuits=30, shots=120_000)


def device(adapter, address):
    return DeviceInfo(name="d", adapter=adapter, address=address, num_qubits=20)


@pytest.mark.parametrize(
    ("adapter", "address", "amount", "currency"),
    [
        # 30 tasks of 0.30 and 120,000 shots of 0.00145
        ("braket", "arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet", 183.0, "USD"),
        # 30 tasks of 0.30 and 120,000 shots of 0.08
        ("braket", "arn:aws:braket:us-east-1::device/qpu/ionq/Forte-1", 9609.0, "USD"),
        ("ibm", "ibm_torino", 20.0, "USD"),  # 12.5 s of 1.60
        ("iqm", "garnet", 48.0, "XXX"),  # seconds: 120,000 shots of 400 us
    ],
)
def test_published_prices_of_vendors(adapter, address, amount, currency):
    price = price_for(device(adapter, address), find_prices())
    cost = price.of(JOB)
    assert (cost.amount, cost.currency) == (pytest.approx(amount), currency)
    assert cost.priced_on.startswith("20")
    assert price.source


def test_the_least_that_is_billed_is_billed():
    short = JOB.model_copy(update={"shots": 100})
    billed = price_for(device("iqm", "garnet"), find_prices()).of(short)
    assert billed.amount == pytest.approx(0.9)
    asked = {"adapter": "a", "currency": "EUR", "priced_on": "2026-01-01", "minimum": 5.0}
    assert PerSecond(**asked, per_second=0.1).of(JOB).amount == 5.0
    assert PerTaskAndShot(**asked, per_task=1.0).of(JOB).amount == 30.0


@pytest.mark.parametrize("adapter", ["twins", "simulators", "braket"])
def test_what_nobody_charges_for_has_no_price(adapter):
    assert price_for(device(adapter, "local:braket_sv"), find_prices()) is None


def test_an_owners_own_price_goes_before_the_published_one(tmp_path):
    own = {
        "adapter": "ibm",
        "model": "per_second",
        "currency": "EUR",
        "per_second": 0.5,
        "priced_on": "2026-11-01",
    }
    (tmp_path / "prices.json").write_text(json.dumps({"prices": [own]}))
    price = price_for(device("ibm", "ibm_torino"), find_prices(tmp_path / "prices.json"))
    assert price.of(JOB).model_dump() == {
        "amount": 6.25,
        "currency": "EUR",
        "model": "0.5 a QPU second",
        "priced_on": "2026-11-01",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"prices": [{"model": "per_second"}]}', "wrong at prices"),
        ('{"prices": [{"model": "free"}]}', "wrong at prices"),
        ("not JSON", "is wrong"),
    ],
)
def test_a_wrong_price_list_says_where_it_is_wrong(tmp_path, text, words):
    (tmp_path / "prices.json").write_text(text)
    with pytest.raises(InputError, match=words):
        find_prices(tmp_path / "prices.json")
    with pytest.raises(InputError, match="cannot be read"):
        find_prices(tmp_path / "nowhere.json")
