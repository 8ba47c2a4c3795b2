"""All devices that the installed adapters know."""

from __future__ import annotations

import functools
from importlib.metadata import EntryPoint, entry_points

from adapters.contract import DeviceAdapter, DeviceProvider
from adapters.vendor import Vendor
from qcpaas.devices import DeviceInfo
from qcpaas.errors import UnknownDevice, nearest
from store.snapshot import Snapshot

GROUP = "qcpaas.adapters"


def providers() -> dict[str, DeviceProvider]:
    """A provider of each adapter in the ``qcpaas.adapters`` entry-point group, by its name there.

    An adapter module imports its vendor's package inside the functions that need it, so that
    loading the provider stays cheap.
    """
    return {entry.name: entry.load()() for entry in _installed()}


@functools.cache  # 25 ms, for each look at a device
def _installed() -> list[EntryPoint]:
    return sorted(entry_points(group=GROUP))


def vendor(adapter: str) -> Vendor:
    """The provider of one adapter whose devices are registered.

    Raises:
        UnknownDevice: There is no such adapter, or its devices need no registration.
    """
    known = vendors()
    if adapter in known:
        return known[adapter]
    raise UnknownDevice(
        f"there is no adapter {adapter!r} whose devices are registered. {nearest(adapter, known)}"
    )


def vendors() -> dict[str, Vendor]:
    """The adapters whose devices are registered, or opened as ``ADAPTER:ADDRESS``."""
    return {name: each for name, each in providers().items() if isinstance(each, Vendor)}


def list_devices() -> list[DeviceInfo]:
    """Every device that is there without registration, by adapter and name; none is called."""
    return [device for provider in providers().values() for device in provider.devices()]


def open_device(name: str, known: Snapshot | None = None) -> DeviceAdapter:
    """A device by its name, by ``ADAPTER:ADDRESS``, or by what its provider takes for it.

    ``FakeKolkataV2`` is taken for ``FakeKolkata``. Credentials are those of the environment.

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
    raise UnknownDevice(
        f"there is no device {name!r}. {nearest(name, names)} A vendor's is added with `qcpaas "
        "devices add`."
    )
