"""Counts without readout errors: quasi-probabilities in place of shots."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from pipeline.readout.subspace_inverse import solve_subspace
from qcpaas.execution import Counts, Distribution
from qcpaas.manifest import Diagnostic

CAPTURED = 0.5  # below, more of what readout errors made lies outside the measured strings
OPTION = "ReadoutMitigation"


def correct_counts(counts: Counts) -> Counts:
    """Apply the readout correction that counts carry, if any.

    Samples are corrected by M3, within the strings that were measured. Exact probabilities are
    corrected by the inverse of each bit, which is exact, on all strings of the corrected bits.

    Returns:
        Counts whose weights sum to what they did and may be negative.

    Raises:
        MitigationError: The errors are too large for the measured strings.
    """
    if counts.readout is None:
        return counts
    errors = _errors(counts.readout)
    corrected = [_corrected(point, counts.readout, errors) for point in counts.points]
    worst = max((c.worth for c in corrected), key=lambda worth: worth.overhead)
    return replace(
        counts,
        points=tuple(c.distribution for c in corrected),
        readout=None,
        readout_uncertainty=None,
        diagnostics=_with_worth(counts.diagnostics, worst),
    )


@dataclass(frozen=True)
class _Worth:
    """What the correction of a point is worth.

    Attributes:
        overhead: By which sampling variances grow at most.
        captured: Share of readings that the measured strings account for.
        negative: Sum of the negative quasi-probabilities.
    """

    strings: int
    overhead: float
    captured: float
    negative: float
    shots: int | None

    def figures(self) -> dict[str, JsonValue]:
        figures: dict[str, JsonValue] = {
            "strings": self.strings,
            "overhead": self.overhead,
            "captured": self.captured,
            "negative": self.negative,
        }
        if self.shots:
            figures["std_error_bound"] = float(np.sqrt(self.overhead / self.shots))
        return figures

    def warning(self) -> str:
        if self.captured < CAPTURED:
            return (
                f"the {self.strings} measured strings account for {self.captured:.0%} of what the "
                "readout errors made of the true ones: corrected counts of single strings are too "
                "small. Take more shots, or ask for observables, which do not depend on it"
            )
        if self.shots and self.overhead > self.shots:
            return (
                f"the sampling overhead of {self.overhead:.3g} is above the {self.shots} shots: "
                "corrected counts say nothing"
            )
        return ""


@dataclass(frozen=True, eq=False)
class _Corrected:
    distribution: Distribution
    worth: _Worth


def _corrected(
    point: Distribution, inverse: NDArray[np.float64], errors: NDArray[np.float64]
) -> _Corrected:
    if point.shots is None:
        return _exactly(point, inverse, errors)
    bits = np.unpackbits(point.outcomes, axis=1)[:, ::-1][:, : point.num_bits]
    total = point.weights.sum()
    solution = solve_subspace(bits, point.weights / total, errors)
    weights = solution.quasi * total
    share = np.abs(solution.quasi) / np.abs(solution.quasi).sum()
    worth = _Worth(
        strings=len(weights),
        overhead=solution.overhead,
        captured=float(share @ solution.captured),
        negative=float(solution.quasi[solution.quasi < 0].sum()),
        shots=point.shots,
    )
    return _Corrected(replace(point, weights=weights), worth)


def _exactly(
    point: Distribution, inverse: NDArray[np.float64], errors: NDArray[np.float64]
) -> _Corrected:
    """By the inverse of each bit, one after the other; each doubles the strings at most."""
    distribution = point
    for clbit in np.flatnonzero(errors.any(axis=1)).tolist():
        distribution = _bit_undone(distribution, clbit, inverse[clbit])
    norm = np.prod(np.abs(inverse).sum(axis=1).max(axis=1))
    negative = distribution.weights[distribution.weights < 0].sum()
    worth = _Worth(len(distribution.weights), float(norm) ** 2, 1.0, float(negative), None)
    return _Corrected(distribution, worth)


def _bit_undone(point: Distribution, clbit: int, inverse: NDArray[np.float64]) -> Distribution:
    byte, mask = point.outcomes.shape[1] - 1 - clbit // 8, np.uint8(1 << clbit % 8)
    read = (point.outcomes[:, byte] & mask != 0).astype(np.intp)
    as_zero, as_one = point.outcomes.copy(), point.outcomes.copy()
    as_zero[:, byte] &= ~mask
    as_one[:, byte] |= mask
    outcomes, place = np.unique(np.concatenate([as_zero, as_one]), axis=0, return_inverse=True)
    weights = np.concatenate([point.weights * inverse[true, read] for true in (0, 1)])
    summed = np.zeros(len(outcomes))
    np.add.at(summed, place.ravel(), weights)
    return replace(point, outcomes=outcomes, weights=summed)


def _errors(inverse: NDArray[np.float64]) -> NDArray[np.float64]:
    """``p(1|0)`` and ``p(0|1)`` of each clbit, shape ``(clbits, 2)``."""
    assignment = np.linalg.inv(inverse)
    errors = np.stack([assignment[:, 1, 0], assignment[:, 0, 1]], axis=1)
    return np.clip(errors, 0.0, 1.0)  # rounding leaves -1e-17 of a perfect qubit


def _with_worth(notes: tuple[Diagnostic, ...], worth: _Worth) -> tuple[Diagnostic, ...]:
    """The option's own note, with what the correction is worth."""
    if not notes or notes[-1].option != OPTION:
        notes = (*notes, Diagnostic(option=OPTION))
    *others, note = notes
    warnings = [text for text in (note.warning, worth.warning()) if text]
    figures = {**note.figures, **worth.figures()}
    return (*others, note.model_copy(update={"figures": figures, "warning": "; ".join(warnings)}))
