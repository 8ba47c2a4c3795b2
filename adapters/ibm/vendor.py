"""IBM Quantum devices, through qiskit-ibm-runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapters.contract import DeviceAdapter
from adapters.ibm.credentials import IbmCredentials
from adapters.ibm.settings import IbmSettings
from adapters.vendor import Vendor
from qcpaas.devices import DeviceInfo, DeviceRegistration
from qcpaas.errors import InputError
from store.snapshot import Snapshot

LOCAL = "local"


class IbmVendor(Vendor):
    """Devices by IBM's names (``ibm_torino``); ``local:fake_torino`` and ``local:aer`` are run
    by the client itself, in its local testing mode.
    """

    adapter = "ibm"
    credentials_type = IbmCredentials
    settings_type = IbmSettings
    client = "qiskit_ibm_runtime"

    def connect(
        self,
        registration: DeviceRegistration,
        credentials: Any,
        settings: Any,
        known: Snapshot | None = None,
    ) -> DeviceAdapter:
        """Calls nobody."""
        from adapters.ibm.adapter import IbmAdapter
        from adapters.ibm.connection import Connection, require_client

        name, address = registration.name, registration.address
        require_client(name)
        if address.startswith(f"{LOCAL}:"):
            from adapters.ibm.local import open_local

            return open_local(name, address)
        if credentials.channel == LOCAL:
            raise InputError(
                f"device {name}: the credentials' channel is local, and {address} is not. Name a "
                f"device of the local testing mode, such as {LOCAL}:fake_torino."
            )
        connection = Connection(name, credentials, settings.instance)
        return IbmAdapter(name, address, connection, settings)

    def available(self, credentials: Any) -> Sequence[DeviceInfo]:
        from adapters.ibm.connection import Connection, require_client

        require_client(self.adapter)
        if credentials.channel == LOCAL:
            from adapters.ibm.local import list_local

            return list_local()
        return [
            DeviceInfo(
                name=listed.name,
                adapter=self.adapter,
                num_qubits=listed.qubits,
                simulator=listed.is_simulator,
                address=listed.name,
            )
            for listed in Connection(self.adapter, credentials).listed()
        ]
