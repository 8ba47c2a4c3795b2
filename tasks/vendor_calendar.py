"""What a device's vendor says of its time: whether it takes work, and what is reserved for us."""

from __future__ import annotations

from datetime import UTC, datetime

from adapters.contract import DeviceAdapter, Unsupported, Window
from qcpaas.errors import UnknownDevice
from qcpaas.scheduling import Reservation
from store.database import Store
from store.devices import Devices
from store.reservations import EVERYBODY, Reservations


def refresh_vendor_calendar(name: str, adapter: DeviceAdapter, store: Store) -> None:
    """Ask a device whether it takes work and what is reserved, and keep that for the scheduler.

    A vendor's reservation is the platform's: it is in the calendar, keeps nobody out, and an owner
    of the device may give it to a user.

    Args:
        name: Of the device on this platform.

    Raises:
        UnknownDevice: It is not registered.
        AdapterError: The vendor does not answer; what it told before stays.
    """
    devices = Devices(store)
    known = devices.get(name)
    if known is None:
        raise UnknownDevice(f"the store has no device {name!r}. Register it first.")
    found = adapter.availability()
    now, window = datetime.now(UTC), found.next_window
    # Of a window that is open already nothing says when the device comes back.
    back_at = window.starts_at if window is not None and window.starts_at > now else None
    devices.note_availability(name, now, found.online, back_at, found.queue_length)
    reserved = adapter.reservations()
    if isinstance(reserved, Unsupported):
        return
    told = [_reservation(name, known.adapter, window) for window in reserved]
    Reservations(store).put_vendors(name, known.adapter, told)


def _reservation(device: str, source: str, window: Window) -> Reservation:
    # A vendor's id is unique at the vendor alone; some windows have none.
    own = window.reservation_id or f"{device}-{window.starts_at:%Y%m%dT%H%M}"
    return Reservation(
        reservation_id=f"{source}-{own}",
        device=device,
        begins_at=window.starts_at,
        ends_at=window.ends_at,
        holder=EVERYBODY,
        reason=window.note,
        source=source,
    )
