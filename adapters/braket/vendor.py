"""Amazon Braket's devices, by address.

A device's ARN; ``local:braket_sv`` or ``local:braket_dm`` for the SDK's simulators; or
``emulator:FILE`` for a noisy twin of the device whose properties a file holds.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from adapters.braket.adapter import BraketAdapter
from adapters.braket.aws import Aws, Reply
from adapters.braket.credentials import BraketCredentials
from adapters.braket.errors import NotFound
from adapters.braket.local import WIDEST, LocalBraketAdapter, emulate
from adapters.braket.properties import DeviceReply, facts_of
from adapters.braket.settings import BraketSettings
from adapters.contract import DeviceAdapter
from adapters.vendor import Vendor
from qcpaas.devices import DeviceInfo, DeviceRegistration
from qcpaas.errors import CredentialsRefused, DeviceUnavailable, MalformedReply, UnknownDevice
from store.snapshot import Snapshot

# Where QPUs stand, as the SDK's AwsDevice.REGIONS lists them.
REGIONS = ("us-east-1", "us-west-1", "us-west-2", "eu-west-2", "eu-north-1")
LOCAL = "local:"
EMULATOR = "emulator:"
_ARN = re.compile(r"arn:aws[a-z-]*:braket:[a-z0-9-]*::device/[\w./-]+")
_RETIRED = "RETIRED"


class DeviceSummary(Reply):
    device_arn: str
    device_name: str
    provider_name: str
    device_type: str
    device_status: str


class DevicePage(Reply):
    devices: tuple[DeviceSummary, ...] = Field(max_length=1000)
    next_token: str | None = None


class BraketVendor(Vendor):
    adapter = "braket"
    credentials_type = BraketCredentials
    settings_type = BraketSettings
    client = "braket.aws"

    def connect(
        self,
        registration: DeviceRegistration,
        credentials: Any,
        settings: Any,
        known: Snapshot | None = None,
    ) -> DeviceAdapter:
        """Calls nobody."""
        name, address = registration.name, registration.address
        _require("boto3" if _ARN.fullmatch(address) else "braket")
        if address.startswith(EMULATOR):
            return emulate(name, address.removeprefix(EMULATOR))
        if address.startswith(LOCAL):
            backend = address.removeprefix(LOCAL)
            if backend in WIDEST:
                return LocalBraketAdapter(name, backend)
        elif _ARN.fullmatch(address):
            return BraketAdapter(name, address, credentials, settings)
        raise UnknownDevice(
            f"braket has no device {address!r}. Give a device's ARN, "
            f"{' or '.join(LOCAL + backend for backend in WIDEST)}, or {EMULATOR}FILE."
        )

    def available(self, credentials: Any) -> Sequence[DeviceInfo]:
        """The gate-model devices of every region, the simulators of the credentials' own."""
        aws = Aws("braket", credentials)
        own = aws.region()
        found: dict[str, DeviceInfo] = {}
        away: list[DeviceUnavailable] = []
        for region in dict.fromkeys((own, *REGIONS)):
            try:
                for summary in _search(aws, region):
                    wanted = summary.device_type == "QPU" or region == own
                    if wanted and summary.device_arn not in found:
                        info = self._describe(aws, region, summary)
                        found |= {summary.device_arn: info} if info else {}
            except (CredentialsRefused, DeviceUnavailable) as error:
                if region == own:
                    raise
                away.append(DeviceUnavailable(f"{region}: {error}"))
        if away and not found:
            raise away[0]
        return [found[arn] for arn in sorted(found)]

    def _describe(self, aws: Aws, region: str, summary: DeviceSummary) -> DeviceInfo | None:
        if summary.device_status == _RETIRED:
            return None
        arn = summary.device_arn
        try:
            reply = aws.read(DeviceReply, "braket", region, "get_device", deviceArn=arn)
            facts = facts_of(reply)
        except (MalformedReply, NotFound):
            return None  # of a kind that this adapter does not know
        if facts is None:
            return None
        return DeviceInfo(
            name=arn,
            adapter=self.adapter,
            num_qubits=facts.num_qubits,
            simulator=not facts.qpu,
            address=arn,
            description=f"{summary.provider_name} {summary.device_name}",
        )


def _require(package: str) -> None:
    """Raises `DeviceUnavailable` where a package is missing; imports nothing."""
    if importlib.util.find_spec(package) is None:
        raise DeviceUnavailable(
            f"the package {package} is not installed. Install amazon-braket-sdk, which brings it."
        )


def _search(aws: Aws, region: str) -> Iterator[DeviceSummary]:
    given: dict[str, Any] = {"filters": [], "maxResults": 100}
    while True:
        page = aws.read(DevicePage, "braket", region, "search_devices", **given)
        yield from page.devices
        if page.next_token is None:
            return
        given["nextToken"] = page.next_token
