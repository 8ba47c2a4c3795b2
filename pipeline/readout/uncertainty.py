"""How well expectation values are known whose readout correction is itself measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.measuring.bases import MeasuredBasis, MeasuredExperiment
from qcpaas.execution import Counts, Distribution
from qcpaas.manifest import Diagnostic

Array = NDArray[np.float64]
GROWTH = 2.0  # of a standard error, above which a correction within it was not worth it


def calibration_variances(entry: MeasuredExperiment, counts: Sequence[Counts]) -> Array | float:
    """Variances that the standard errors of readout errors add to expectation values.

    To first order. A qubit that several bases read has one error in all of them, so that its
    slopes are added up before they are squared.

    Returns:
        Shape ``(points, observables)``; 0 where readout errors are taken as given.
    """
    known = [outcome.readout_uncertainty for outcome in counts]
    qubits = max((int(u.places.max(initial=-1)) + 1 for u in known if u is not None), default=0)
    if not qubits:
        return 0.0
    slopes = np.zeros((len(counts[0].points), len(entry.constants), qubits, 2))
    variances = np.zeros((qubits, 2))
    for basis, outcome, uncertainty in zip(entry.bases, counts, known, strict=True):
        if uncertainty is None or outcome.readout is None or not basis.supports:
            continue
        clbits = slice(basis.first_clbit, basis.first_clbit + len(basis.qubits))
        places = uncertainty.places[clbits]
        calibrated = places >= 0
        variances[places[calibrated]] = uncertainty.variances[clbits][calibrated]
        for point, distribution in enumerate(outcome.points):
            of_bits = _slopes(basis, distribution, outcome.readout[clbits])
            slopes[point, :, places[calibrated]] += of_bits[calibrated]
    doubt: Array = np.einsum("poqe,qe->po", slopes**2, variances)
    return doubt


def doubted(
    notes: tuple[Diagnostic, ...], correction: Array, variances: Array, raw_variances: Array
) -> tuple[Diagnostic, ...]:
    """Notes of the option, with a warning where its correction cost more than it gave."""
    grown = (variances > GROWTH**2 * raw_variances) & (raw_variances > 0)
    if not notes or not (grown & (correction**2 < variances)).all():
        return notes
    warning = (
        "readout mitigation more than doubled every standard error and moved no value by as much "
        "as that: take more shots, or leave it out"
    )
    *others, last = notes
    text = "; ".join(filter(None, (last.warning, warning)))
    return (*others, last.model_copy(update={"warning": text}))


def _slopes(basis: MeasuredBasis, distribution: Distribution, inverse: Array) -> Array:
    """Derivatives of the observables by the error probabilities of each bit.

    A bit counts ``f = (±1 + p10 - p01) / d`` with ``d = 1 - p10 - p01``, so that ``f`` grows by
    ``(1 + f) / d`` with ``p10`` and by ``(f - 1) / d`` with ``p01``.

    Returns:
        Shape ``(bits, observables, 2)``.
    """
    bits = np.unpackbits(distribution.outcomes, axis=1)[:, ::-1]
    bits = bits[:, basis.first_clbit : basis.first_clbit + len(basis.qubits)]
    of_bit = inverse[:, 0, :] - inverse[:, 1, :]
    factors = np.where(bits == 0, of_bit[:, 0], of_bit[:, 1])
    probability = distribution.weights / distribution.weights.sum()
    scale = np.linalg.det(inverse)  # 1 / d
    slopes = np.zeros((len(basis.qubits), len(basis.weights), 2))
    for string, support in enumerate(basis.supports):
        places = list(support)
        others = _products_of_others(factors[:, places])
        whole = probability @ (others[:, 0] * factors[:, places[0]])
        without = probability @ others
        change = np.stack([whole + without, whole - without], axis=1) * scale[places, None]
        slopes[places] += change[:, None, :] * basis.weights[:, string, None]
    return slopes


def _products_of_others(factors: Array) -> Array:
    """For each column the product of all others, shape as given."""
    ones = np.ones((len(factors), 1))
    before = np.cumprod(np.hstack([ones, factors[:, :-1]]), axis=1)
    after = np.cumprod(np.hstack([ones, factors[:, :0:-1]]), axis=1)[:, ::-1]
    return (before * after).astype(np.float64, copy=False)
