"""Expectation values of a cut circuit from those of its parts, with their standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cutting.plan import ONE, CutExperiment, CutPart, CutRun
from pipeline.measuring.outcome_moments import moments, signs_of
from qcpaas.errors import MitigationError
from qcpaas.execution import Counts, ExpectationValues, Outcome


@dataclass(frozen=True, eq=False)
class RunEstimate:
    """What one run says of its strings.

    Attributes:
        values: Shape ``(points, strings)``; ``raw`` is the same without any correction.
        covariances: Shape ``(points, strings, strings)``.
        correlated: Whether the covariances between strings are known; else they may be as large as
            the variances allow.
    """

    values: NDArray[np.float64]
    covariances: NDArray[np.float64]
    raw: NDArray[np.float64] | None = None
    raw_covariances: NDArray[np.float64] | None = None
    correlated: bool = True


def estimate(run: CutRun, outcome: Outcome) -> RunEstimate:
    """Values and covariances of a run's strings."""
    if isinstance(outcome, ExpectationValues):
        return _from_values(run, outcome)
    if run.supports is None:
        raise MitigationError(
            "CircuitCutting asked for expectation values and was given counts. An option inside it "
            "must keep the level of results."
        )
    values, covariances = _from_counts(run.supports, outcome, outcome.readout)
    if outcome.readout is None:
        return RunEstimate(values, covariances)
    return RunEstimate(values, covariances, *_from_counts(run.supports, outcome, None))


def reconstruct(
    entry: CutExperiment, outcomes: Sequence[Sequence[Outcome]]
) -> tuple[ExpectationValues, float]:
    """The sum over all terms of the product of the parts' values.

    The error is propagated to first order; strings measured in the same shots are correlated, and
    where terms were drawn, their spread adds to it.

    Args:
        outcomes: For each part, those of its runs.

    Returns:
        The values, and the largest share of the variance that comes from drawing terms.
    """
    runs = [
        [estimate(run, outcome) for run, outcome in zip(part.runs, own, strict=True)]
        for part, own in zip(entry.parts, outcomes, strict=True)
    ]
    sums = _Sums(entry)
    values, variances, drawn = sums.over(
        [[(r.values, r.covariances, r.correlated) for r in part] for part in runs]
    )
    raw = raw_variances = None
    if any(r.raw is not None for part in runs for r in part):
        plain = [[_uncorrected(r) for r in part] for part in runs]
        raw, raw_variances, _ = sums.over(plain)
    shares = np.divide(drawn, variances, out=np.zeros_like(drawn), where=variances > 0)
    return ExpectationValues(values, variances, raw, raw_variances), float(shares.max(initial=0.0))


Measured = tuple[NDArray[np.float64], NDArray[np.float64], bool]


