"""The calendar: when a device is kept, and for whom."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, exists, select, update

from qcpaas.errors import Conflict, InputError
from qcpaas.scheduling import Reservation
from store.admission_rows import ADMISSION, AdmissionState
from store.database import Store
from store.tables import ReservedWindow, table

WINDOW = table(ReservedWindow)

PLATFORM = "platform"  # the source of those that are made here
EVERYBODY = "*"
_LATE = timedelta(minutes=1)  # a window that is asked for "from now on" begins by now
_ACTIVE = WINDOW.c.cancelled_at.is_(None)
_PUBLIC = [
    WINDOW.c[name]
    for name in ("reservation_id", "device", "begins_at", "ends_at", "holder", "reason", "source")
]


class Reservations:
    """Windows by id; of one device no two overlap that are kept for different users."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, asked: Reservation, made_by: str) -> Reservation:
        """Keep a device for somebody; with the id of a vendor's window, give that to somebody.

        Raises:
            InputError: It begins in the past, or there is no such window of a vendor's.
            Conflict: Part of that time is another's.
        """
        now = datetime.now(UTC)
        with self._store.write() as connection:
            self._store.serialise(connection, f"reservations/{asked.device}")
            if asked.reservation_id:
                return _given(connection, asked)
            if asked.begins_at < now - _LATE:
                raise InputError(
                    f"the reservation of {asked.device} begins at {asked.begins_at:%Y-%m-%d %H:%M} "
                    f"UTC, and it is {now:%Y-%m-%d %H:%M}. Choose a time to come."
                )
            _check_free(connection, asked)
            made = asked.model_copy(
                update={"reservation_id": f"r-{secrets.token_hex(6)}", "source": PLATFORM}
            )
            row = {**made.model_dump(), "made_by": made_by, "made_at": now}
            connection.execute(WINDOW.insert().values(row))
        return made

    def cancel(self, reservation_id: str) -> bool:
        """Open a window for everybody; jobs that were to run in it join the backlog.

        Returns:
            Whether there was such a window still.

        Raises:
            Conflict: It is a vendor's.
        """
        now = datetime.now(UTC)
        with self._store.write() as connection:
            query = _windows().where(WINDOW.c.reservation_id == reservation_id)
            found = connection.execute(query.where(_ACTIVE, WINDOW.c.ends_at > now)).one_or_none()
            if found is None:
                return False
            if found.source != PLATFORM:
                raise Conflict(
                    f"{reservation_id} is a reservation at the vendor of {found.device}. Cancel it "
                    "there."
                )
            change = update(WINDOW).where(WINDOW.c.reservation_id == reservation_id)
            connection.execute(change.values(cancelled_at=now))
            _leave(connection, ADMISSION.c.reservation_id == reservation_id)
        return True

    def get(self, reservation_id: str) -> Reservation | None:
        """``None`` for one that was cancelled."""
        query = _windows().where(WINDOW.c.reservation_id == reservation_id, _ACTIVE)
        with self._store.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _reservation(row)

    def between(
        self, since: datetime, until: datetime | None = None, device: str = "", holder: str = ""
    ) -> list[Reservation]:
        """Windows that are open at some moment of a time, the first one first.

        Args:
            device, holder: Of all where empty.
        """
        query = _windows().where(_ACTIVE, WINDOW.c.ends_at > since)
        if until is not None:
            query = query.where(WINDOW.c.begins_at < until)
        if device:
            query = query.where(WINDOW.c.device == device)
        if holder:
            query = query.where(WINDOW.c.holder == holder)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(WINDOW.c.begins_at, WINDOW.c.reservation_id))
            return [_reservation(row) for row in rows]

    def for_job(self, reservation_id: str, owner: str, device: str = "") -> Reservation:
        """The window that a job wishes to run in.

        Args:
            device: That the job names; it runs on the window's own where empty.

        Raises:
            InputError: It is not the owner's, is over, or is another device's.
        """
        found = self.get(reservation_id)
        # Whether others have one of this id is none of the asker's business.
        if found is None or found.holder != owner or found.ends_at <= datetime.now(UTC):
            raise InputError(
                f"{owner} has no open or coming reservation {reservation_id!r}. `qcpaas "
                "reservations` lists them."
            )
        if device and device != found.device:
            raise InputError(
                f"the reservation {reservation_id} is for {found.device}, and the job asks for "
                f"{device}. Leave one of them out."
            )
        return found

    def put_vendors(self, device: str, source: str, told: Sequence[Reservation]) -> None:
        """Keep what a device's vendor has reserved from now on, in place of what it told before.

        Whoever a window was given to keeps it while the vendor has it.
        """
        now = datetime.now(UTC)
        with self._store.write() as connection:
            self._store.serialise(connection, f"reservations/{device}")
            gone = update(WINDOW).where(
                WINDOW.c.device == device,
                WINDOW.c.source == source,
                WINDOW.c.ends_at > now,
                WINDOW.c.reservation_id.not_in([one.reservation_id for one in told]),
            )
            connection.execute(gone.where(_ACTIVE).values(cancelled_at=now))
            for one in told:
                moved = {"begins_at": one.begins_at, "ends_at": one.ends_at, "reason": one.reason}
                row = {**one.model_dump(), "device": device, "source": source}
                insert = self._store.insert(WINDOW).values(**row, made_by=source, made_at=now)
                connection.execute(
                    insert.on_conflict_do_update(
                        index_elements=["reservation_id"], set_={**moved, "cancelled_at": None}
                    )
                )

    def leave_ended(self) -> None:
        """Let jobs whose window is over, or was taken back, join the backlog."""
        now = datetime.now(UTC)
        window = exists().where(
            WINDOW.c.reservation_id == ADMISSION.c.reservation_id, _ACTIVE, WINDOW.c.ends_at > now
        )
        waits = select(ADMISSION.c.job_id).where(
            ADMISSION.c.state == AdmissionState.WAITING.value,
            ADMISSION.c.reservation_id.is_not(None),
        )
        with self._store.read() as connection:
            if connection.execute(waits.where(~window).limit(1)).first() is None:
                return
        with self._store.write() as connection:
            _leave(connection, ADMISSION.c.reservation_id.is_not(None), ~window)


