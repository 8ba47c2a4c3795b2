"""Devices: what there is, and what their owner adds and removes."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.answers import TheAnswers
from gateway.api.names import AdapterName, DeviceName
from gateway.audit import about
from gateway.platform import Needs, ThePlatform
from qcpaas.calibration_artifacts import KnownDevices
from qcpaas.devices import DeviceInfo, DeviceRegistration
from qcpaas.scheduling import Role
from store.devices import Devices

DEVICES = "devices/devices"  # the deployment
OWNER = [Depends(Needs(Role.OWNER))]

router = APIRouter(prefix="/v1", tags=["devices"])


@router.get("/devices", name="device.list")
def devices(answers: TheAnswers) -> Sequence[DeviceInfo]:
    """Every device that a worker offers or that was registered, with its newest calibration."""
    return answers.devices()


@router.get("/devices/available", name="device.available", dependencies=OWNER)
def available(
    platform: ThePlatform,
    adapter: Annotated[AdapterName, Query()],
    credentials: Annotated[str, Query(max_length=200)] = "",
) -> Sequence[DeviceInfo]:
    """What a vendor has for the holder of credentials, asked by a worker."""
    vendor = {"adapter": adapter, "credentials": credentials}
    return platform.engine.ask(DEVICES, KnownDevices, available=vendor).devices


@router.post("/devices", name="device.add", status_code=HTTPStatus.CREATED, dependencies=OWNER)
def add(registration: DeviceRegistration, platform: ThePlatform, request: Request) -> DeviceInfo:
    """Have a worker check a device, register it, and pull its first calibration."""
    about(request, registration.name)
    asked = registration.model_dump(mode="json")
    (info,) = platform.engine.ask(DEVICES, KnownDevices, add=asked).devices
    return info


@router.delete(
    "/devices/{name:path}",
    name="device.remove",
    status_code=HTTPStatus.NO_CONTENT,
    dependencies=OWNER,
)
def remove(name: DeviceName, platform: ThePlatform) -> Response:
    """Forget how a device is reached; its calibrations and jobs stay."""
    Devices(platform.store).remove(name)
    return Response(status_code=HTTPStatus.NO_CONTENT)
