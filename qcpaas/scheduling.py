"""Sharing a machine: what a job wishes, when it will start, what it costs, and who may what."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from qcpaas.wire import Wire


class Priority(StrEnum):
    """Classes of urgency; what each is worth is the policy's."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Scheduling(Wire):
    """How a job wishes to be scheduled.

    Attributes:
        deadline: When it should have ended; it gains weight as that comes near.
        devices: Where it may run when it names no device; anywhere where empty.
        fidelity_weight: For that choice: 1 looks at the expected fidelity alone, 0 at the waiting
            time alone.
        share_device: It may run beside other jobs, on other qubits of one device.
        reservation: The reserved window that it is to run in.
        memory_mib, gpus: What its worker must have for it.
    """

    priority: Priority = Priority.NORMAL
    deadline: datetime | None = None
    devices: tuple[str, ...] = ()
    fidelity_weight: float = Field(default=0.5, ge=0.0, le=1.0)
    share_device: bool = False
    reservation: str | None = None
    memory_mib: int = Field(default=0, ge=0)
    gpus: int = Field(default=0, ge=0)


# --- what it will cost, and when it starts -------------------------------------------------


class Money(Wire):
    """What a vendor asks, by its published prices.

    Attributes:
        currency: ISO 4217 code.
        model: How it was reckoned, for people to read.
        priced_on: Day of the price list, ISO 8601.
    """

    amount: float = Field(ge=0.0)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    model: str
    priced_on: str


class JobEstimate(Wire):
    """What a job would take on one device.

    Attributes:
        qpu_s: Seconds on the device; ``qpu_s_lo`` and ``qpu_s_hi`` are the ends of its interval
            (95 %).
        wall_s: From its start to its result.
        log_esp: Natural log of the expected success probability of the worst circuit, as it would
            be placed now; ``None`` where the device has no calibration.
        circuits, shots: Mitigation included; ``circuit_factor`` and ``shot_factor`` are what it
            multiplies them by.
        duration_s: Of one shot of the longest circuit.
        physical_qubits, fault_tolerant_s: On an error-corrected machine, by the estimator that
            can tell.
        methods: Which estimator gave what, for people to read.
        problems: Why the job cannot run there; the figures mean nothing then.
    """

    device: str
    qpu_s: float = 0.0
    qpu_s_lo: float = 0.0
    qpu_s_hi: float = 0.0
    wall_s: float = 0.0
    log_esp: float | None = None
    circuits: int = 0
    shots: int = 0
    circuit_factor: float = 1.0
    shot_factor: float = 1.0
    duration_s: float = 0.0
    cost: Money | None = None
    physical_qubits: int | None = None
    fault_tolerant_s: float | None = None
    methods: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class StartsIn(Wire):
    """When a waiting job is expected to start, seconds from ``made_at``; 80 % lie in the interval.

    Attributes:
        position: Place in the device's backlog, 1 is next.
        vendor_queue_s: How much of it is the queue of the device's vendor.
        vendor_queue: How that is known, or why it is not.
    """

    earliest_s: float = Field(ge=0.0)
    likely_s: float = Field(ge=0.0)
    latest_s: float = Field(ge=0.0)
    position: int = Field(ge=1)
    made_at: datetime
    vendor_queue_s: float = Field(default=0.0, ge=0.0)
    vendor_queue: str = ""

    def behind(self, queue_s: float, how: str) -> StartsIn:
        """The same behind a vendor's queue, which may be half or twice as long as expected."""
        return self.model_copy(
            update={
                "earliest_s": self.earliest_s + queue_s / 2.0,
                "likely_s": self.likely_s + queue_s,
                "latest_s": self.latest_s + 2.0 * queue_s,
                "vendor_queue_s": queue_s,
                "vendor_queue": how,
            }
        )

    @property
    def on_platform(self) -> StartsIn:
        """The part before the job's run begins here, without its vendor's queue."""
        queue_s = self.vendor_queue_s
        return self.model_copy(
            update={
                "earliest_s": max(0.0, self.earliest_s - queue_s / 2.0),
                "likely_s": max(0.0, self.likely_s - queue_s),
                "latest_s": max(0.0, self.latest_s - 2.0 * queue_s),
                "vendor_queue_s": 0.0,
                "vendor_queue": "",
            }
        )


class Candidate(Wire):
    """A device that was considered for a job.

    Attributes:
        score: The higher the better; ``None`` where it was ruled out, and ``reason`` says why.
    """

    device: str
    estimate: JobEstimate
    starts_in_s: float | None = None
    score: float | None = None
    reason: str = ""


class Choice(Wire):
    """Why a job runs where it does.

    Attributes:
        explanation: One sentence, for people to read.
        candidates: The best first.
    """

    device: str
    explanation: str
    candidates: tuple[Candidate, ...] = ()


