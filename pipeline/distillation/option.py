"""Virtual distillation: values of the square of a noisy state, from two copies of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.distillation.circuits import SharedCircuit, share_circuits, two_copies
from pipeline.measuring.bases import real_coefficients
from pipeline.measuring.outcome_moments import moments, signs_of
from qcpaas.errors import MitigationError
from qcpaas.execution import (
    Cost,
    Counts,
    Distribution,
    EnrichedExecutionBackend,
    ExpectationValues,
    Experiment,
    Level,
    OptionSettings,
    Outcome,
    PlanContext,
)
from qcpaas.manifest import Diagnostic

SURE = 3.0  # standard errors that tr(rho^2) must be away from 0


class DistilledBasis(PlanContext):
    """One circuit: the qubit whose Z each string is, and each observable's coefficients of them."""

    pivots: tuple[int, ...]
    coefficients: tuple[tuple[float, ...], ...]


class DistilledExperiment(PlanContext):
    """``constants`` are the observables' identity parts."""

    qubits: int
    bases: tuple[DistilledBasis, ...]
    constants: tuple[float, ...]


class DistillationContext(PlanContext):
    """One entry an experiment."""

    experiments: tuple[DistilledExperiment, ...]


class VirtualDistillation(EnrichedExecutionBackend):
    """Estimates ``tr(rho^2 O) / tr(rho^2)`` by measuring two copies of a circuit together.

    Errors that lead to other eigenvectors of the state are suppressed by their square. It needs
    twice the qubits and one or two gates between the copies of each; it cannot undo coherent
    errors, nor the noise of those gates and of the readout.

    Source: Huggins et al., PRX 11, 041036 (2021); Koczor, PRX 11, 031057 (2021).
    """

    rank = -10
    levels = frozenset[Level]({"expectation"})
    logical = True

    class Settings(OptionSettings):
        """``copies`` of the state; more than two would need gates between three qubits."""

        copies: Literal[2] = 2

    def expand(
        self, experiments: Sequence[Experiment]
    ) -> tuple[Sequence[Experiment], DistillationContext]:
        planned = [_planned(experiment) for experiment in experiments]
        context = DistillationContext(experiments=tuple(entry for entry, _ in planned))
        return [each for _, own in planned for each in own], context

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, DistillationContext)
        remaining = iter(outcomes)
        return tuple(_distilled(entry, remaining) for entry in context.experiments)

    def cost(self, experiment: Experiment) -> Cost:
        _, planned = _planned(experiment)
        return Cost(len(planned), len(planned))


def _planned(experiment: Experiment) -> tuple[DistilledExperiment, list[Experiment]]:
    size = experiment.circuit.num_qubits
    observables = list(map(real_coefficients, experiment.observables or ()))
    constants = tuple(terms.pop("I" * size, 0.0) for terms in observables)
    strings = sorted({label for terms in observables for label in terms})
    # Without any string one circuit is kept, so that every experiment runs.
    shared = share_circuits(strings) if strings else [SharedCircuit((), "I" * size, (), ())]
    bases = tuple(
        DistilledBasis(
            pivots=each.pivots,
            coefficients=tuple(
                tuple(terms.get(string, 0.0) for string in each.strings) for terms in observables
            ),
        )
        for each in shared
    )
    planned = [
        replace(experiment, circuit=two_copies(experiment.circuit, each), observables=None)
        for each in shared
    ]
    return DistilledExperiment(qubits=size, bases=bases, constants=constants), planned


