"""How long devices took for what was sent to them, and how good estimates of that were."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from pydantic import Field, ValidationError
from sqlalchemy import select, update

from qcpaas.wire import Wire
from store.database import Store
from store.tables import DeviceTiming, table

TIMING = table(DeviceTiming)


class Observed(NamedTuple):
    """One submission that was answered.

    Attributes:
        circuits: Executions, one a parameter point.
        circuit_s: Sum over all shots of the scheduled duration of their circuits.
        qpu_s: By the device.
        seconds: From sending to the answer.
    """

    circuits: int
    shots: int
    circuit_s: float
    qpu_s: float
    seconds: float


class PastRun(NamedTuple):
    """One workload job that completed.

    Attributes:
        inputs_bytes: Length of its inputs as JSON.
        wall_s: From its start to its end.
    """

    inputs_bytes: int
    circuits: int
    shots: int
    qpu_s: float
    wall_s: float


class Judged(Wire):
    """How estimates of one kind of job turned out.

    Attributes:
        jobs: That were judged.
        covered: Of them, those whose device seconds lay in their interval.
        log_ratio: Sum of the logarithms of actual over estimated device seconds.
        log_widening: What intervals are widened by, natural logarithm.
    """

    jobs: int = 0
    covered: int = 0
    log_ratio: float = 0.0
    log_widening: float = 0.0


class DeviceTimings(Wire):
    """What the platform has seen of one device.

    Attributes:
        observed: The newest submissions, the oldest of them first.
        overheads_s: Of the newest jobs: from start to end without waiting for the device.
        workloads: The newest runs of each workload, by the key of its source.
        judged: By the kind of job.
        until: When the last job ended that is in here; ``counted`` are those of its last moments.
    """

    observed: tuple[Observed, ...] = ()
    overheads_s: tuple[float, ...] = ()
    workloads: dict[str, tuple[PastRun, ...]] = Field(default_factory=dict)
    judged: dict[str, Judged] = Field(default_factory=dict)
    until: datetime | None = None
    counted: tuple[str, ...] = ()


class Timings:
    """`DeviceTimings` by device; each is read, changed, and kept if nobody was faster."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, device: str) -> tuple[DeviceTimings, datetime | None]:
        """What is known, and since when; nothing of a device that has run nothing."""
        query = select(TIMING.c.payload, TIMING.c.fitted_at).where(TIMING.c.device == device)
        with self._store.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return DeviceTimings(), None
        try:
            return DeviceTimings.model_validate_json(row.payload), row.fitted_at
        except ValidationError:  # of another version: the ledger has it all
            return DeviceTimings(), row.fitted_at

    def changed_at(self, device: str) -> datetime | None:
        """When it was last changed."""
        with self._store.read() as connection:
            found: datetime | None = connection.scalar(
                select(TIMING.c.fitted_at).where(TIMING.c.device == device)
            )
        return found

    def keep(self, device: str, timings: DeviceTimings, before: datetime | None) -> bool:
        """Keep what was read and changed, unless another process was faster.

        Args:
            before: When it was changed last, by `read`.
        """
        values = {
            "observations": len(timings.observed),
            "fitted_at": datetime.now(UTC),
            "payload": timings.model_dump_json(),
        }
        with self._store.write() as connection:
            if before is None:
                insert = self._store.insert(TIMING).values(device=device, **values)
                answer = connection.execute(insert.on_conflict_do_nothing())
            else:
                unchanged = (TIMING.c.device == device) & (TIMING.c.fitted_at == before)
                answer = connection.execute(update(TIMING).where(unchanged).values(**values))
            return bool(answer.rowcount)
