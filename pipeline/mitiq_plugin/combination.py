"""What a technique's combination of results is worth: its value, and how sure it is."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Samples(NamedTuple):
    """Results that are a random sample: their places, signs and common weight."""

    places: slice
    signs: Array
    norm: float


@dataclass(frozen=True, eq=False)
class Combination:
    """How results become one value.

    Attributes:
        combine: The technique's own combination of results, shape ``(circuits,)``.
        places: For each of its circuits, which executed one it is, shape ``(circuits,)``.
        samples: Those of the results that are random samples.
    """

    combine: Callable[[Array], float]
    places: NDArray[np.intp]
    samples: Sequence[Samples] = ()

    def of(self, values: Array, variances: Array) -> tuple[float, float]:
        """Value and variance.

        Errors of the executed circuits are propagated by central differences of one standard
        error, which is exact where the combination is linear; that of a random choice of circuits
        is added.

        Args:
            values: Of the executed circuits, shape ``(executed,)``; ``variances`` alike.

        Raises:
            ArithmeticError: The combination gave no finite number.
        """
        results = values[self.places]
        variance = 0.0
        for executed in np.unique(self.places):
            shift = math.sqrt(variances[executed]) * (self.places == executed)
            variance += self._half_difference(results, shift) ** 2
        for group in self.samples:
            shift = np.zeros(len(results))
            spread = _sampling_error(group, results, variances[self.places])
            shift[group.places] = group.signs * spread / group.norm
            variance += self._half_difference(results, shift) ** 2
        return self._finite(results), variance

    def _half_difference(self, results: Array, shift: Array) -> float:
        if not shift.any():
            return 0.0
        return (self._finite(results + shift) - self._finite(results - shift)) / 2

    def _finite(self, results: Array) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of fits: what they gave is in the diagnostic
            value = self.combine(results)
        if not math.isfinite(value):
            raise ArithmeticError("not a finite number")
        return value


def _sampling_error(group: Samples, results: Array, variances: Array) -> float:
    """Standard error of the samples' mean that is due to which circuits were drawn."""
    own = group.norm * group.signs * results[group.places]
    if len(own) < 2:
        return 0.0
    between = float(own.var(ddof=1)) - group.norm**2 * float(variances[group.places].mean())
    return math.sqrt(max(between, 0.0) / len(own))
