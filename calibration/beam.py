"""Placements of patterns that fit in too many places to try them all: the most promising."""

from __future__ import annotations

import numpy as np

from calibration.embedding import Fit
from calibration.trie import Array, Costs, Index, Level, Rows, extended, extensions, joined


def likely_placements(fit: Fit, costs: Costs, home: Index, width: int) -> tuple[Index, Array]:
    """Extend the best partial placements node by node.

    Args:
        costs: Added up; the higher the better.
        home: A placement that is kept whatever it costs, shape ``(size,)``.
        width: Partial placements that are kept each time.

    Returns:
        Placements, shape ``(size, m)``, and the sum of the costs of each.
    """
    pattern, couplers, fits = fit.pattern, fit.couplers, fit.fits
    route = home[[step.node for step in pattern.steps]]
    roots = np.flatnonzero(fits[pattern.steps[0].node])
    rows, total = roots.astype(np.int16)[:, None], costs.root[roots]
    for depth, step in enumerate(pattern.steps[1:]):
        level = joined(list(extensions(rows, step, couplers, fits[step.node])), len(step.back))
        total = _extended_total(total, level, costs, depth)
        rows = extended(rows, level, couplers)
        kept = _best(total, rows, route, width)
        rows, total = rows[kept], total[kept]
    placed = np.empty((pattern.size, len(rows)), dtype=np.intp)
    placed[[step.node for step in pattern.steps]] = rows.T
    return placed, total


def _extended_total(total: Array, level: Level, costs: Costs, depth: int) -> Array:
    longer = total[level.parent] + costs.edge[depth][level.edge]
    for cost, where in zip(costs.back[depth], level.back, strict=True):
        longer += cost[where]
    return longer


def _best(total: Array, rows: Rows, route: Index, width: int) -> Index:
    """The best, the earlier of equals, and the one that leads home."""
    if len(total) <= width:
        return np.arange(len(total))
    worst = np.partition(total, -width)[-width]
    kept = np.flatnonzero(total >= worst)
    if len(kept) > width:
        kept = np.sort(kept[np.argsort(-total[kept], kind="stable")[:width]])
    at_home = np.flatnonzero((rows == route[: rows.shape[1]]).all(axis=1))
    return np.union1d(kept, at_home)
