"""Factors by which twirled readout errors shrink Pauli strings, measured and divided out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from pipeline.measuring.bases import MeasuredBasis, MeasuredExperiment
from pipeline.readout.bit_flips import Flips, Untwirled
from qcpaas.execution import Counts, ExpectationValues, PlanContext
from qcpaas.manifest import Diagnostic

Array = NDArray[np.float64]
SEEN = 3.0  # standard errors that a factor must be above 0, to be divided by
LISTED = 32


class TwirledExperiment(PlanContext):
    """How one experiment is measured.

    Attributes:
        measured: All bases read the same qubits.
        flips: Of each basis.
        calibration: Number of the calibration that reads its qubits.
        places: Of the measured qubits in the calibration.
    """

    measured: MeasuredExperiment
    flips: tuple[Flips, ...]
    calibration: int
    places: tuple[int, ...]


def divide_by_factors(
    experiment: TwirledExperiment,
    counts: Sequence[Sequence[Counts]],
    calibration_flips: Flips,
    calibration: Sequence[Counts],
) -> ExpectationValues:
    """Corrected expectation values; the raw ones are those of the twirled circuits.

    Args:
        counts: For each basis those of every pattern of flips.
        calibration: Those of every pattern on qubits in 0.
    """
    entry = experiment.measured
    shape = (len(counts[0][0].points), len(entry.constants))
    values, variances = _constants(entry, shape), np.zeros(shape)
    raw_values, raw_variances = _constants(entry, shape), np.zeros(shape)
    factors = _Factors.of(experiment, calibration_flips, calibration)
    shares, first = [], 0
    for basis, flips, measured in zip(entry.bases, experiment.flips, counts, strict=True):
        own = factors.values[first : first + len(basis.supports)]
        first += len(basis.supports)
        read = Untwirled.of(flips, basis, measured)
        raw, raw_variance = read.average(basis.weights.T)
        mean, variance = read.average(basis.weights.T / own[:, None])
        strings, _ = read.average(np.diag(1 / own))
        shares.append(strings[:, None, :] * basis.weights)
        raw_values += raw
        raw_variances += raw_variance
        values += mean
        variances += variance
    variances += factors.variance(np.concatenate(shares, axis=2))
    notes = tuple(note for of in counts for one in of for note in one.diagnostics)
    return ExpectationValues(
        values=values,
        variances=variances,
        raw_values=raw_values,
        raw_variances=raw_variances,
        diagnostics=(*notes, factors.note(experiment)),
    )


@dataclass(frozen=True, eq=False)
class _Factors:
    """By what readout errors multiply the strings of all bases; 1 for those left as they are.

    Attributes:
        unseen: Strings whose factor is not distinct from 0.
        read: What they were measured from.
    """

    values: Array
    std_errors: Array
    unseen: NDArray[np.bool_]
    read: Untwirled

    @classmethod
    def of(
        cls, experiment: TwirledExperiment, flips: Flips, calibration: Sequence[Counts]
    ) -> _Factors:
        supports = [support for basis in experiment.measured.bases for support in basis.supports]
        within = MeasuredBasis(
            qubits=tuple(range(calibration[0].points[0].num_bits)),
            supports=tuple(tuple(experiment.places[bit] for bit in s) for s in supports),
            coefficients=(),
        )
        read = Untwirled.of(flips, within, calibration, pooled=True)
        mean, variance = read.average(np.eye(len(supports)))
        values, errors = mean[0], np.sqrt(variance[0])
        unseen = values <= np.maximum(SEEN * errors, 1e-9)
        return cls(np.where(unseen, 1.0, values), errors, unseen, read)

    def variance(self, shares: Array) -> Array:
        """Of sums of corrected strings, by the factors' errors alone, to first order.

        All bases are corrected by the same shots: slopes are added up before they are squared.

        Args:
            shares: Of each corrected string in each point's observables, shape
                ``(points, observables, strings)``.
        """
        slopes = np.where(self.unseen, 0.0, shares / self.values)
        points, observables, strings = shares.shape
        _, variance = self.read.average(slopes.reshape(points * observables, strings).T)
        return variance.reshape(points, observables)

    def note(self, experiment: TwirledExperiment) -> Diagnostic:
        weights = [len(s) for basis in experiment.measured.bases for s in basis.supports]
        figures: dict[str, JsonValue] = {
            "twirls": len(experiment.flips[0].patterns),
            "smallest_factor": float(self.values.min(initial=1.0)),
            "largest_relative_error": float((self.std_errors / self.values).max(initial=0.0)),
            "weights": list(weights[:LISTED]),
            "factors": self.values[:LISTED].tolist(),
            "factor_std_errors": self.std_errors[:LISTED].tolist(),
        }
        return Diagnostic(option="TwirledReadout", figures=figures, warning=self._warning())

    def _warning(self) -> str:
        if not self.unseen.any():
            return ""
        return (
            f"{self.unseen.sum()} of {len(self.values)} Pauli strings have readout factors that "
            "cannot be told from 0, and are left uncorrected: give more calibration_shots, or "
            "measure fewer qubits"
        )


def _constants(entry: MeasuredExperiment, shape: tuple[int, int]) -> Array:
    return np.broadcast_to(np.array(entry.constants, dtype=np.float64), shape).copy()
