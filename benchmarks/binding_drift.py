"""A device whose calibration is another one every day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from qcpaas.calibration import Quantity
from store.snapshot import Key, Snapshot

SPREAD = 0.35  # standard deviation of a value's logarithm about the device's own, any day
CORRELATION = 0.2  # from day to day, as in `drift_records.imitated_record`
WORST = 0.5  # error at most; what is worse in the device's file stays as it is
TIMES = {Quantity.T1_S.value, Quantity.T2_S.value}
READOUT = {Quantity.READOUT_ERROR.value, Quantity.READOUT_P10.value, Quantity.READOUT_P01.value}
ERRORS = READOUT | {Quantity.GATE_ERROR.value}

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DriftingDevice:
    """Days of multiplicative, log-normal drift about a device's published calibration.

    All gates of a qubit share their drift, so do a coupler's directions and a qubit's two readout
    errors; T1, T2, gates and readout drift by themselves.
    """

    first: Snapshot
    seed: int
    spread: float = SPREAD

    def days(self, count: int) -> list[Snapshot]:
        """Snapshots of consecutive days; another number of days begins alike."""
        rng = np.random.default_rng(self.seed)
        names = [_drifts_with(key) for key in self.first.keys]
        distinct = sorted({name for name in names if name is not None}, key=repr)
        place = {name: index for index, name in enumerate(distinct)}
        # Column 0 is of what does not drift.
        column = np.array([0 if name is None else 1 + place[name] for name in names])
        state = rng.normal(size=len(distinct))
        found = []
        for day in range(count):
            factors = np.exp(self.spread * np.concatenate([[0.0], state]))[column]
            found.append(_drifted(self.first, factors, day))
            fresh = rng.normal(size=len(distinct))
            state = CORRELATION * state + np.sqrt(1 - CORRELATION**2) * fresh
        return found


def with_values(snapshot: Snapshot, changed: Iterable[tuple[Key, float]]) -> Snapshot:
    """A snapshot with other values at some of its keys."""
    values = snapshot.values.copy()
    for key, value in changed:
        values[snapshot.index[key]] = value
    return replace(snapshot, values=values)


def _drifts_with(key: Key) -> tuple[str, tuple[int, ...]] | None:
    """What shares its drift with a value; ``None`` for what stays."""
    name, _, qubits = key
    if name in TIMES | {Quantity.GATE_ERROR.value}:
        return name, tuple(sorted(qubits))
    return ("readout", qubits) if name in READOUT else None


def _drifted(first: Snapshot, factors: Array, day: int) -> Snapshot:
    names = np.array([name for name, _, _ in first.keys])
    is_error = np.isin(names, sorted(ERRORS))
    limit = np.where(is_error & (first.values < WORST), WORST, np.inf)
    factors = np.where(is_error & (first.values >= WORST), 1.0, factors)
    values = np.minimum(first.values * factors, limit)
    _keep_physical(first, values)
    moment = day * timedelta(days=1)
    return replace(
        first,
        values=values,
        taken_at=first.taken_at + moment,
        measured_at_s=first.measured_at_s + moment.total_seconds(),
    )


def _keep_physical(first: Snapshot, values: Array) -> None:
    """T2 stays below 2 T1."""
    for qubit in range(first.num_qubits):
        t1 = first.index.get((Quantity.T1_S.value, "", (qubit,)))
        t2 = first.index.get((Quantity.T2_S.value, "", (qubit,)))
        if t1 is not None and t2 is not None:
            values[t2] = min(values[t2], 2 * values[t1])
