"""What vendors' providers share: devices are reached by an address and credentials.

A device is opened as ``ADAPTER:ADDRESS`` (``ibm:ibm_torino``) with the credentials that the
vendor's usual environment variables and files hold, or by the name under which it was registered
(``qcpaas devices add``) with the credentials that were named there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.contract import DeviceAdapter
from adapters.credentials import Credentials, NoCredentials
from qcpaas.devices import DeviceInfo, DeviceRegistration
from qcpaas.errors import InputError, UnknownDevice
from store.snapshot import Snapshot


class DeviceSettings(BaseModel):
    """The base of what one vendor's devices can be configured with."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnySettings = TypeVar("AnySettings", bound=DeviceSettings)


class Vendor(ABC):
    """The base of a vendor's provider.

    Attributes:
        adapter: Its name in the ``qcpaas.adapters`` entry-point group.
        credentials_type: What its users are let in with.
        settings_type: What a registration's ``settings`` may hold.
        client: Module of the vendor's client; empty where none is needed.
    """

    adapter: ClassVar[str]
    credentials_type: ClassVar[type[Credentials]] = NoCredentials
    settings_type: ClassVar[type[DeviceSettings]] = DeviceSettings
    client: ClassVar[str] = ""

    @property
    def is_installed(self) -> bool:
        """Whether the vendor's client is here; found without importing it."""
        try:
            return not self.client or find_spec(self.client) is not None
        except ModuleNotFoundError:  # of the package that the module is in
            return False

    @abstractmethod
    def connect(
        self,
        registration: DeviceRegistration,
        credentials: Any,
        settings: Any,
        known: Snapshot | None = None,
    ) -> DeviceAdapter:
        """The device at ``registration.address``; it calls itself ``registration.name``.

        Calls nobody where that can be avoided: what is wrong shows in the first operation.

        Args:
            credentials: Of this vendor's ``credentials_type``.
            settings: Of this vendor's ``settings_type``.
            known: The newest snapshot that the store has of it.

        Raises:
            DeviceUnavailable: The vendor's client is not installed.
        """

    def available(self, credentials: Any) -> Sequence[DeviceInfo]:
        """The vendor's devices that these credentials open; each one's name is its address.

        Raises:
            CredentialsRefused: They open nothing.
            DeviceUnavailable: The vendor cannot be reached.
        """
        raise InputError(
            f"{self.adapter} does not list its devices. Give the address of the one that you mean."
        )

    def devices(self) -> Sequence[DeviceInfo]:
        """None: they are registered, or named with their address."""
        return ()

    def open(self, name: str, known: Snapshot | None = None) -> DeviceAdapter:
        """A device by ``ADAPTER:ADDRESS``, with the environment's credentials."""
        prefix, colon, address = name.partition(":")
        if not colon or prefix != self.adapter:
            raise UnknownDevice(
                f"{self.adapter} has no device {name!r}. Name it as {self.adapter}:ADDRESS."
            )
        registration = DeviceRegistration(name=name, adapter=prefix, address=address)
        return self.open_registered(registration, self.credentials_type.from_environment(), known)

    def open_registered(
        self,
        registration: DeviceRegistration,
        credentials: Credentials,
        known: Snapshot | None = None,
    ) -> DeviceAdapter:
        """`connect` with the registration's settings checked.

        Raises:
            InputError: They are not those of this vendor.
        """
        settings = read_settings(self.settings_type, registration)
        return self.connect(registration, credentials, settings, known)


def read_settings(kind: type[AnySettings], registration: DeviceRegistration) -> AnySettings:
    """Raises `InputError` for a setting that is unknown or has a wrong value."""
    try:
        return kind.model_validate(registration.settings)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        known = ", ".join(kind.model_fields) or "none"
        raise InputError(
            f"device {registration.name}: setting {field} of {registration.adapter}: "
            f"{first['msg']}. Its settings are {known}."
        ) from error
