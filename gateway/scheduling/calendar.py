"""When a device is free for somebody: reserved windows, and what fits between them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from gateway.scheduling.situation import Waiting, Window


def earliest_start(
    job: Waiting, ready: datetime, windows: Sequence[Window], hold_s: float
) -> datetime | None:
    """The first moment from ``ready`` on at which a job may start and keep its device ``hold_s``.

    It must not reach into another's window, and one that was asked to run in a window must lie
    within it.

    Returns:
        ``None`` where no moment will do: its window is over, or too short.
    """
    hold = timedelta(seconds=hold_s)
    if job.reservation is not None:
        return _inside(job, ready, windows, hold)
    start = ready
    for window in sorted(windows, key=lambda one: one.begins_at):
        if window.holder == job.user or window.ends_at <= start:
            continue
        if start + hold <= window.begins_at:
            break
        start = window.ends_at
    return start


def may_start(job: Waiting, at: datetime, windows: Sequence[Window], hold_s: float) -> bool:
    return earliest_start(job, at, windows, hold_s) == at


def foreign_window(user: str, windows: Sequence[Window], at: datetime) -> Window | None:
    """The window of another that is open at a moment."""
    for window in windows:
        if window.holder != user and window.begins_at <= at < window.ends_at:
            return window
    return None


def _inside(
    job: Waiting, ready: datetime, windows: Sequence[Window], hold: timedelta
) -> datetime | None:
    for window in windows:
        if window.reservation_id == job.reservation and window.holder == job.user:
            start = max(ready, window.begins_at)
            return start if start + hold <= window.ends_at else None
    return None
