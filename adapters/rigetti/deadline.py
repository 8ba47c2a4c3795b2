"""Rigetti's client tries again for five minutes where nobody answers; we give it a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Value = TypeVar("Value")


def within(seconds: float, call: Callable[[], Awaitable[Value]]) -> Value:
    """What an asynchronous call gives.

    It runs in a thread of its own, since whoever calls may have an event loop running.

    Raises:
        TimeoutError: It gave nothing in time, and was stopped.
    """

    async def awaited() -> Value:
        return await asyncio.wait_for(call(), seconds)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, awaited()).result()
