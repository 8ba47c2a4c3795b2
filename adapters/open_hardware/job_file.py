"""The jobs that a served device has accepted, in a SQLite file.

A job is on disk before its acceptance is told, and its result before it is; both outlive the
server. One server uses a file at a time.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from qcpaas.errors import InputError

ENDED = frozenset({"completed", "failed", "cancelled"})
_TABLES = """
create table if not exists job (
    number integer primary key autoincrement, job_id text not null unique, owner text not null,
    token text not null, accepted_at real not null, state text not null, session_id text,
    request blob, sent integer not null default 0, handle text, began_at real, ended_at real,
    answer blob, error text, message text, unique (owner, token));
create index if not exists job_by_state on job (state);
create table if not exists session (
    session_id text primary key, owner text not null, expires_at real, max_idle_s real,
    closed integer not null default 0);
"""
_COLUMNS = "job_id, owner, token, state, session_id, sent, handle, began_at, error, message"


@dataclass(frozen=True)
class KeptJob:
    """A job as the file has it.

    Attributes:
        owner: Who sent it.
        sent: Whether the adapter may have been given it.
        handle: The adapter's own, as JSON, of an adapter that keeps its jobs.
        began_at: When it was last begun, seconds since 1970.
        error: Kind of the error that it ended with.
    """

    job_id: str
    owner: str
    token: str
    state: str
    session_id: str | None
    sent: bool
    handle: str | None
    began_at: float | None
    error: str | None
    message: str | None


@dataclass(frozen=True)
class KeptSession:
    """``expires_at`` is in seconds since 1970."""

    session_id: str
    owner: str
    expires_at: float | None
    max_idle_s: float | None
    closed: bool


class JobFile:
    """Several threads may use it.

    Args:
        durable: Whether an acceptance outlives a power cut too, and not only a killed server.

    Raises:
        InputError: Another server uses the file, or it cannot be opened.
    """

    def __init__(self, file: Path, *, durable: bool) -> None:
        self._lock = threading.RLock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._held = os.open(f"{file}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._held)
            raise InputError(
                f"another server uses {file}. End it first, or name another --state."
            ) from None
        except OSError as error:
            raise InputError(f"{file} cannot be opened: {error.strerror or error}.") from error
        self._db = _opened(file, durable=durable)

    def __enter__(self) -> JobFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:  # SQLite does not bear a close beside a statement
            self._db.close()
        os.close(self._held)

    # --- jobs -------------------------------------------------------------------------------

    def accept(
        self, job_id: str, owner: str, token: str, session_id: str | None, request: bytes
    ) -> KeptJob:
        """Keep a job, or answer the one that was accepted under its token before."""
        self._do(
            "insert or ignore into job (job_id, owner, token, accepted_at, state, session_id, "
            "request) values (?, ?, ?, ?, 'queued', ?, ?)",
            job_id,
            owner,
            token,
            time.time(),
            session_id,
            request,
        )
        found = self.find(owner, token)
        assert found is not None
        return found

    def job(self, job_id: str) -> KeptJob | None:
        return self._job("job_id = ?", job_id)

    def find(self, owner: str, token: str) -> KeptJob | None:
        return self._job("owner = ? and token = ?", owner, token)

    def begin(self, job_id: str) -> bytes | None:
        """Mark as running; the request, or ``None`` where the job has ended meanwhile."""
        with self._lock:
            self._do(
                "update job set state = 'running', began_at = coalesce(began_at, ?) "
                "where job_id = ? and state in ('queued', 'running')",
                time.time(),
                job_id,
            )
            rows = self._rows("select request from job where job_id = ?", job_id)
        return None if not rows or rows[0][0] is None else bytes(rows[0][0])

    def wait_again(self, job_id: str) -> None:
        """Back to the waiting ones."""
        self._do("update job set state = 'queued' where job_id = ? and state = 'running'", job_id)

    def sending(self, job_id: str) -> None:
        """Say, before the adapter is given a job, that it may have it."""
        self._do("update job set sent = 1, began_at = ? where job_id = ?", time.time(), job_id)

    def unsent(self, job_id: str) -> None:
        """Nothing of it was taken."""
        self._do("update job set sent = 0 where job_id = ?", job_id)

    def sent(self, job_id: str, handle: str) -> None:
        self._do("update job set handle = ? where job_id = ?", handle, job_id)

    def cancel_unsent(self, job_id: str) -> bool:
        """Whether it waited, and the adapter was never given it; then it is cancelled now."""
        with self._lock:
            cursor = self._db.execute(
                "update job set state = 'cancelled', message = 'it was cancelled.', ended_at = ?, "
                "request = null where job_id = ? and state = 'queued' and sent = 0",
                (time.time(), job_id),
            )
            return cursor.rowcount == 1

    def end(
        self,
        job_id: str,
        state: str,
        answer: bytes | None = None,
        error: str = "",
        message: str = "",
    ) -> None:
        """Keep an answer, or why there is none; nothing happens to a job that has ended."""
        self._do(
            "update job set state = ?, answer = ?, error = ?, message = ?, ended_at = ?, "
            "request = null where job_id = ? and state in ('queued', 'running')",
            state,
            answer,
            error,
            message,
            time.time(),
            job_id,
        )

    def answer(self, job_id: str) -> bytes | None:
        rows = self._rows("select answer from job where job_id = ?", job_id)
        return bytes(rows[0][0]) if rows and rows[0][0] is not None else None

    def forget_answers(self, before: float) -> int:
        """Remove the answers of jobs that ended before a moment, seconds since 1970; how many.

        The jobs stay: their tokens name them for ever.
        """
        with self._lock:
            return self._db.execute(
                "update job set answer = null where answer is not null and ended_at < ?", (before,)
            ).rowcount

    def unfinished(self) -> list[str]:
        """Job ids in the order of acceptance."""
        rows = self._rows(
            "select job_id from job where state in ('queued', 'running') order by number"
        )
        return [job_id for (job_id,) in rows]

    def waiting(self) -> int:
        """How many jobs are queued."""
        ((number,),) = self._rows("select count(*) from job where state = 'queued'")
        return int(number)

    # --- sessions ---------------------------------------------------------------------------

    def open_session(self, session: KeptSession) -> None:
        self._do(
            "insert or replace into session values (?, ?, ?, ?, 0)",
            session.session_id,
            session.owner,
            session.expires_at,
            session.max_idle_s,
        )

    def close_session(self, session_id: str) -> None:
        self._do("update session set closed = 1 where session_id = ?", session_id)

    def session(self, session_id: str) -> KeptSession | None:
        rows = self._rows("select * from session where session_id = ?", session_id)
        if not rows:
            return None
        session_id, owner, expires_at, max_idle_s, closed = rows[0]
        return KeptSession(session_id, owner, expires_at, max_idle_s, bool(closed))

    def _job(self, where: str, *values: object) -> KeptJob | None:
        rows = self._rows(f"select {_COLUMNS} from job where {where}", *values)  # noqa: S608
        if not rows:
            return None
        row = list(rows[0])
        row[5] = bool(row[5])
        return KeptJob(*row)

    def _do(self, statement: str, *values: object) -> None:
        with self._lock:
            self._db.execute(statement, values)

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()


def _opened(file: Path, *, durable: bool) -> sqlite3.Connection:
    """Every statement commits by itself."""
    try:
        db = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=30.0)
        file.chmod(0o600)  # it holds what users run
        db.execute("pragma journal_mode=wal")
        db.execute(f"pragma synchronous={'full' if durable else 'normal'}")
        db.executescript(_TABLES)
    except (sqlite3.Error, OSError) as error:
        raise InputError(f"{file} is no file of jobs: {error}. Name another --state.") from error
    return db
