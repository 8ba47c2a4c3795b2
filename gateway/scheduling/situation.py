"""What a scheduling policy sees: jobs, devices and users at one moment. Times are UTC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from qcpaas.scheduling import Limits, Priority

LONGEST_HOLD_S = 30 * 24 * 3600.0  # whatever an estimate says: moments have an end


@dataclass(frozen=True)
class Waiting:
    """A job in the backlog.

    Attributes:
        qpu_s, qpu_s_hi: Device seconds, expected and at the upper end of their interval.
        hold_s: How long it will keep its device, expected: a session's whole loop, of which the
            device works for ``qpu_s``.
        session: Whether it keeps the device from its first execution to its last.
        reservation: Id of the window that it is to run in.
    """

    job_id: str
    user: str
    device: str
    priority: Priority
    submitted_at: datetime
    qpu_s: float
    qpu_s_hi: float
    hold_s: float
    hold_s_hi: float
    deadline: datetime | None = None
    session: bool = False
    shared: bool = False
    reservation: str | None = None


@dataclass(frozen=True)
class Running:
    """A job that was released and has not ended; ``began_at`` is empty until it runs."""

    job: Waiting
    released_at: datetime
    began_at: datetime | None = None
    finishes_at: datetime | None = None  # by its own progress, where it tells


@dataclass(frozen=True)
class Window:
    """A device kept for ``holder`` (empty: nobody) from ``begins_at`` to ``ends_at``."""

    reservation_id: str
    holder: str
    begins_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Traffic:
    """A device's jobs that came within ``span_s``, from which is foretold what will come."""

    jobs: tuple[Waiting, ...] = ()
    span_s: float = 3600.0


@dataclass(frozen=True)
class DeviceView:
    """A device as it stands.

    Attributes:
        slots: Jobs that it takes at once.
        vendor_queue_s: How long a job waits at its vendor, as far as that is known.
        vendor_queue: How it is known, or why it is not, for people.
        available: Whether jobs can be sent now; ``back_at`` says when that changes, if known.
    """

    name: str
    slots: int = 1
    running: tuple[Running, ...] = ()
    windows: tuple[Window, ...] = ()
    vendor_queue_s: float = 0.0
    vendor_queue: str = ""
    available: bool = True
    back_at: datetime | None = None
    traffic: Traffic = field(default_factory=Traffic)

    def hold_s(self, job: Waiting, *, late: bool = False) -> float:
        """How long a job keeps one of the slots: its own time, and the vendor's queue before it.

        Whoever has reserved the device waits in no queue.
        """
        own_s = job.hold_s_hi if late else job.hold_s
        return own_s if job.reservation is not None else own_s + self.vendor_queue_s


@dataclass(frozen=True)
class UserView:
    """A user as the policy sees them.

    Attributes:
        usage_qpu_s: Device seconds used, faded with time (half-life by the policy's settings).
        qpu_s_today: Since midnight UTC, what runs now included.
    """

    name: str
    weight: float = 1.0
    usage_qpu_s: float = 0.0
    qpu_s_today: float = 0.0
    running: int = 0
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Situation:
    """All of it at one moment; ``waiting`` in the order of submission.

    Attributes:
        typical_usage_qpu_s: Faded device seconds per weight, the mean of all who have used any.
    """

    now: datetime
    waiting: Sequence[Waiting] = ()
    devices: Mapping[str, DeviceView] = field(default_factory=dict)
    users: Mapping[str, UserView] = field(default_factory=dict)
    typical_usage_qpu_s: float = 0.0

    def user(self, name: str) -> UserView:
        return self.users.get(name) or UserView(name)

    def backlog(self, device: str) -> list[Waiting]:
        return [job for job in self.waiting if job.device == device]


@dataclass(frozen=True)
class Suitable:
    """What a job without a device would get on one.

    Attributes:
        log_esp: Natural log of the expected success probability; ``None`` where unknown.
    """

    device: str
    log_esp: float | None
    qpu_s: float
    hold_s: float


@dataclass(frozen=True)
class Ranked:
    """A waiting job and where its place comes from; the highest ``score`` goes first."""

    job: Waiting
    score: float
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Weighed:
    """A device weighed for a job; the highest ``score`` is taken."""

    device: str
    score: float
    starts_in_s: float
