"""``python -m benchmarks.ledger``: what the ledger costs a loop, and what a replay takes."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tasks.execute
import tasks.submissions
from adapters.contract import Capabilities, DeviceResult, JobHandle, Submission
from adapters.simulators import SimulatorAdapter
from benchmarks.report import Options, Report, ratio_of_sums, run_benchmark
from benchmarks.stopwatch import Stopwatch
from examples.h2_vqe import HAMILTONIAN, ansatz
from qcpaas.execution import ExpectationValues, Experiment
from qcpaas.schemas import Bundle, ExecutionSettings, WorkloadJob
from store.database import Store, open_store
from store.jobs import Jobs
from store.ledger import Ledger
from store.results import Results
from tasks.device import Device
from tasks.execute import JournalledDevice
from tasks.journal import Journal
from tasks.patience import Patience
from tasks.session import Session

ITERATION_MS = 36.0  # the loop that the ledger is measured against
BLOCK = 100
CIRCUIT = ansatz()
WATCHED = {
    "content key": (tasks.execute, "content_of"),
    "encode request": (tasks.execute, "encode_request"),
    "encode answer": (tasks.submissions, "encode_outcomes"),
    "encode outcomes": (tasks.execute, "encode_outcomes"),
    "intent": (Ledger, "intend"),
    "acceptance": (Ledger, "accepted"),
    "answer": (Ledger, "answered"),
    "outcomes": (Ledger, "finished"),
    "journal": (Ledger, "keep_journal"),
    "rest of the queue": (Ledger, "flush"),
}

Array = NDArray[np.float64]


class Canned(SimulatorAdapter):
    """Simulates the first submission and gives its counts for ever: no step takes device time."""

    def __init__(self) -> None:
        super().__init__("statevector", "statevector")
        self._result: DeviceResult | None = None

    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), keeps_jobs=True)

    def submit(self, submission: Submission, token: str) -> JobHandle:
        if self._result is None:
            self._result = self._runner.run(submission)
        return JobHandle(device=self.name, device_job_id=f"canned-{token}", token=token)

    def result(self, handle: JobHandle, timeout_s: float | None = None) -> DeviceResult:
        assert self._result is not None
        return self._result


def measure(options: Options, report: Report) -> None:
    """The ledger's share of a loop on SQLite, and a second run of the same loop from the ledger."""
    steps = 1_000 if options.quick else 10_000
    points = np.random.default_rng(options.seed).normal(size=(steps, CIRCUIT.num_parameters))
    with tempfile.TemporaryDirectory(prefix="qcpaas-ledger-") as folder:
        file = Path(folder) / "store.db"
        with open_store(f"sqlite:///{file}") as store:
            job = WorkloadJob(
                execution=ExecutionSettings(backend="statevector", seed=options.seed),
                bundle=Bundle(entry="benchmark:Loop", modules={}),
            )
            Jobs(store).create(job)
            before = size_of(file)
            cost_ms, live = first_run(store, job, points)
            grown = size_of(file) - before
            replay_s, replayed = second_run(store, job, points)
    cost = ratio_of_sums(cost_ms, np.ones(len(cost_ms)).tolist(), options.seed)
    note = (
        f"{cost}, {steps} executions; encoding, intent, acceptance and answer committed in that "
        "order, SQLite, synchronous=NORMAL"
    )
    report.add("journal_cost_per_execution", cost.value, "ms", aim=1.0, note=note)
    share = 100 * cost.value / ITERATION_MS
    report.add("journal_share_of_iteration", share, "%", aim=3.0, note=f"of {ITERATION_MS:g} ms")
    scaled = replay_s * 10_000 / steps
    how = "measured" if steps == 10_000 else f"scaled from {steps}"
    report.add("replay_10k", scaled, "s", aim=5.0, note=f"answers equal to the live ones; {how}")
    report.add("bytes_per_execution", grown / steps, "bytes", note="growth of the database file")
    different = int(np.count_nonzero(live != replayed))
    report.add("different_answers", different, "count", aim=0, better="equal")


def first_run(store: Store, job: WorkloadJob, points: Array) -> tuple[list[float], Array]:
    """Milliseconds that the ledger took of a step, one figure a block, and the values."""
    values = np.empty(len(points))
    costs = []
    with session_of(store, job) as session:
        step_of(session, points[0] - 1.0)  # compiles, and opens the connection
        for start in range(0, len(points), BLOCK):
            watch = Stopwatch()
            with watch.watching(WATCHED):
                for step in range(start, min(start + BLOCK, len(points))):
                    values[step] = step_of(session, points[step])
                session.device.ledger.flush()
            costs.append(1e3 * sum(watch.seconds.values()) / BLOCK)
    return costs, values


def second_run(store: Store, job: WorkloadJob, points: Array) -> tuple[float, Array]:
    """Seconds of a run that is answered from the ledger alone, its opening included."""
    began = time.perf_counter()
    with session_of(store, job) as session:
        step_of(session, points[0] - 1.0)
        values = np.array([step_of(session, point) for point in points])
    return time.perf_counter() - began, values


def step_of(session: Session, point: Array) -> float:
    (outcome,) = session.run([Experiment(CIRCUIT, point[None, :], (HAMILTONIAN,), 4096)])
    assert isinstance(outcome, ExpectationValues)
    return float(outcome.values[0, 0])


@contextmanager
def session_of(store: Store, job: WorkloadJob) -> Iterator[Session]:
    adapter = Canned()
    with Ledger(store, job.job_id, guards=tuple) as ledger:
        journal = Journal(job.job_id, Results(store), ledger)
        device = Device(adapter.name, adapter, store)
        patience = Patience(threading.Event())
        yield Session(JournalledDevice(device, journal, ledger, job.execution, patience), ())


def size_of(file: Path) -> int:
    return sum(part.stat().st_size for part in file.parent.glob(f"{file.name}*"))


def main() -> None:
    run_benchmark("ledger", measure)


if __name__ == "__main__":
    main()
