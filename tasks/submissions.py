"""One part of a call on its way to the device and back, each step in the ledger before the next.

A part that the ledger knows already, because an earlier process began it, is taken up where it
stood: its answer is read, its device job awaited, or looked for by its token.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from adapters.backend import DeviceBackend
from adapters.contract import DeviceResult, DeviceSession, JobHandle, Unsupported
from qcpaas.errors import (
    AcceptanceUnknown,
    ExecutionFailed,
    JobHeld,
    ReplayDiverged,
    ResultPending,
    SessionClosed,
    SubmissionRefused,
    UnknownDeviceJob,
)
from qcpaas.execution import Experiment, Outcome
from qcpaas.schemas import Recovery
from qcpaas.tracing import span
from store.ledger import Intent, Ledger, NewCall, RecordedSubmission, SubmissionState
from store.records import decode_outcomes, encode_outcomes
from tasks.patience import Patience
from tasks.scope import SessionScope

WAIT_S = 5.0  # how long the device is asked to wait for one look at a result


@dataclass(frozen=True, eq=False)
class Part:
    """What goes into one submission.

    Attributes:
        call: Its call, where this part's intent is the one that records it.
        content: Hash of what is sent.
        request: For the ledger.
    """

    index: int
    number: int
    experiments: tuple[Experiment, ...]
    content: str
    seed: int
    request: bytes
    call: NewCall | None = None


@dataclass(frozen=True, eq=False)
class Sent:
    """A submission that the device has accepted."""

    part: Part
    intent: Intent
    handle: JobHandle

    @property
    def session(self) -> DeviceSession | None:
        session_id = self.intent.session_id
        return None if session_id is None else DeviceSession(session_id)


@dataclass(frozen=True, eq=False)
class Answered:
    """A part's raw outcomes, and what they cost; nothing where the ledger had them."""

    part: Part
    outcomes: tuple[Outcome, ...]
    qpu_s: float = 0.0


