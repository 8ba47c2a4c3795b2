"""Devices by the names that the platform has for them, registered ones and those that need none."""

from __future__ import annotations

from adapters.contract import DeviceAdapter
from adapters.registry import list_devices, open_device, vendor, vendors
from qcpaas.errors import InputError, UnknownDevice
from qcpaas.schemas import DeviceInfo, DeviceRegistration
from store.database import Store
from store.devices import Devices
from store.snapshot import Snapshot


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


def add_device(registration: DeviceRegistration, store: Store) -> DeviceAdapter:
    """Open a device, ask it what it can do, and register it under its name.

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
    Devices(store).register(_described(adapter, registration), registration)
    return adapter


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
    )