class Schedule(Wire):
    """What a job's owner knows of its way to the device.

    Attributes:
        score: What its place in the backlog comes from, part by part.
        pool: The work pool whose workers have what it needs.
        finishes_at: When it is expected to end.
    """

    priority: Priority
    deadline: datetime | None = None
    choice: Choice
    estimate: JobEstimate
    starts_in: StartsIn | None = None
    score: dict[str, float] = Field(default_factory=dict)
    pool: str = ""
    released_at: datetime | None = None
    finishes_at: datetime | None = None


class ForecastRecord(Wire):
    """When a job was expected to start, as it was told at ``made_at``."""

    made_at: datetime
    earliest_at: datetime
    likely_at: datetime
    latest_at: datetime
    started_at: datetime | None = None


class ForecastAccuracy(Wire):
    """How good forecasts of starts were, by the first one of each job that has started.

    Attributes:
        jobs: How many were judged.
        within: Share of those that were off by at most a minute, or a quarter of the wait;
            ``None`` where there are none.
        in_interval: Share of starts that lay in the interval.
        mean_error_s: Positive where jobs started later than foretold.
    """

    since: datetime
    device: str = ""
    jobs: int = 0
    within: float | None = None
    in_interval: float | None = None
    mean_error_s: float | None = None


# --- whose machine it is -------------------------------------------------------------------


_Text = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00]*$")]


class Reservation(Wire):
    """A device kept for somebody between two moments.

    Attributes:
        holder: A user's name; empty keeps everybody out, as maintenance does; ``*`` nobody, which
            is a vendor's reservation until it is given to somebody.
        source: ``platform``, or the adapter whose vendor told of it.
    """

    reservation_id: _Text = ""
    device: _Text
    begins_at: datetime
    ends_at: datetime
    holder: _Text = ""
    reason: _Text = ""
    source: _Text = "platform"

    @model_validator(mode="after")
    def _in_order(self) -> Reservation:
        if self.begins_at.tzinfo is None or self.ends_at.tzinfo is None:
            raise ValueError("a reservation's moments need a time zone, such as a final Z")
        try:
            self.begins_at.astimezone(UTC), self.ends_at.astimezone(UTC)
        except OverflowError as error:
            raise ValueError("a reservation is too far from now") from error
        if self.ends_at <= self.begins_at:
            raise ValueError("a reservation ends after it begins")
        return self


class Role(StrEnum):
    """A device owner makes reservations and calibrates; an administrator does everything."""

    USER = "user"
    OWNER = "owner"
    ADMINISTRATOR = "administrator"


class Limits(Wire):
    """What one user may have at once.

    ``None`` is without limit; of one user alone, as the platform has it for everybody.
    """

    running_jobs: int | None = Field(default=None, ge=0)
    queued_jobs: int | None = Field(default=None, ge=0)
    qpu_s_a_day: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)

    def or_else(self, platform: Limits) -> Limits:
        """One user's own, with the platform's where they have none."""
        own = {name: value for name, value in self if value is not None}
        return platform.model_copy(update=own)


class UserInfo(Wire):
    """Attributes:
    weight: The share of a machine that is theirs, beside those of others.
    """

    name: str = Field(pattern=r"^[\w.@-]{1,128}$")
    role: Role = Role.USER
    weight: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    limits: Limits = Limits()
    disabled: bool = False
    created_at: datetime | None = None


class TokenInfo(Wire):
    """A token that opens the platform, without the token."""

    token_id: str
    user: str
    label: str = ""
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = None


class NewToken(Wire):
    """A token, told this once."""

    info: TokenInfo
    token: str = Field(repr=False)


class Usage(Wire):
    """What a user's jobs took since a moment.

    Attributes:
        costs: By currency.
    """

    user: str
    since: datetime
    jobs: int = 0
    running_jobs: int = 0
    queued_jobs: int = 0
    qpu_s: float = 0.0
    qpu_s_today: float = 0.0
    limits: Limits = Limits()
    costs: dict[str, float] = Field(default_factory=dict)


class AuditRecord(Wire):
    """That somebody did, or was refused, something; ``outcome`` is ``done``, or why not."""

    at: datetime
    user: str
    action: str
    target: str = ""
    outcome: str = "done"
    address: str = ""
    request_id: str = ""


class WorkerInfo(Wire):
    """A worker that is alive.

    Attributes:
        image: The container image that it runs in, where it knows.
        memory_mib: That a run of it may use.
        gpus: Names.
    """

    name: str
    pool: str
    image: str = ""
    python: str
    distributions: dict[str, str] = Field(default_factory=dict)
    options: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    cpus: int = 0
    memory_mib: int = 0
    gpus: tuple[str, ...] = ()
    registered_at: datetime
    renewed_at: datetime


class JobEvent(Wire):
    """A change of a job, as its stream of events tells it."""

    kind: Literal["state", "progress", "schedule", "problem"]
    job_id: str
    at: datetime
    data: dict[str, object] = Field(default_factory=dict)
