"""From observables to counts, and from counts to expectation values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.measuring.bases import (
    MeasuredBasis,
    MeasuredExperiment,
    choose_bases,
    measure_in_basis,
)
from pipeline.readout.counts_inverse import correct_counts
from pipeline.readout.uncertainty import calibration_variances, doubted
from qcpaas.errors import MitigationError
from qcpaas.execution import (
    Counts,
    Distribution,
    EnrichedExecutionBackend,
    ExpectationValues,
    Experiment,
    Level,
    Outcome,
    PlanContext,
)

TABLE_QUBITS = 10  # a loop reads the same small basis thousands of times: tabulate its outcomes
INTEGER_BITS = 48


class MeasurementContext(PlanContext):
    """One entry an experiment; ``None`` where it asked for counts."""

    experiments: tuple[MeasuredExperiment | None, ...]


class MeasurementBasis(EnrichedExecutionBackend):
    """Measures observables: Pauli strings that commute qubit by qubit share a circuit."""

    rank = 50
    internal = True
    measures = True
    levels = frozenset[Level]({"counts", "expectation"})

    def expand(
        self, experiments: Sequence[Experiment]
    ) -> tuple[Sequence[Experiment], MeasurementContext]:
        measured: list[MeasuredExperiment | None] = []
        expanded: list[Experiment] = []
        for experiment in experiments:
            if experiment.observables is None:
                measured.append(None)
                expanded.append(experiment)
                continue
            entry, labels = choose_bases(experiment.observables, experiment.circuit.num_clbits)
            measured.append(entry)
            expanded.extend(
                replace(
                    experiment,
                    circuit=measure_in_basis(experiment, label, basis.qubits),
                    observables=None,
                )
                for label, basis in zip(labels, entry.bases, strict=True)
            )
        return expanded, MeasurementContext(experiments=tuple(measured))

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, MeasurementContext)
        remaining = iter(outcomes)
        reduced: list[Outcome] = []
        for entry in context.experiments:
            if entry is None:
                reduced.append(correct_counts(counts_of(next(remaining))))
                continue
            reduced.append(evaluate(entry, [counts_of(next(remaining)) for _ in entry.bases]))
        return tuple(reduced)


def evaluate(entry: MeasuredExperiment, counts: Sequence[Counts]) -> ExpectationValues:
    """Expectation values and their variances from the counts of every basis.

    Strings measured in one circuit are correlated; the variance is that of their weighted sum
    shot by shot, so the correlation is in it. Where readout errors were measured, their variances
    are propagated.
    """
    points = len(counts[0].points)
    shape = (points, len(entry.constants))
    corrected = any(outcome.readout is not None for outcome in counts)
    total = _Moments.constant(np.array(entry.constants), shape)
    raw = _Moments.constant(np.array(entry.constants), shape) if corrected else None
    for basis, outcome in zip(entry.bases, counts, strict=True):
        for point, distribution in enumerate(outcome.points):
            total.add(point, distribution, basis, outcome.readout)
            if raw is not None:
                raw.add(point, distribution, basis, None)
    diagnostics = tuple(note for outcome in counts for note in outcome.diagnostics)
    if raw is not None:
        total.variance += calibration_variances(entry, counts)
        moved = total.mean - raw.mean
        diagnostics = doubted(diagnostics, moved, total.variance, raw.variance)
    return ExpectationValues(
        values=total.mean,
        variances=total.variance,
        raw_values=raw.mean if raw else None,
        raw_variances=raw.variance if raw else None,
        diagnostics=diagnostics,
    )


@dataclass
class _Moments:
    """Running mean and variance of a sum over measurement circuits."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]

    @classmethod
    def constant(cls, constants: NDArray[np.float64], shape: tuple[int, int]) -> _Moments:
        return cls(np.broadcast_to(constants, shape).copy(), np.zeros(shape))

    def add(
        self,
        point: int,
        distribution: Distribution,
        basis: MeasuredBasis,
        readout: NDArray[np.float64] | None,
    ) -> None:
        if not basis.supports:
            return
        observed = _observed(distribution, basis, readout)
        probability = distribution.weights / distribution.weights.sum()
        mean = probability @ observed
        self.mean[point] += mean
        if distribution.shots is None:
            return
        if distribution.shots > 1:
            spread = probability @ (observed - mean) ** 2
            self.variance[point] += spread / (distribution.shots - 1)
        else:  # one shot says nothing about its spread: take the largest that there can be
            strings = basis.string_values(_measured_bits(distribution, basis), readout)
            largest = np.abs(strings) @ np.abs(basis.weights).T
            self.variance[point] += largest.max(axis=0) ** 2


def _observed(
    distribution: Distribution, basis: MeasuredBasis, readout: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """What each outcome says of each observable, shape ``(outcomes, observables)``."""
    if len(basis.qubits) > TABLE_QUBITS or distribution.num_bits > INTEGER_BITS:
        bits = _measured_bits(distribution, basis)
        return basis.string_values(bits, readout) @ basis.weights.T
    outcomes = distribution.outcomes
    places = 256 ** np.arange(outcomes.shape[1])[::-1]
    numbers = outcomes[:, 0].astype(np.int64) if len(places) == 1 else outcomes @ places
    measured = (numbers >> basis.first_clbit) & (2 ** len(basis.qubits) - 1)
    observed: NDArray[np.float64] = basis.value_table(readout)[measured]
    return observed


def _measured_bits(distribution: Distribution, basis: MeasuredBasis) -> NDArray[np.uint8]:
    measured = slice(basis.first_clbit, basis.first_clbit + len(basis.qubits))
    return np.unpackbits(distribution.outcomes, axis=1)[:, ::-1][:, measured]


def counts_of(outcome: Outcome) -> Counts:
    """An inner outcome that an option at rank 50 reads.

    Raises:
        MitigationError: It is no counts.
    """
    if not isinstance(outcome, Counts):
        raise MitigationError(
            "an option inside the measurement basis gave expectation values where counts are "
            "needed. Its rank must be below 50."
        )
    return outcome