class _Sums:
    """Arrays of an experiment's context."""

    def __init__(self, entry: CutExperiment) -> None:
        self.coefficients = np.array(entry.coefficients)
        self.weights = np.array(entry.weights).reshape(len(entry.constants), -1)
        self.constants = np.array(entry.constants)
        self.points = entry.points
        self.drawn = np.array(entry.drawn, dtype=np.float64)
        self.index = [_value_indices(part) for part in entry.parts]

    def over(
        self, parts: Sequence[Sequence[Measured]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Values, variances, and what drawing has of these, shape ``(points, observables)``."""
        shape = (self.points, len(self.constants))
        values, variances, drawn = np.empty(shape), np.empty(shape), np.zeros(shape)
        for point in range(self.points):
            row = self.coefficients[point if len(self.coefficients) > 1 else 0]
            at = [[(v[point], c[point], known) for v, c, known in part] for part in parts]
            values[point], variances[point], drawn[point] = self._at(row, at)
        return values, variances, drawn

    def _at(
        self, coefficients: NDArray[np.float64], parts: Sequence[Sequence[Measured]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        # The last value is the identity's, which needs no measurement.
        flat = [np.concatenate([*(run[0] for run in part), [1.0]]) for part in parts]
        factors = [own[index] for own, index in zip(flat, self.index, strict=True)]
        whole = _product(factors)
        contributions = coefficients[:, None] * (whole @ self.weights.T)
        variances = np.zeros(len(self.constants))
        for number, (part, own) in enumerate(zip(parts, flat, strict=True)):
            others = coefficients[:, None] * _product(factors[:number] + factors[number + 1 :])
            others = np.broadcast_to(others, whole.shape)
            for observable, weights in enumerate(self.weights):
                slopes = np.zeros(len(own))
                np.add.at(slopes, self.index[number], others * weights)
                variances[observable] += _spread(part, slopes)
        total = contributions.sum(axis=0)
        extra = self._drawing(contributions)
        return total + self.constants, variances + extra, extra

    def _drawing(self, contributions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Variance by the choice of terms; shot noise counts twice, where it is far smaller."""
        samples = self.drawn.sum()
        if samples < 2:
            return np.zeros(contributions.shape[1])
        share = (self.drawn / samples)[:, None]
        spread = share * (contributions / share - contributions.sum(axis=0)) ** 2
        extra: NDArray[np.float64] = spread.sum(axis=0) / (samples - 1)
        return extra


def _value_indices(part: CutPart) -> NDArray[np.intp]:
    """Which of the part's values each term and string takes, shape ``(terms, strings)``."""
    size = sum(run.strings for run in part.runs)
    lookup = np.array(part.lookup, dtype=np.intp).reshape(len(part.lookup), -1)
    return np.where(lookup == ONE, size, lookup)[list(part.choices)]


def _product(factors: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.prod(np.stack(factors), axis=0) if factors else np.ones((1, 1))
    return result


def _spread(part: Sequence[Measured], slopes: NDArray[np.float64]) -> float:
    """Variance of the weighted sum of a part's values."""
    total, start = 0.0, 0
    for values, covariance, known in part:
        own = slopes[start : start + len(values)]
        start += len(values)
        if known:
            total += max(float(own @ covariance @ own), 0.0)
        else:
            total += float(np.abs(own) @ np.sqrt(np.diag(covariance))) ** 2
    return total


def _uncorrected(run: RunEstimate) -> Measured:
    if run.raw is None or run.raw_covariances is None:
        return run.values, run.covariances, run.correlated
    return run.raw, run.raw_covariances, run.correlated


def _from_values(run: CutRun, outcome: ExpectationValues) -> RunEstimate:
    values, covariances = _separated(run, outcome.values, outcome.variances)
    if outcome.raw_values is None or outcome.raw_variances is None:
        return RunEstimate(values, covariances, correlated=run.paired)
    raw, raw_covariances = _separated(run, outcome.raw_values, outcome.raw_variances)
    return RunEstimate(values, covariances, raw, raw_covariances, run.paired)


def _separated(
    run: CutRun, values: NDArray[np.float64], variances: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The strings' values, and their covariances from the variances of sums of two."""
    own = variances[:, : run.strings]
    covariances = np.zeros((len(values), run.strings, run.strings))
    diagonal = np.arange(run.strings)
    covariances[:, diagonal, diagonal] = own
    if run.pairs:
        first, second = run.pair_places
        shared = (variances[:, run.strings :] - own[:, first] - own[:, second]) / 2
        most = np.sqrt(own[:, first] * own[:, second])
        covariances[:, first, second] = np.clip(shared, -most, most)
        covariances[:, second, first] = covariances[:, first, second]
    return values[:, : run.strings], covariances


def _from_counts(
    supports: Sequence[Sequence[int]], outcome: Counts, readout: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    found = []
    for point in outcome.points:
        signs = signs_of(point, readout)
        products = [signs[:, list(support)].prod(axis=1) for support in supports]
        found.append(moments(np.stack(products, axis=1), point))
    return np.stack([mean for mean, _ in found]), np.stack([spread for _, spread in found])
