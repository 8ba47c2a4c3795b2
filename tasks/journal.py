"""What a job executed, for its manifest: every submission, every placement, every second."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from adapters.backend import Sent
from qcpaas.circuits import circuit_key, to_payload
from qcpaas.errors import PlatformError
from qcpaas.execution import Binding, Experiment, Outcome
from qcpaas.schemas import (
    CalibrationUse,
    CircuitPayload,
    Diagnostic,
    Estimate,
    ExecutionRecord,
    Job,
    Manifest,
)
from store.results import Results

FLUSH_EVERY = 64  # submissions kept in memory before they are written to the store
FLUSH_EVERY_S = 2.0
VERSIONED = ("qcpaas", "qiskit", "qiskit-aer", "qiskit-ibm-runtime", "numpy", "scipy", "prefect")


@dataclass(frozen=True, eq=False)
class _Execution:
    """A submission as it happened; written out when the journal is flushed."""

    index: int
    keys: tuple[str, ...]
    sent: Sent
    submitted_at: datetime
    seconds: float


@dataclass(eq=False)
class Journal:
    """Collects one job's executions and writes them to the store as it goes.

    Writing is the work of a thread of its own, beside the device's next execution. A context
    manager: what is pending is written at its end, however it ends.
    """

    job_id: str
    results: Results
    stage_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    calibrations: list[CalibrationUse] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    estimate: Estimate | None = None
    spent_qpu_s: float = 0.0
    count: int = 0
    _pending: list[_Execution] = field(default_factory=list)
    _circuits: dict[str, CircuitPayload] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _flushed_at: float = field(default_factory=time.monotonic)
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "journal"))
    _written: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.flush()
        except PlatformError:
            if kind is None:  # else the block's own error matters more
                raise
        finally:
            self._writer.shutdown()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.stage_seconds[name] += time.perf_counter() - started

    def resume(self) -> None:
        """Go on after what the job has executed before, in a run that is now tried again."""
        past = self.results.executions(self.job_id)
        self.count = len(past)
        self.spent_qpu_s = sum(execution.qpu_s for execution in past)

    def start_over(self) -> None:
        """Forget what the job executed before: it runs from its start."""
        self.results.discard(self.job_id)

    def keys(self, experiments: Sequence[Experiment]) -> tuple[str, ...]:
        """Keys of planned circuits; each distinct one is kept once for the manifest."""
        keys = tuple(circuit_key(experiment.circuit) for experiment in experiments)
        for key, experiment in zip(keys, experiments, strict=True):
            if key not in self._known:
                self._known.add(key)
                self._circuits[key] = to_payload(experiment.circuit)
        return keys

    def placed(self, uses: Sequence[CalibrationUse]) -> None:
        """Remember placements that were not used before."""
        known = {(use.snapshot_id, use.physical_qubits) for use in self.calibrations}
        self.calibrations.extend(
            use for use in uses if (use.snapshot_id, use.physical_qubits) not in known
        )

    def executed(self, keys: Sequence[str], sent: Sent, submitted_at: datetime) -> None:
        """Record one submission and its raw answer."""
        seconds = (datetime.now(UTC) - submitted_at).total_seconds()
        self._pending.append(_Execution(self.count, tuple(keys), sent, submitted_at, seconds))
        self.count += 1
        self.spent_qpu_s += sent.result.qpu_s
        if len(self._pending) >= FLUSH_EVERY or time.monotonic() - self._flushed_at > FLUSH_EVERY_S:
            self._hand_over()

    def expect(self, one: Estimate) -> None:
        """Add a submission's estimate, made before it was sent, to the job's."""
        so_far = self.estimate
        self.estimate = (
            one
            if so_far is None
            else one.model_copy(
                update={
                    "qpu_s": so_far.qpu_s + one.qpu_s,
                    "qpu_s_hi": so_far.qpu_s_hi + one.qpu_s_hi,
                    "circuits": so_far.circuits + one.circuits,
                    "shots": so_far.shots + one.shots,
                    "log_esp": min(so_far.log_esp, one.log_esp),
                    "duration_s": max(so_far.duration_s, one.duration_s),
                }
            )
        )

    def diagnosed(self, outcomes: Sequence[Outcome]) -> None:
        """Keep the latest diagnostics of each option."""
        latest = {note.option: note for outcome in outcomes for note in outcome.diagnostics}
        kept = [note for note in self.diagnostics if note.option not in latest]
        self.diagnostics = [*kept, *latest.values()]

    def flush(self) -> None:
        """Write what is pending to the store, and wait until it is there."""
        self._hand_over()
        self._wait()

    def _hand_over(self) -> None:
        """Give what is pending to the writer, once it has finished with what came before."""
        self._wait()
        self._flushed_at = time.monotonic()
        if self._pending or self._circuits:
            self._written = self._writer.submit(self._write, self._circuits, self._pending)
            self._pending, self._circuits = [], {}

    def _wait(self) -> None:
        written, self._written = self._written, None
        if written is not None:
            written.result()

    def _write(self, circuits: dict[str, CircuitPayload], executions: Sequence[_Execution]) -> None:
        records = [self._record(execution) for execution in executions]
        self.results.append(self.job_id, circuits, records)

    def manifest(self, job: Job) -> Manifest:
        """The manifest without its executions, which are in the store already."""
        self.flush()
        return Manifest(
            job=job,
            execution_count=self.count,
            calibrations=tuple(self.calibrations),
            diagnostics=tuple(self.diagnostics),
            versions=versions(),
            stage_seconds=dict(self.stage_seconds),
            estimate=self.estimate,
            spent_qpu_s=self.spent_qpu_s,
        )

    def _record(self, execution: _Execution) -> ExecutionRecord:
        sent = execution.sent
        experiments = sent.submission.experiments
        # Unvalidated: every value is the platform's own, and this is most of a loop's bookkeeping.
        return ExecutionRecord.model_construct(
            index=execution.index,
            circuits=execution.keys,
            parameter_values=tuple(
                tuple(map(tuple, experiment.parameter_values.tolist()))
                for experiment in experiments
            ),
            shots=tuple(experiment.shots for experiment in experiments),
            counts=tuple(
                tuple(point.to_dict() for point in counts.points) for counts in sent.result.counts
            ),
            calibration=self._calibration_index(experiments[0].binding),
            device_job_id=sent.handle.device_job_id,
            seed=sent.submission.seed,
            submitted_at=execution.submitted_at,
            seconds=execution.seconds,
            qpu_s=sent.result.qpu_s,
        )

    def _calibration_index(self, binding: Binding | None) -> int | None:
        if binding is None:
            return None
        placed = (binding.snapshot_id, binding.physical_qubits)
        uses = [(use.snapshot_id, use.physical_qubits) for use in self.calibrations]
        return uses.index(placed) if placed in uses else None


def versions() -> dict[str, str]:
    """Versions of what decides a result."""
    found = {"python": platform.python_version()}
    for distribution in VERSIONED:
        try:
            found[distribution] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
