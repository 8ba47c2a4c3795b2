"""Devices by the names that the platform has for them, registered ones and those that need none."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from adapters.contract import DeviceAdapter
from adapters.registry import list_devices, open_device, vendor, vendors
from qcpaas.devices import DeviceInfo, DeviceRegistration
from qcpaas.errors import AdapterError, CalibrationError, InputError, UnknownDevice
from store.database import Store
from store.devices import Devices
from store.snapshot import Snapshot
from tasks.calibrate import shared_pull

log = logging.getLogger(__name__)


def all_devices(store: Store) -> list[DeviceInfo]:
    """What is there without registration, and what was registered or used; none is called."""
    known = {info.name: info for info in Devices(store).all()}
    listed = [known.pop(info.name, info) for info in list_devices()]
    return listed + [info for info in known.values() if info.address]


def open_named(name: str, store: Store, known: Snapshot | None = None) -> DeviceAdapter:
    """Open a device as it was registered, or as `adapters.registry.open_device` does.

    Raises:
        UnknownDevice: Nobody has a device of that name.
        CredentialsRefused: Its credentials are gone, or not what its vendor needs.
    """
    registration = Devices(store).registration(name)
    return open_device(name, known) if registration is None else _open(registration, known)


def open_registered(name: str, store: Store, known: Snapshot | None = None) -> DeviceAdapter:
    """`open_named`, and have the device in the store's list."""
    adapter = open_named(name, store, known)
    devices = Devices(store)
    if devices.registration(adapter.name) is None:
        devices.register(_info(adapter))
    return adapter


def add_device(registration: DeviceRegistration, store: Store) -> DeviceInfo:
    """Open a device, ask it what it can do, register it, and pull its first calibration.

    Nothing is registered where the device cannot be asked; one that was registered before stays as
    it was.

    Raises:
        InputError: The name is taken by a device of another kind, or the adapter is unknown.
        CredentialsRefused: Its vendor does not let them in.
        DeviceUnavailable: It cannot be reached.
    """
    if any(info.name == registration.name for info in list_devices()):
        raise InputError(
            f"{registration.name} is the name of a device that is there already. Choose another."
        )
    adapter = _open(registration)
    described = _described(adapter, registration)
    devices = Devices(store)
    before = devices.registration(registration.name), devices.get(registration.name)
    devices.register(described, registration)
    try:
        shared_pull(adapter, store, datetime.now(UTC))
    except CalibrationError:
        log.info("%s has no calibration.", registration.name)
    except AdapterError:
        if before[1] is None:
            devices.remove(registration.name)
        else:
            devices.register(before[1], before[0])
        raise
    found = devices.get(registration.name)
    assert found is not None
    return found


def available_devices(adapter: str, credentials: str) -> Sequence[DeviceInfo]:
    """A vendor's devices, each named by its address; `adapters.vendor.Vendor.available`."""
    from blocks.credentials import load_credentials

    provider = vendor(adapter)
    asked = DeviceRegistration(name=adapter, adapter=adapter, address="", credentials=credentials)
    return provider.available(load_credentials(provider, asked))


def _open(registration: DeviceRegistration, known: Snapshot | None = None) -> DeviceAdapter:
    from blocks.credentials import load_credentials  # and with it Prefect, which takes seconds

    provider = vendor(registration.adapter)
    credentials = load_credentials(provider, registration)
    return provider.open_registered(registration, credentials, known)


def _info(adapter: DeviceAdapter) -> DeviceInfo:
    """As it is listed, or as it describes itself where it was opened by its address."""
    listed = next((info for info in list_devices() if info.name == adapter.name), None)
    if listed is not None:
        return listed
    prefix, _, address = adapter.name.partition(":")
    if prefix not in vendors():
        raise UnknownDevice(f"no adapter lists the device {adapter.name!r}.")
    return _described(
        adapter, DeviceRegistration(name=adapter.name, adapter=prefix, address=address)
    )


def _described(adapter: DeviceAdapter, registration: DeviceRegistration) -> DeviceInfo:
    capabilities = adapter.capabilities()
    return DeviceInfo(
        name=registration.name,
        adapter=registration.adapter,
        num_qubits=capabilities.num_qubits,
        simulator=capabilities.simulator,
        address=registration.address,
        credentials=registration.credentials,
        description=f"{registration.address} through {registration.adapter}",
        concurrent_jobs=capabilities.concurrent_jobs,
    )
