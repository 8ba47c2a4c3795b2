"""Amazon Braket devices and simulators, through its SDK."""

from __future__ import annotations

from typing import Any

from adapters.contract import DeviceAdapter
from adapters.vendor import Vendor
from qcpaas.errors import UnknownDevice
from qcpaas.schemas import DeviceRegistration
from store.snapshot import Snapshot


class BraketVendor(Vendor):
    adapter = "braket"

    def connect(
        self,
        registration: DeviceRegistration,
        credentials: Any,
        settings: Any,
        known: Snapshot | None = None,
    ) -> DeviceAdapter:
        raise UnknownDevice(registration.address)
