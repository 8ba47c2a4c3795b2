"""The devices that the platform knows."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from sqlalchemy import Row, Select, select

from qcpaas.devices import DeviceInfo, DeviceRegistration
from qcpaas.errors import UnknownDevice, nearest
from store.database import Store
from store.tables import Device, SnapshotPull, table

DEVICE = table(Device)
PULL = table(SnapshotPull)

_FROM_PULLS = {"snapshot_id", "calibrated_at", "asked_at", "answered_at", "problem"}


class Devices:
    """Registered devices, each with its newest calibration."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def register(self, info: DeviceInfo, registration: DeviceRegistration | None = None) -> None:
        """Add a device, or renew what is known of it; all of its calibration stays.

        Args:
            registration: How it is reached, of one that is known by that alone.
        """
        now = datetime.now(UTC)
        known = info.model_dump(exclude=_FROM_PULLS)
        if registration is not None:
            known["settings"] = json.dumps(registration.settings)
        insert = self._store.insert(DEVICE).values(**known, registered_at=now, updated_at=now)
        with self._store.write() as connection:
            connection.execute(
                insert.on_conflict_do_update(
                    index_elements=["name"], set_={**known, "updated_at": now}
                )
            )

    def registration(self, name: str) -> DeviceRegistration | None:
        """How a device is reached; ``None`` where it is not known, or needs no registration."""
        columns = (DEVICE.c.adapter, DEVICE.c.address, DEVICE.c.credentials, DEVICE.c.settings)
        with self._store.read() as connection:
            row = connection.execute(select(*columns).where(DEVICE.c.name == name)).one_or_none()
        if row is None or not row.address:
            return None
        told = {**row._asdict(), "settings": json.loads(row.settings)}
        return DeviceRegistration(name=name, **told)

    def remove(self, name: str) -> None:
        """Forget how a device is reached; its calibrations and jobs stay.

        Raises:
            UnknownDevice: It is not registered.
        """
        with self._store.write() as connection:
            gone = connection.execute(DEVICE.delete().where(DEVICE.c.name == name)).rowcount
        if not gone:
            raise UnknownDevice(
                f"there is no registered device {name!r}. "
                f"{nearest(name, [info.name for info in self.all()])}"
            )

    def asked(self, name: str, at: datetime, problem: str = "") -> None:
        """Note that a device was asked for its calibration.

        Args:
            problem: Why it did not answer; empty where it did.

        Raises:
            UnknownDevice: It is not registered.
        """
        told: dict[str, datetime | str] = {"asked_at": at, "problem": problem}
        if not problem:
            told["answered_at"] = at
        row = DEVICE.update().where(DEVICE.c.name == name).values(**told)
        with self._store.write() as connection:
            if connection.execute(row).rowcount == 0:
                raise UnknownDevice(
                    f"the store has no device {name!r}. Register it before its calibration is "
                    "asked for."
                )

    def note_availability(
        self,
        name: str,
        at: datetime,
        online: bool,
        back_at: datetime | None,
        queue_length: int | None,
        *,
        queue_s: float | None = None,
        queue_note: str = "",
    ) -> None:
        """Note what a device said of itself, for the scheduler.

        Args:
            back_at: When it takes work again, of one that is away and says so.
            queue_s: How long a job waits at its vendor, less what is this platform's own.
            queue_note: How that is known, or why it is not.
        """
        told = {
            "availability_at": at,
            "online": online,
            "back_at": None if online else back_at,
            "queue_length": queue_length,
            "queue_s": queue_s,
            "queue_note": queue_note,
        }
        with self._store.write() as connection:
            connection.execute(DEVICE.update().where(DEVICE.c.name == name).values(**told))

    def note_silence(self, name: str, why: str) -> None:
        """Note that a device did not say whether it takes work; what it said before stays."""
        with self._store.write() as connection:
            connection.execute(DEVICE.update().where(DEVICE.c.name == name).values(queue_note=why))

    def unheard_since(self, moment: datetime) -> list[str]:
        """Vendors' devices that have not said since then whether they take work.

        Of simulators those alone that have a queue: most run where they are asked.
        """
        before = DEVICE.c.availability_at.is_(None) | (DEVICE.c.availability_at < moment)
        queues = ~DEVICE.c.simulator | DEVICE.c.queue_length.is_not(None)
        query = select(DEVICE.c.name).where(DEVICE.c.address != "", queues, before)
        with self._store.read() as connection:
            return list(connection.scalars(query.order_by(DEVICE.c.name)))

    def get(self, name: str) -> DeviceInfo | None:
        with self._store.read() as connection:
            row = connection.execute(_devices().where(DEVICE.c.name == name)).one_or_none()
        return None if row is None else _info(row)

    def all(self) -> list[DeviceInfo]:
        """In order of name."""
        with self._store.read() as connection:
            rows = connection.execute(_devices().order_by(DEVICE.c.name)).all()
        return [_info(row) for row in rows]


def _devices() -> Select[tuple[object, ...]]:
    newest = (
        select(PULL.c.pull_id)
        .where(PULL.c.device == DEVICE.c.name)
        .order_by(PULL.c.pulled_at.desc(), PULL.c.pull_id.desc())
        .limit(1)
        .correlate(DEVICE)
        .scalar_subquery()
    )
    return select(
        DEVICE.c.name,
        DEVICE.c.adapter,
        DEVICE.c.num_qubits,
        DEVICE.c.simulator,
        DEVICE.c.description,
        DEVICE.c.address,
        DEVICE.c.credentials,
        DEVICE.c.asked_at,
        DEVICE.c.answered_at,
        DEVICE.c.problem,
        DEVICE.c.concurrent_jobs,
        PULL.c.content_id.label("snapshot_id"),
        PULL.c.pulled_at.label("calibrated_at"),
    ).select_from(DEVICE.outerjoin(PULL, PULL.c.pull_id == newest))


def _info(row: Row[tuple[object, ...]]) -> DeviceInfo:
    return DeviceInfo.model_validate(row._asdict())
