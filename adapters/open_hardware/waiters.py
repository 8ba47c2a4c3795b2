"""Requests that wait for a job without holding a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Value = TypeVar("Value")

_LOOK_AGAIN_S = 5.0  # though nothing was told


class Waiters:
    """Wakes whoever waits for a job when it has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}

    def wake(self, job_id: str) -> None:
        """From any thread."""
        with self._lock:
            waiting = tuple(self._waiting.get(job_id, ()))
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    async def wait(
        self, job_id: str, timeout_s: float, look: Callable[[], Awaitable[Value | None]]
    ) -> Value | None:
        """What ``look`` finds in time; it looks again whenever the job has changed."""
        deadline = time.monotonic() + timeout_s
        event = asyncio.Event()
        entry = (asyncio.get_running_loop(), event)
        with self._lock:
            self._waiting.setdefault(job_id, set()).add(entry)
        try:
            while (found := await look()) is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                try:
                    await asyncio.wait_for(event.wait(), min(left, _LOOK_AGAIN_S))
                except TimeoutError:
                    continue
                event.clear()
            return found
        finally:
            with self._lock:
                self._waiting[job_id].discard(entry)
                if not self._waiting[job_id]:
                    del self._waiting[job_id]
