"""The devices of a running platform, which its workers reach; its server keeps the credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import SecretStr

from qcpaas.calibration_artifacts import KnownDevices
from qcpaas.devices import CredentialsInfo, CredentialsKind, DeviceInfo, DeviceRegistration
from qcpaas.prefect_api import PrefectApi
from qcpaas.prefect_blocks import PrefectBlocks
from qcpaas.prefect_questions import PrefectQuestions

DEVICES = "devices/devices"  # the deployment


class PrefectAdministration:
    """Implements ``qcpaas.administration.Administration``."""

    def __init__(self, api: PrefectApi) -> None:
        self._blocks = PrefectBlocks(api)
        self._questions = PrefectQuestions(api)

    def add_device(self, registration: DeviceRegistration) -> DeviceInfo:
        (info,) = self._ask(add=registration.model_dump(mode="json"))
        return info

    def remove_device(self, name: str) -> None:
        self._ask(remove=name)

    def available_devices(self, adapter: str, credentials: str = "") -> Sequence[DeviceInfo]:
        return self._ask(available={"adapter": adapter, "credentials": credentials})

    def credential_kinds(self) -> Sequence[CredentialsKind]:
        return self._blocks.kinds()

    def credentials(self) -> Sequence[CredentialsInfo]:
        return self._blocks.all()

    def keep_credentials(
        self, name: str, adapter: str, values: Mapping[str, str | SecretStr]
    ) -> None:
        self._blocks.keep(name, adapter, values)

    def remove_credentials(self, name: str, adapter: str) -> None:
        self._blocks.remove(name, adapter)

    def _ask(self, **parameters: object) -> Sequence[DeviceInfo]:
        return self._questions.ask(DEVICES, KnownDevices, **parameters).devices
