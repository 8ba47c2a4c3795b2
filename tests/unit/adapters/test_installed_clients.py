import pytest

from adapters.braket.vendor import BraketVendor
from adapters.ibm.vendor import IbmVendor
from adapters.iqm.vendor import IqmVendor
from adapters.open_hardware.vendor import OpenHardwareVendor
from adapters.rigetti.vendor import RigettiVendor
from tasks.describe_environment import describe


@pytest.mark.parametrize(
    "vendor", [BraketVendor, IbmVendor, IqmVendor, OpenHardwareVendor, RigettiVendor]
)
def test_a_vendor_is_installed_where_its_client_is(vendor):
    assert vendor().is_installed


@pytest.mark.parametrize("client", ["no_such_client", "no_such_vendor.client"])
def test_a_worker_does_not_offer_a_vendor_whose_client_it_lacks(monkeypatch, client):
    monkeypatch.setattr(IqmVendor, "client", client)
    adapters = describe().adapters
    assert "iqm" not in adapters
    assert {"ibm", "braket", "rigetti", "qpu"} <= set(adapters)