def _distilled(entry: DistilledExperiment, remaining: Iterator[Outcome]) -> ExpectationValues:
    outcomes = [_counts(next(remaining)) for _ in entry.bases]
    shape = (len(outcomes[0].points), len(entry.constants))
    values, raw = (np.broadcast_to(entry.constants, shape).copy() for _ in range(2))
    variances, raw_variances = np.zeros(shape), np.zeros(shape)
    purities, errors = np.empty((2, len(entry.bases), shape[0]))
    for number, (basis, outcome) in enumerate(zip(entry.bases, outcomes, strict=True)):
        for point, distribution in enumerate(outcome.points):
            corrected = _Copies(entry.qubits, basis, distribution, outcome.readout)
            purities[number, point], errors[number, point] = corrected.purity
            value, variance = corrected.ratio()
            values[point] += value
            variances[point] += variance
            plain = _Copies(entry.qubits, basis, distribution, None)
            value, variance = plain.without()
            raw[point] += value
            raw_variances[point] += variance
    inside = [note for outcome in outcomes for note in outcome.diagnostics]
    return ExpectationValues(
        values, variances, raw, raw_variances, (*inside, _diagnosed(purities, errors))
    )


class _Copies:
    """What one point's outcomes say of the observables, with and without distillation.

    Means and covariances of: each observable without distillation, each times the swap of the
    copies, and the swap itself, whose mean is the purity.
    """

    def __init__(
        self,
        qubits: int,
        basis: DistilledBasis,
        distribution: Distribution,
        readout: NDArray[np.float64] | None,
    ) -> None:
        signs = signs_of(distribution, readout)
        first, second = signs[:, :qubits], signs[:, qubits : 2 * qubits]
        swaps = (1 + first + second - first * second) / 2
        pivots = list(basis.pivots)
        means = first[:, pivots] * (1 + second[:, pivots]) / 2
        others = np.stack(
            [np.delete(swaps, pivot, axis=1).prod(axis=1) for pivot in pivots] or [swaps[:, 0]],
            axis=1,
        )[:, : len(pivots)]
        weights = np.array(basis.coefficients).reshape(len(basis.coefficients), len(pivots))
        self.size = len(weights)
        whole = swaps.prod(axis=1, keepdims=True)
        observed = np.hstack([means @ weights.T, (means * others) @ weights.T, whole])
        self.mean, self.covariance = moments(observed, distribution)

    @property
    def purity(self) -> tuple[float, float]:
        """``tr(rho^2)`` and its standard error."""
        return float(self.mean[-1]), float(np.sqrt(max(self.covariance[-1, -1], 0.0)))

    def ratio(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Values and variances to first order; numerator and denominator are correlated."""
        top = slice(self.size, 2 * self.size)
        purity = self.mean[-1]
        if purity == 0.0:
            raise MitigationError(
                "virtual distillation found tr(rho^2) = 0 in all shots: the state is too mixed "
                "for it. Use more shots, or a shorter circuit."
            )
        ratio = self.mean[top] / purity
        spread = np.diag(self.covariance)[top]
        shared = self.covariance[top, -1]
        variances = spread - 2 * ratio * shared + ratio**2 * self.covariance[-1, -1]
        return ratio, np.maximum(variances, 0.0) / purity**2

    def without(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Values of the noisy state itself, the mean of both copies, and their variances."""
        return self.mean[: self.size], np.diag(self.covariance)[: self.size]


def _diagnosed(purities: NDArray[np.float64], errors: NDArray[np.float64]) -> Diagnostic:
    worst = np.unravel_index(np.argmin(purities), purities.shape)
    purity, error = float(purities[worst]), float(errors[worst])
    warning = ""
    if purity < SURE * error:
        warning = (
            f"tr(rho^2) is {purity:.3g} with a standard error of {error:.3g}: too small for the "
            "ratio and its error bar to be trusted; more shots or a shorter circuit are needed"
        )
    figures = {"purity": purity, "purity_std_error": error, "circuits": len(purities)}
    return Diagnostic(option="VirtualDistillation", figures=figures, warning=warning)


def _counts(outcome: Outcome) -> Counts:
    if not isinstance(outcome, Counts):
        raise MitigationError(
            "VirtualDistillation asked for counts and was given expectation values. An option "
            "inside it must keep the level of results."
        )
    return outcome
