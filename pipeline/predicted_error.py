"""How wrong a circuit's results will be under each stack of options, before anything runs.

A squared error is the square of a bias plus a variance. The bias comes from what the calibration
expects noise to take, the variance from shots and from how much an option stretches it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit.quantum_info import SparsePauliOp

from pipeline.cancellation.error_circuits import FEWEST_CIRCUITS, ErrorCircuits
from pipeline.cancellation.quasi_probability import SMALLEST
from pipeline.extrapolation.strength import FELT, SPREAD, scales_for
from pipeline.readout.final_measurements import readings_of
from qcpaas.calibration import Quantity
from qcpaas.errors import MitigationError
from qcpaas.execution import Experiment, PlanningServices
from qcpaas.schemas import OptionSpec

SIGNAL = 0.7  # size of a Pauli string's expectation value: root mean square, nothing being known
# Shares of the noise's bias that stay. Extrapolated values of 110 circuits on twins of two devices
# kept 0.1 to 0.4 of it without shot noise; cancellation keeps what the calibration does not know.
LEFT_BY_EXTRAPOLATION = 0.3
LEFT_BY_CANCELLATION = 0.1
LEFT_BY_READOUT = 0.05
# Of log γ: energies of 4-qubit TFIM circuits on two twins lost 0.1 to 0.2 of it, the coherence of
# GHZ states 0.7. Expecting the smaller leaves most of a stabiliser state's error uncorrected.
FELT_OF_NORM = 0.4
# Spread between random circuits with signs, per circuit and in units of γ² - 1, after strata.
SPREAD_OF_SAMPLES = 0.06
MOST_RUNS = 2000  # random circuits times parameter points
SCALES = 3


@dataclass(frozen=True)
class Losses:
    """What a calibration expects of a circuit where it was placed.

    Attributes:
        rate: Natural log of what gates and waiting take of a Pauli string's expectation value.
        readout: The same of its reading, signed alike; ``None`` where errors are not known.
        two_qubit_errors: Sum over the circuit's gates on two or more qubits.
        readout_error: Largest mean error of a measured qubit.
        norm: Of probabilistic error cancellation; ``None`` where the noise is not known.
    """

    rate: float
    readout: float | None
    two_qubit_errors: float | None
    readout_error: float
    norm: float | None


@dataclass(frozen=True)
class Candidate:
    """A stack, by outermost option first; ``shots`` of each circuit in units of those asked.

    Attributes:
        squared_error: Expected of an observable, in units of what its coefficients allow.
    """

    name: str
    options: tuple[OptionSpec, ...]
    shots: float
    squared_error: float


def losses_of(experiment: Experiment, services: PlanningServices) -> Losses | None:
    """What is expected of a bound circuit; ``None`` on an ideal simulator."""
    binding = experiment.binding
    calibration = services.calibration(binding)
    if binding is None or (calibration is None and binding.readout_errors is None):
        return None
    errors = list(_gate_errors(experiment, services))
    readout, worst = _readout(experiment)
    norm = _norm(experiment, services)
    lost = sum(-math.log1p(-min(error, 0.99)) for _, error in errors)
    rate = FELT * lost if norm is None else FELT_OF_NORM * math.log(norm)
    pairs = [error for width, error in errors if width > 1]
    return Losses(rate, readout, sum(pairs) if calibration else None, worst, norm)


def candidates(
    experiment: Experiment, losses: Losses, budget: float, samples: int
) -> list[Candidate]:
    """Stacks that make sense for an experiment, the smallest expected error first.

    They are compared at equal numbers of shots, the largest allowed: more shots alone are no
    reason for an option.

    Args:
        budget: How many times the shots that were asked a stack may take.
        samples: Random circuits of error cancellation.
    """
    sizes = _sizes(experiment)
    shots = None if experiment.shots is None else experiment.shots * budget
    found = [_plain(losses, sizes, shots)]
    if losses.readout is not None and losses.readout > 0:
        found.append(_readout_corrected(losses, sizes, shots))
    if experiment.level == "expectation" and losses.rate > 0:
        if budget >= SCALES:
            found.append(_extrapolated(losses, sizes, experiment))
        if can_cancel(experiment, losses, budget, samples):
            found.append(_cancelled(losses, sizes, shots, (budget, samples)))
    return sorted(found, key=lambda each: each.squared_error)


def _plain(losses: Losses, sizes: tuple[float, float], shots: float | None) -> Candidate:
    bias = -math.expm1(-losses.rate - (losses.readout or 0.0))
    return Candidate("nothing", (), 1.0, _squared(sizes, bias, 1.0, shots))


def _readout_corrected(
    losses: Losses, sizes: tuple[float, float], shots: float | None
) -> Candidate:
    bias = math.hypot(-math.expm1(-losses.rate), _readout_bias(losses))
    error = _squared(sizes, bias, _readout_variance(losses), shots)
    return Candidate("readout", _readout_options(losses), 1.0, error)


def _extrapolated(losses: Losses, sizes: tuple[float, float], experiment: Experiment) -> Candidate:
    rate, shots = losses.rate, experiment.shots
    binding = experiment.binding
    lost = binding.log_fidelity if binding and binding.log_fidelity is not None else -rate / FELT
    scale = scales_for(lost, shots)[-1]
    variance = (scale**2 * _exp(2 * rate) / 2 + _exp(2 * rate * scale)) / (scale - 1) ** 2
    form = (SPREAD * rate) ** 2 * scale / 2
    kept = LEFT_BY_EXTRAPOLATION * -math.expm1(-rate)
    bias = math.hypot(form, kept, _readout_bias(losses))
    error = _squared(sizes, bias, variance * _readout_variance(losses), shots)
    zne = OptionSpec(name="ZeroNoiseExtrapolation")
    return Candidate("extrapolation", (zne, *_readout_options(losses)), 1.0, error)


def _cancelled(
    losses: Losses, sizes: tuple[float, float], shots: float | None, spent: tuple[float, int]
) -> Candidate:
    assert losses.norm is not None
    budget, samples = spent
    kept = LEFT_BY_CANCELLATION * -math.expm1(-losses.rate)
    bias = math.hypot(kept, _readout_bias(losses))
    variance = losses.norm**2 * _readout_variance(losses)
    error = _squared(sizes, bias, variance, shots)
    error += sizes[1] * SPREAD_OF_SAMPLES * (losses.norm**2 - 1) / samples
    pec = OptionSpec(name="ProbabilisticErrorCancellation", settings={"samples": samples})
    return Candidate("cancellation", (pec, *_readout_options(losses)), budget, error)


def can_cancel(experiment: Experiment, losses: Losses, budget: float, samples: int) -> bool:
    """Whether shots, random circuits and the norm allow error cancellation."""
    if losses.norm is None or experiment.shots is None or losses.norm - 1 < SMALLEST:
        return False
    shots = experiment.shots * budget
    enough = shots >= max((losses.norm / 0.5) ** 2, 4 * FEWEST_CIRCUITS)
    return enough and samples * experiment.points <= MOST_RUNS


def _squared(
    sizes: tuple[float, float], bias: float, variance: float, shots: float | None
) -> float:
    together, apart = sizes
    noise = 0.0 if shots is None else apart * variance / shots
    return (SIGNAL * together * bias) ** 2 + noise


def _sizes(experiment: Experiment) -> tuple[float, float]:
    """Mean sum of the coefficients' sizes, to which biases add up, and of their squares."""
    if experiment.observables is None:
        return 1.0, 1.0
    coefficients = [np.abs(_without_identity(each).coeffs) for each in experiment.observables]
    together = np.sqrt(np.mean([sizes.sum() ** 2 for sizes in coefficients]))
    return float(together), float(np.mean([(sizes**2).sum() for sizes in coefficients]))


