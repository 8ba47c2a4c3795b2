"""What a device takes besides the circuits themselves, fitted to what it took before.

``qpu_s = submissions * a + circuits * b + shots * c + sum over shots of the circuit's duration``,
where ``c`` is near the time between two shots that the device declares. The spread of one
submission has a constant and a proportional part, ``sigma * sqrt(floor_s**2 + expected_s**2)``.

Linear regression with a conjugate prior (Gelman et al., Bayesian Data Analysis, 3rd ed., section
14.2): few observations change what is believed of any device by little, many settle it, and
constants that the observations cannot tell apart stay together at what was believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, stdtrit

from store.timings import Observed

Array = NDArray[np.float64]

FLOORS_S = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
LEVEL = 0.95
ROUNDS = 2  # weights follow from what is expected, and that from the constants


@dataclass(frozen=True)
class Belief:
    """What is expected of a device before it has run anything.

    Attributes:
        means, spreads: Of ``a``, ``b`` and ``c``, seconds; a spread is a standard deviation.
        sigma: Relative spread of one submission, worth ``weight`` observations.
    """

    means: tuple[float, float, float]
    spreads: tuple[float, float, float]
    sigma: float
    weight: float = 4.0

    @classmethod
    def of_qpu(cls, rep_delay_s: float) -> Belief:
        """A real device: some seconds a submission, as vendors charge them, some ms a circuit."""
        return cls((1.0, 0.005, rep_delay_s), (1.5, 0.02, 0.3 * rep_delay_s + 1e-6), 0.1)

    @classmethod
    def of_twin(cls, rep_delay_s: float) -> Belief:
        """A simulated device: it reckons what its circuits would take, and adds nothing."""
        return cls((0.0, 0.0, rep_delay_s), (0.02, 0.002, 0.02 * rep_delay_s + 1e-9), 0.02)

    @classmethod
    def of_simulation(cls) -> Belief:
        """How long simulating takes: anything from milliseconds to minutes a circuit."""
        return cls((0.2, 0.05, 2e-6), (0.5, 0.5, 1e-4), 1.0)


@dataclass(frozen=True)
class Amount:
    """A time with its 95 % interval, seconds."""

    value_s: float
    low_s: float
    high_s: float

    def widened(self, factor: float) -> Amount:
        return Amount(
            self.value_s,
            max(0.0, self.value_s - factor * (self.value_s - self.low_s)),
            self.value_s + factor * (self.high_s - self.value_s),
        )


@dataclass(frozen=True, eq=False)
class Constants:
    """``a``, ``b`` and ``c`` with their covariance, and the spread of one submission.

    Attributes:
        means: Shape ``(3,)``, seconds.
        covariance: In units of ``sigma**2``, shape ``(3, 3)``.
        sigma: Relative spread, known to ``degrees`` degrees of freedom.
        floor_s: Where the constant part of the spread equals the proportional one.
        observations: Submissions that it was fitted to.
    """

    means: Array
    covariance: Array
    sigma: float
    degrees: float
    floor_s: float
    observations: int

    def of(self, submissions: int, circuits: float, shots: float, circuit_s: float) -> Amount:
        """What so much takes; nothing where nothing is run."""
        if not circuits:
            return Amount(0.0, 0.0, 0.0)
        row = np.array([submissions, circuits, shots], dtype=np.float64)
        value = max(circuit_s, float(row @ self.means) + circuit_s)
        # Parts of one job are taken to deviate alike: they run on the same day.
        noise = submissions * self.floor_s**2 + value**2
        spread = self.sigma * float(np.sqrt(row @ self.covariance @ row + noise))
        half = float(stdtrit(self.degrees, 0.5 + LEVEL / 2)) * spread
        return Amount(value, max(0.0, value - half), value + half)


def fit(observed: Sequence[Observed], taken_s: Sequence[float], belief: Belief) -> Constants:
    """The constants after some submissions, with the floor that explains them best.

    Args:
        taken_s: What each of them took.
    """
    rows = np.array([[1.0, each.circuits, each.shots] for each in observed]).reshape(-1, 3)
    durations = np.array([each.circuit_s for each in observed])
    left = np.array(taken_s, dtype=np.float64) - durations
    means = np.array(belief.means)
    for _ in range(ROUNDS):
        expected = np.maximum(durations + rows @ means, 0.0)
        found = [_fitted(rows, left, expected, belief, floor_s) for floor_s in FLOORS_S]
        best = max(found, key=lambda each: each[0])[1]
        means = best.means
    return best


def _fitted(
    rows: Array, left: Array, expected: Array, belief: Belief, floor_s: float
) -> tuple[float, Constants]:
    """Log evidence of a floor, and the constants under it."""
    means, spreads = np.array(belief.means), np.array(belief.spreads)
    before = np.diag((belief.sigma / spreads) ** 2)
    weights = 1.0 / (floor_s**2 + expected**2)
    precision = before + (rows * weights[:, None]).T @ rows
    after = np.linalg.solve(precision, before @ means + rows.T @ (weights * left))
    half_before, half_after = belief.weight / 2, (belief.weight + len(left)) / 2
    sum_before = half_before * belief.sigma**2
    residual = left - rows @ after
    moved = after - means
    sum_after = sum_before + 0.5 * float(weights @ residual**2 + moved @ before @ moved)
    evidence = (
        0.5 * float(np.log(weights).sum())
        - 0.5 * float(np.linalg.slogdet(precision)[1])
        - half_after * np.log(sum_after)
        + float(gammaln(half_after))
    )
    constants = Constants(
        means=after,
        covariance=np.linalg.inv(precision).astype(np.float64),
        sigma=float(np.sqrt(sum_after / half_after)),
        degrees=2 * half_after,
        floor_s=floor_s,
        observations=len(left),
    )
    return evidence, constants
