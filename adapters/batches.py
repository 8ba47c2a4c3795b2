"""A batch in as many submissions as a device's limits ask for, and its answers put together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from adapters.contract import Capabilities
from qcpaas.execution import Counts, ExpectationValues, Experiment, Level, Outcome


@dataclass(frozen=True)
class Piece:
    """Points ``start`` to ``stop`` of one experiment of a batch."""

    experiment: int
    start: int
    stop: int

    def of(self, experiments: Sequence[Experiment]) -> Experiment:
        whole = experiments[self.experiment]
        if self.stop - self.start == whole.points:
            return whole
        return replace(whole, parameter_values=whole.parameter_values[self.start : self.stop])


def split(experiments: Sequence[Experiment], capabilities: Capabilities) -> list[tuple[Piece, ...]]:
    """The pieces of each submission; experiments and their points keep their order within it."""
    alike: dict[tuple[Level, int | None], list[int]] = {}
    for index, experiment in enumerate(experiments):
        shots = experiment.shots if capabilities.equal_shots else None
        alike.setdefault((experiment.level, shots), []).append(index)
    return [
        pieces
        for indices in alike.values()
        for pieces in _filled(experiments, indices, capabilities)
    ]


def join(
    pieces: Sequence[Sequence[Piece]], outcomes: Sequence[Sequence[Outcome]]
) -> tuple[Outcome, ...]:
    """One outcome an experiment from those of each submission's pieces."""
    found: dict[int, list[tuple[int, Outcome]]] = {}
    for placed, answers in zip(pieces, outcomes, strict=True):
        for piece, answer in zip(placed, answers, strict=True):
            found.setdefault(piece.experiment, []).append((piece.start, answer))
    return tuple(_whole([part for _, part in sorted(found[n], key=_start)]) for n in sorted(found))


def _filled(
    experiments: Sequence[Experiment], indices: Sequence[int], capabilities: Capabilities
) -> Iterator[tuple[Piece, ...]]:
    """Submissions filled one after another."""
    held: list[Piece] = []
    for index in indices:
        start, stop = 0, experiments[index].points
        while start < stop:
            room = _room(held, experiments[index], experiments, capabilities)
            if held and room < 1:
                yield tuple(held)
                held = []
                continue
            taken = int(min(stop - start, max(room, 1)))  # what is too much alone is refused later
            held.append(Piece(index, start, start + taken))
            start += taken
    if held:
        yield tuple(held)


def _room(
    held: Sequence[Piece],
    coming: Experiment,
    experiments: Sequence[Experiment],
    capabilities: Capabilities,
) -> float:
    """How many points of an experiment a submission takes besides what it holds."""
    if len(held) == capabilities.max_circuits:
        return 0
    points = [piece.stop - piece.start for piece in held]
    room = math.inf
    if capabilities.max_points is not None:
        room = capabilities.max_points - sum(points)
    if capabilities.max_total_shots is not None and coming.shots:
        shots = [experiments[piece.experiment].shots or 0 for piece in held]
        used = sum(n * each for n, each in zip(points, shots, strict=True))
        room = min(room, (capabilities.max_total_shots - used) // coming.shots)
    return room


def _start(placed: tuple[int, Outcome]) -> int:
    return placed[0]


def _whole(parts: Sequence[Outcome]) -> Outcome:
    first = parts[0]
    if len(parts) == 1:
        return first
    diagnostics = tuple(each for part in parts for each in part.diagnostics)
    if isinstance(first, Counts):
        points = tuple(p for part in parts if isinstance(part, Counts) for p in part.points)
        return replace(first, points=points, diagnostics=diagnostics)
    rows = [(part.values, part.variances) for part in parts if not isinstance(part, Counts)]
    values, variances = (np.concatenate(column) for column in zip(*rows, strict=True))
    return ExpectationValues(values, variances, diagnostics=diagnostics)
