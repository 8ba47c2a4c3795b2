"""Devices behind the open hardware API."""

from __future__ import annotations

from typing import ClassVar

from adapters.contract import DeviceAdapter
from adapters.credentials import Credentials
from adapters.open_hardware.credentials import OpenHardwareCredentials
from adapters.open_hardware.settings import OpenHardwareSettings
from adapters.vendor import DeviceSettings, Vendor
from qcpaas.devices import DeviceRegistration
from store.snapshot import Snapshot


class OpenHardwareVendor(Vendor):
    """``qpu``: an address is a URL, such as ``https://qpu.lab.example/emu``."""

    adapter: ClassVar[str] = "qpu"
    credentials_type: ClassVar[type[Credentials]] = OpenHardwareCredentials
    settings_type: ClassVar[type[DeviceSettings]] = OpenHardwareSettings

    def connect(
        self,
        registration: DeviceRegistration,
        credentials: OpenHardwareCredentials,
        settings: OpenHardwareSettings,
        known: Snapshot | None = None,
    ) -> DeviceAdapter:
        """Calls nobody.

        Raises:
            InputError: The address is no URL, or would take the token over plain HTTP.
        """
        from adapters.open_hardware.adapter import OpenHardwareAdapter

        return OpenHardwareAdapter(registration.name, registration.address, credentials, settings)
