"""Circuits that are drawn at random: each run once, however often it was drawn, and their mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.pauli.frames import PauliFrames, Steps
from qcpaas.errors import MitigationError
from qcpaas.execution import Counts, Distribution, ExpectationValues, Experiment, Outcome

Array = NDArray[np.float64]

MIN_SHOTS = 4  # of a circuit: fewer tell nothing of their own spread


def affordable(wanted: int, shots: int | None) -> int:
    """How many random circuits the shots of one point are enough for; at least one."""
    return wanted if shots is None else max(1, min(wanted, shots // MIN_SHOTS))


def distinct(drawn: Iterable[Steps]) -> list[tuple[Steps, int]]:
    """Each circuit once, and how often it was drawn."""
    found: dict[tuple[int, ...], tuple[Steps, int]] = {}
    for steps in drawn:
        key = tuple(map(id, steps))  # equal choices are the same objects: nothing is compared
        found[key] = steps, found.get(key, (steps, 0))[1] + 1
    return list(found.values())


def share(shots: int | None, draws: Sequence[int]) -> list[int | None]:
    """Shots in proportion to how often circuits were drawn; all of them are given out."""
    if shots is None:
        return [None] * len(draws)
    ends = np.rint(np.cumsum(draws) * (shots / sum(draws))).astype(int)
    return [int(end) for end in np.diff(ends, prepend=0)]


def run_at_random(
    experiment: Experiment, frames: PauliFrames, drawn: Iterable[Steps]
) -> tuple[list[Experiment], tuple[int, ...]]:
    """Experiments that share the given one's shots, and how often each was drawn."""
    circuits = distinct(drawn)
    draws = tuple(drawn_so_often for _, drawn_so_often in circuits)
    planned = [
        replace(experiment, circuit=frames.build(steps), shots=shots)
        for (steps, _), shots in zip(circuits, share(experiment.shots, draws), strict=True)
    ]
    return planned, draws


def mean_of_draws(values: Array, variances: Array, draws: Sequence[int]) -> tuple[Array, Array]:
    """Mean over random circuits, and its squared standard error.

    The error counts the shots of each circuit, and the choice of circuits by how far their values
    lie apart beyond what shots explain.

    Args:
        values: Shape ``(circuits, ...)``.
        variances: Squared standard errors of ``values``, same shape.
        draws: How often each circuit was drawn, shape ``(circuits,)``.

    Returns:
        Both of the shape of one circuit's values.
    """
    number = sum(draws)
    weights: Array = np.asarray(draws, dtype=np.float64) / number
    mean = _weighted(weights, values)
    within = _weighted(weights**2, variances)
    if number == 1:
        return mean, within
    apart = _weighted(weights, (values - mean) ** 2)
    of_shots = _weighted(weights * (1 - weights), variances)
    return mean, within + np.maximum(apart - of_shots, 0.0) / (number - 1)


def _weighted(weights: Array, values: Array) -> Array:
    total: Array = (weights @ values.reshape(len(values), -1)).reshape(values.shape[1:])
    return total


def mean_values(outcomes: Sequence[Outcome], draws: Sequence[int]) -> ExpectationValues:
    """`mean_of_draws` of outcomes, and of their raw values where they have some."""
    found = [values_of(outcome) for outcome in outcomes]
    values, variances = mean_of_draws(
        np.stack([one.values for one in found]), np.stack([one.variances for one in found]), draws
    )
    raw, raw_variances = mean_of_draws(*raw_of(found), draws)
    return ExpectationValues(
        values=values,
        variances=variances,
        raw_values=raw,
        raw_variances=raw_variances,
        diagnostics=found[0].diagnostics,
    )


def raw_of(outcomes: Sequence[ExpectationValues]) -> tuple[Array, Array]:
    """Uncorrected values and their variances, shape ``(outcomes, points, observables)``."""
    values = [o.values if o.raw_values is None else o.raw_values for o in outcomes]
    variances = [o.variances if o.raw_variances is None else o.raw_variances for o in outcomes]
    return np.stack(values), np.stack(variances)


def values_of(outcome: Outcome) -> ExpectationValues:
    assert isinstance(outcome, ExpectationValues)
    return outcome


def summed_counts(outcomes: Sequence[Outcome], draws: Sequence[int]) -> Counts:
    """All shots of circuits that answer the same question; probabilities are averaged."""
    found = []
    for outcome in outcomes:
        if not isinstance(outcome, Counts):
            raise MitigationError(
                "an option inside the twirled circuits gave expectation values where counts were "
                "asked. Leave one of them out."
            )
        found.append(outcome)
    points = zip(*(counts.points for counts in found), strict=True)
    return replace(found[0], points=tuple(_summed(point, draws) for point in points))


def _summed(parts: Sequence[Distribution], draws: Sequence[int]) -> Distribution:
    exact = any(part.shots is None for part in parts)
    shares = np.asarray(draws, dtype=np.float64) / sum(draws) if exact else np.ones(len(parts))
    weights = np.concatenate([s * part.weights for s, part in zip(shares, parts, strict=True)])
    outcomes, place = np.unique(
        np.concatenate([part.outcomes for part in parts]), axis=0, return_inverse=True
    )
    added: Array = np.bincount(place.ravel(), weights, minlength=len(outcomes)).astype(np.float64)
    return Distribution(
        outcomes=outcomes,
        weights=added,
        num_bits=parts[0].num_bits,
        shots=None if exact else sum(part.shots or 0 for part in parts),
    )
