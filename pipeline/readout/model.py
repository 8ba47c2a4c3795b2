"""Independent readout errors of single qubits, and their inverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from qcpaas.execution import Counts, Outcome, ReadoutUncertainty
from qcpaas.manifest import Diagnostic


@dataclass(frozen=True, eq=False)
class Correction:
    """What undoes the readout errors of one circuit.

    Attributes:
        inverse: Inverse assignment matrix of each clbit, shape ``(clbits, 2, 2)``.
        note: What it costs.
        uncertainty: Of the errors, where they were measured.
    """

    inverse: NDArray[np.float64]
    note: Diagnostic
    uncertainty: ReadoutUncertainty | None = None

    @classmethod
    def of(cls, errors: Sequence[tuple[float, float]], uncorrected: int = 0) -> Correction:
        """From ``p(1|0)`` and ``p(0|1)`` of each clbit, 0 for one that is left as it is.

        Args:
            uncorrected: Readings that are not final.
        """
        note = Diagnostic(option="ReadoutMitigation", figures=cost_figures(errors, uncorrected))
        return cls(inverse_assignment(errors), note)

    def attached_to(self, outcome: Outcome) -> Counts:
        """Counts that carry the correction; who reads them applies it."""
        assert isinstance(outcome, Counts)
        return replace(
            outcome,
            readout=self.inverse,
            readout_uncertainty=self.uncertainty,
            diagnostics=(*outcome.diagnostics, self.note),
        )


def cost_figures(
    errors: Sequence[tuple[float, float]], uncorrected: int = 0
) -> dict[str, JsonValue]:
    """By how much standard errors grow at most: ``norm``, over all clbits."""
    sums = [p10 + p01 for p10, p01 in errors]
    norm = float(np.prod([1 / (1 - total) for total in sums]))
    figures: dict[str, JsonValue] = {"largest_error_sum": max(sums, default=0.0), "norm": norm}
    if uncorrected:
        figures["uncorrected_readings"] = uncorrected
    return figures


def inverse_assignment(errors: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """Inverse of each clbit's assignment matrix.

    Args:
        errors: ``p(1|0)`` and ``p(0|1)`` of each clbit.

    Returns:
        Shape ``(clbits, 2, 2)``; row is the true bit, column the one that was read.
    """
    p10, p01 = np.array(errors, dtype=np.float64).reshape(-1, 2).T
    matrices = np.array([[1 - p10, p01], [p10, 1 - p01]]).transpose(2, 0, 1)
    return np.linalg.inv(matrices)
