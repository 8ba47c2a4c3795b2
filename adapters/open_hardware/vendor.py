"""Devices behind the open hardware API."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from adapters.contract import DeviceAdapter
from adapters.credentials import Credentials
from adapters.open_hardware.credentials import OpenHardwareCredentials
from adapters.vendor import DeviceSettings, Vendor
from qcpaas.schemas import DeviceRegistration
from store.snapshot import Snapshot


class OpenHardwareSettings(DeviceSettings):
    """Attributes:
    ca_bundle: File with the certificates that are trusted; left out, the system's.
    circuits: ``best`` sends QPY where the device reads it, and OpenQASM 3 elsewhere.
    connect_s: How long a connection may take.
    reply_s: How long an answer may take, besides the time that was asked to wait.
    clear_text: Whether a token may go over plain HTTP to another machine.
    max_reply_mib: Larger replies are not read.
    """

    ca_bundle: str = ""
    circuits: Literal["best", "openqasm3"] = "best"
    connect_s: float = Field(default=5.0, gt=0, le=600)
    reply_s: float = Field(default=30.0, gt=0, le=3600)
    clear_text: bool = False
    max_reply_mib: int = Field(default=512, ge=1)


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
