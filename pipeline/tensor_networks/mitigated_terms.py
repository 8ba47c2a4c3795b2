"""Observables that take noise out of their own values, and what of them is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.measuring.random_bases import SharedBases, Terms
from pipeline.tensor_networks.noise_inverse import NoiseInverse

MAX_STRINGS = 1000  # that bases are chosen for


@dataclass(frozen=True, eq=False)
class MitigatedTerms:
    """Observables that have in the noisy state the values that the given ones have without noise.

    ``left_out`` is the squared 2-norm of the terms that are not among them.
    """

    terms: list[dict[str, float]]
    left_out: NDArray[np.float64]


def mitigated_terms(plain: Sequence[Terms], inverse: NoiseInverse) -> MitigatedTerms:
    """The largest terms of every observable; lost by cuts counts as left out."""
    images: dict[str, tuple[dict[str, float], float]] = {}
    terms, left_out = [], []
    for observable in plain:
        total: dict[str, float] = {}
        rest = 0.0
        for string, coefficient in observable.items():
            if string not in images:
                images[string] = inverse.of(string, MAX_STRINGS)
            image, missed = images[string]
            lost = inverse.loss**2 if set(string) != {"I"} else 0.0
            rest += coefficient**2 * (missed + lost)
            for found, value in image.items():
                total[found] = total.get(found, 0.0) + coefficient * value
        largest = sorted(total, key=lambda found: -abs(total[found]))
        terms.append({found: total[found] for found in largest[:MAX_STRINGS]})
        left_out.append(rest + sum(total[found] ** 2 for found in largest[MAX_STRINGS:]))
    return MitigatedTerms(terms, np.array(left_out))


def largest_weights(terms: Sequence[Terms]) -> dict[str, float]:
    """Largest coefficient of each string in any observable, of those that count most."""
    weights: dict[str, float] = {}
    for each in terms:
        for string, value in each.items():
            if set(string) != {"I"}:
                weights[string] = max(weights.get(string, 0.0), abs(value))
    largest = sorted(weights, key=lambda string: (-weights[string], string))
    return {string: weights[string] for string in largest[:MAX_STRINGS]}


def unmeasured(terms: Sequence[Terms], bases: SharedBases) -> NDArray[np.float64]:
    """Squared 2-norm of each observable's terms that are in no basis."""
    strings = sorted({string for each in terms for string in each})
    if not strings:
        return np.zeros(len(terms))
    missed = [s for s, told in zip(strings, bases.shots_of(strings), strict=True) if not told]
    return np.array([sum(each.get(string, 0.0) ** 2 for string in missed) for each in terms])


def growth(plain: Sequence[Terms], mitigated: Sequence[Terms]) -> float:
    """Largest factor by which an observable's 2-norm has grown, identity aside."""
    factors = [1.0]
    for before, after in zip(plain, mitigated, strict=True):
        small, large = (
            sum(value**2 for string, value in terms.items() if set(string) != {"I"})
            for terms in (before, after)
        )
        factors.append(float(np.sqrt(large / small)) if small else 1.0)
    return max(factors)
