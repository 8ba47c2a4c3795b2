"""What else could watch calibrated values: alarms that are in use, and textbook charts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.control_chart import SMALLEST, WARM_UP
from calibration.drift_history import Table

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Peer:
    """A way to watch, with one setting; it judges each value by itself.

    Attributes:
        statistic: Of one value's readings, shape ``(n,)`` without gaps, on the scale where
            changes add up: how far out each reading is; NaN where it cannot say.
    """

    name: str
    limit: float
    statistic: Callable[[Array, float], Array]

    def alarms(self, table: Table) -> Flags:
        """Where it raises an alarm; shape of the table."""
        columns = [self.alarms_of(table, column) for column in range(len(table.elements))]
        return np.stack(columns, axis=1)

    def alarms_of(self, table: Table, column: int) -> Flags:
        """The same of one element, shape ``(rows,)``."""
        found = np.zeros(len(table.values), dtype=bool)
        here = np.flatnonzero(np.isfinite(table.scaled[:, column]))
        with np.errstate(invalid="ignore"):
            found[here] = self.statistic(table.scaled[here, column], self.limit) > self.limit
        return found


def day_to_day(values: Array, limit: float) -> Array:
    """Change since the last reading: 0.5 is up by half, or down to the inverse of that."""
    change: Array = np.expm1(np.abs(np.diff(values, prepend=np.nan)))
    return change


def shewhart(values: Array, limit: float) -> Array:
    """Distance from the mean of all earlier readings, in their standard deviations."""
    out = np.full(len(values), np.nan)
    for n in range(WARM_UP, len(values)):
        out[n] = abs(values[n] - values[:n].mean()) / max(values[:n].std(ddof=1), SMALLEST)
    return out


def cusum(values: Array, limit: float) -> Array:
    """Two-sided cumulative sum with reference 0.5, mean and deviation from earlier readings."""
    out = np.full(len(values), np.nan)
    start, sums = 0, np.zeros(2)
    for n in range(WARM_UP, len(values)):
        if n - start < WARM_UP:
            continue
        past = values[start:n]
        score = (values[n] - past.mean()) / max(past.std(ddof=1), SMALLEST)
        sums = np.maximum(0, sums + np.array([score, -score]) - 0.5)
        out[n] = sums.max()
        if out[n] > limit:
            start, sums = n, np.zeros(2)
    return out


PEERS = (
    Peer("change by 50 %", 0.5, day_to_day),
    Peer("3 sigma (Shewhart)", 3.0, shewhart),
    Peer("CUSUM, k = 0.5, h = 5", 5.0, cusum),
)


def tuned(peer: Peer, tables: list[Table], judged: list[Flags], alarms: int) -> Peer:
    """The peer with the lowest limit at which it raises no more alarms on these very tables.

    That favours it: its limit is chosen with what it is then judged by.
    """
    low, high = 0.0, 100.0
    for _ in range(30):
        middle = (low + high) / 2
        tried = Peer(peer.name, middle, peer.statistic)
        if false_alarms(tried, tables, judged) > alarms:
            low = middle
        else:
            high = middle
    return Peer(f"{peer.name}, tuned", high, peer.statistic)


def false_alarms(peer: Peer, tables: list[Table], judged: list[Flags]) -> int:
    """Alarms on an untouched record, on the readings that ours judges as well."""
    pairs = zip(tables, judged, strict=True)
    return sum(int((peer.alarms(table) & where).sum()) for table, where in pairs)
