"""The loop as one writes it without a platform: bound circuits, the simulator, NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from adapters.aer import AerRunner
from adapters.contract import Submission
from adapters.noise import DeviceErrors
from adapters.twins import REP_DELAY_S
from pipeline.measuring.bases import MeasuredBasis
from pipeline.measuring.measurement import MeasurementContext
from pipeline.stack import JointContext
from qcpaas.execution import Plan
from store.snapshot import Snapshot

Array = NDArray[np.float64]


class BareLoop:
    """Energies of the very circuits that the platform executes, on a simulator of its own.

    Args:
        plan: The platform's plan of one raw expectation value, which gives the bound circuits
            and says what their bits mean.
    """

    def __init__(self, plan: Plan, snapshot: Snapshot) -> None:
        assert plan.columns is not None
        self._runner = AerRunner(snapshot.device, DeviceErrors(snapshot), rep_delay_s=REP_DELAY_S)
        self._circuits = tuple(
            (experiment, list(columns or ()))
            for experiment, columns in zip(plan.experiments, plan.columns, strict=True)
        )
        bases, self._constant = _bases(plan)
        self._tables = [_values(basis) for basis in bases]

    def energy(self, angles: Array, seed: int) -> float:
        """One step: ``angles`` has shape ``(parameters,)``."""
        experiments = tuple(
            replace(experiment, parameter_values=angles[None, columns])
            for experiment, columns in self._circuits
        )
        result = self._runner.run(Submission(experiments, seed))
        energy = self._constant
        for counts, values in zip(result.counts, self._tables, strict=True):
            (point,) = counts.points
            energy += float(point.weights @ values[point.outcomes[:, 0]]) / point.weights.sum()
        return energy


def _bases(plan: Plan) -> tuple[tuple[MeasuredBasis, ...], float]:
    (joint,) = plan.contexts
    assert isinstance(joint, JointContext)
    measurement = joint.shares[0].contexts[-1]
    assert isinstance(measurement, MeasurementContext)
    (measured,) = measurement.experiments
    assert measured is not None
    return measured.bases, measured.constants[0]


def _values(basis: MeasuredBasis) -> Array:
    """What each outcome of a measurement circuit contributes, shape ``(2**bits,)``."""
    outcomes = np.arange(2 ** len(basis.qubits))
    total = np.zeros(len(outcomes))
    for coefficient, support in zip(basis.coefficients[0], basis.supports, strict=True):
        bits = np.array([outcomes >> bit & 1 for bit in support])
        total += coefficient * (1 - 2 * (bits.sum(axis=0) % 2))
    return total
