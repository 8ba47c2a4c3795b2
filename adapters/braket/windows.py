"""When a device runs what waits for it, from its weekly execution windows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

from adapters.braket.properties import ExecutionWindow
from adapters.contract import Window

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS = {
    "everyday": frozenset(range(7)),
    "weekdays": frozenset(range(5)),
    "weekend": frozenset({5, 6}),
    **{name: frozenset({day}) for day, name in enumerate(_WEEKDAYS)},
}
_DAY = timedelta(days=1)


def next_window(windows: Sequence[ExecutionWindow], now: datetime) -> Window | None:
    """The window that is open, or opens next; ``None`` where it is open always or says nothing.

    Windows that follow each other without a gap of more than a minute are one.
    """
    spans = sorted(_spans(windows, now))
    joined: list[list[datetime]] = []
    for start, end in spans:
        # 23:59 or 23:59:59 is how the end of a day is written.
        if joined and start <= joined[-1][1] + timedelta(minutes=1):
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    for start, end in joined:
        if end > now:
            whole_week = start <= now and end - now > 7 * _DAY
            return None if whole_week else Window(start, end)
    return None


def _spans(windows: Sequence[ExecutionWindow], now: datetime) -> list[tuple[datetime, datetime]]:
    """Every opening from yesterday to the end of next week."""
    midnight = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    found = []
    for window in windows:
        days = _DAYS.get(window.execution_day.lower(), frozenset())
        for offset in range(-1, 9):
            day = midnight + offset * _DAY
            if day.weekday() in days:
                start = _at(day, window.window_start_hour)
                end = _at(day, window.window_end_hour)
                found.append((start, end if end > start else end + _DAY))
    return found


def _at(day: datetime, hour: time) -> datetime:
    return datetime.combine(day.date(), hour.replace(tzinfo=None), UTC)