def _without_identity(observable: SparsePauliOp) -> SparsePauliOp:
    paulis = observable.paulis
    kept: SparsePauliOp = observable[paulis.x.any(axis=1) | paulis.z.any(axis=1)]
    return kept


def _readout(experiment: Experiment) -> tuple[float | None, float]:
    """Log of what reading takes of a Pauli string, and the largest mean error of a qubit read."""
    binding = experiment.binding
    if binding is None or binding.readout_errors is None:
        return None, 0.0
    errors = np.asarray(binding.readout_errors, dtype=float)
    supports, weights = _supports(experiment)
    used = supports.any(axis=0)
    if (
        not used.any()
        or not np.isfinite(errors[used]).all()
        or (errors[used].sum(axis=1) >= 1).any()
    ):
        return None, 0.0
    logs = np.where(used, -np.log1p(-np.where(used, errors.sum(axis=1), 0.0)), 0.0)
    lost = float(weights @ (supports @ logs) / weights.sum())
    return lost, float(errors[used].mean(axis=1).max())


def _supports(experiment: Experiment) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Qubits that each Pauli string reads, or all that are measured, and the strings' weights."""
    width = experiment.circuit.num_qubits
    if experiment.observables is None:
        row = np.zeros((1, width), dtype=bool)
        row[0, [qubit for qubit, _ in readings_of(experiment.circuit).final]] = True
        return row, np.ones(1)
    terms = [_without_identity(each) for each in experiment.observables]
    supports = np.concatenate([each.paulis.x | each.paulis.z for each in terms])
    return supports, np.concatenate([np.abs(each.coeffs) for each in terms])


def _gate_errors(experiment: Experiment, services: PlanningServices) -> Iterator[tuple[int, float]]:
    """Number of qubits and calibrated error of every gate that has one."""
    binding = experiment.binding
    calibration = services.calibration(binding)
    if binding is None or calibration is None:
        return
    number = {qubit: index for index, qubit in enumerate(experiment.circuit.qubits)}
    for step in experiment.circuit.data:
        place = tuple(binding.physical_qubits[number[qubit]] for qubit in step.qubits)
        error = calibration.get(Quantity.GATE_ERROR, *place, gate=step.name)
        if error is not None and step.name != "measure":
            yield len(place), error


def _norm(experiment: Experiment, services: PlanningServices) -> float | None:
    if services.calibration(experiment.binding) is None:
        return None
    try:
        return ErrorCircuits(experiment, services, "auto").errors.norm
    except MitigationError:
        return None


def _readout_bias(losses: Losses) -> float:
    if losses.readout is None:
        return 0.0
    return LEFT_BY_READOUT * -math.expm1(-losses.readout)


def _readout_variance(losses: Losses) -> float:
    return _exp(2 * (losses.readout or 0.0))


def _readout_options(losses: Losses) -> tuple[OptionSpec, ...]:
    return () if not losses.readout else (OptionSpec(name="ReadoutMitigation"),)


def _exp(exponent: float) -> float:
    return math.exp(min(exponent, 300.0))
