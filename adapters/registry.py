"""All devices that the installed adapters know."""

from __future__ import annotations

from importlib.metadata import entry_points

from adapters.contract import DeviceAdapter, DeviceProvider
from qcpaas.errors import UnknownDevice, nearest
from qcpaas.schemas import DeviceInfo
from store.snapshot import Snapshot

GROUP = "qcpaas.adapters"


def providers() -> dict[str, DeviceProvider]:
    """A provider of each adapter in the ``qcpaas.adapters`` entry-point group, by its name there.

    An adapter module imports its vendor's package inside the functions that need it, so that
    loading the provider stays cheap.
    """
    return {entry.name: entry.load()() for entry in sorted(entry_points(group=GROUP))}


def list_devices() -> list[DeviceInfo]:
    """Every device, sorted by adapter and name; none is called."""
    return [device for provider in providers().values() for device in provider.devices()]


def open_device(name: str, known: Snapshot | None = None) -> DeviceAdapter:
    """A device by its name, or by what its provider takes for it (``FakeKolkataV2``).

    Args:
        known: The newest snapshot that the store has of it, which can save a call.

    Raises:
        UnknownDevice: No adapter has it.
        DeviceUnavailable: Its adapter cannot reach it.
    """
    for provider in providers().values():
        try:
            return provider.open(name, known)
        except UnknownDevice:
            continue
    names = [device.name for device in list_devices()]
    raise UnknownDevice(f"there is no device {name!r}. {nearest(name, names)}")
