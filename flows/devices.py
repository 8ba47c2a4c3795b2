"""Devices come and go: for clients that reach neither the store nor the vendors."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from prefect import flow
from prefect.artifacts import Artifact
from pydantic import BaseModel

from flows import artifacts
from flows.calibration_pages import publish_calibration, publish_devices
from qcpaas.calibration_artifacts import KnownDevices
from qcpaas.devices import DeviceInfo, DeviceRegistration
from qcpaas.errors import InputError
from qcpaas.prefect_api import ANSWER
from qcpaas.settings import Settings
from store.database import Store, open_store
from store.devices import Devices
from tasks.environment import look_around
from tasks.registered import add_device, available_devices


class Vendor(BaseModel):
    """Whose devices are to be listed, and the name of the credentials that open them."""

    adapter: str
    credentials: str = ""


@flow(name="devices")
def devices(
    add: DeviceRegistration | None = None,
    remove: str | None = None,
    available: Vendor | None = None,
) -> None:
    """Register a device and pull its first calibration, forget one, or list a vendor's."""
    with open_store(Settings().resolved_store_url) as store:
        answer = _carry_out(store, add, remove, available)
        if available is None:
            artifacts.publish_environment(look_around(store))
            publish_devices(store)
            for info in answer:
                publish_calibration(store, info.name)
    told = KnownDevices(devices=tuple(answer)).model_dump(mode="json")
    Artifact(type=ANSWER, key=f"answer-{uuid4()}", data=told).create()


def _carry_out(
    store: Store, add: DeviceRegistration | None, remove: str | None, available: Vendor | None
) -> Sequence[DeviceInfo]:
    if add is not None:
        return [add_device(add, store)]
    if remove is not None:
        Devices(store).remove(remove)
        return []
    if available is not None:
        return available_devices(available.adapter, available.credentials)
    raise InputError("say which device comes or goes, or whose devices are to be listed.")
