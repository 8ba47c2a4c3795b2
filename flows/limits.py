"""A run's limits: what tells it that it went over one, in words of ours."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from qcpaas.errors import JobFailed

MEMORY_VARIABLE = "QCPAAS_MEMORY_LIMIT_MIB"  # set where a run's allocations fail beyond its limit
TIME_IS_UP = signal.SIGXCPU


def too_much_memory(memory_mib: int) -> str:
    return (
        f"the run needed more than its {memory_mib} MiB of memory. Let it keep less at once, or "
        "raise the limit: the job variable memory_mib, or --run-memory-mib of the worker."
    )


def too_much_time(time_limit_s: float) -> str:
    return (
        f"the run took longer than its limit of {time_limit_s:g} s. Do less in one job, or raise "
        "the limit: the job variable time_limit_s."
    )


def end_after(time_limit_s: float) -> None:
    """Have the main thread raise `JobFailed` when the time is up.

    A thread keeps the time and not an alarm, which Prefect's own time limits use.
    """

    def over(number: int, frame: FrameType | None) -> None:
        raise JobFailed(too_much_time(time_limit_s))

    signal.signal(TIME_IS_UP, over)
    timer = threading.Timer(time_limit_s, os.kill, (os.getpid(), TIME_IS_UP))
    timer.name, timer.daemon = "time limit", True
    timer.start()


def said_of(error: BaseException) -> BaseException:
    """The error that a run's end is recorded with: a limit that it met is named as such."""
    limit = os.environ.get(MEMORY_VARIABLE)
    if limit is None or not any(isinstance(each, MemoryError) for each in _chain(error)):
        return error
    named = JobFailed(too_much_memory(int(limit)))
    named.__cause__ = error
    return named


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
