"""The devices of a running platform, and its credentials, through the gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from pydantic import SecretStr, TypeAdapter

from qcpaas.devices import CredentialsInfo, CredentialsKind, DeviceInfo, DeviceRegistration
from qcpaas.gateway_api import GatewayApi

WORKER_S = 240.0  # what a worker is asked may wait for one that is free

_DEVICES = TypeAdapter(list[DeviceInfo])
_KINDS = TypeAdapter(list[CredentialsKind])
_CREDENTIALS = TypeAdapter(list[CredentialsInfo])


class GatewayAdministration:
    """Implements ``qcpaas.administration.Administration``."""

    def __init__(self, api: GatewayApi) -> None:
        self._api = api

    def add_device(self, registration: DeviceRegistration) -> DeviceInfo:
        return self._api.ask("POST", "devices", DeviceInfo, body=registration, timeout_s=WORKER_S)

    def remove_device(self, name: str) -> None:
        self._api.tell("DELETE", f"devices/{quote(name, safe='')}")

    def available_devices(self, adapter: str, credentials: str = "") -> Sequence[DeviceInfo]:
        query = {"adapter": adapter, "credentials": credentials}
        path = "devices/available"
        return self._api.ask("GET", path, _DEVICES, query=query, timeout_s=WORKER_S)

    def credential_kinds(self) -> Sequence[CredentialsKind]:
        return self._api.ask("GET", "credentials/kinds", _KINDS)

    def credentials(self) -> Sequence[CredentialsInfo]:
        return self._api.ask("GET", "credentials", _CREDENTIALS)

    def keep_credentials(
        self, name: str, adapter: str, values: Mapping[str, str | SecretStr]
    ) -> None:
        told = {
            field: value.get_secret_value() if isinstance(value, SecretStr) else value
            for field, value in values.items()
        }
        self._api.tell("PUT", _credentials(adapter, name), told)

    def remove_credentials(self, name: str, adapter: str) -> None:
        self._api.tell("DELETE", _credentials(adapter, name))


def _credentials(adapter: str, name: str) -> str:
    return f"credentials/{quote(adapter, safe='')}/{quote(name, safe='')}"
