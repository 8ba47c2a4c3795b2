"""One job on one device, and what estimators share of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf

from pipeline.stack import logical_specs
from qcpaas.devices import DeviceInfo
from qcpaas.errors import QCPaaSError
from qcpaas.schemas import CircuitJob, OptionSpec, WorkloadJob
from store.snapshot import Snapshot
from store.timings import DeviceTimings
from tasks.batch import Batch
from tasks.device import Device
from tasks.estimation.layouts import Laid, Layouts, NotLaid

PLACED_AT_MOST = 8  # distinct circuits of a batch that are laid out, the largest ones


@dataclass(frozen=True, eq=False)
class Asked:
    """A circuit job's experiments as they were read.

    Attributes:
        keys: Of each circuit; equal ones have the same.
    """

    batch: Batch
    keys: tuple[str, ...]

    @property
    def options(self) -> tuple[tuple[OptionSpec, ...], ...]:
        return self.batch.options

    @property
    def width(self) -> int:
        """Qubits of the widest circuit that no option may cut."""
        pairs = zip(self.batch.experiments, self.options, strict=True)
        whole = [one.circuit.num_qubits for one, options in pairs if not logical_specs(options)]
        return max(whole, default=0)


@dataclass(frozen=True)
class Runs:
    """What one of a job's experiments becomes on the device.

    Attributes:
        circuits: Executions, one a parameter point; ``plain`` ones without options.
        shots: Of all of them together; ``plain_shots`` without options.
        duration_s: Of one shot.
    """

    circuits: float
    shots: float
    plain: int
    plain_shots: int
    duration_s: float


@dataclass(eq=False)
class Case:
    """One job on one device.

    Attributes:
        asked: ``None`` for a workload, whose code alone knows its circuits.
        info: How the device is reached; ``None`` where the platform has no record of it.
        timings: What the platform has seen of the device so far.
        fault_tolerant: Whether an error-corrected machine is asked about, too.
        until: By `time.monotonic`; nothing new is laid out any later.
        runs: Kept by `tasks.estimation.circuits.runs_of`.
    """

    job: CircuitJob | WorkloadJob
    asked: Asked | None
    device: Device
    layouts: Layouts
    timings: DeviceTimings
    info: DeviceInfo | None = None
    fault_tolerant: bool = False
    until: float = inf
    runs: tuple[Runs, ...] | None = None

    @property
    def simulated(self) -> bool:
        return self.device.capabilities.simulator

    @cached_property
    def snapshot(self) -> Snapshot | None:
        """The newest calibration; ``None`` where there is none."""
        if not self.device.capabilities.compiles:
            return None
        try:
            return self.device.snapshot()
        except QCPaaSError:
            return None

    @property
    def laid(self) -> dict[str, Laid]:
        """Where circuits would lie now, by key: the largest few, of those that can be compiled."""
        return {key: one for key, one in self._looked_at.items() if isinstance(one, Laid)}

    @property
    def not_laid(self) -> list[NotLaid]:
        """What came in the way of the others among the largest few."""
        return [one for one in self._looked_at.values() if isinstance(one, NotLaid)]

    @cached_property
    def _looked_at(self) -> dict[str, Laid | NotLaid]:
        asked, snapshot = self.asked, self.snapshot
        if asked is None or snapshot is None:
            return {}
        distinct = dict(zip(asked.keys, asked.batch.experiments, strict=True))
        largest = sorted(distinct, key=lambda key: -_work(distinct[key].circuit))
        return {
            key: self.layouts.of(
                key, distinct[key].circuit, snapshot, self.job.execution, self.until
            )
            for key in largest[:PLACED_AT_MOST]
        }


def _work(circuit: object) -> int:
    return circuit.num_nonlocal_gates() * 1000 + circuit.size()  # type: ignore[attr-defined,no-any-return]
