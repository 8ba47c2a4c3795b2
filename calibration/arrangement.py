"""The most promising placements of one template, its parts laid beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.beam import likely_placements
from calibration.embedding import Embeddings, Fit
from calibration.scores import Device, Scorer
from calibration.template import Template
from calibration.trie import Costs

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Used = tuple[frozenset[int], frozenset[frozenset[int]]]
BEAM = 1_000  # partial placements of a pattern that fits in too many places to try all
ARRANGEMENTS = 64  # partial arrangements of parts
SIMILAR = (
    8  # of arrangements that cover the same qubits one is kept: so many are looked at for each
)
PLACES = 1_024  # of a part, that are tried with each of them


@dataclass(frozen=True, eq=False)
class Candidates:
    """Placements of a template; the first is where it was routed.

    Attributes:
        rows: Device qubit of each compact qubit, shape ``(k, m)``.
        scores: Log fidelities with typical durations, shape ``(m,)``.
        considered: Placements that were scored.
        complete: None was left out.
    """

    template: Template
    rows: Index
    scores: Array
    considered: int
    complete: bool

    def used(self, row: Index) -> Used:
        """Qubits and couplers of a placement."""
        pairs = {frozenset((int(row[a]), int(row[b]))) for a, b, _ in self.template.interactions}
        return frozenset(row.tolist()), frozenset(pairs)


@dataclass(frozen=True, eq=False)
class _Part:
    """The best places of one part, best first: rows ``(size, m)`` and scores ``(m,)``."""

    qubits: tuple[int, ...]
    rows: Index
    scores: Array
    considered: int
    complete: bool


def candidates(scorer: Scorer, embeddings: Embeddings, device: Device, wanted: int) -> Candidates:
    """The best placements of a template.

    One whose gates act on more than two qubits stays where it was routed.
    """
    template = scorer.template
    home = np.array(template.home, dtype=np.intp)
    if not template.movable:
        return Candidates(template, home[:, None], np.zeros(1), 1, complete=False)
    several = len(scorer.parts) > 1
    parts = [
        _places(
            embeddings.fit(pattern, device.errors.couplers),
            costs,
            qubits,
            home,
            PLACES if several else wanted,
        )
        for (qubits, pattern), costs in zip(scorer.parts, scorer.costs(device), strict=True)
    ]
    rows, scores = _arranged(parts, len(home), device.errors.couplers.num_qubits)
    kept = _best(scores, wanted)
    return Candidates(
        template=template,
        rows=np.column_stack([home, rows[:, kept]]),
        scores=np.append(-np.inf, scores[kept]),  # home is a candidate whatever it is worth
        considered=sum(part.considered for part in parts),
        complete=_is_complete(parts, scores),
    )


def _places(fit: Fit, costs: Costs, qubits: tuple[int, ...], home: Index, wanted: int) -> _Part:
    """The best places of a part over all that there are, or over those that a search comes by."""
    if fit.trie is not None:
        scores = fit.trie.scores(costs)
        kept = _best(scores, wanted)
        rows = fit.trie.rows(fit.pattern, fit.couplers, kept)
    else:
        found, scores = likely_placements(fit, costs, home[list(qubits)], BEAM)
        kept = _best(scores, wanted)
        rows = found[:, kept]
    return _Part(qubits, rows, scores[kept], len(scores), complete=fit.trie is not None)


def _arranged(parts: Sequence[_Part], width: int, num_qubits: int) -> tuple[Index, Array]:
    """Parts beside each other without overlap, by beam search, largest first.

    Returns:
        Rows of shape ``(width, m)`` and their scores; none where the parts do not fit together
        in the places that were tried.
    """
    rows: Index = np.zeros((width, 1), dtype=np.intp)
    scores: Array = np.zeros(1)
    taken: NDArray[np.bool_] = np.zeros((num_qubits, 1), dtype=bool)
    for part in parts:
        overlaps = taken[part.rows].any(axis=0)  # (places of the part, arrangements)
        sums = np.where(overlaps, -np.inf, part.scores[:, None] + scores)
        flat = _best(sums.ravel(), SIMILAR * ARRANGEMENTS if len(parts) > 1 else sums.size)
        flat = flat[np.isfinite(sums.ravel()[flat])]
        place, earlier = np.unravel_index(flat, sums.shape)
        rows, scores = rows[:, earlier], sums[place, earlier]
        rows[list(part.qubits)] = part.rows[:, place]
        taken = taken[:, earlier]
        taken[part.rows[:, place], np.arange(len(flat))] = True
        if len(parts) > 1:
            kept = _first_of_each(taken)[:ARRANGEMENTS]
            rows, scores, taken = rows[:, kept], scores[kept], taken[:, kept]
    return rows, scores


def _first_of_each(taken: NDArray[np.bool_]) -> Index:
    """Columns that are like no earlier one: parts that are alike may change places."""
    first: dict[bytes, int] = {}
    for column, packed in enumerate(np.packbits(taken, axis=0).T):
        first.setdefault(packed.tobytes(), column)
    return np.array(list(first.values()), dtype=np.intp)


def _is_complete(parts: Sequence[_Part], scores: Array) -> bool:
    """Whether no placement can be better: none of a part was left out, and no part gave way."""
    if not all(part.complete for part in parts):
        return False
    bound = sum(part.scores.max(initial=-np.inf) for part in parts)
    return bool(scores.max(initial=-np.inf) >= bound - 1e-9)


def _best(scores: Array, wanted: int) -> Index:
    """The best, best first; of equals the earlier."""
    if len(scores) > wanted:
        worst_kept = np.partition(scores, -wanted)[-wanted]
        among = np.flatnonzero(scores >= worst_kept)
    else:
        among = np.arange(len(scores))
    return among[np.argsort(-scores[among], kind="stable")[:wanted]]
