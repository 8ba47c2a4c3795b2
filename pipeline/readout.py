"""Readout mitigation from the calibration that the circuit was bound with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from qiskit import QuantumCircuit

from qcpaas.errors import MitigationError, OptionError
from qcpaas.execution import (
    Counts,
    EnrichedExecutionBackend,
    Experiment,
    Level,
    Outcome,
    PlanContext,
)
from qcpaas.manifest import Diagnostic


class ReadoutContext(PlanContext):
    """For each experiment and clbit, ``p(1|0)`` and ``p(0|1)`` of the qubit read into it."""

    errors: tuple[tuple[tuple[float, float], ...], ...]

    @cached_property
    def corrections(self) -> tuple[Correction, ...]:
        """One an experiment; a loop uses them at every call."""
        return tuple(map(Correction.of, self.errors))


@dataclass(frozen=True, eq=False)
class Correction:
    """Inverse assignment matrix of each clbit, shape ``(clbits, 2, 2)``, and what it costs."""

    inverse: NDArray[np.float64]
    note: Diagnostic

    @classmethod
    def of(cls, errors: Sequence[tuple[float, float]]) -> Correction:
        sums = [p10 + p01 for p10, p01 in errors]
        norm = float(np.prod([1 / (1 - total) for total in sums]))
        figures: dict[str, JsonValue] = {"largest_error_sum": max(sums, default=0.0), "norm": norm}
        note = Diagnostic(option="ReadoutMitigation", figures=figures)
        return cls(inverse_assignment(errors), note)


class ReadoutMitigation(EnrichedExecutionBackend):
    """Undoes readout errors of expectation values by the inverse of each qubit's own error.

    Unbiased when readout errors of different qubits are independent; the standard error grows by
    about ``1 / (1 - p10 - p01)`` for each measured qubit.

    Source: Bravyi et al., PRA 103, 042605 (2021), tensor product noise.
    """

    rank = 70
    levels = frozenset[Level]({"expectation"})

    def expand(
        self, experiments: Sequence[Experiment]
    ) -> tuple[Sequence[Experiment], ReadoutContext]:
        errors = tuple(readout_errors_by_clbit(experiment) for experiment in experiments)
        return experiments, ReadoutContext(errors=errors)

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, ReadoutContext)
        return tuple(
            _corrected(outcome, correction)
            for outcome, correction in zip(outcomes, context.corrections, strict=True)
        )


def readout_errors_by_clbit(experiment: Experiment) -> tuple[tuple[float, float], ...]:
    """Errors of the qubit behind each clbit; 0 for a clbit that nothing is read into.

    Raises:
        OptionError: The device is ideal.
        MitigationError: The device reports no readout error for a measured qubit.
    """
    binding = experiment.binding
    if binding is None or binding.readout_errors is None:
        raise OptionError(
            "readout mitigation needs a device with calibrated readout errors; an ideal simulator "
            "has none. Leave ReadoutMitigation out."
        )
    errors = [(0.0, 0.0)] * experiment.circuit.num_clbits
    for qubit, clbit in _measurements(experiment.circuit):
        p10, p01 = map(float, binding.readout_errors[qubit])
        physical = binding.physical_qubits[qubit]
        if not np.isfinite(p10 + p01):
            raise MitigationError(
                f"qubit {physical} has no readout calibration. Refresh the calibration or choose "
                f"another device."
            )
        if p10 + p01 >= 1.0:
            raise MitigationError(
                f"qubit {physical} reads no information (p(1|0) = {p10:.3g}, p(0|1) = {p01:.3g})."
            )
        errors[clbit] = (p10, p01)
    return tuple(errors)


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


def _corrected(outcome: Outcome, correction: Correction) -> Counts:
    assert isinstance(outcome, Counts)
    diagnostics = (*outcome.diagnostics, correction.note)
    return replace(outcome, readout=correction.inverse, diagnostics=diagnostics)


def _measurements(circuit: QuantumCircuit) -> list[tuple[int, int]]:
    """(qubit, clbit) of every measurement."""
    return [
        (circuit.find_bit(step.qubits[0]).index, circuit.find_bit(step.clbits[0]).index)
        for step in circuit.data
        if step.operation.name == "measure"
    ]
