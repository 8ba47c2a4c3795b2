"""Waiting for a device: always with a deadline, asking ever more seldom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from adapters.contract import JobHandle
from qcpaas.errors import ResultPending

FIRST_S = 0.1
LONGEST_S = 10.0
GROWTH = 1.5

Value = TypeVar("Value")


def pauses(
    timeout_s: float | None, first_s: float = FIRST_S, longest_s: float = LONGEST_S
) -> Iterator[None]:
    """Yields at once, and again after each pause until the time is over; the last at its end."""
    deadline = float("inf") if timeout_s is None else time.monotonic() + timeout_s
    pause = first_s
    yield
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(pause * GROWTH, longest_s)
        yield


def await_result(
    handle: JobHandle,
    look: Callable[[], Value | None],
    timeout_s: float | None,
    *,
    first_s: float = FIRST_S,
    longest_s: float = LONGEST_S,
) -> Value:
    """What ``look`` finds once it finds something.

    Raises:
        ResultPending: It found nothing in ``timeout_s``.
    """
    for _ in pauses(timeout_s, first_s, longest_s):
        found = look()
        if found is not None:
            return found
    raise ResultPending(
        f"job {handle.device_job_id} on {handle.device} is not done after {timeout_s} s. Ask again "
        "later."
    )
