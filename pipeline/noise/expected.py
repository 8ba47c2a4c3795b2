"""What noise is expected to make of expectation values, from where a circuit was placed."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from qiskit.quantum_info import SparsePauliOp

from pipeline.extrapolation.strength import FELT
from qcpaas.execution import Experiment

# Amplified circuits of 4 qubits on twins of two devices ended between the fully mixed value and
# half way to the value in the state that relaxation leads to.
RELAXED = 0.2
RELAXED_ERROR = 0.3
LEAST_RATE_ERROR = 0.02


class ExpectedNoise(BaseModel):
    """One entry an observable: the value that noise leads to, its standard error, and a bound.

    Attributes:
        bounds: How far the observable's value can lie from its end.
        rate: Of decay by noise scale; ``rate_error`` is ``None`` where nothing is known of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ends: tuple[float, ...]
    end_errors: tuple[float, ...]
    bounds: tuple[float, ...]
    rate: float = 0.0
    rate_error: float | None = None


def expected_noise(
    experiment: Experiment, asymptote: float | Literal["expected", "mixed"] = "expected"
) -> ExpectedNoise:
    """Ends and rate of an experiment's decays.

    Errors other than relaxation lead to the fully mixed state, relaxation to the ground state;
    how far is not known before it is measured. Of the lost log fidelity an observable feels
    about half.

    Args:
        asymptote: A value that is known; ``mixed`` is the fully mixed state's; ``expected`` knows
            no more than the above, and the mixed value where the circuit is not bound to a device
            with a calibration.
    """
    observables = experiment.observables or ()
    mixed = np.array([mixed_value(each) for each in observables])
    largest = np.array([largest_deviation(each) for each in observables])
    lost = None if experiment.binding is None else experiment.binding.log_fidelity
    if asymptote == "expected" and lost is not None and np.isfinite(lost):
        towards = np.array([_ground_value(each) for each in observables]) - mixed
        rate = FELT * max(-lost, 0.0)
        return ExpectedNoise(
            ends=tuple(mixed + RELAXED * towards),
            end_errors=tuple(RELAXED_ERROR * np.abs(towards)),
            bounds=tuple(largest + RELAXED * np.abs(towards)),
            rate=rate,
            rate_error=rate + LEAST_RATE_ERROR,
        )
    ends = np.full(len(mixed), asymptote) if isinstance(asymptote, float | int) else mixed
    return ExpectedNoise(
        ends=tuple(ends),
        end_errors=(0.0,) * len(mixed),
        bounds=tuple(largest + np.abs(ends - mixed)),
    )


def mixed_value(observable: SparsePauliOp) -> float:
    """Expectation value in the fully mixed state: the identity's coefficient."""
    identity = ~(observable.paulis.x.any(axis=1) | observable.paulis.z.any(axis=1))
    return float(np.real(observable.coeffs[identity].sum()))


def largest_deviation(observable: SparsePauliOp) -> float:
    """How far a value can lie from the fully mixed state's: the other coefficients' sizes."""
    others = observable.paulis.x.any(axis=1) | observable.paulis.z.any(axis=1)
    return float(np.abs(observable.coeffs[others]).sum())


def _ground_value(observable: SparsePauliOp) -> float:
    """Expectation value where every qubit is in its ground state."""
    diagonal = ~observable.paulis.x.any(axis=1)
    return float(np.real(observable.coeffs[diagonal].sum()))
