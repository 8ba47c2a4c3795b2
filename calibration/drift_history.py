"""Whole-device calibrations as one table per quantity: every reading once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qcpaas.calibration import Quantity
from store.snapshot import Key, Snapshot

Array = NDArray[np.float64]

# Durations and whether something works are settings: they change when somebody changes them.
WATCHED = frozenset(Quantity) - {
    Quantity.READOUT_DURATION_S,
    Quantity.GATE_DURATION_S,
    Quantity.OPERATIONAL,
}
_TIMES = {Quantity.T1_S, Quantity.T2_S, Quantity.T2_ECHO_S, Quantity.T2_RAMSEY_S}
_FREQUENCIES = {Quantity.FREQUENCY_HZ, Quantity.ANHARMONICITY_HZ, Quantity.READOUT_FREQUENCY_HZ}
SHORTEST_S = 1e-9
SMALLEST_ERROR, LARGEST_ERROR = 1e-6, 0.999  # within these a probability has a logit to speak of
DAY_S = 86_400.0

_Column = tuple[Key, str]  # and the source


@dataclass(frozen=True)
class Table:
    """The readings of one quantity (of a gate's error: of one gate), a row a day.

    A day on which something was measured several times has as many rows.

    Attributes:
        elements: Qubits of each column, in a gate's order.
        values: Shape ``(rows, elements)``, NaN where an element was not measured again.
        measured_at_s: POSIX time of each value, likewise.
        known_at_s: When the platform came to know it, likewise.
    """

    quantity: Quantity
    gate: str
    elements: tuple[tuple[int, ...], ...]
    values: Array
    measured_at_s: Array
    known_at_s: Array

    @cached_property
    def scaled(self) -> Array:
        """Values on a scale where changes add up: log of times, logit of probabilities."""
        return to_scale(self.quantity, self.values)

    @cached_property
    def readings_per_day(self) -> float:
        """How often an element is measured, in the median of those measured twice."""
        counts = np.isfinite(self.values).sum(axis=0)
        if not (counts > 1).any():
            return 1.0
        times = self.measured_at_s[:, counts > 1]
        days = (np.nanmax(times, axis=0) - np.nanmin(times, axis=0)) / DAY_S
        return float(np.median((counts[counts > 1] - 1) / np.maximum(days, 1 / 24)))


def to_scale(quantity: Quantity, values: Array) -> Array:
    """Natural units to the scale on which changes add up; any shape."""
    if quantity in _FREQUENCIES:
        return values
    if quantity in _TIMES:
        logs: Array = np.log(np.maximum(values, SHORTEST_S))
        return logs
    bounded = np.clip(values, SMALLEST_ERROR, LARGEST_ERROR)
    return np.log(bounded / (1 - bounded))


def from_scale(quantity: Quantity, scaled: Array) -> Array:
    """The inverse of `to_scale`."""
    if quantity in _FREQUENCIES:
        return scaled
    return np.exp(scaled) if quantity in _TIMES else 1 / (1 + np.exp(-scaled))


def tables_of(history: Sequence[Snapshot]) -> list[Table]:
    """Readings of everything that is watched and ever changed.

    What is measured by two sources counts as two elements, because their methods differ. What a
    device reports twice (a coupling in both directions, gates calibrated as one) counts once.

    Args:
        history: Snapshots of one device, the oldest first.
    """
    if not history:
        return []
    columns, values, dates = _stacked(history)
    known_at = np.array([snapshot.taken_at.timestamp() for snapshot in history])
    tables = []
    for (quantity, gate), members in _groups(columns, values).items():
        rows = _by_day(values[:, members], dates[:, members], known_at)
        changed = np.isfinite(rows[0]).sum(axis=0) > 1
        if changed.any():
            elements = [columns[member][0][2] for member in np.array(members)[changed]]
            chosen = (rows[0][:, changed], rows[1][:, changed], rows[2][:, changed])
            tables.append(Table(Quantity(quantity), gate, tuple(elements), *chosen))
    return tables


def _groups(columns: Sequence[_Column], values: Array) -> dict[tuple[str, str], list[int]]:
    """Columns of each watched quantity and gate, without those that repeat another."""
    groups: dict[tuple[str, str], list[int]] = {}
    reported: set[tuple[str, frozenset[int], bytes]] = set()
    for column, ((quantity, gate, qubits), _) in enumerate(columns):
        content = (quantity, frozenset(qubits), values[:, column].tobytes())
        if quantity in WATCHED and content not in reported:
            reported.add(content)
            groups.setdefault((quantity, gate), []).append(column)
    return groups


def _stacked(history: Sequence[Snapshot]) -> tuple[list[_Column], Array, Array]:
    """(key, source) of each column; values and dates, shape ``(snapshots, columns)``."""
    place: dict[_Column, int] = {}
    rows = []
    known: dict[tuple[int, bytes], NDArray[np.int64]] = {}
    for snapshot in history:
        layout = (id(snapshot.layout), snapshot.origin.tobytes())
        if layout not in known:
            sources = [snapshot.provenance[origin].source for origin in snapshot.origin]
            pairs: Iterable[_Column] = zip(snapshot.keys, sources, strict=True)
            known[layout] = np.array([place.setdefault(pair, len(place)) for pair in pairs], int)
        rows.append(known[layout])
    values = np.full((len(history), len(place)), np.nan)
    dates = np.full_like(values, np.nan)
    for row, (snapshot, where) in enumerate(zip(history, rows, strict=True)):
        values[row, where] = snapshot.values
        dates[row, where] = snapshot.measured_at_s
    return list(place), values, dates


def _by_day(values: Array, dates: Array, known_at: Array) -> tuple[Array, Array, Array]:
    """One row a day (more where it was measured more often) out of one row a snapshot."""
    row, column = np.nonzero(_is_new(values, dates))
    order = np.lexsort((dates[row, column], column))
    row, column = row[order], column[order]
    day = np.floor(dates[row, column] / DAY_S).astype(np.int64)
    first = np.r_[True, (np.diff(day) != 0) | (np.diff(column) != 0)]
    start = np.maximum.accumulate(np.where(first, np.arange(len(day)), 0))
    keys, target = np.unique(
        np.stack([day, np.arange(len(day)) - start], axis=1), axis=0, return_inverse=True
    )
    tables = np.full((3, len(keys), values.shape[1]), np.nan)
    tables[:, target.reshape(-1), column] = values[row, column], dates[row, column], known_at[row]
    return tables[0], tables[1], tables[2]


def _is_new(values: Array, dates: Array) -> NDArray[np.bool_]:
    """Where a later date comes with another value than the one before.

    Some sources date an unchanged value anew at every pull; that is no measurement.
    """
    seen = np.where(np.isfinite(dates), dates, -np.inf)
    newest = np.maximum.accumulate(seen, axis=0)
    before = np.vstack([np.full(seen.shape[1], -np.inf), newest[:-1]])
    later = np.isfinite(values) & (seen > before)
    # Index of the last reading before each row, to compare with its value.
    rows = np.where(later, np.arange(len(values))[:, None], -1)
    last = np.vstack([np.full(values.shape[1], -1), np.maximum.accumulate(rows, axis=0)[:-1]])
    previous = np.take_along_axis(values, np.maximum(last, 0), axis=0)
    new: NDArray[np.bool_] = later & ((last < 0) | (values != previous))
    return new
