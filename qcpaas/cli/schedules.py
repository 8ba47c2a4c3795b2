"""How a job is to be scheduled, as options of a command; and what became of that, as text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import ValidationError

from qcpaas.cli.figures import age
from qcpaas.cli.moments import read_duration
from qcpaas.errors import InputError
from qcpaas.scheduling import Candidate, Priority, Scheduling, StartsIn
from qcpaas.schemas import JobRecord, JobState

_PANEL = "On a platform of many users"
_SHOWN_CANDIDATES = 4

PriorityOption = Annotated[
    Priority | None, typer.Option("--priority", help="low, normal or high.", rich_help_panel=_PANEL)
]
Deadline = Annotated[
    str | None,
    typer.Option(
        metavar="MOMENT|DURATION",
        help="When it should have ended: 2026-11-20T08:00 (UTC), or in how long, such as 2h.",
        rich_help_panel=_PANEL,
    ),
]
AmongDevices = Annotated[
    list[str] | None,
    typer.Option(
        "--among",
        metavar="DEVICE",
        help="Let the platform choose among these; repeatable. Without --backend it chooses among "
        "all.",
        rich_help_panel=_PANEL,
    ),
]
FidelityWeight = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="For that choice: 1 looks at fidelity alone, 0 at waiting alone.",
        rich_help_panel=_PANEL,
    ),
]
ShareDevice = Annotated[
    bool,
    typer.Option(
        "--share-device",
        help="It may run beside other jobs, on other qubits of one device.",
        rich_help_panel=_PANEL,
    ),
]
InReservation = Annotated[
    str | None,
    typer.Option("--reservation", help="Run in this reserved window.", rich_help_panel=_PANEL),
]


def read_scheduling(
    priority: Priority | None,
    deadline: str | None,
    among: list[str] | None,
    fidelity_weight: float | None,
    reservation: str | None,
    *,
    share_device: bool,
) -> Scheduling | None:
    """What was asked for; ``None`` where nothing was.

    Raises:
        InputError: The deadline is no moment, or has passed.
    """
    asked = {
        "priority": priority,
        "deadline": None if deadline is None else read_deadline(deadline),
        "devices": tuple(among) if among else None,
        "fidelity_weight": fidelity_weight,
        "share_device": share_device or None,
        "reservation": reservation,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    try:
        return Scheduling.model_validate(given) if given else None
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise InputError(f"{name} is {first['input']!r}: {first['msg']}.") from error


def read_deadline(text: str, now: datetime | None = None) -> datetime:
    """A moment to come, UTC where it names no zone, or how long from now.

    Raises:
        InputError: It is neither, or is over.
    """
    now = now or datetime.now(UTC)
    try:
        left = read_duration(text.casefold())
        moment = now + left if left is not None else datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise InputError(
            f"--deadline {text!r} is no moment. Write a date and time (2026-11-20T08:00, UTC), or "
            "how long from now: 30min, 2h, 3d."
        ) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if moment <= now:
        raise InputError(f"the deadline {text} has passed.")
    return moment


# --- what became of it -----------------------------------------------------------------------


def waiting_text(record: JobRecord) -> str:
    """When a waiting job starts, in a few words; empty where that is no question or not known."""
    schedule = record.schedule
    if record.state is not JobState.QUEUED or schedule is None:
        return ""
    if schedule.released_at is not None:
        return "next"
    starts = schedule.starts_in
    return "" if starts is None else f"starts in {_interval(starts)}, place {starts.position}"


def ending_text(record: JobRecord) -> str:
    """When a running job is expected to end; empty where nobody can tell."""
    schedule = record.schedule
    if record.state is not JobState.RUNNING or schedule is None or schedule.finishes_at is None:
        return ""
    left_s = (schedule.finishes_at - datetime.now(UTC)).total_seconds()
    return f"ends in {age(left_s)}" if left_s > 0 else ""


def schedule_rows(record: JobRecord) -> Iterator[tuple[str, str]]:
    """What a job's owner wants to know of its way to the device, as names and texts."""
    yield "owner", record.owner
    schedule = record.schedule
    if schedule is None:
        return
    yield "starts", waiting_text(record).removeprefix("starts ")
    if record.state is JobState.QUEUED and schedule.starts_in is not None:
        yield "vendor's queue", _vendor_queue(schedule.starts_in)
    yield "ends", ending_text(record).removeprefix("ends ")
    yield "priority", schedule.priority.value
    if schedule.deadline is not None:
        yield "deadline", f"{schedule.deadline.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    yield "device chosen", schedule.choice.explanation
    for candidate in schedule.choice.candidates[1:_SHOWN_CANDIDATES]:
        yield f"not {candidate.device}", _considered(candidate)
    estimate = schedule.estimate
    if estimate.qpu_s_hi > 0.0:
        yield "estimated", f"{estimate.qpu_s:.3g} to {estimate.qpu_s_hi:.3g} s of the device"
    if estimate.cost is not None:
        yield "cost", f"{estimate.cost.amount:.2f} {estimate.cost.currency} ({estimate.cost.model})"
    if record.state is JobState.QUEUED and schedule.score:
        parts = (f"{name} {value:+.3g}" for name, value in schedule.score.items())
        yield "place comes from", ", ".join(parts)
    yield "pool", schedule.pool


def _vendor_queue(starts: StartsIn) -> str:
    """What of a wait is the vendor's queue, and how that is known; empty where there is none."""
    if not starts.vendor_queue_s:
        return starts.vendor_queue
    return f"{age(starts.vendor_queue_s)} of it: {starts.vendor_queue}"


def _interval(starts: StartsIn) -> str:
    gone_s = max(0.0, (datetime.now(UTC) - starts.made_at).total_seconds())
    earliest, likely, latest = (
        age(max(0.0, seconds - gone_s))
        for seconds in (starts.earliest_s, starts.likely_s, starts.latest_s)
    )
    return likely if earliest == latest else f"{likely} ({earliest} to {latest})"


def _considered(candidate: Candidate) -> str:
    if candidate.score is None:
        return candidate.reason
    wait = "" if candidate.starts_in_s is None else f", starts in {age(candidate.starts_in_s)}"
    return f"score {candidate.score:.3g}{wait}"
