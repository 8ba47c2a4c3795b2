"""What a job's manifest says besides its executions: placements, times, estimates, diagnostics."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from qcpaas.binding import CalibrationChange
from qcpaas.circuits import circuit_key, to_payload
from qcpaas.execution import Binding, Experiment, Outcome
from qcpaas.manifest import CalibrationUse, Diagnostic, Manifest
from qcpaas.schemas import CircuitPayload, Estimate, Job
from qcpaas.tracing import span
from qcpaas.wire import Wire
from store.ledger import Ledger
from store.results import Results

KEPT_EVERY_S = 2.0
KEPT_CHANGES = 200
VERSIONED = ("qcpaas", "qiskit", "qiskit-aer", "qiskit-ibm-runtime", "numpy", "scipy", "prefect")


class Pages(Wire):
    """A journal as it is kept, so that a job that goes on elsewhere goes on with it."""

    stage_seconds: dict[str, float]
    calibrations: tuple[CalibrationUse, ...]
    diagnostics: tuple[Diagnostic, ...]
    estimate: Estimate | None
    spent_qpu_s: float
    count: int
    changes: tuple[CalibrationChange, ...] = ()


@dataclass(eq=False)
class Journal:
    """Collects as the job goes; kept in the ledger every two seconds, and with `keep`.

    Begins with what an earlier process of the same job has kept.
    """

    job_id: str
    results: Results
    ledger: Ledger
    stage_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    calibrations: list[CalibrationUse] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    changes: list[CalibrationChange] = field(default_factory=list)
    estimate: Estimate | None = None
    spent_qpu_s: float = 0.0
    count: int = 0
    _circuits: dict[str, CircuitPayload] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _kept_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        text = self.ledger.journal()
        if text is not None:
            pages = Pages.model_validate_json(text)
            self.stage_seconds.update(pages.stage_seconds)
            self.calibrations = list(pages.calibrations)
            self.diagnostics = list(pages.diagnostics)
            self.changes = list(pages.changes)
            self.estimate = pages.estimate
            self.spent_qpu_s, self.count = pages.spent_qpu_s, pages.count

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of a block to a stage; a span of the job's trace."""
        started = time.perf_counter()
        try:
            with span(name):
                yield
        finally:
            self.stage_seconds[name] += time.perf_counter() - started

    def keys(self, experiments: Sequence[Experiment]) -> tuple[str, ...]:
        """Keys of planned circuits; each distinct one is kept once for the manifest."""
        keys = tuple(circuit_key(experiment.circuit) for experiment in experiments)
        for key, experiment in zip(keys, experiments, strict=True):
            if key not in self._known:
                self._known.add(key)
                self._circuits[key] = to_payload(experiment.circuit)
        return keys

    def keep_circuits(self) -> None:
        """Write circuits that are new, before what names them is sent."""
        if self._circuits:
            self.results.keep_circuits(self.job_id, self._circuits)
            self._circuits = {}

    def placed(self, uses: Sequence[CalibrationUse]) -> None:
        """Remember placements that were not used before."""
        known = {(use.snapshot_id, use.physical_qubits) for use in self.calibrations}
        new = [use for use in uses if (use.snapshot_id, use.physical_qubits) not in known]
        if new:
            self.calibrations.extend(new)
            self.keep()  # with the next intent: executions name them by their place

    def changed(self, change: CalibrationChange) -> None:
        """Remember a calibration that moved, once for each pair of snapshots; the newest stay."""
        alike = {"call": change.call, "noticed_at": change.noticed_at}
        if any(change == known.model_copy(update=alike) for known in self.changes):
            return
        self.changes = [*self.changes, change][-KEPT_CHANGES:]
        self.keep()

    def calibration_index(self, binding: Binding | None) -> int | None:
        """Where a placement stands among the calibrations."""
        if binding is None:
            return None
        placed = (binding.snapshot_id, binding.physical_qubits)
        uses = [(use.snapshot_id, use.physical_qubits) for use in self.calibrations]
        return uses.index(placed) if placed in uses else None

    def spent(self, qpu_s: float) -> None:
        """A submission was answered."""
        self.count += 1
        self.spent_qpu_s += qpu_s

    def expect(self, one: Estimate) -> None:
        """Add a submission's estimate, made before it was sent, to the job's."""
        so_far = self.estimate
        self.estimate = one if so_far is None else Estimate.of_all([so_far, one])

    def diagnosed(self, outcomes: Sequence[Outcome]) -> None:
        """Keep the latest diagnostics of each option."""
        latest = {note.option: note for outcome in outcomes for note in outcome.diagnostics}
        kept = [note for note in self.diagnostics if note.option not in latest]
        self.diagnostics = [*kept, *latest.values()]

    def passed(self) -> None:
        """A call is over: keep the journal where it was not kept for a while."""
        if time.monotonic() - self._kept_at > KEPT_EVERY_S:
            self.keep()

    def keep(self) -> None:
        """Hand the journal to the ledger, which writes it with what comes next."""
        self._kept_at = time.monotonic()
        pages = Pages(
            stage_seconds=dict(self.stage_seconds),
            calibrations=tuple(self.calibrations),
            diagnostics=tuple(self.diagnostics),
            estimate=self.estimate,
            spent_qpu_s=self.spent_qpu_s,
            count=self.count,
            changes=tuple(self.changes),
        )
        self.ledger.keep_journal(pages.model_dump_json())

    def manifest(self, job: Job) -> Manifest:
        """The manifest without its executions, which are in the ledger."""
        self.keep()
        self.ledger.flush()
        return Manifest(
            job=job,
            execution_count=self.count,
            calibrations=tuple(self.calibrations),
            changes=tuple(self.changes),
            diagnostics=tuple(self.diagnostics),
            versions=versions(),
            stage_seconds=dict(self.stage_seconds),
            estimate=self.estimate,
            spent_qpu_s=self.spent_qpu_s,
        )


def versions() -> dict[str, str]:
    """Versions of what decides a result."""
    found = {"python": platform.python_version()}
    for distribution in VERSIONED:
        try:
            found[distribution] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
