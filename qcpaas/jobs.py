"""A handle on a submitted job."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Self

from qcpaas.errors import InputError, JobHeld, NotReady, PlatformUnavailable
from qcpaas.manifest import Manifest
from qcpaas.partial import PartialResult
from qcpaas.reports import rebuild
from qcpaas.schemas import JobRecord, JobState, Progress, Recovery, WorkloadJob
from qcpaas.transport import FollowingTransport

if TYPE_CHECKING:
    from qcpaas.transport import Transport

_FIRST_POLL_S = 0.1
_LAST_POLL_S = 2.0
_OUTAGE_S = 60.0


class RuntimeJob:
    """A job on a platform, found by its id; it needs nothing of the process that submitted it."""

    def __init__(self, job_id: str, transport: Transport) -> None:
        self.job_id = job_id
        self._transport = transport

    def __repr__(self) -> str:
        return f"RuntimeJob({self.job_id!r})"

    def record(self) -> JobRecord:
        return self._transport.job(self.job_id)

    def status(self) -> JobState:
        return self.record().state

    def progress(self) -> Progress:
        return self.record().progress

    def logs(self) -> Sequence[str]:
        return self._transport.logs(self.job_id)

    def cancel(self) -> None:
        """End it and its device jobs; its record says which of these could not be stopped."""
        self._transport.cancel(self.job_id)

    def partial(self) -> PartialResult:
        """What it has finished so far: calls with their values, reported figures, a checkpoint."""
        return self._transport.partial(self.job_id)

    def resume(
        self,
        *,
        resubmit: bool = False,
        adopt: str | None = None,
        divergence: Literal["fail", "continue"] | None = None,
    ) -> Self:
        """Go on from where it was interrupted, held, cancelled or failed; does not wait.

        Args:
            resubmit: Send again what the device may have taken already, at the price of a
                submission that perhaps runs twice.
            adopt: The device's id of the submission that a held job waits for.
            divergence: What to do where its code asks for something else than before.

        Raises:
            InputError: It has completed.
            NotReady: It runs, or is about to.
        """
        self._transport.resume(self.job_id, decisions(resubmit, adopt, divergence))
        return self

    def address(self) -> str | None:
        """Where a person can watch it."""
        return self._transport.address(self.job_id)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the job and return its value.

        Args:
            timeout: Seconds; ``None`` waits as long as it takes.

        Raises:
            NotReady: It is still unfinished after ``timeout``.
            JobHeld: It waits for a person.
            QCPaaSError: The job's own error, where it failed or was cancelled.
        """
        self.wait(timeout)
        return self.answer()[0]

    def native(self, index: int = 0, timeout: float | None = None) -> Any:
        """Wait for the job and return one circuit's result in its own framework's terms.

        Cirq's is a ``ResultDict``, PennyLane's what the QNode returns, pyQuil's arrays by memory
        region, Braket's a ``GateModelQuantumTaskResult``, QIR's the recorded output; Qiskit's and
        OpenQASM's the mapping of `result`. Where parameter values were given, it is a list, one
        result a point.

        Args:
            index: Of the circuit in the job.

        Raises:
            InputError: It is a workload, or has no such circuit; or the framework is not installed.
            NotReady: It is still unfinished after ``timeout``.
            QCPaaSError: The job's own error, where it failed or was cancelled.
        """
        from qcpaas.frontends import native_result

        self.wait(timeout)
        answers, manifest = self.answer()
        job = manifest.job
        if isinstance(job, WorkloadJob):
            raise InputError(f"job {self.job_id} is a workload; its result is its own.")
        if not 0 <= index < len(job.items):
            raise InputError(
                f"job {self.job_id} has {len(job.items)} circuits; there is no index {index}."
            )
        return native_result(job.items[index], answers[index])

    def answer(self) -> tuple[Any, Manifest]:
        """The value and how it came about, in one request; does not wait.

        Raises:
            NotReady: It is unfinished.
            QCPaaSError: The job's own error, where it failed or was cancelled.
        """
        from qcpaas.values import decode

        result = self._transport.result(self.job_id)
        return decode(result.value), result.manifest

    def manifest(self) -> Manifest:
        """Everything that is needed to repeat or to question the result; does not wait."""
        return self._transport.result(self.job_id).manifest

    def wait(self, timeout: float | None = None) -> JobRecord:
        """Wait until the job is finished, however it ended.

        Raises:
            NotReady: It is still unfinished after ``timeout``.
            JobHeld: It waits for a person; says what can be done.
        """
        for record in self.watch(timeout):
            last = record
        if last.waits_for_person:
            raise (
                JobHeld(f"job {self.job_id} is held.")
                if last.error is None
                else rebuild(last.error)
            )
        if not last.state.finished:
            raise NotReady(
                f"job {self.job_id} is {last.state} after {timeout} s. It goes on: ask again, or "
                "give a longer timeout."
            )
        return last

    def watch(self, timeout: float | None = None) -> Iterator[JobRecord]:
        """Yield the job's record until it is finished, waits for a person, or ``timeout`` is over.

        A platform that tells of changes is listened to; one that does not, or stops, is asked,
        after 0.1 s at first and every 2 s later. An outage of up to a minute is waited through.
        """
        end = None if timeout is None else time.monotonic() + timeout
        if isinstance(self._transport, FollowingTransport):
            for record in _heard(self._transport.follow(self.job_id)):
                yield record
                if _is_over(record, end):
                    return
        pause = _FIRST_POLL_S
        reached = time.monotonic()
        while True:
            try:
                record = self.record()
            except PlatformUnavailable:
                if time.monotonic() - reached > _OUTAGE_S:
                    raise
            else:
                reached = time.monotonic()
                yield record
                if _is_over(record, end):
                    return
            left = pause if end is None else min(pause, max(0.0, end - time.monotonic()))
            time.sleep(left)
            pause = min(_LAST_POLL_S, 1.5 * pause)


def _heard(records: Iterator[JobRecord]) -> Iterator[JobRecord]:
    """What is heard of a job, until nothing more is."""
    with suppress(PlatformUnavailable):
        yield from records


def _is_over(record: JobRecord, end: float | None) -> bool:
    timed_out = end is not None and time.monotonic() >= end
    return record.state.finished or record.waits_for_person or timed_out


def decisions(
    resubmit: bool, adopt: str | None, divergence: Literal["fail", "continue"] | None
) -> Recovery | None:
    """What a person has decided; ``None`` where nothing was."""
    given: dict[str, Any] = {}
    if resubmit:
        given["unknown_acceptance"] = "resubmit"
    if adopt is not None:
        given["adopt"] = adopt
    if divergence is not None:
        given["divergence"] = divergence
    return Recovery(**given) if given else None
