"""Warm processes that read users' circuits for a gateway, each replaced when it ends."""

from __future__ import annotations

import multiprocessing
import queue
import signal
from collections.abc import Sequence
from contextlib import suppress

from gateway.reading.child import Question, Reply, read
from gateway.reading.limits import ReadingLimits
from qcpaas.devices import DeviceInfo
from qcpaas.errors import CircuitError, PlatformUnavailable
from qcpaas.reports import rebuild
from qcpaas.scheduling import JobEstimate
from qcpaas.schemas import CircuitJob, WorkloadJob

READERS = 2
READY_WITHIN_S = 60.0
_STOP_S = 2.0


class Reader:
    """One process; for one thread at a time."""

    def __init__(self, store_url: str, limits: ReadingLimits) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["gateway.reading.child"])
        self._limits = limits
        self._questions, theirs = context.Pipe()
        self.process = context.Process(target=read, args=(theirs, store_url, limits), daemon=True)
        self.process.start()
        theirs.close()
        try:
            ready = self._questions.poll(READY_WITHIN_S)
            if ready:
                self._questions.recv()
        except (EOFError, OSError):
            ready = False
        if not ready:
            self.end()
            raise PlatformUnavailable("no process could be started to read circuits. Try again.")

    def answer(self, question: Question) -> Reply:
        """Raises `CircuitError` where reading takes more than it may; the process is gone then."""
        try:
            self._questions.send(question)
            if not self._questions.poll(self._limits.wall_s):
                self.end()
                raise _too_much(f"{self._limits.wall_s:g} s")
            reply: Reply = self._questions.recv()
        except (EOFError, OSError):
            self.process.join(_STOP_S)
            code = self.process.exitcode
            self.end()
            if code == -signal.SIGXCPU:
                raise _too_much(f"{self._limits.cpu_s} s of processor time") from None
            raise _too_much("the process that read it could bear, and ended it") from None
        if reply.full:
            self.end()
            raise _too_much(f"{self._limits.memory_mib} MiB of memory")
        return reply

    def end(self) -> None:
        self._questions.close()
        self.process.kill()
        self.process.join(_STOP_S)


class Readers:
    """As `tasks.estimation.Estimation`, in processes with limits; threads may share it."""

    def __init__(
        self, store_url: str, limits: ReadingLimits | None = None, processes: int = READERS
    ) -> None:
        self._store_url, self._limits = store_url, limits or ReadingLimits()
        # The one that was used last is the warmest.
        self._free: queue.LifoQueue[Reader | None] = queue.LifoQueue()
        for _ in range(processes):
            self._free.put(None)

    def estimate(
        self,
        job: CircuitJob | WorkloadJob,
        devices: Sequence[str],
        *,
        fault_tolerant: bool = False,
    ) -> list[JobEstimate]:
        """What a job takes on each device.

        Raises:
            CircuitError: Reading it takes more than it may.
            PlatformUnavailable: All readers are busy.
        """
        text = job.model_dump_json()
        return self._ask(Question(text, tuple(devices), False, fault_tolerant))

    def compare(
        self,
        job: CircuitJob | WorkloadJob,
        devices: Sequence[DeviceInfo],
        *,
        fault_tolerant: bool = False,
    ) -> list[JobEstimate]:
        """`estimate` on every device that can run it."""
        text = job.model_dump_json()
        return self._ask(Question(text, tuple(devices), True, fault_tolerant))

    def close(self) -> None:
        with suppress(queue.Empty):
            while True:
                reader = self._free.get_nowait()
                if reader is not None:
                    reader.end()

    def _ask(self, question: Question) -> list[JobEstimate]:
        try:
            reader = self._free.get(timeout=self._limits.wall_s)
        except queue.Empty:
            raise PlatformUnavailable(
                "every process that reads circuits is busy. Try again in a few seconds."
            ) from None
        kept: Reader | None = None
        try:
            if reader is None or not reader.process.is_alive():
                reader = Reader(self._store_url, self._limits)
            reply = reader.answer(question)
            kept = None if reply.full else reader
        finally:
            self._free.put(kept)
        if reply.error is not None:
            raise rebuild(reply.error)
        return list(reply.estimates)


def _too_much(limit: str) -> CircuitError:
    return CircuitError(
        f"reading the job's circuits took more than a job may have here: {limit}. Send it as "
        "several jobs with fewer or smaller circuits."
    )
