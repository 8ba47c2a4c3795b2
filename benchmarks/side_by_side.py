"""Independent pieces of the benchmark side by side; what they find does not depend on how many."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
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


def side_by_side_kept(
    call: Callable[[Task], Found], tasks: Sequence[Task], workers: int, kept: Path | None
) -> Iterator[Found]:
    """As :func:`side_by_side`, for an hour's work: a second start does what the first left.

    Args:
        call: Its answers can be written as JSON.
        kept: Where each answer is written as it comes, a line each; none is kept unless named.
    """
    if kept is None:
        yield from side_by_side(call, tasks, workers)
        return
    lines = kept.read_text().splitlines() if kept.exists() else []
    known: dict[str, Found] = dict(map(json.loads, lines))
    missing = side_by_side(call, [task for task in tasks if repr(task) not in known], workers)
    with kept.open("a") as file:
        for task in tasks:
            if repr(task) not in known:
                known[repr(task)] = found = next(missing)
                file.write(json.dumps([repr(task), found]) + "\n")
                file.flush()
            yield known[repr(task)]
