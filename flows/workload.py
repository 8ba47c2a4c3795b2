"""A workload job: the user's own class, its whole loop in one process."""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from prefect import flow, task
from prefect.logging import get_run_logger

from flows.endings import mark_cancelled, mark_crashed
from flows.job_run import JobRun, job_run
from flows.seeding import generator_states, restore_generators, seeded
from qcpaas.errors import QCPaaSError, WorkloadError
from qcpaas.execution import ExecutionBackend
from qcpaas.reports import user_traceback
from qcpaas.schemas import OptionSpec, WorkloadJob
from qcpaas.unpacking import loaded
from qcpaas.values import decode, encode
from tasks.execute import JournalledDevice
from tasks.session import Session

BLOCK_S = 10.0  # iterations are shown to Prefect in blocks, since a task run costs its server 50 ms


@flow(
    name="workload",
    flow_run_name="{job.job_id}",
    on_cancellation=[mark_cancelled],
    on_crashed=[mark_crashed],
    log_prints=True,
)
def workload(job: WorkloadJob) -> None:
    """Run a `RuntimeWorkerBase` subclass to its end in this process, and store its answer."""
    with job_run(job) as run, run.holding_device():
        run.progress.stage("running")
        context = WorkloadContext(run)
        with seeded(job.execution.seed):
            value = run_users_code(job, context)
        context.end_block()
        run.show_placement()
        run.complete(encode(value))


@dataclass(eq=False)
class WorkloadContext:
    """What a running workload reaches of the platform."""

    run: JobRun
    log: logging.Logger = field(init=False)
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.log = get_run_logger()  # type: ignore[assignment]
        seed = np.random.SeedSequence(self.run.job.execution.seed, spawn_key=(0,))
        self.rng = np.random.default_rng(seed)
        self._sessions: dict[str, Session] = {}
        self._device = self.run.backend
        self._block_from, self._block_at = 0.0, time.monotonic()
        self._done, self._metrics = 0.0, dict[str, float]()

    @property
    def shots(self) -> int:
        return self.run.job.execution.shots

    @property
    def exact(self) -> bool:
        return self.run.job.execution.exact

    def backend(self, options: Sequence[OptionSpec] | None) -> ExecutionBackend:
        chosen = self.run.job.execution.options if options is None else tuple(options)
        key = repr(chosen)
        if key not in self._sessions:
            self._sessions[key] = Session(self._device, tuple(chosen), self.elsewhere)
        return self._sessions[key]

    @contextmanager
    def elsewhere(self, device: str) -> Iterator[JournalledDevice]:
        """Another device, held while the block runs."""
        there = self.run.on(device)
        with there.holding_device():
            yield there.backend

    def report(
        self, done: float, total: float | None, message: str, metrics: dict[str, float]
    ) -> None:
        self.run.check_cancelled()
        self._done, self._metrics = done, metrics
        self.run.progress.report(done, total, message, metrics)
        if time.monotonic() - self._block_at > BLOCK_S:
            self.end_block()

    def checkpoint(self, state: object) -> None:
        """Keep a state, and where every generator stands, so that a replay can begin here."""
        backend = self.run.backend
        kept = {
            "state": encode(state),
            "rng": encode(self.rng.bit_generator.state),
            "generators": generator_states(),
        }
        payload = zlib.compress(json.dumps(kept).encode())
        position = backend.calls.position
        backend.patience.through(lambda: backend.ledger.checkpoint(position, payload))

    def restore(self) -> object:
        """The newest checkpoint's state; ``None`` where there is none. Goes on after it."""
        backend = self.run.backend
        found = backend.patience.through(backend.ledger.latest_checkpoint)
        if found is None:
            return None
        position, payload = found
        kept = json.loads(zlib.decompress(payload))
        backend.calls.skip_to(position)
        self.rng.bit_generator.state = decode(kept["rng"])
        restore_generators(kept["generators"])
        self.log.info("goes on from the checkpoint after call %d", position)
        return decode(kept["state"])

    def end_block(self) -> None:
        """Show the iterations since the last block as one task run."""
        if self._done > self._block_from:
            iterations(int(self._block_from) + 1, int(self._done), self._metrics)
        self._block_from, self._block_at = self._done, time.monotonic()


@task(name="iterations", task_run_name="iterations {first} to {last}")
def iterations(first: int, last: int, metrics: dict[str, float]) -> dict[str, float]:
    """A block of finished iterations and its last figures."""
    return metrics


def run_users_code(job: WorkloadJob, context: WorkloadContext) -> object:
    """Load the bundle and call its workload.

    Raises:
        WorkloadError: The user's code raised; the traceback starts at the user's own lines.
    """
    try:
        with loaded(job.bundle) as worker_class:
            worker = worker_class(context)
            return worker.run(**{name: decode(value) for name, value in job.inputs.items()})
    except QCPaaSError:
        raise
    except Exception as error:
        raise WorkloadError(
            f"{job.bundle.entry} raised {type(error).__name__}: {error}",
            traceback_text=user_traceback(error),
        ) from error
