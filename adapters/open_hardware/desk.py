"""Takes jobs for a device, runs them, and remembers them.

The device's adapter runs as many side by side as it says (`Capabilities.concurrent_jobs`), each in
a thread. After a restart every accepted job goes on:

- one that waited, waits again;
- one that an adapter has which keeps its jobs, is awaited by the adapter's handle; where the server
  died between sending and noting the handle, the adapter is asked for the token, and where it
  cannot search, the job ends as failed and is not sent again;
- one that an adapter had which does not keep its jobs, runs again: nobody was told of a result.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from adapters.contract import (
    Capabilities,
    DeviceAdapter,
    DeviceResult,
    DeviceSession,
    JobHandle,
    Submission,
    Unsupported,
)
from adapters.open_hardware.describing import described
from adapters.open_hardware.intake import Intake, told_registers
from adapters.open_hardware.job_file import ENDED, JobFile, KeptJob, KeptSession
from adapters.open_hardware.messages import Description, SentJob
from adapters.open_hardware.packing import packed_result
from adapters.waiting import pauses
from qcpaas.errors import (
    AcceptanceUnknown,
    DeviceUnavailable,
    ExecutionFailed,
    QCPaaSError,
    ResultPending,
    SessionClosed,
    UnknownDeviceJob,
)
from store.snapshot import Snapshot

MAX_WAITING = 10_000
_MAX_PLACES = 64
_KNOWN_FOR_S = 10.0  # how long the adapter's capabilities are taken as they were told
_LOOK_S = 30.0
_GRACE_S = 3.0
_TIDIED_EVERY_S = 3600.0
_REST_S = 5.0  # after the device said that it takes nothing now

log = logging.getLogger(__name__)


class Desk:
    """Every operation may be called from any thread.

    Args:
        changed: Called with a job's id whenever its state has changed.
        max_waiting: Jobs that wait at most; more are turned away.
        kept_s: How long results are kept after their jobs have ended; ``None`` keeps them for good.
    """

    def __init__(
        self,
        adapter: DeviceAdapter,
        file: JobFile,
        changed: Callable[[str], None] = lambda job_id: None,
        max_waiting: int = MAX_WAITING,
        *,
        kept_s: float | None = None,
    ) -> None:
        self.adapter = adapter
        self.changed = changed
        self._file = file
        self._max_waiting = max_waiting
        self._kept_s = kept_s
        self._tidied_at = float("-inf")
        self._intake = Intake(adapter.name)
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._places: list[threading.Thread] = []
        self._told: tuple[float, Capabilities] | None = None
        self._described: tuple[Capabilities, Description] | None = None

    def start(self) -> None:
        """Go on with the jobs that were accepted before, and take new ones.

        Raises:
            DeviceUnavailable: The adapter cannot say what it can do.
        """
        self._tidy()
        for job_id in self._file.unfinished():
            self._queue.put(job_id)
        for place in range(min(self.capabilities().concurrent_jobs, _MAX_PLACES)):
            thread = threading.Thread(target=self._work, name=f"place-{place}", daemon=True)
            self._places.append(thread)
            thread.start()

    def end(self) -> None:
        """Begin no more jobs; those that still run after a moment are the next server's."""
        self._ending.set()
        for _ in self._places:
            self._queue.put("")
        deadline = time.monotonic() + _GRACE_S
        for place in self._places:
            place.join(max(0.0, deadline - time.monotonic()))

    def capabilities(self) -> Capabilities:
        """The adapter's, asked again after a few seconds."""
        now = time.monotonic()
        if self._told is None or now - self._told[0] > _KNOWN_FOR_S:
            self._told = (now, self.adapter.capabilities())
        return self._told[1]

    def description(self) -> Description:
        """What the device says of itself."""
        capabilities = self.capabilities()
        if self._described is None or self._described[0] is not capabilities:
            found = self.adapter.calibration()
            gates = found.gates if isinstance(found, Snapshot) else {}
            widths = {name: len(places[0]) for name, places in gates.items()}
            self._described = (capabilities, described(self.adapter.name, capabilities, widths))
        return self._described[1]

    # --- jobs -------------------------------------------------------------------------------

    def accept(self, job: SentJob, owner: str) -> KeptJob:
        """Keep a job for good; one of a known token is the job that was accepted under it.

        Raises:
            SubmissionRefused: It asks for what the device does not do.
            CircuitError: A circuit cannot be read.
            SessionClosed: Its session has ended.
            DeviceUnavailable: Too many jobs wait.
        """
        known = self._file.find(owner, job.token)
        if known is not None:
            return known
        self._intake.submission(job, self.capabilities())
        self._session(job.session_id, owner)
        if self._file.waiting() >= self._max_waiting:
            raise DeviceUnavailable(
                f"{self._max_waiting} jobs wait for {self.adapter.name}. Try again later."
            )
        job_id = f"job-{uuid.uuid4().hex}"
        request = job.model_dump_json().encode()
        kept = self._file.accept(job_id, owner, job.token, job.session_id, request)
        if kept.job_id == job_id:
            self._queue.put(job_id)
        return kept

    def job(self, job_id: str, owner: str) -> KeptJob:
        """Raises `UnknownDeviceJob` where this owner has no such job."""
        kept = self._file.job(job_id)
        if kept is None or kept.owner != owner:
            raise UnknownDeviceJob(
                f"{self.adapter.name} has no job {job_id} of yours. Check its id and your token."
            )
        return kept

    def find(self, token: str, owner: str) -> KeptJob | None:
        return self._file.find(owner, token)

    def answer(self, job_id: str, owner: str) -> bytes | None:
        """The result as it is sent; ``None`` where there is none yet.

        Raises:
            ExecutionFailed, SessionClosed: The job ended without one, or it is not kept any more.
        """
        kept = self.job(job_id, owner)
        if kept.state == "completed":
            answer = self._file.answer(job_id)
            if answer is None:
                raise ExecutionFailed(
                    f"the result of job {job_id} was removed: this server does not keep results "
                    "for so long. Submit again under a new token."
                )
            return answer
        if kept.state not in ENDED:
            return None
        kind = SessionClosed if kept.error == SessionClosed.__name__ else ExecutionFailed
        raise kind(f"job {job_id} has no result: {kept.message}")

    def cancel(self, job_id: str, owner: str) -> Unsupported | KeptJob:
        """Stop a job that waits, or one that the adapter can stop."""
        kept = self.job(job_id, owner)
        if kept.state in ENDED:
            return kept
        if self._file.cancel_unsent(job_id):
            self.changed(job_id)
            return self.job(job_id, owner)
        kept = self.job(job_id, owner)
        if kept.handle is None:
            return Unsupported(
                "cancel", f"job {job_id} runs, and {self.adapter.name} cannot interrupt it"
            )
        answer = self.adapter.cancel(JobHandle.model_validate_json(kept.handle))
        if isinstance(answer, Unsupported):
            return answer
        self._end(job_id, "cancelled", message="it was cancelled.")
        return self.job(job_id, owner)

    def waiting(self) -> int:
        return self._file.waiting()

    # --- sessions ---------------------------------------------------------------------------

    def open_session(self, owner: str) -> DeviceSession | Unsupported:
        session = self.adapter.open_session()
        if isinstance(session, DeviceSession):
            ends = session.expires_at
            self._file.open_session(
                KeptSession(
                    session.session_id,
                    owner,
                    None if ends is None else ends.timestamp(),
                    session.max_idle_s,
                    closed=False,
                )
            )
        return session

    def close_session(self, session_id: str, owner: str) -> Unsupported | None:
        """Raises `SessionClosed` where this owner never had it."""
        kept = self._file.session(session_id)
        if kept is None or kept.owner != owner:
            raise SessionClosed(f"there is no session {session_id} of yours. Open one.")
        if kept.closed:
            return None
        answer = self.adapter.close_session(_session(kept))
        if answer is None:
            self._file.close_session(session_id)
        return answer

    def _session(self, session_id: str | None, owner: str) -> DeviceSession | None:
        if session_id is None:
            return None
        kept = self._file.session(session_id)
        over = kept is None or kept.owner != owner or kept.closed
        if kept is None or over or (kept.expires_at and kept.expires_at <= time.time()):
            raise SessionClosed(f"session {session_id} is closed, or was never open. Open one.")
        return _session(kept)

    # --- running ----------------------------------------------------------------------------

    def _work(self) -> None:
        """One of the places where jobs run side by side."""
        while True:
            job_id = self._queue.get()
            if self._ending.is_set():
                return
            self._attempt(job_id)

    def _attempt(self, job_id: str) -> None:
        try:
            self._run(job_id)
        except DeviceUnavailable as error:
            log.warning("%s waits: %s", job_id, error)
            self._file.wait_again(job_id)
            self.changed(job_id)
            self._ending.wait(_REST_S)
            self._queue.put(job_id)
        except QCPaaSError as error:
            self._end(job_id, "failed", error=type(error).__name__, message=str(error))
        except Exception as error:  # one job's fault must not stop the others
            if self._ending.is_set():
                return
            log.exception("%s failed", job_id)
            said = f"{type(error).__name__}: {error}"
            self._end(job_id, "failed", error=ExecutionFailed.__name__, message=said)

    def _run(self, job_id: str) -> None:
        """Raises `DeviceUnavailable` where the device took nothing."""
        request, kept = self._file.begin(job_id), self._file.job(job_id)
        if request is None or kept is None:
            return
        self.changed(job_id)
        job = SentJob.model_validate_json(request)
        capabilities = self.capabilities()
        session = None
        if job.session_id is not None and kept.handle is None:
            session = self._session(job.session_id, kept.owner)
        submission = self._intake.submission(job, capabilities, session)
        handle = self._handle(kept, submission, capabilities)
        result = self._result(handle)
        if result is not None:
            self._end(job_id, "completed", _answer(result, job, submission))

    def _handle(
        self, kept: KeptJob, submission: Submission, capabilities: Capabilities
    ) -> JobHandle:
        """The adapter's own job, found again or sent."""
        if kept.handle is not None:
            return JobHandle.model_validate_json(kept.handle)
        keeps = capabilities.keeps_jobs
        handle = self._found(kept, capabilities) if kept.sent and keeps else None
        if handle is None:
            handle = self._sent(kept, submission, capabilities)
        if keeps:
            self._file.sent(kept.job_id, handle.model_dump_json())
        return handle

    def _sent(self, kept: KeptJob, submission: Submission, capabilities: Capabilities) -> JobHandle:
        self._file.sending(kept.job_id)
        try:
            # Tokens of two owners can be alike; job ids cannot.
            return self.adapter.submit(submission, kept.job_id)
        except DeviceUnavailable:
            self._file.unsent(kept.job_id)
            raise
        except AcceptanceUnknown:
            found = self._found(self._file.job(kept.job_id) or kept, capabilities)
            if found is not None:
                return found
            self._file.unsent(kept.job_id)
            raise DeviceUnavailable(f"{self.adapter.name} never got {kept.job_id}") from None

    def _found(self, kept: KeptJob, capabilities: Capabilities) -> JobHandle | None:
        """A job that may have been sent; ``None`` where it was not.

        Raises:
            ExecutionFailed: Nobody can say.
        """
        began = kept.began_at or 0.0
        for _ in pauses(max(0.0, began + capabilities.token_lag_s - time.time())):
            found = self.adapter.find_by_token(kept.job_id)
            if isinstance(found, JobHandle):
                return found
            if isinstance(found, Unsupported):
                raise ExecutionFailed(
                    f"it may have been sent to {self.adapter.name}, which cannot say so "
                    f"({found.reason}), and was not sent again. Submit it under another token if "
                    "it may run twice."
                )
        return None

    def _result(self, handle: JobHandle) -> DeviceResult | None:
        """``None`` where this server ends before the job."""
        while not self._ending.is_set():
            try:
                return self.adapter.result(handle, timeout_s=_LOOK_S)
            except ResultPending:
                continue
            except DeviceUnavailable as error:
                log.warning("%s is awaited: %s", handle.device_job_id, error)
                self._ending.wait(_REST_S)
        return None

    def _end(
        self,
        job_id: str,
        state: str,
        answer: bytes | None = None,
        error: str = "",
        message: str = "",
    ) -> None:
        self._file.end(job_id, state, answer, error, message)
        self.changed(job_id)
        self._tidy()

    def _tidy(self) -> None:
        now = time.monotonic()
        if self._kept_s is not None and now - self._tidied_at > _TIDIED_EVERY_S:
            self._tidied_at = now
            self._file.forget_answers(time.time() - self._kept_s)


def _session(kept: KeptSession) -> DeviceSession:
    ends = None if kept.expires_at is None else datetime.fromtimestamp(kept.expires_at, UTC)
    return DeviceSession(kept.session_id, ends, kept.max_idle_s)


def _answer(result: DeviceResult, job: SentJob, submission: Submission) -> bytes:
    """The result as it is sent, with the registers called as the sender calls them."""
    packed = packed_result(result)
    circuits = {
        sent.circuit: experiment.circuit
        for sent, experiment in zip(job.experiments, submission.experiments, strict=True)
    }
    names = told_registers(job, circuits)
    counts = tuple(
        each.model_copy(update={"registers": registers})
        for each, registers in zip(packed.counts, names, strict=bool(packed.counts))
    )
    return packed.model_copy(update={"counts": counts}).model_dump_json().encode()
