"""One job's ledger: what was asked of its device, what was sent for that, and what came back.

Each step is committed before the next one is taken: the intent with its token, the device's own
job id, the answer. The answer of one call and the intent of the next share a commit.

Everything here may be repeated: after a commit that was cut off nobody knows whether it took place,
and doing it again changes nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Self

from qcpaas.errors import PlatformError, QCPaaSError, Superseded
from store.database import Store
from store.jobs import unknown_job
from store.leases import Lease
from store.ledger_reader import LedgerReader
from store.ledger_record import RecordedJob
from store.ledger_rows import (
    AnsweredCall,
    CallState,
    Intent,
    NewCall,
    RecordedCall,
    RecordedSubmission,
    SubmissionState,
)
from store.ledger_statements import LedgerStatements
from store.writer import Prepared, Writer

__all__ = [
    "AnsweredCall",
    "CallState",
    "Intent",
    "Ledger",
    "LedgerReader",
    "NewCall",
    "RecordedCall",
    "RecordedSubmission",
    "SubmissionState",
]

WRITE_AFTER_S = 0.2  # the longest that an answer stays in memory alone
_LOOK_EVERY_S = 0.1


class Ledger(RecordedJob):
    """A job's ledger, as the process that runs the job writes it; its threads may share it.

    A context manager: at its end what is queued is written and the connection given back.

    Args:
        guards: The leases that this process acts under, looked at anew for each intent.
        durable: Lose no commit in a power cut either, at 0.6 to 7 ms each on SQLite: for devices
            that keep their jobs, whose intents must not be forgotten.

    Every method that reads or writes raises `PlatformUnavailable` while the database cannot be
    reached and `StoreFull` when it has no space left. What was queued then stays queued: repeat the
    call, or go on.
    """

    def __init__(
        self,
        store: Store,
        job_id: str,
        guards: Callable[[], Sequence[Lease]],
        *,
        durable: bool = False,
    ) -> None:
        super().__init__(store, job_id)
        self._guards = guards
        self._writer = Writer(store, durable)
        self._lock = threading.RLock()
        self._queue: list[tuple[Prepared, dict[str, Any]]] = []
        self._queued_at = 0.0
        self._ended = threading.Event()
        self._timer: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.close()
        except QCPaaSError:
            if kind is None:  # else the block's own error matters more
                raise

    def close(self) -> None:
        """Write what is queued and give the connection back."""
        self._ended.set()
        if self._timer is not None:
            self._timer.join()
        try:
            self.flush()
        finally:
            self._writer.close()

    @cached_property
    def _statements(self) -> LedgerStatements:
        return LedgerStatements(self._store)  # 20 ms; whoever only reads need not wait for it

    def intend(self, intent: Intent, call: NewCall | None) -> None:
        """Commit that a submission is about to be sent, with its call where that is new.

        Raises:
            Superseded: A lease is lost, or another process wrote something else in this place.
            UnknownJob: There is no such job.
        """
        row = {**intent.__dict__, "job_id": self.job_id, "state": SubmissionState.INTENT.value}

        def write(cursor: Any) -> None:
            self._check_guards(cursor)
            if call is not None:
                self._begin(cursor, call)
            if not self._statements.intent.run(cursor, row).rowcount:
                self._check_same_intent(cursor, intent)

        self._write(write)

    def accepted(self, token: str, device_job_id: str, *, queued: bool = False) -> None:
        """Commit the id under which the device knows a submission.

        Args:
            queued: Write it with what comes next: the id means nothing without this process.

        Raises:
            PlatformError: No intent has this token.
        """
        values = {"of_token": token, "new_id": device_job_id}
        if queued:
            self._enqueue(self._statements.accepted, values)
        else:
            self._write(lambda cursor: self._change(cursor, self._statements.accepted, values))

    def answered(
        self,
        token: str,
        answer: bytes,
        seconds: float,
        qpu_s: float,
        snapshot_id: str | None = None,
    ) -> None:
        """Queue a submission's raw answer; the first one stays.

        Args:
            snapshot_id: The device's newest calibration at this moment.
        """
        self._enqueue(
            self._statements.answered,
            {
                "of_token": token,
                "new_answer": answer,
                "new_seconds": seconds,
                "new_qpu_s": qpu_s,
                "new_snapshot_id": snapshot_id,
            },
        )

    def finished(self, index: int, outcomes: bytes) -> None:
        """Queue a call's outcomes; the first ones stay."""
        self._enqueue(
            self._statements.finished,
            {
                "of_job": self.job_id,
                "of_call": index,
                "new_outcomes": outcomes,
                "moment": datetime.now(UTC),
            },
        )

    def failed(self, token: str, note: str, cancelled: bool = False) -> None:
        """Commit that a submission came to nothing, and why; one that was answered stays done."""
        state = SubmissionState.CANCELLED if cancelled else SubmissionState.FAILED
        values = {"of_token": token, "new_state": state.value, "new_note": note.replace("\0", "")}
        self._write(lambda cursor: self._statements.failed.run(cursor, values))

    def set_aside(self, indexes: Iterable[int]) -> None:
        """Take calls out of the replay; each moves to a negative index, its submissions too.

        Raises:
            Superseded: A lease is lost.
        """
        ordered = sorted(index for index in indexes if index >= 0)

        def write(cursor: Any) -> None:
            self._check_guards(cursor)
            of_job = {"of_job": self.job_id}
            least = self._statements.least_index.run(cursor, of_job).fetchone()[0]
            new_index = min(least or 0, 0)
            for index in ordered:
                move = {**of_job, "of_call": index, "new_index": new_index - 1}
                if self._statements.move_call.run(cursor, move).rowcount:
                    self._statements.move_submissions.run(cursor, move)
                    new_index -= 1

        self._write(write)

    def keep_plan(self, key: str, payload: bytes, placements: str) -> None:
        """Keep a plan, once a job; commits now.

        Args:
            placements: JSON list of `CalibrationUse`; requests name their calibration by its place
                in this list.

        Raises:
            UnknownJob: There is no such job.
        """
        row = {
            "job_id": self.job_id,
            "key": key,
            "saved_at": datetime.now(UTC),
            "placements": placements,
            "payload": payload,
        }
        self._write(lambda cursor: self._statements.plan.run(cursor, row))

    def checkpoint(self, position: int, payload: bytes) -> None:
        """Keep a workload's state, in place of an earlier one; commits now.

        Raises:
            Superseded: A lease is lost.
        """
        row = {
            "job_id": self.job_id,
            "position": position,
            "saved_at": datetime.now(UTC),
            "payload": payload,
        }

        def write(cursor: Any) -> None:
            self._check_guards(cursor)
            self._statements.checkpoint.run(cursor, row)

        self._write(write)

    def keep_journal(self, payload: str) -> None:
        """Queue what the manifest needs besides the calls, in place of an earlier one."""
        row = {"job_id": self.job_id, "saved_at": datetime.now(UTC), "payload": payload}
        self._enqueue(self._statements.journal, row)

    def flush(self) -> None:
        """Write what is queued."""
        if self._queue:
            self._write(lambda cursor: None)

    # --- how it is written -------------------------------------------------------------------

    def _write(self, work: Callable[[Any], Any]) -> None:
        """One transaction: what is queued, and ``work``."""
        with self._lock:
            queued = list(self._queue)

            def transaction(cursor: Any) -> None:
                for statement, values in queued:
                    statement.run(cursor, values)
                work(cursor)

            try:
                self._writer.run(transaction)
            except self._store.engine.dialect.loaded_dbapi.IntegrityError as error:
                # The one constraint that data can break: the job's id.
                with self._store.read() as connection:
                    raise unknown_job(connection, self.job_id) from error
            del self._queue[: len(queued)]

    def _enqueue(self, statement: Prepared, values: dict[str, Any]) -> None:
        if not self._queue:
            self._queued_at = time.monotonic()
        self._queue.append((statement, values))
        if self._timer is None:
            with self._lock:
                if self._timer is None and not self._ended.is_set():
                    self._timer = threading.Thread(
                        target=self._write_in_time, name=f"ledger {self.job_id}", daemon=True
                    )
                    self._timer.start()

    def _write_in_time(self) -> None:
        # Looked at from time to time: being woken at every step would cost the loop more.
        while not self._ended.wait(_LOOK_EVERY_S):
            if self._queue and time.monotonic() - self._queued_at > WRITE_AFTER_S:
                try:
                    self.flush()
                except QCPaaSError:
                    # Still queued: whoever writes or reads next meets the same error.
                    self._ended.wait(1.0)

    def _change(self, cursor: Any, statement: Prepared, values: dict[str, Any]) -> None:
        if not statement.run(cursor, values).rowcount:
            raise PlatformError(
                f"job {self.job_id} has no submission {values['of_token']!r} in its ledger. Write "
                "its intent before it is sent."
            )

    def _check_guards(self, cursor: Any) -> None:
        leases = self._guards()
        if not leases:
            return
        fences: dict[str, Any] = {}
        for number, lease in enumerate(leases):
            fences |= {f"name_{number}": lease.name, f"fence_{number}": lease.fence}
        rows = self._statements.guard(len(leases)).run(cursor, fences).fetchall()
        held = {row[0] for row in rows}
        for lease in leases:
            if lease.name not in held:
                raise Superseded(
                    f"this process lost {lease.name!r} (fence {lease.fence}): it was thought dead, "
                    f"and job {self.job_id} goes on elsewhere. Nothing was sent."
                )

    def _begin(self, cursor: Any, call: NewCall) -> None:
        row = {
            **call.__dict__,
            "job_id": self.job_id,
            "state": CallState.OPEN.value,
            "created_at": datetime.now(UTC),
        }
        if self._statements.call.run(cursor, row).rowcount:
            return
        place = {"of_job": self.job_id, "of_call": call.index}
        found = self._statements.written_call.run(cursor, place).fetchone()
        if found is not None and found[0] != call.key:
            raise Superseded(
                f"call {call.index} of job {self.job_id} is in the ledger as another one "
                f"({found[0]}, not {call.key}). Replay what is there, or set it aside."
            )

    def _check_same_intent(self, cursor: Any, intent: Intent) -> None:
        place = {
            "of_job": self.job_id,
            "of_call": intent.call,
            "of_part": intent.part,
            "of_attempt": intent.attempt,
        }
        found = self._statements.written_intent.run(cursor, place).fetchone()
        if found is None or found[0] != intent.token:
            raise Superseded(
                f"submission {intent.token} of job {self.job_id} was to be call {intent.call}, "
                f"part {intent.part}, attempt {intent.attempt}, which is in the ledger as "
                f"{found and found[0]}. Nothing was sent; look at the ledger again."
            )
