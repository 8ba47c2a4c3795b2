"""Random Pauli errors: drawn as they happen, or so that with signs they undo what happens.

Each generator of a sparse Pauli-Lindblad channel flips by itself with the chance
``(1 - exp(-2 rate)) / 2``. Its inverse does the same with a sign for each flip, and with the norm
``exp(2 rate)``. Draws are stratified by how many errors they have, none, one, or more: most of the
spread of a plain sample is that between no error and one.

Source: van den Berg et al., Nature Physics 19, 1116 (2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.noise.circuit_noise import NoiseSite
from pipeline.pauli.frames import Insertions

Array = NDArray[np.float64]

SMALLEST = 1e-8  # chance of a stratum that is drawn from
# Draws of each stratum. Values with one error differ by their sign: a few that happen to be alike
# would promise a precision that is not there.
FEWEST = (8, 8, 4)
# Variances of values between circuits with one error, which may or may not flip them, and of values
# between twirls of one circuit; the latter is 0.004 on a twin of ibmq_lima.
SPREAD_WITH_ERRORS, SPREAD_OF_TWIRLS = 0.25, 0.01


@dataclass(frozen=True, eq=False)
class Stratum:
    """Draws with as many errors.

    Attributes:
        chance: Of a draw to be one of these.
        errors: Which generators flip, shape ``(draws, generators)``.
    """

    chance: float
    errors: NDArray[np.bool_]

    @property
    def signs(self) -> NDArray[np.intp]:
        """Of the draws in the inverse channel, shape ``(draws,)``."""
        signs: NDArray[np.intp] = 1 - 2 * (self.errors.sum(axis=1) % 2)
        return signs


class PauliErrors:
    """All generators of a circuit's noise, in one row.

    Attributes:
        rates: Shape ``(generators,)``.
    """

    def __init__(self, sites: Sequence[NoiseSite]) -> None:
        self.rates: Array = np.concatenate([np.empty(0), *(site.rates for site in sites)])
        self._acts = [
            [(place, int(code)) for place, code in zip(site.places, row, strict=True) if code]
            for site in sites
            for row in site.codes
        ]

    @property
    def norm(self) -> float:
        """By how much the inverse channel stretches standard errors."""
        return float(np.exp(2 * self.rates.sum()))

    def chances(self, scale: float = 1.0) -> Array:
        """Chance of each generator to flip where noise is so many times as strong."""
        flips: Array = -np.expm1(-2 * scale * self.rates) / 2
        return flips

    def insertions(self, errors: NDArray[np.bool_]) -> Insertions:
        """The Pauli gates of one draw, shape ``(generators,)``."""
        inserted: dict[int, list[tuple[int, int]]] = {}
        for generator in np.flatnonzero(errors):
            for (index, qubit), code in self._acts[generator]:
                inserted.setdefault(index, []).append((qubit, code))
        return inserted


def stratify(
    chances: Array, draws: int, rng: np.random.Generator, shots: float | None = None
) -> list[Stratum]:
    """Draw independent flips, so many in all.

    A stratum has draws in proportion to its chance and to the standard deviation to be expected
    of its values, which is the best split (Neyman's).

    Args:
        chances: Of each generator, shape ``(generators,)``, each below 1/2.
        draws: At least the sum of ``FEWEST``.
        shots: Of each draw; ``None`` where there is no shot noise.

    Returns:
        Draws without an error, with one, with more; a stratum that hardly ever happens is left out.
    """
    tails = _tails(chances)
    weights = [float(np.prod(1 - chances)), float(tails[0, 1] - tails[0, 2]), float(tails[0, 2])]
    numbers = _shared(draws, weights, 0.0 if shots is None else 1 / shots)
    none = np.zeros((numbers[0], len(chances)), dtype=np.bool_)
    found = [
        none,
        _exactly_one(chances, numbers[1], rng),
        _at_least_two(chances, tails, numbers[2], rng),
    ]
    return [Stratum(w, errors) for w, errors in zip(weights, found, strict=True) if len(errors)]


def _shared(draws: int, weights: Sequence[float], of_shots: float) -> list[int]:
    """Draws of each stratum, where shots give each the variance ``of_shots``."""
    favour = ((SPREAD_WITH_ERRORS + of_shots) / (SPREAD_OF_TWIRLS + of_shots)) ** 0.5
    wanted = [weights[0], *(favour * weight for weight in weights[1:])]
    numbers = [
        max(fewest, round(draws * want / sum(wanted))) if weight > SMALLEST else 0
        for fewest, want, weight in zip(FEWEST[1:], wanted[1:], weights[1:], strict=True)
    ]
    while draws - sum(numbers) < FEWEST[0]:
        numbers[int(np.argmax(numbers))] -= 1
    return [draws - sum(numbers), *numbers]


def _tails(chances: Array) -> Array:
    """Chance that of the generators from k on at least m flip: row k, column m up to 2."""
    tails = np.zeros((len(chances) + 1, 3))
    tails[:, 0] = 1.0
    for k in range(len(chances) - 1, -1, -1):
        tails[k, 1:] = chances[k] * tails[k + 1, :-1] + (1 - chances[k]) * tails[k + 1, 1:]
    return tails


def _exactly_one(chances: Array, draws: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    errors = np.zeros((draws, len(chances)), dtype=np.bool_)
    if draws:
        odds = chances / (1 - chances)
        # Evenly spread over the generators, from a random start: as a sample, and less scattered.
        steps = (np.arange(draws) + rng.random()) / draws
        chosen = np.searchsorted(np.cumsum(odds) / odds.sum(), steps)
        errors[np.arange(draws), rng.permutation(np.minimum(chosen, len(chances) - 1))] = True
    return errors


def _at_least_two(
    chances: Array, tails: Array, draws: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Generator by generator, under the condition that two will have flipped in the end."""
    errors = np.zeros((draws, len(chances)), dtype=np.bool_)
    missing = np.full(draws, 2)
    for k, chance in enumerate(chances if draws else ()):
        share = chance * tails[k + 1, np.maximum(missing - 1, 0)] / tails[k, missing]
        errors[:, k] = rng.random(draws) < share
        missing = np.maximum(missing - errors[:, k], 0)
    return errors
