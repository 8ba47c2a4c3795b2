"""Zero-noise extrapolation: measure at amplified noise, extrapolate to none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue, model_validator
from qiskit import QuantumCircuit

from pipeline.extrapolation.fits import Extrapolation, Fit, Unsupported, extrapolate, points_needed
from pipeline.extrapolation.folding import FoldedGates, Folding, fold
from pipeline.extrapolation.report import extrapolation_figures, extrapolation_plots, verdict
from pipeline.extrapolation.strength import LARGEST, UNAMPLIFIED, scales_for
from pipeline.noise.expected import ExpectedNoise, expected_noise
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

FIXED = (1.0, 3.0, 5.0)


class ZneContext(PlanContext):
    """Reached noise scales of each experiment, and what noise is expected to do to its values."""

    scales: tuple[tuple[float, ...], ...]
    expected: tuple[ExpectedNoise, ...]


class ZeroNoiseExtrapolation(EnrichedExecutionBackend):
    """Extrapolates expectation values to zero noise by folding the compiled circuit's gates.

    Every scale factor is measured with the experiment's full number of shots, so the cost is
    ``len(scale_factors)`` times that of the plain circuit; three times with ``auto``. The
    standard error holds shot noise and, unless it is turned off, what the form of the fit may be
    wrong by and the share of the correction that noise which folding does not amplify takes.

    Source: Temme et al., PRL 119, 180509 (2017); Giurgica-Tiron et al., QCE 2020 (folding).
    """

    rank = 10
    levels = frozenset[Level]({"expectation"})
    purpose = "remove the noise of gates"

    class Settings(OptionSettings):
        """How noise is amplified, and how the measured curve is extrapolated.

        Attributes:
            scale_factors: Wanted noise scales. With ``auto`` those of an ``exponential`` fit
                follow from the fidelity that the calibration promises each circuit where it was
                placed, and from the shots: the plain circuit twice, and one largest scale, small
                for circuits that noise erases soon. Any other fit takes 1, 3 and 5, and so does
                a circuit that was not placed.
            fit: ``exponential`` decays to the asymptote, ``free_exponential`` to one of its own.
            degree: Of a ``polynomial``.
            asymptote: Where noise leads: a value, the fully ``mixed`` state's, or as the
                calibration lets ``expect``: the mixed value or some way towards relaxation's,
                approached at a rate that the expected fidelity limits.
            unsupported: What becomes of an exponential that the data do not support: a line
                (``fallback``), the measured value (``raw``), or an error (``fail``).
            systematic_error: Whether standard errors hold what the fit's form, and noise that is
                not amplified, may be wrong by.
            gates: Those that are folded.
            folding: ``gates`` by themselves, or whole ``layers`` of gates that run at once.
        """

        scale_factors: tuple[float, ...] | Literal["auto"] = "auto"
        fit: Fit = "exponential"
        degree: int = Field(default=2, ge=1)
        asymptote: float | Literal["expected", "mixed"] = "expected"
        unsupported: Unsupported = "fallback"
        systematic_error: bool = True
        gates: FoldedGates = "two_qubit"
        folding: Folding = "gates"

        @model_validator(mode="after")
        def _enough_points(self) -> ZeroNoiseExtrapolation.Settings:
            given = FIXED if self.scale_factors == "auto" else self.scale_factors
            distinct = sorted(set(given))
            if not distinct or distinct[0] != 1.0:
                raise ValueError(f"scale_factors must contain 1 and nothing below; got {distinct}")
            needed = points_needed(self.fit, self.degree)
            if len(distinct) < needed:
                raise ValueError(
                    f"a {self.fit} fit needs {needed} scale factors; got {len(distinct)}"
                )
            return self

    def expand(self, experiments: Sequence[Experiment]) -> tuple[Sequence[Experiment], ZneContext]:
        expanded: list[Experiment] = []
        scales: list[tuple[float, ...]] = []
        for experiment in experiments:
            folded = self._folded(experiment)
            scales.append(self._supported([scale for _, scale in folded]))
            expanded.extend(replace(experiment, circuit=circuit) for circuit, _ in folded)
        expected = tuple(expected_noise(each, self.settings.asymptote) for each in experiments)
        return expanded, ZneContext(scales=tuple(scales), expected=expected)

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, ZneContext)
        remaining = iter(outcomes)
        return tuple(
            self._at_zero_noise(scales, expected, [next(remaining) for _ in scales])
            for scales, expected in zip(context.scales, context.expected, strict=True)
        )

    def cost(self, experiment: Experiment) -> Cost:
        factors = self.settings.scale_factors
        scales = len(FIXED if factors == "auto" else factors)
        return Cost(scales, scales)

    @classmethod
    def plots(cls, figures: Mapping[str, JsonValue]) -> tuple[Plot, ...]:
        return extrapolation_plots("Zero-noise extrapolation", figures)

    def _folded(self, experiment: Experiment) -> list[tuple[QuantumCircuit, float]]:
        """The circuit at every noise scale, and the scales that were reached."""
        factors, binding = self.settings.scale_factors, experiment.binding
        if factors != "auto":
            return [self._fold(experiment, factor) for factor in factors]
        promised = None if binding is None else binding.log_fidelity
        if promised is None or self.settings.fit != "exponential":
            return [self._fold(experiment, factor) for factor in FIXED]
        *plain, largest = scales_for(promised, experiment.shots)
        folded = self._fold(experiment, largest)
        for further in LARGEST:  # the first that so few gates can reach
            if folded[1] == 1.0 and further > largest:
                folded = self._fold(experiment, further)
        return [*(self._fold(experiment, factor) for factor in plain), folded]

    def _fold(self, experiment: Experiment, factor: float) -> tuple[QuantumCircuit, float]:
        return fold(experiment.circuit, factor, self.settings.gates, self.settings.folding)

    def _supported(self, scales: Sequence[float]) -> tuple[float, ...]:
        distinct = len(set(scales))
        needed = points_needed(self.settings.fit, self.settings.degree)
        if 1 < distinct < needed:
            raise MitigationError(
                f"folding reached only {distinct} distinct noise scales {sorted(set(scales))}; a "
                f"{self.settings.fit} fit needs {needed}. The circuit has too few "
                f"{self.settings.folding} to fold: choose odd scale factors, or gates='all'."
            )
        return tuple(scales)

    def _at_zero_noise(
        self, scales: Sequence[float], expected: ExpectedNoise, measured: Sequence[Outcome]
    ) -> ExpectationValues:
        noisy = [_expectation(outcome) for outcome in measured]
        values = np.stack([outcome.values for outcome in noisy])
        variances = np.stack([outcome.variances for outcome in noisy])
        fitted = extrapolate(
            scales,
            values,
            variances,
            self.settings.fit,
            expected.ends,
            asymptote_error=expected.end_errors,
            rate=expected.rate,
            rate_error=np.inf if expected.rate_error is None else expected.rate_error,
            bound=expected.bounds,
            degree=self.settings.degree,
            unsupported=self.settings.unsupported,
            unamplified=UNAMPLIFIED,
        )
        plain = noisy[list(scales).index(1.0)]
        note = self._diagnose(scales, values, variances, fitted)
        return ExpectationValues(
            values=fitted.values,
            variances=self._variances(fitted),
            raw_values=plain.values if plain.raw_values is None else plain.raw_values,
            raw_variances=plain.variances if plain.raw_variances is None else plain.raw_variances,
            diagnostics=(*plain.diagnostics, note),
        )

    def _variances(self, fitted: Extrapolation) -> NDArray[np.float64]:
        if not self.settings.systematic_error:
            return fitted.variances
        return fitted.variances + fitted.systematics**2

    def _diagnose(
        self,
        scales: Sequence[float],
        values: NDArray[np.float64],
        variances: NDArray[np.float64],
        fitted: Extrapolation,
    ) -> Diagnostic:
        return Diagnostic(
            option=self.option_name(),
            figures=extrapolation_figures(scales, values, variances, fitted, self.settings.fit),
            warning=verdict(values[list(scales).index(1.0)], self._variances(fitted), fitted),
        )


def _expectation(outcome: Outcome) -> ExpectationValues:
    assert isinstance(outcome, ExpectationValues)
    return outcome
