"""Independent pieces of the benchmark side by side; what they find does not depend on how many."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Found = TypeVar("Found")


def workers_here() -> int:
    """One for each core that this process may use."""
    return len(os.sched_getaffinity(0))


def side_by_side(
    call: Callable[[Task], Found], tasks: Sequence[Task], workers: int
) -> Iterator[Found]:
    """Answers in the order of the tasks, each as soon as it and those before it are there.

    Args:
        call: A function of a module, which draws everything random from the task alone.
        workers: Processes; with one everything runs in this process.
    """
    if workers == 1:
        yield from map(call, tasks)
        return
    # Spawned: simulators and numerical libraries hold threads that a fork would lose. The
    # variables that pin their threads are inherited.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(call, tasks)
