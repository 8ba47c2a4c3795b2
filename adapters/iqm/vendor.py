"""IQM quantum computers, through iqm-client."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.iqm.adapter import IqmAdapter
from adapters.iqm.connection import Connection
from adapters.iqm.credentials import IqmCredentials
from adapters.iqm.settings import IqmSettings
from adapters.vendor import Vendor
from qcpaas.devices import DeviceInfo, DeviceRegistration
from store.snapshot import Snapshot


class IqmVendor(Vendor):
    """Devices by the alias that their server gives them, such as ``iqm:garnet``."""

    adapter = "iqm"
    credentials_type = IqmCredentials
    settings_type = IqmSettings
    client = "iqm.iqm_client"

    def connect(
        self,
        registration: DeviceRegistration,
        credentials: IqmCredentials,
        settings: IqmSettings,
        known: Snapshot | None = None,
    ) -> IqmAdapter:
        """Calls nobody.

        Raises:
            CredentialsRefused: No server is given, or two ways in.
        """
        return IqmAdapter(credentials, registration.address, registration.name, settings, known)

    def available(self, credentials: IqmCredentials) -> Sequence[DeviceInfo]:
        server = Connection(credentials, "", "the IQM server")
        return [
            DeviceInfo(
                name=alias,
                adapter=self.adapter,
                address=alias,
                num_qubits=num_qubits,
                description=f"{title} at {server.url}",
            )
            for alias, title, num_qubits in server.listed()
        ]
