"""Partial placements of a pattern on a device, extended node by node."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.pattern import Pattern, Step
from store.couplers import Couplers

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Rows = NDArray[np.int16]
OVERGROWN = 4
CHUNK = 1 << 16  # rows extended at once: what is tried for each must not fill the memory


@dataclass(frozen=True, eq=False)
class Level:
    """Extensions by one node.

    Attributes:
        parent: Row that each extends, shape ``(m,)``.
        edge: Coupler from the parent node's qubit to the new one, shape ``(m,)``.
        back: Couplers from the other placed neighbours, shape ``(neighbours, m)``.
    """

    parent: Index
    edge: Index
    back: Index


@dataclass(frozen=True, eq=False)
class Trie:
    """Every placement of a pattern; what many begin with is kept once.

    Attributes:
        roots: Qubits of the first node, shape ``(m,)``.
        levels: Of the other nodes, in the pattern's order.
    """

    roots: Index
    levels: tuple[Level, ...]

    def __len__(self) -> int:
        return len(self.levels[-1].parent if self.levels else self.roots)

    @property
    def nbytes(self) -> int:
        columns = [
            array for level in self.levels for array in (level.parent, level.edge, level.back)
        ]
        return self.roots.nbytes + sum(column.nbytes for column in columns)

    def scores(self, costs: Costs) -> Array:
        """The sum of the costs of every placement, shape ``(m,)``."""
        total = costs.root[self.roots]
        for level, edge, back in zip(self.levels, costs.edge, costs.back, strict=True):
            total = total[level.parent] + edge[level.edge]
            for cost, where in zip(back, level.back, strict=True):
                total += cost[where]
        return total

    def rows(self, pattern: Pattern, couplers: Couplers, chosen: Index) -> Index:
        """Device qubit of each node in some of the placements, shape ``(size, len(chosen))``."""
        rows = np.empty((pattern.size, len(chosen)), dtype=np.intp)
        for step, level in zip(pattern.steps[:0:-1], self.levels[::-1], strict=True):
            rows[step.node] = couplers.second[level.edge[chosen]]
            chosen = level.parent[chosen]
        rows[pattern.steps[0].node] = self.roots[chosen]
        return rows

    def to_bytes(self) -> bytes:
        columns: dict[str, Any] = {"roots": self.roots.astype(np.int32)}
        for number, level in enumerate(self.levels):
            steps = np.diff(level.parent, prepend=0)  # small numbers, which compress well
            columns[f"parent{number}"] = steps.astype(np.int32)
            columns[f"edge{number}"] = level.edge.astype(np.int32)
            columns[f"back{number}"] = level.back.astype(np.int32)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **columns)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, payload: bytes) -> Trie:
        with np.load(io.BytesIO(payload), allow_pickle=False) as columns:
            levels = [
                Level(
                    np.cumsum(columns[f"parent{number}"], dtype=np.intp),
                    columns[f"edge{number}"].astype(np.intp),
                    columns[f"back{number}"].astype(np.intp),
                )
                for number in range((len(columns.files) - 1) // 3)
            ]
            return cls(columns["roots"].astype(np.intp), tuple(levels))


@dataclass(frozen=True, eq=False)
class Costs:
    """What each node of a pattern costs where it may go, in the pattern's order.

    Attributes:
        root: Of the first node on each qubit, shape ``(n,)``.
        edge: Of each other node by the coupler from its parent, shape ``(e,)`` each.
        back: Of its other edges by their couplers, shape ``(neighbours, e)`` each.
    """

    root: Array
    edge: Sequence[Array]
    back: Sequence[Array]


def every_placement(
    pattern: Pattern, couplers: Couplers, max_rows: int, max_bytes: int
) -> Trie | None:
    """All placements, or ``None`` where there are more than ``max_rows``.

    Given up too where partial placements become `OVERGROWN` times as many, or take ``max_bytes``.
    """
    fits = pattern.fits(couplers)
    roots = np.flatnonzero(fits[pattern.steps[0].node])
    rows = roots.astype(np.int16)[:, None]
    levels: list[Level] = []
    for step in pattern.steps[1:]:
        parts: list[Level] = []
        size = 0
        for level in extensions(rows, step, couplers, fits[step.node]):
            parts.append(level)
            size += len(level.parent)
            if size > OVERGROWN * max_rows or size * (rows.shape[1] + 1) * 2 > max_bytes:
                return None
        levels.append(joined(parts, len(step.back)))
        rows = extended(rows, levels[-1], couplers)
    return _trimmed(roots, levels) if len(rows) <= max_rows else None


def extensions(
    rows: Rows, step: Step, couplers: Couplers, fits: NDArray[np.bool_]
) -> Iterator[Level]:
    """Every way to place one more node, for some of the rows at a time.

    Args:
        rows: Partial placements in the pattern's order, shape ``(m, placed)``.
        fits: Whether the node may go to each qubit, shape ``(n,)``.
    """
    allowed = (couplers.out >= 0) & fits[couplers.second[couplers.out]]
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        origin = part[:, step.parent].astype(np.intp)
        parent, column = np.nonzero(allowed[origin])
        edge = couplers.out[origin[parent], column]
        place = couplers.second[edge]
        back = couplers.number[part[parent][:, list(step.back)].T, place].astype(np.intp)
        linked = np.asarray((back >= 0).all(axis=0))
        for other, distance in step.reach:
            linked &= couplers.distances[part[parent, other], place] <= distance
        free = linked.copy()
        free[linked] = (part[parent[linked]] != place[linked, None]).all(axis=1)
        yield Level(parent[free] + start, edge[free], back[:, free])


def extended(rows: Rows, level: Level, couplers: Couplers) -> Rows:
    """Partial placements with one more node, shape ``(m, placed + 1)``."""
    longer = np.empty((len(level.parent), rows.shape[1] + 1), dtype=rows.dtype)
    longer[:, :-1] = rows[level.parent]
    longer[:, -1] = couplers.second[level.edge]
    return longer


def joined(parts: Sequence[Level], neighbours: int) -> Level:
    """All of them as one level."""
    none = np.empty(0, dtype=np.intp)
    return Level(
        np.concatenate([none, *(part.parent for part in parts)]),
        np.concatenate([none, *(part.edge for part in parts)]),
        np.concatenate(
            [np.empty((neighbours, 0), np.intp), *(part.back for part in parts)], axis=1
        ),
    )


def _trimmed(roots: Index, levels: Sequence[Level]) -> Trie:
    """Without what no placement ends with."""
    kept: list[Level] = []
    used: Index = np.arange(len(levels[-1].parent) if levels else len(roots))
    for level in reversed(levels):
        edge, back = level.edge[used], level.back[:, used]
        used, parent = np.unique(level.parent[used], return_inverse=True)
        kept.append(Level(parent.reshape(-1), edge, back))
    return Trie(roots[used], tuple(reversed(kept)))
