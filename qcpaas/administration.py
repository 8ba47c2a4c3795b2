"""What a platform's owner does: devices and the credentials that open them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from pydantic import SecretStr

from qcpaas.devices import CredentialsInfo, CredentialsKind, DeviceInfo, DeviceRegistration


class Administration(Protocol):
    """Every method raises `PlatformUnavailable` when the platform cannot be reached."""

    def add_device(self, registration: DeviceRegistration) -> DeviceInfo:
        """Check a device, register it, and pull its first calibration.

        One that is registered already is reached as said now; its calibrations stay.

        Raises:
            InputError: The name is taken, the adapter is unknown, or a setting is.
            CredentialsRefused: Its vendor does not let them in.
            DeviceUnavailable: It cannot be reached.
        """
        ...

    def remove_device(self, name: str) -> None:
        """Forget how a device is reached; its calibrations and jobs stay. `UnknownDevice`."""
        ...

    def available_devices(self, adapter: str, credentials: str = "") -> Sequence[DeviceInfo]:
        """What a vendor has for the holder of credentials; the name of each is its address.

        Args:
            credentials: Name of those that the platform keeps; the environment's where empty.
        """
        ...

    def credential_kinds(self) -> Sequence[CredentialsKind]:
        """What each adapter's credentials consist of."""
        ...

    def credentials(self) -> Sequence[CredentialsInfo]:
        """What is kept, without what it holds."""
        ...

    def keep_credentials(
        self, name: str, adapter: str, values: Mapping[str, str | SecretStr]
    ) -> None:
        """Keep credentials under a name, in place of earlier ones of that name. `InputError`."""
        ...

    def remove_credentials(self, name: str, adapter: str) -> None:
        """Raises `InputError` where there are none of that name."""
        ...
