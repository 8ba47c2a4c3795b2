"""Probabilistic error cancellation: the inverse of a circuit's noise, as a signed mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import ClassVar

import numpy as np
from pydantic import Field, JsonValue, TypeAdapter

from pipeline.cancellation.error_circuits import (
    FEWEST_CIRCUITS,
    DrawnStratum,
    ErrorCircuits,
    stratified_mean,
)
from pipeline.noise.circuit_noise import NoiseSource, wanted_layers
from pipeline.pauli.random_circuits import MIN_SHOTS, affordable, mean_values, values_of
from qcpaas.errors import MitigationError
from qcpaas.execution import (
    Cost,
    EnrichedExecutionBackend,
    ExpectationValues,
    Experiment,
    Level,
    OptionSettings,
    Outcome,
    PlanContext,
)
from qcpaas.manifest import Diagnostic, Plot, Series
from qcpaas.noise import GateLayer

SHOWN = 8  # observables in a diagnostic
PLAIN = DrawnStratum(chance=1.0, signs=(1,), draws=(1,))


class CancelledCircuit(PlanContext):
    """One experiment's random circuits.

    Attributes:
        norm: Of the inverse of its noise.
        strata: No errors inserted, one, or more.
        learnt, calibrated: Layers whose noise was learnt, or follows from the calibration.
        untwirled: Names of joint gates that are no Clifford gates.
    """

    norm: float
    strata: tuple[DrawnStratum, ...]
    learnt: int
    calibrated: int
    untwirled: tuple[str, ...] = ()


class CancellationContext(PlanContext):
    circuits: tuple[CancelledCircuit, ...]


class ProbabilisticErrorCancellation(EnrichedExecutionBackend):
    """Cancels the noise of gates and of waiting; unbiased where that noise is known.

    Random Pauli gates in the circuit add up, with signs, to the inverse of its noise. Standard
    errors grow by the norm of that inverse, which is known before anything runs. The random
    circuits share the experiment's shots. A loop keeps the circuits that its first call drew, so
    that its values change with its parameters only.

    Source: Temme et al., PRL 119, 180509 (2017); van den Berg et al., Nature Physics 19, 1116
    (2023).
    """

    rank = 10
    levels = frozenset[Level]({"expectation"})
    purpose = "remove the noise of gates"
    conflicts: ClassVar[Mapping[str, str]] = {
        "PauliTwirling": "error cancellation twirls its circuits by itself"
    }

    class Settings(OptionSettings):
        """What to cancel, and what it may cost.

        ``samples`` is the number of random circuits; fewer where shots are short of four each.
        ``noise`` is ``learnt`` before the job, or follows from the ``calibration``; ``auto`` takes
        what has been learnt already. A job is refused where the standard error of a Pauli
        observable would exceed ``max_std_error``, or where the same error would take over
        ``max_overhead`` times the shots. Without ``twirl`` fewer distinct circuits run; relaxation
        and coherent errors are then not fully cancelled.
        """

        samples: int = Field(default=200, ge=FEWEST_CIRCUITS)
        noise: NoiseSource = "auto"
        max_std_error: float = Field(default=0.5, gt=0)
        max_overhead: float | None = Field(default=None, ge=1)
        twirl: bool = True

    def expand(
        self, experiments: Sequence[Experiment]
    ) -> tuple[Sequence[Experiment], CancellationContext]:
        expanded: list[Experiment] = []
        circuits = []
        for index, experiment in enumerate(experiments):
            planned, circuit = self._plan_one(experiment, index)
            expanded.extend(planned)
            circuits.append(circuit)
        norm = max((circuit.norm for circuit in circuits), default=1.0)
        announcement = (
            f"ProbabilisticErrorCancellation: norm γ = {norm:.3g}, so γ² = {norm**2:.3g} times the "
            f"shots for the same standard error; {len(expanded)} random circuits."
        )
        return expanded, CancellationContext(circuits=tuple(circuits), announcement=announcement)

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, CancellationContext)
        remaining = iter(outcomes)
        return tuple(
            _cancelled(
                circuit,
                [values_of(next(remaining)) for stratum in circuit.strata for _ in stratum.draws],
            )
            for circuit in context.circuits
        )

    def cost(self, experiment: Experiment) -> Cost:
        """At most: random circuits that come out equal run as one."""
        return Cost(circuits=affordable(self.settings.samples, experiment.shots))

    def wanted_noise(self, experiments: Sequence[Experiment]) -> tuple[GateLayer, ...]:
        return wanted_layers(experiments, self.settings.noise)

    @classmethod
    def plots(cls, figures: Mapping[str, JsonValue]) -> tuple[Plot, ...]:
        noisy, cancelled, errors = (
            TypeAdapter(tuple[float, ...]).validate_python(figures[name])
            for name in ("noisy", "cancelled", "std_errors")
        )
        places = tuple(map(float, range(len(noisy))))
        return (
            Plot(
                title="Probabilistic error cancellation",
                x_label="observable",
                y_label="expectation value",
                series=(
                    Series(label="noisy", x=places, y=noisy),
                    Series(label="cancelled", x=places, y=cancelled, errors=errors),
                ),
            ),
        )

    def _plan_one(
        self, experiment: Experiment, index: int
    ) -> tuple[list[Experiment], CancelledCircuit]:
        settings = self.settings
        circuits = ErrorCircuits(experiment, self.services, settings.noise, twirl=settings.twirl)
        norm, planned = circuits.errors.norm, [experiment]
        strata: tuple[DrawnStratum, ...] = (PLAIN,)
        if norm > 1:
            self._check_budget(experiment, norm)
            rng = np.random.default_rng([self.services.seed, self.rank, index])
            number = affordable(settings.samples, experiment.shots)
            planned, strata = circuits.draw(1.0, number, rng)
        return planned, CancelledCircuit(
            norm=norm,
            strata=strata,
            learnt=circuits.noise.learnt,
            calibrated=circuits.noise.calibrated,
            untwirled=circuits.frames.untwirled,
        )

    def _check_budget(self, experiment: Experiment, norm: float) -> None:
        """Refuse what could only give noise, or costs more than was allowed."""
        name, shots, allowed = experiment.circuit.name, experiment.shots, self.settings.max_overhead
        if allowed is not None and norm**2 > allowed:
            raise MitigationError(
                f"circuit {name}: cancelling its noise has the norm γ = {norm:.3g}, and takes γ² = "
                f"{norm**2:.3g} times the shots for the same standard error; max_overhead is "
                f"{allowed:g}. Raise it, shorten the circuit, or extrapolate instead."
            )
        largest = self.settings.max_std_error
        needed = max(ceil((norm / largest) ** 2), MIN_SHOTS * FEWEST_CIRCUITS)
        if shots is not None and shots < needed:
            raise MitigationError(
                f"circuit {name}: cancelling its noise has the norm γ = {norm:.3g}, and {shots} "
                f"shots leave a standard error of {norm / shots**0.5:.2g} or more for a Pauli "
                f"observable. At least {needed} shots are needed for {largest:g}; as precise as "
                f"without cancellation it is with {ceil(norm**2 * shots)}."
            )


def _cancelled(
    circuit: CancelledCircuit, outcomes: Sequence[ExpectationValues]
) -> ExpectationValues:
    """The signed mean, times the norm; what ran without errors inserted is the raw value."""
    mean, variance = stratified_mean(outcomes, circuit.strata, signed=True)
    noisy = mean_values(outcomes[: len(circuit.strata[0].draws)], circuit.strata[0].draws)
    found = replace(noisy, values=circuit.norm * mean, variances=circuit.norm**2 * variance)
    note = Diagnostic(
        option="ProbabilisticErrorCancellation",
        figures=_figures(circuit, noisy, found, len(outcomes)),
        warning=_warning(noisy, found),
    )
    return replace(found, diagnostics=(*found.diagnostics, note))


def _figures(
    circuit: CancelledCircuit, noisy: ExpectationValues, found: ExpectationValues, circuits: int
) -> dict[str, JsonValue]:
    """With the first observables at the first point, before and after."""
    figures: dict[str, JsonValue] = {
        "norm": circuit.norm,
        "overhead": circuit.norm**2,
        "samples": sum(sum(stratum.draws) for stratum in circuit.strata),
        "circuits": circuits,
        "layers_learnt": circuit.learnt,
        "layers_calibrated": circuit.calibrated,
        "noisy": noisy.values[0, :SHOWN].tolist(),
        "cancelled": found.values[0, :SHOWN].tolist(),
        "std_errors": np.sqrt(found.variances[0, :SHOWN]).tolist(),
    }
    if circuit.untwirled:
        figures["untwirled"] = list(circuit.untwirled)
    return figures


def _warning(noisy: ExpectationValues, found: ExpectationValues) -> str:
    """Where standard errors are larger than what noise seems to have done to the values."""
    moved = float(np.mean((found.values - noisy.values) ** 2))
    error = float(np.mean(found.variances))
    if error <= moved + float(np.mean(noisy.variances)):
        return ""
    return (
        f"its standard errors, {error**0.5:.2g}, are larger than what it corrected, "
        f"{moved**0.5:.2g}: give more shots, or leave it out."
    )