def _leave(connection: Connection, *conditions: Any) -> None:
    waiting = ADMISSION.c.state == AdmissionState.WAITING.value
    connection.execute(update(ADMISSION).where(waiting, *conditions).values(reservation_id=None))


def _given(connection: Connection, asked: Reservation) -> Reservation:
    """A vendor's window with a new holder; its times stay the vendor's."""
    own = WINDOW.c.reservation_id == asked.reservation_id
    query = _windows().where(own, _ACTIVE, WINDOW.c.device == asked.device)
    found = connection.execute(query.where(WINDOW.c.source != PLATFORM)).one_or_none()
    if found is None:
        raise InputError(
            f"no vendor told of a reservation {asked.reservation_id!r} of {asked.device}. Leave "
            "the id out to make a new one."
        )
    given = _reservation(found).model_copy(update={"holder": asked.holder or EVERYBODY})
    _check_free(connection, given)
    connection.execute(update(WINDOW).where(own).values(holder=given.holder))
    return given


def _check_free(connection: Connection, asked: Reservation) -> None:
    overlapping = _windows().where(
        _ACTIVE,
        WINDOW.c.device == asked.device,
        WINDOW.c.begins_at < asked.ends_at,
        WINDOW.c.ends_at > asked.begins_at,
        WINDOW.c.holder.not_in([asked.holder, EVERYBODY]),
    )
    if asked.holder == EVERYBODY:
        return
    found = connection.execute(overlapping.order_by(WINDOW.c.begins_at).limit(1)).first()
    if found is not None:
        raise Conflict(
            f"{asked.device} is kept for somebody else from {found.begins_at:%Y-%m-%d %H:%M} to "
            f"{found.ends_at:%Y-%m-%d %H:%M} UTC. Choose another time, or another device."
        )


def _windows() -> Select[Any]:
    return select(*_PUBLIC)


def _reservation(row: Row[Any]) -> Reservation:
    return Reservation.model_validate(row._asdict())
