"""What a device's vendor says of its time: whether it takes work, and what is reserved for us."""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import median

from adapters.contract import Availability, DeviceAdapter, Unsupported, Window
from qcpaas.devices import DeviceInfo
from qcpaas.errors import UnknownDevice
from qcpaas.scheduling import Reservation
from store.database import Store
from store.devices import Devices
from store.open_jobs import at_the_device
from store.reservations import EVERYBODY, Reservations
from store.timings import Timings

TYPICAL_S = 10.0  # of a job at a device that has run none of the platform's yet


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
    queue_s, note = vendor_queue(known, found, store)
    devices.note_availability(
        name, now, found.online, back_at, found.queue_length, queue_s=queue_s, queue_note=note
    )
    reserved = adapter.reservations()
    if isinstance(reserved, Unsupported):
        return
    told = [_reservation(name, known.adapter, window) for window in reserved]
    Reservations(store).put_vendors(name, known.adapter, told)


def vendor_queue(device: DeviceInfo, found: Availability, store: Store) -> tuple[float | None, str]:
    """How long a job waits at the vendor, s, and how that is known, for people.

    The vendor's own estimate where it makes one; else the jobs in its queue that are not the
    platform's, each as long as the device typically took for one of the platform's.
    """
    if not device.address or (device.simulator and found.queue_length is None):
        return None, ""
    if not found.online:
        return None, f"{device.adapter} takes nothing now: {found.message:.200}".rstrip(": ")
    if found.queue_s is not None:
        return found.queue_s, f"{device.adapter}'s own estimate"
    if found.queue_length is None:
        return None, f"{device.adapter} does not tell its queue"
    others = max(0, found.queue_length - at_the_device(store, device.name))
    timings, _ = Timings(store).read(device.name)
    ran = [one.qpu_s for one in timings.observed]
    typical_s = median(ran) if ran else TYPICAL_S
    how = "as jobs took here before" if ran else "assumed: none has run here yet"
    jobs = "1 job" if others == 1 else f"{others} jobs"
    return (
        others * typical_s,
        f"{jobs} of others at {device.adapter}, {typical_s:.3g} s each ({how})",
    )


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
