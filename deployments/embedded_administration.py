"""Devices and credentials of the platform inside one process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pydantic import SecretStr

from gateway.engine.blocks import PrefectBlocks
from qcpaas.devices import CredentialsInfo, CredentialsKind, DeviceInfo, DeviceRegistration
from store.database import Store
from store.devices import Devices


class EmbeddedAdministration:
    """Implements ``qcpaas.administration.Administration``.

    Args:
        start_server: Starts the Prefect server that keeps the credentials.
    """

    def __init__(
        self, store: Store, blocks: PrefectBlocks, start_server: Callable[[], object]
    ) -> None:
        self._store = store
        self._blocks = blocks
        self._start_server = start_server
        self._registered = False

    def add_device(self, registration: DeviceRegistration) -> DeviceInfo:
        from tasks.registered import add_device

        if registration.credentials:
            self._start_server()
        return add_device(registration, self._store)

    def remove_device(self, name: str) -> None:
        Devices(self._store).remove(name)

    def available_devices(self, adapter: str, credentials: str = "") -> Sequence[DeviceInfo]:
        from tasks.registered import available_devices

        if credentials:
            self._start_server()
        return available_devices(adapter, credentials)

    def credential_kinds(self) -> Sequence[CredentialsKind]:
        return self._ready().kinds()

    def credentials(self) -> Sequence[CredentialsInfo]:
        return self._ready().all()

    def keep_credentials(
        self, name: str, adapter: str, values: Mapping[str, str | SecretStr]
    ) -> None:
        self._ready().keep(name, adapter, values)

    def remove_credentials(self, name: str, adapter: str) -> None:
        self._ready().remove(name, adapter)

    def _ready(self) -> PrefectBlocks:
        """The server's blocks, once it knows the vendors' types."""
        self._start_server()
        if not self._registered:
            from blocks.credentials import register_blocks

            register_blocks()
            self._registered = True
        return self._blocks
