"""What the policy sees, from the store: a few statements, however many jobs there are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, select

from gateway.scheduling.situation import (
    LONGEST_HOLD_S,
    DeviceView,
    Running,
    Situation,
    Traffic,
    UserView,
    Waiting,
    Window,
)
from qcpaas.scheduling import Limits, Priority
from qcpaas.schemas import JobState, Progress
from store.admission_rows import ADMISSION, AdmissionState
from store.database import Store
from store.devices import DEVICE
from store.jobs import JOB
from store.people import USER, limits_of
from store.reservations import EVERYBODY, WINDOW
from store.usage import USAGE, charged, faded, of_today

HALF_LIFE_S = 7 * 24 * 3600.0
# What came lately, from which is foretold what will come.
TRAFFIC_OF = timedelta(hours=6)
TRAFFIC_JOBS, TRAFFIC_ENOUGH = 60, 10  # of a device
QUEUE_GOOD_FOR = timedelta(minutes=15)  # what a vendor told of its queue longer ago says nothing
BACK_AFTER = timedelta(minutes=10)  # a device that went away without saying for how long is tried

_HELD = JobState.HELD.value
_COLUMNS = [
    ADMISSION.c[name]
    for name in (
        "job_id",
        "owner",
        "device",
        "priority",
        "submitted_at",
        "qpu_s",
        "qpu_s_hi",
        "wall_s",
        "deadline",
        "session",
        "shared",
        "reservation_id",
        "released_at",
    )
]


def situation(
    store: Store,
    now: datetime,
    limits: Limits | None = None,
    half_life_s: float = HALF_LIFE_S,
    devices: Iterable[str] = (),
) -> Situation:
    """The backlog, devices and users as they stand.

    A held job, which waits for a person, is on no device and still counts for its user.

    Args:
        limits: The platform's, for users without their own.
        half_life_s: How fast what users have used is forgotten.
        devices: Names of more devices, which the store need not know yet.
    """
    with store.read() as connection:
        table = {row.name: row for row in connection.execute(select(DEVICE))}
        waiting = [_waiting(row, table.get(row.device)) for row in _backlog(connection)]
        rows = _released(connection)
        windows = _windows(connection, now)
        traffic = _traffic(connection, now, table)
        counts = Counter(row.owner for row in rows)
        owners = {*counts, *(job.user for job in waiting)}
        known = _Users(connection, now, limits or Limits(), half_life_s, owners)
    running: dict[str, list[Running]] = defaultdict(list)
    for row in rows:
        if row.job_state != _HELD:
            running[row.device].append(_running(row, table.get(row.device)))
    names = {*table, *devices, *running, *(job.device for job in waiting)}
    return Situation(
        now=now,
        waiting=waiting,
        devices={
            name: replace(
                _view(name, table.get(name), tuple(running[name]), windows.get(name, ()), now),
                traffic=traffic.get(name, Traffic()),
            )
            for name in sorted(names)
        },
        users={name: known.view(name, counts[name]) for name in sorted(owners | known.names)},
        typical_usage_qpu_s=known.typical_qpu_s,
    )


# --- jobs ------------------------------------------------------------------------------------


def _backlog(connection: Connection) -> Iterable[Row[Any]]:
    waits = ADMISSION.c.state == AdmissionState.WAITING.value
    query = select(*_COLUMNS).where(waits)
    return connection.execute(query.order_by(ADMISSION.c.submitted_at, ADMISSION.c.job_id))


def _released(connection: Connection) -> Sequence[Row[Any]]:
    query = (
        select(*_COLUMNS, JOB.c.state.label("job_state"), JOB.c.started_at, JOB.c.progress)
        .join(JOB, JOB.c.job_id == ADMISSION.c.job_id)
        .where(ADMISSION.c.state == AdmissionState.RELEASED.value)
    )
    ordered = query.order_by(ADMISSION.c.released_at, ADMISSION.c.job_id)
    return connection.execute(ordered).all()


def _waiting(row: Row[Any], device: Row[Any] | None) -> Waiting:
    # A simulator is busy for as long as the job computes; elsewhere only a session keeps the
    # device while it does something else.
    whole = row.session or (device is not None and device.simulator)
    spread = row.qpu_s_hi / row.qpu_s if row.qpu_s > 0.0 else 1.0
    hold_s = min(max(row.qpu_s, row.wall_s) if whole else row.qpu_s, LONGEST_HOLD_S)
    return Waiting(
        job_id=row.job_id,
        user=row.owner,
        device=row.device,
        priority=Priority(row.priority),
        submitted_at=row.submitted_at,
        qpu_s=row.qpu_s,
        qpu_s_hi=row.qpu_s_hi,
        hold_s=hold_s,
        hold_s_hi=min(hold_s * max(1.0, spread), LONGEST_HOLD_S),
        deadline=row.deadline,
        session=row.session,
        shared=row.shared,
        reservation=row.reservation_id,
    )


def _running(row: Row[Any], device: Row[Any] | None) -> Running:
    began_at = row.started_at
    # Of a job that was resumed, what stands there may be of its last attempt.
    if row.job_state not in {JobState.RUNNING.value, JobState.INTERRUPTED.value, _HELD}:
        began_at = None
    return Running(
        job=_waiting(row, device),
        released_at=row.released_at,
        began_at=began_at,
        finishes_at=Progress.model_validate_json(row.progress).finishes_at(began_at),
    )


# --- devices ---------------------------------------------------------------------------------


def _view(
    name: str,
    device: Row[Any] | None,
    running: tuple[Running, ...],
    windows: tuple[Window, ...],
    now: datetime,
) -> DeviceView:
    if device is None:
        return DeviceView(name=name, running=running, windows=windows)
    back_at = None
    if not device.online and device.availability_at is not None:
        back_at = device.back_at or device.availability_at + BACK_AFTER
    queue_s, queue = _vendor_queue(device, now)
    return DeviceView(
        name=name,
        slots=device.concurrent_jobs,
        running=running,
        windows=windows,
        vendor_queue_s=queue_s,
        vendor_queue=queue,
        available=back_at is None or back_at <= now,
        back_at=back_at,
    )


def _vendor_queue(device: Row[Any], now: datetime) -> tuple[float, str]:
    """How long jobs wait at its vendor, s, and how that is known, or why it is not."""
    if not device.address or (device.simulator and device.queue_length is None):
        return 0.0, ""
    if device.availability_at is None:
        return 0.0, device.queue_note or f"{device.adapter} has not been asked for its queue yet"
    age = now - device.availability_at
    if age > QUEUE_GOOD_FOR:
        told = f"{device.adapter} last told its queue {age.total_seconds() / 60.0:.0f} min ago"
        return 0.0, ", ".join(filter(None, (told, device.queue_note)))
    return min(device.queue_s or 0.0, LONGEST_HOLD_S), device.queue_note


def _traffic(
    connection: Connection, now: datetime, table: Mapping[str, Row[Any]]
) -> Mapping[str, Traffic]:
    """The newest jobs of each device, whatever became of them."""
    query = select(*_COLUMNS).where(ADMISSION.c.submitted_at > now - TRAFFIC_OF)
    newest = query.order_by(ADMISSION.c.submitted_at.desc()).limit(TRAFFIC_JOBS * (len(table) + 1))
    jobs: dict[str, list[Waiting]] = defaultdict(list)
    for row in connection.execute(newest):
        if len(jobs[row.device]) < TRAFFIC_JOBS:
            jobs[row.device].append(_waiting(row, table.get(row.device)))
    return {
        device: Traffic(tuple(came), max(60.0, (now - came[-1].submitted_at).total_seconds()))
        for device, came in jobs.items()
        if len(came) >= TRAFFIC_ENOUGH
    }


def _windows(connection: Connection, now: datetime) -> Mapping[str, tuple[Window, ...]]:
    query = (
        select(WINDOW)
        .where(WINDOW.c.cancelled_at.is_(None), WINDOW.c.ends_at > now)
        .where(WINDOW.c.holder != EVERYBODY)
        .order_by(WINDOW.c.begins_at)
    )
    found: dict[str, tuple[Window, ...]] = defaultdict(tuple)
    for row in connection.execute(query):
        found[row.device] += (Window(row.reservation_id, row.holder, row.begins_at, row.ends_at),)
    return found


# --- users -----------------------------------------------------------------------------------


class _Users:
    """What the store knows of users: their share and limits, and what they used."""

    def __init__(
        self,
        connection: Connection,
        now: datetime,
        limits: Limits,
        half_life_s: float,
        owners: Collection[str],
    ) -> None:
        self._limits = limits
        self._rows = {row.name: row for row in connection.execute(select(USER))}
        self._used = {
            row.user_name: faded(row.qpu_s, row.at, now, half_life_s)
            for row in connection.execute(select(USAGE))
        }
        # Of those with jobs here alone: what others took today limits nothing now.
        today = (
            select(ADMISSION.c.owner, func.sum(charged()).label("qpu_s"))
            .where(ADMISSION.c.owner.in_(sorted(owners)), of_today(now))
            .group_by(ADMISSION.c.owner)
        )
        self._today = {row.owner: row.qpu_s for row in connection.execute(today)}

    @property
    def typical_qpu_s(self) -> float:
        """Per weight, the mean of all who have used any."""
        used = [
            seconds / (self._rows[name].weight if name in self._rows else 1.0)
            for name, seconds in self._used.items()
        ]
        return sum(used) / len(used) if used else 0.0

    @property
    def names(self) -> set[str]:
        return {*self._rows, *self._used}

    def view(self, name: str, running: int) -> UserView:
        row = self._rows.get(name)
        return UserView(
            name=name,
            weight=1.0 if row is None else row.weight,
            usage_qpu_s=self._used.get(name, 0.0),
            qpu_s_today=self._today.get(name, 0.0),
            running=running,
            limits=self._limits if row is None else limits_of(row).or_else(self._limits),
        )
