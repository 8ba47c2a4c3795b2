"""IQM quantum computers, through iqm-client."""

from __future__ import annotations

from typing import Any

from adapters.contract import DeviceAdapter
from adapters.vendor import Vendor
from qcpaas.errors import UnknownDevice
from qcpaas.schemas import DeviceRegistration
from store.snapshot import Snapshot


class IqmVendor(Vendor):
    adapter = "iqm"

    def connect(
        self,
        registration: DeviceRegistration,
        credentials: Any,
        settings: Any,
        known: Snapshot | None = None,
    ) -> DeviceAdapter:
        raise UnknownDevice(registration.address)
