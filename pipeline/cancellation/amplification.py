"""Probabilistic amplification: more of the device's own noise, inserted as random Pauli gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field, JsonValue, model_validator

from pipeline.cancellation.error_circuits import (
    FEWEST_CIRCUITS,
    DrawnStratum,
    ErrorCircuits,
    stratified_mean,
)
from pipeline.extrapolation.fits import Fit, extrapolate, points_needed
from pipeline.extrapolation.report import extrapolation_figures, extrapolation_plots, verdict
from pipeline.noise.circuit_noise import NoiseSource, wanted_layers
from pipeline.noise.expected import ExpectedNoise, expected_noise
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
from qcpaas.manifest import Diagnostic, Plot
from qcpaas.noise import GateLayer

LEAST_VARIANCE = 1e-6  # of the largest of a curve


class AmplifiedCircuit(PlanContext):
    """One experiment's random circuits.

    Attributes:
        scales: Of noise, the first 1; that alone where there is no noise.
        strata: For each scale, its circuits by how many errors they have.
        learnt, calibrated: Layers whose noise was learnt, or follows from the calibration.
        untwirled: Names of joint gates that are no Clifford gates.
    """

    scales: tuple[float, ...]
    strata: tuple[tuple[DrawnStratum, ...], ...]
    expected: ExpectedNoise
    learnt: int
    calibrated: int
    untwirled: tuple[str, ...] = ()


class AmplificationContext(PlanContext):
    circuits: tuple[AmplifiedCircuit, ...]


class ProbabilisticAmplification(EnrichedExecutionBackend):
    """Extrapolates to zero noise from random Pauli errors added to those of the device.

    Unlike folding, no gate is executed more often: the noise of each gate is made as many times as
    strong as wanted, whole or not, by inserting what is known of it. Circuits are twirled, so that
    noise is of that form. Every scale is measured with the experiment's full number of shots. A
    loop keeps the circuits that its first call drew.

    Source: Kim et al., Nature 618, 500 (2023).
    """

    rank = 10
    levels = frozenset[Level]({"expectation"})
    purpose = "remove the noise of gates"
    conflicts: ClassVar[Mapping[str, str]] = {
        "PauliTwirling": "probabilistic amplification twirls its circuits by itself"
    }

    class Settings(OptionSettings):
        """How noise is amplified, and how the measured curve is extrapolated.

        ``samples`` is the number of random circuits at each of the ``scale_factors``; fewer where
        shots are short of four each. ``noise`` is ``learnt`` before the job, or follows from the
        ``calibration``; ``auto`` takes what has been learnt already. ``systematic_error`` adds
        to standard errors what the form of the fit may be wrong by.
        """

        scale_factors: tuple[float, ...] = (1.0, 2.0, 3.0)
        fit: Fit = "exponential"
        degree: int = Field(default=2, ge=1)
        samples: int = Field(default=100, ge=FEWEST_CIRCUITS)
        noise: NoiseSource = "auto"
        systematic_error: bool = True

        @model_validator(mode="after")
        def _enough_points(self) -> ProbabilisticAmplification.Settings:
            distinct = sorted(set(self.scale_factors))
            if len(distinct) != len(self.scale_factors) or distinct[:1] != [1.0]:
                raise ValueError(
                    f"scale_factors must contain 1, nothing below, and none twice; got "
                    f"{list(self.scale_factors)}"
                )
            needed = points_needed(self.fit, self.degree)
            if len(distinct) < needed:
                raise ValueError(
                    f"a {self.fit} fit needs {needed} scale factors; got {len(distinct)}"
                )
            return self

    def expand(
        self, experiments: Sequence[Experiment]
    ) -> tuple[Sequence[Experiment], AmplificationContext]:
        expanded: list[Experiment] = []
        circuits = []
        for index, experiment in enumerate(experiments):
            planned, circuit = self._plan_one(experiment, index)
            expanded.extend(planned)
            circuits.append(circuit)
        return expanded, AmplificationContext(circuits=tuple(circuits))

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, AmplificationContext)
        remaining = iter(outcomes)
        return tuple(
            self._at_zero_noise(
                circuit,
                [
                    [values_of(next(remaining)) for stratum in strata for _ in stratum.draws]
                    for strata in circuit.strata
                ],
            )
            for circuit in context.circuits
        )

    def cost(self, experiment: Experiment) -> Cost:
        """At most: random circuits that come out equal run as one."""
        scales = len(self.settings.scale_factors)
        return Cost(scales * affordable(self.settings.samples, experiment.shots), scales)

    def wanted_noise(self, experiments: Sequence[Experiment]) -> tuple[GateLayer, ...]:
        return wanted_layers(experiments, self.settings.noise)

    @classmethod
    def plots(cls, figures: Mapping[str, JsonValue]) -> tuple[Plot, ...]:
        return extrapolation_plots("Probabilistic amplification", figures)

    def _plan_one(
        self, experiment: Experiment, index: int
    ) -> tuple[list[Experiment], AmplifiedCircuit]:
        """Random circuits at every scale."""
        _check_shots(experiment)
        circuits = ErrorCircuits(experiment, self.services, self.settings.noise)
        noisy = circuits.errors.norm > 1
        scales = tuple(sorted(self.settings.scale_factors)) if noisy else (1.0,)
        number = affordable(self.settings.samples, experiment.shots)
        rng = np.random.default_rng([self.services.seed, self.rank, index])
        planned: list[Experiment] = []
        strata = []
        for scale in scales:
            own, drawn = circuits.draw(scale - 1.0, number, rng)
            planned.extend(own)
            strata.append(drawn)
        return planned, AmplifiedCircuit(
            scales=scales,
            strata=tuple(strata),
            expected=expected_noise(experiment, "mixed"),  # where Pauli errors lead
            learnt=circuits.noise.learnt,
            calibrated=circuits.noise.calibrated,
            untwirled=circuits.frames.untwirled,
        )

    def _at_zero_noise(
        self, circuit: AmplifiedCircuit, outcomes: Sequence[Sequence[ExpectationValues]]
    ) -> ExpectationValues:
        measured = [
            stratified_mean(found, strata, signed=False)
            for found, strata in zip(outcomes, circuit.strata, strict=True)
        ]
        values, variances = (np.stack(column) for column in zip(*measured, strict=True))
        # An exact value among sampled ones would leave the fit with no other data.
        variances = np.maximum(variances, LEAST_VARIANCE * variances.max(axis=0))
        expected, settings = circuit.expected, self.settings
        fitted = extrapolate(
            circuit.scales,
            values,
            variances,
            settings.fit,
            expected.ends,
            rate=expected.rate,
            rate_error=np.inf if expected.rate_error is None else expected.rate_error,
            bound=expected.bounds,
            degree=settings.degree,
        )
        error = fitted.variances + (fitted.systematics**2 if settings.systematic_error else 0.0)
        figures = extrapolation_figures(circuit.scales, values, variances, fitted, settings.fit)
        figures |= {
            "circuits": sum(map(len, outcomes)),
            "layers_learnt": circuit.learnt,
            "layers_calibrated": circuit.calibrated,
        }
        if circuit.untwirled:
            figures["untwirled"] = list(circuit.untwirled)
        note = Diagnostic(
            option=self.option_name(), figures=figures, warning=verdict(values[0], error, fitted)
        )
        plain = mean_values(outcomes[0], circuit.strata[0][0].draws)
        return replace(
            plain,
            values=fitted.values,
            variances=error,
            diagnostics=(*plain.diagnostics, note),
        )


def _check_shots(experiment: Experiment) -> None:
    needed, shots = MIN_SHOTS * FEWEST_CIRCUITS, experiment.shots
    if shots is not None and shots < needed:
        raise MitigationError(
            f"circuit {experiment.circuit.name}: {shots} shots are too few for random circuits; "
            f"probabilistic amplification needs {needed}."
        )
