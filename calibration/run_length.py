"""How often a cumulative sum crosses a limit although nothing has changed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CHAINS = 1000
STEPS = 500
BURN_IN = 20
LIMITS = np.linspace(0.2, 8.0, 30)
_SEED = 20


def limit_for(rate: float, reference: float, cap: float, correlation: float) -> float:
    """Limit that a two-sided cumulative sum of unchanged scores crosses at a given rate.

    The scores are Gaussian with variance 1, correlated from reading to reading, and cut off at
    ``cap``. Beyond the rarest rate that the simulation resolves, the logarithm of the rate is
    continued as a straight line, which it approaches (Siegmund, *Sequential Analysis*, 1985).

    Args:
        rate: Alarms per reading, both sides together.
        reference: What is subtracted from every score, in standard deviations.
        cap: Largest score that counts, in standard deviations.
        correlation: Between a score and the next, from 0 to below 1.
    """
    limits, log_rates = _simulated(reference, cap, round(correlation, 2))
    wanted = np.log(rate)
    if wanted < log_rates[-1]:
        slope = (log_rates[-1] - log_rates[-6]) / (limits[-1] - limits[-6])
        return float(limits[-1] + (wanted - log_rates[-1]) / slope)
    return float(np.interp(-wanted, -log_rates, limits))


@lru_cache(maxsize=64)
def _simulated(reference: float, cap: float, correlation: float) -> tuple[Array, Array]:
    """Limits, and the logarithm of the rate at which each is crossed; both shape ``(n,)``."""
    random = np.random.default_rng(_SEED)
    sums = np.zeros((2, len(LIMITS), CHAINS), dtype=np.float32)
    crossed = np.zeros(len(LIMITS))
    score = random.standard_normal(CHAINS, dtype=np.float32)
    fresh = np.float32(np.sqrt(1 - correlation**2))
    limits = LIMITS[:, None].astype(np.float32)
    for step in range(STEPS):
        score = correlation * score + fresh * random.standard_normal(CHAINS, dtype=np.float32)
        counted = np.clip(score, -cap, cap)
        sums[0] += counted - reference
        sums[1] -= counted + reference
        np.maximum(sums, 0, out=sums)
        alarms = sums.max(axis=0) > limits
        sums[:, alarms] = 0
        if step >= BURN_IN:
            crossed += alarms.sum(axis=1)
    resolved = crossed >= 20
    rates = crossed[resolved].astype(np.float64) / (CHAINS * (STEPS - BURN_IN))
    return LIMITS[resolved].astype(np.float64), np.log(rates)
