"""Random bit flips before a measurement, and how what they let through is averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.measuring.bases import MeasuredBasis
from qcpaas.execution import Counts, Distribution, PlanContext

Array = NDArray[np.float64]
_ENUMERATED = 20  # bits; wider patterns are practically never drawn twice


class Flips(PlanContext):
    """Patterns of flipped bits, in pairs of complements: every bit is flipped in every second one.

    Attributes:
        patterns: Places that are flipped; ``patterns[2 i]`` and ``patterns[2 i + 1]`` are a pair.
        exhaustive: Whether these are all that there are, so that none were left to chance.
    """

    patterns: tuple[tuple[int, ...], ...]
    exhaustive: bool

    @classmethod
    def drawn(cls, width: int, wanted: int, shots: int | None, rng: np.random.Generator) -> Flips:
        """About as many distinct patterns as wanted, no more than there are shots."""
        pairs = wanted // 2 if shots is None else max(1, min(wanted, shots) // 2)
        exhaustive = width <= _ENUMERATED and 2 ** (width - 1) <= pairs
        patterns = []
        for flipped in _halves(width, pairs, rng):
            patterns += [np.flatnonzero(flipped), np.flatnonzero(~flipped)]
        patterns = patterns[:shots]  # of one shot, half a pair
        return cls(
            patterns=tuple(tuple(map(int, pattern)) for pattern in patterns), exhaustive=exhaustive
        )

    def shots(self, total: int | None) -> tuple[int | None, ...]:
        """A fair share of all shots for each pattern."""
        if total is None:
            return (None,) * len(self.patterns)
        share, rest = divmod(total, len(self.patterns))
        return tuple(share + (place < rest) for place in range(len(self.patterns)))


@dataclass(frozen=True, eq=False)
class Untwirled:
    """What circuits with flipped bits read, with the flips undone.

    Attributes:
        strings: Value ±1 of every Pauli string in every outcome, shape ``(outcomes, strings)``.
        weights: Share of each outcome in its circuit and point, shape ``(outcomes,)``.
        starts: First outcome of each circuit and point, points slowest.
        shots: Of each circuit at one point; ``None`` where exact.
        points: At which the circuits ran.
        exhaustive: As of the flips.
    """

    strings: Array
    weights: Array
    starts: NDArray[np.intp]
    shots: Array | None
    points: int
    exhaustive: bool

    @classmethod
    def of(
        cls, flips: Flips, basis: MeasuredBasis, counts: Sequence[Counts], *, pooled: bool = False
    ) -> Untwirled:
        """Read every circuit's counts.

        Args:
            pooled: All points measure the same thing.
        """
        points = len(counts[0].points)
        parts = [
            (counted.points[point], pattern)
            for point in range(points)
            for counted, pattern in zip(counts, flips.patterns, strict=True)
        ]
        sizes = np.array([len(part.weights) for part, _ in parts])
        bits = np.concatenate([_bits(part, pattern, basis) for part, pattern in parts])
        weights = np.concatenate([part.weights / part.weights.sum() for part, _ in parts])
        shots = [part.shots for part, _ in parts[: len(counts)]]
        read = cls(
            strings=basis.string_values(bits, None),
            weights=weights,
            starts=np.concatenate([[0], np.cumsum(sizes)[:-1]]),
            shots=None if None in shots else np.array(shots, dtype=np.float64),
            points=points,
            exhaustive=flips.exhaustive,
        )
        return read._pooled() if pooled and points > 1 else read

    def average(self, coefficients: Array) -> tuple[Array, Array]:
        """Mean of sums of strings over all circuits, and its variance.

        With flips that were drawn at random, readout errors differ from pair to pair: the variance
        of the pairs' means has this and shot noise in it, and is taken where it is the larger.

        Args:
            coefficients: Shape ``(strings, sums)``.

        Returns:
            Both of shape ``(points, sums)``.
        """
        values = self.strings @ coefficients
        means = self._each(values)
        pairs = 2 if means.shape[1] % 2 == 0 else 1
        share = np.full(means.shape[1], 1.0) if self.shots is None else self.shots
        share = (share / share.sum())[:, None]
        mean = (share * means).sum(axis=1)
        within = (share**2 * self._within(values, means, coefficients)).sum(axis=1)
        clusters = means.shape[1] // pairs
        if self.exhaustive or clusters < 2:
            return mean, within
        by_pair = (share * means).reshape(len(means), clusters, pairs, -1).sum(axis=2)
        shares = share.reshape(clusters, pairs, 1).sum(axis=1)
        between = ((by_pair - shares * mean[:, None]) ** 2).sum(axis=1) * clusters / (clusters - 1)
        return mean, np.maximum(within, between)

    def _within(self, values: Array, means: Array, coefficients: Array) -> Array:
        """Variance of each circuit's mean by its shots, shape ``(points, circuits, sums)``."""
        if self.shots is None:
            return np.zeros_like(means)
        spread = np.maximum(self._each(values**2) - means**2, 0.0)
        largest = np.abs(coefficients).sum(axis=0) ** 2  # one shot says nothing about its spread
        shots = self.shots[:, None]
        return np.where(shots > 1, spread / np.maximum(shots - 1, 1), largest)

    def _each(self, values: Array) -> Array:
        """Mean in each point and circuit."""
        sums = np.add.reduceat(values * self.weights[:, None], self.starts, axis=0)
        circuits = len(self.starts) // self.points
        return np.asarray(sums.reshape(self.points, circuits, values.shape[1]), dtype=np.float64)

    def _pooled(self) -> Untwirled:
        """All points as one, circuit by circuit."""
        circuits = len(self.starts) // self.points
        ends = np.append(self.starts[1:], len(self.weights))
        order = [
            np.arange(self.starts[part], ends[part])
            for circuit in range(circuits)
            for part in range(circuit, len(self.starts), circuits)
        ]
        sizes = np.array(list(map(len, order))).reshape(circuits, self.points).sum(axis=1)
        return Untwirled(
            strings=self.strings[np.concatenate(order)],
            weights=self.weights[np.concatenate(order)] / self.points,
            starts=np.concatenate([[0], np.cumsum(sizes)[:-1]]),
            shots=None if self.shots is None else self.shots * self.points,
            points=1,
            exhaustive=self.exhaustive,
        )


def _halves(width: int, pairs: int, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Distinct patterns of which none is another's complement: those that leave the last bit."""
    if width <= _ENUMERATED:
        last = 2 ** (width - 1)
        numbers = rng.choice(last, size=min(pairs, last), replace=False)
        return [number >> np.arange(width) & 1 == 1 for number in np.sort(numbers)]
    found = rng.random((pairs, width)) < 0.5
    found[:, -1] = False
    return list(np.unique(found, axis=0))


def _bits(part: Distribution, pattern: Sequence[int], basis: MeasuredBasis) -> NDArray[np.uint8]:
    clbits = slice(basis.first_clbit, basis.first_clbit + len(basis.qubits))
    bits = np.unpackbits(part.outcomes, axis=1)[:, ::-1][:, clbits].copy()
    bits[:, list(pattern)] ^= 1
    return bits
