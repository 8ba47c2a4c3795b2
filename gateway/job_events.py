"""What happens to jobs, told to whoever follows them: one look at the store for all followers.

An event's id is a fingerprint of all that its follower has been told. One who comes back with it,
to this process or to another, is told what has changed since, and nothing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from qcpaas.errors import QCPaaSError
from qcpaas.scheduling import JobEvent
from qcpaas.schemas import JobRecord

LOOK_EVERY_S = 0.3
Kind = Literal["state", "progress", "schedule", "problem"]
Look = Callable[[Collection[str]], Mapping[str, JobRecord]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Told:
    """Fingerprints of what somebody knows of a job, by kind of event; empty where nothing."""

    marks: tuple[str, ...] = ("",) * len(get_args(Kind))

    @classmethod
    def read(cls, event_id: str | None) -> Told:
        """From ``Last-Event-ID``; whoever brings something else is told everything."""
        marks = tuple((event_id or "").split("."))
        return cls(marks) if len(marks) == len(get_args(Kind)) else cls()

    def __str__(self) -> str:
        return ".".join(self.marks)

    def news(self, record: JobRecord) -> Iterator[tuple[JobEvent, Told]]:
        """Events that bring somebody up to date, each with what they know then."""
        known = list(self.marks)
        for place, (kind, data) in enumerate(_facts(record).items()):
            mark = _mark(data)
            if mark == known[place] or (not data and not known[place]):
                continue
            known[place] = mark
            event = JobEvent(kind=kind, job_id=record.job_id, at=datetime.now(UTC), data=data)
            yield event, Told(tuple(known))


@dataclass(eq=False)
class _Follower:
    job_id: str
    loop: asyncio.AbstractEventLoop
    news: asyncio.Queue[JobRecord] = field(default_factory=lambda: asyncio.Queue(maxsize=1))

    def tell(self, record: JobRecord) -> None:
        """The newest counts: a slow reader misses what was in between."""
        self.loop.call_soon_threadsafe(self._put, record)

    def _put(self, record: JobRecord) -> None:
        if self.news.full():
            self.news.get_nowait()
        self.news.put_nowait(record)


class JobEvents:
    """Looks at the followed jobs again and again, as long as there are any.

    Args:
        look: Records of jobs by id, those that there are.
    """

    def __init__(self, look: Look) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._followers: set[_Follower] = set()
        self._thread: threading.Thread | None = None

    async def of(self, job_id: str, told: Told) -> AsyncIterator[tuple[JobEvent, Told]]:
        """Events of a job until it has ended; then the last of them has its final state."""
        with self._following(job_id) as follower:
            while True:
                record = await follower.news.get()
                for event, told in told.news(record):  # noqa: B020, PLR1704 - what is known grows
                    yield event, told
                if record.state.finished:
                    return

    @contextmanager
    def _following(self, job_id: str) -> Iterator[_Follower]:
        follower = _Follower(job_id, asyncio.get_running_loop())
        with self._lock:
            self._followers.add(follower)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="job events", daemon=True)
                self._thread.start()
        try:
            yield follower
        finally:
            with self._lock:
                self._followers.discard(follower)

    def _watch(self) -> None:
        pause = threading.Event()
        while followers := self._all_or_end():
            try:
                records = self._look({follower.job_id for follower in followers})
            except QCPaaSError as error:  # the database is away: they wait
                log.warning("followed jobs cannot be looked at: %s", error)
                records = {}
            for follower in followers:
                if follower.job_id in records:
                    follower.tell(records[follower.job_id])
            pause.wait(LOOK_EVERY_S)

    def _all_or_end(self) -> list[_Follower]:
        with self._lock:
            if not self._followers:
                self._thread = None
            return list(self._followers)


def _facts(record: JobRecord) -> dict[Kind, dict[str, Any]]:
    """What each kind of event tells, empty where there is nothing to tell; the state last."""
    plain = record.model_dump(mode="json")
    return {
        "schedule": plain["schedule"] or {},
        "progress": plain["progress"],
        "problem": plain["error"] or {},
        "state": {name: plain[name] for name in _STATE},
    }


_STATE = ("state", "backend", "started_at", "finished_at", "flow_run_id")


def _mark(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(repr(data).encode()).hexdigest()[:12] if data else ""