@dataclass(eq=False)
class Submissions:
    """Sends parts, and waits for them through whatever happens in between.

    Attributes:
        patience: Waits through outages of the device and of the store.
        calibration: Names the device's calibration in force.
        make_way: Called before something new is sent, with the seconds that the longest took so
            far; returns when nobody else is to go first.
    """

    device: DeviceBackend
    ledger: Ledger
    scope: SessionScope
    patience: Patience
    recovery: Recovery
    calibration: Callable[[], str | None] = lambda: None
    make_way: Callable[[float], None] = lambda _: None

    def __post_init__(self) -> None:
        self._longest_s = 0.0
        self.adapter = self.device.adapter
        self._adopt = self.recovery.adopt

    def begin(self, part: Part, before: RecordedSubmission | None = None) -> Sent | Answered:
        """Send a part, or take it up where an earlier try of it stood.

        Args:
            before: The part's newest submission in the ledger.

        Raises:
            JobHeld: Nobody can say whether the device has accepted it.
            SubmissionRefused: The device will not take it.
            Superseded: Another process has taken over the job or the device.
        """
        if before is None:
            return self._send(part, 0)
        if before.content_key != part.content:
            raise ReplayDiverged(
                f"submission {before.token} of call {part.index} was another one than the call "
                "would make now: an option draws what it plans from somewhere else than its job. "
                "Run the job anew (qcpaas rerun)."
            )
        if before.state is SubmissionState.DONE:
            assert before.answer is not None
            return Answered(part, decode_outcomes(before.answer))
        if before.state is SubmissionState.ACCEPTED:
            assert before.device_job_id is not None
            return Sent(part, _intent(before), self._handle(before.token, before.device_job_id))
        if before.state is SubmissionState.INTENT:
            return self._find_or_send(part, _intent(before))
        return self._send(part, before.attempt + 1)

    def finish(self, sent: Sent) -> Answered:
        """Wait for a device job and keep its answer; one that the device dropped is sent again.

        Raises:
            JobCancelled: Somebody wants the job to end.
            JobHeld: The device has forgotten the job.
            ExecutionFailed: The device job failed.
        """
        while True:
            try:
                result = self._await(sent.handle)
            except (SessionClosed, UnknownDeviceJob) as error:
                sent = self._send_again(sent, error)
            except ExecutionFailed as error:
                self._came_to_nothing(sent.intent, error)
                raise
            else:
                seconds = (datetime.now(UTC) - sent.intent.submitted_at).total_seconds()
                self._longest_s = max(self._longest_s, seconds)
                outcomes: tuple[Outcome, ...] = result.counts or result.values
                answer = encode_outcomes(outcomes)
                self.ledger.answered(
                    sent.intent.token, answer, seconds, result.qpu_s, self.calibration()
                )
                return Answered(sent.part, outcomes, result.qpu_s)

    def _send(self, part: Part, attempt: int) -> Sent:
        self.make_way(self._longest_s)
        session = self.patience.through(self.scope.current)
        intent = Intent(
            call=part.index,
            part=part.number,
            attempt=attempt,
            token=secrets.token_hex(16),
            device=self.adapter.name,
            session_id=None if session is None else session.session_id,
            content_key=part.content,
            seed=part.seed,
            request=part.request,
            submitted_at=datetime.now(UTC),
        )
        return self._send_intent(part, intent, session)

    def _send_intent(self, part: Part, intent: Intent, session: DeviceSession | None) -> Sent:
        """Write an intent and send it under its token, until the device has taken it."""
        submission = self.device.submission(part.experiments, part.seed, session)

        def attempt() -> JobHandle:
            self.patience.check()
            # Written again before each try: another process may have taken over meanwhile.
            self.ledger.intend(intent, part.call)
            with span("device submit", device=self.adapter.name):
                return self.adapter.submit(submission, intent.token)

        try:
            handle = self.patience.through(attempt)
        except AcceptanceUnknown:
            return self._find_or_send(part, intent)
        except SessionClosed as error:
            self.scope.ended(session)
            self._came_to_nothing(intent, error)
            return self._send(part, intent.attempt + 1)
        except (SubmissionRefused, ExecutionFailed) as error:
            self._came_to_nothing(intent, error)
            raise
        return self._accepted(part, intent, handle)

    def _find_or_send(self, part: Part, intent: Intent) -> Sent:
        """Take up an intent of which nobody knows whether the device has accepted it."""
        found = self._look_up(intent)
        if isinstance(found, JobHandle):
            return self._accepted(part, intent, found)
        if found is not None:
            self._decide(intent, found.reason)
            return self._send(part, intent.attempt + 1)
        session = self.patience.through(self.scope.current)
        if intent.session_id != (None if session is None else session.session_id):
            self._came_to_nothing(intent, "its session ended before it was sent")
            return self._send(part, intent.attempt + 1)
        return self._send_intent(part, intent, session)

    def _look_up(self, intent: Intent) -> JobHandle | Unsupported | None:
        """The device job of an intent; ``None`` where none was accepted under its token."""
        capabilities = self.device.capabilities
        age_s = (datetime.now(UTC) - intent.submitted_at).total_seconds()
        if 0 <= age_s < capabilities.token_lag_s:
            self.patience.pause(capabilities.token_lag_s - age_s)
        found = self.patience.through(lambda: self.adapter.find_by_token(intent.token))
        if isinstance(found, Unsupported) and self._adopt is not None:
            adopted, self._adopt = self._adopt, None
            return self._handle(intent.token, adopted)
        return None if isinstance(found, Unsupported) and not capabilities.keeps_jobs else found

    def _send_again(self, sent: Sent, error: SessionClosed | UnknownDeviceJob) -> Sent:
        """The device dropped a job with its session, or does not know it any more."""
        if isinstance(error, SessionClosed):
            self.scope.ended(sent.session)
        elif self.device.capabilities.keeps_jobs:
            self._decide(sent.intent, str(error))
        self._came_to_nothing(sent.intent, error)
        return self._send(sent.part, sent.intent.attempt + 1)

    def _decide(self, intent: Intent, reason: str) -> None:
        """Give up a submission that may have been executed, where the job's policy says so."""
        if self.recovery.unknown_acceptance == "hold":
            job_id = self.ledger.job_id
            raise JobHeld(
                f"submission {intent.token} was sent to {self.adapter.name} at "
                f"{intent.submitted_at:%Y-%m-%d %H:%M:%S} UTC, and what became of it cannot be "
                f"found out: {reason.rstrip('.')}. Look for it among the device's own jobs. If it "
                f"is there: qcpaas resume {job_id} --adopt ITS_ID. If it is not, or may be paid "
                f"twice: qcpaas resume {job_id} --resubmit."
            )
        self._came_to_nothing(intent, f"given up, to be sent again: {reason}")

    def _accepted(self, part: Part, intent: Intent, handle: JobHandle) -> Sent:
        forgets = not self.device.capabilities.keeps_jobs
        self.patience.through(
            lambda: self.ledger.accepted(intent.token, handle.device_job_id, queued=forgets)
        )
        return Sent(part, intent, handle)

    def _came_to_nothing(self, intent: Intent, why: object) -> None:
        self.patience.through(lambda: self.ledger.failed(intent.token, str(why)))

    def _await(self, handle: JobHandle) -> DeviceResult:
        with span("device result", device=self.adapter.name, device_job_id=handle.device_job_id):
            while True:
                try:
                    return self.patience.through(
                        lambda: self.adapter.result(handle, timeout_s=WAIT_S)
                    )
                except ResultPending:
                    self.patience.check()

    def _handle(self, token: str, device_job_id: str) -> JobHandle:
        return JobHandle(device=self.adapter.name, device_job_id=device_job_id, token=token)


def _intent(recorded: RecordedSubmission) -> Intent:
    return Intent(
        call=recorded.call,
        part=recorded.part,
        attempt=recorded.attempt,
        token=recorded.token,
        device=recorded.device,
        session_id=recorded.session_id,
        content_key=recorded.content_key,
        seed=recorded.seed,
        request=recorded.request,
        submitted_at=recorded.submitted_at,
    )
