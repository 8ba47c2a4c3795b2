"""Clifford data regression: learn what the noise does from circuits that can be simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, model_validator

from pipeline.extrapolation.folding import FoldedGates
from pipeline.regression.linear import NoiseLine, fit_line, fit_scales, fit_shift
from pipeline.regression.training_data import Measured, Trainer, TrainingSettings, mixed_values
from qcpaas.execution import (
    Cost,
    EnrichedExecutionBackend,
    ExecutionBackend,
    ExpectationValues,
    Experiment,
    Level,
    OptionSettings,
    Outcome,
    PlanContext,
)
from qcpaas.manifest import Diagnostic, Plot, Series

Array = NDArray[np.float64]

SIGNIFICANT = 3.0  # standard errors: a slope below that many is none
ALIKE = 1e-6  # exact values no farther apart than this are one
BEYOND = 2.0  # standard errors that a measured value may lie outside the training values


class CdrContext(PlanContext):
    """For each experiment the training circuits' exact values and the fully mixed values.

    Attributes:
        exact: Points, training circuits and observables of each experiment.
        mixed: Observables of each experiment.
    """

    exact: tuple[tuple[tuple[tuple[float, ...], ...], ...], ...]
    mixed: tuple[tuple[float, ...], ...]


class CliffordDataRegression(EnrichedExecutionBackend):
    """Learns from near-Clifford circuits, run along, what noise makes of expectation values.

    The training circuits are the compiled circuit with most rotations at Clifford angles; their
    exact values are computed, their noisy ones measured in the same submission. A line through
    them, for each observable and point, says what the measured value would be without noise. With
    several ``scale_factors`` the circuits are also run folded, and a linear function of the values
    at all noise scales is learnt (variable-noise CDR). Where a symmetry makes all exact values the
    same, the mean shift is taken off. Values for which nothing was learnt stay as measured.

    Source: Czarnik et al., Quantum 5, 592 (2021); Lowe et al., PR Research 3, 033098 (2021).
    """

    rank = 6
    levels = frozenset[Level]({"expectation"})
    reusable_plan = False
    purpose = "learn a correction from training circuits"

    class Settings(TrainingSettings):
        """``fit``: ``proportional`` leaves the fully mixed value where it is.

        ``gates`` are the ones that are folded where ``scale_factors`` has more than 1.
        """

        fit: Literal["linear", "proportional"] = "linear"
        scale_factors: tuple[float, ...] = (1.0,)
        gates: FoldedGates = "two_qubit"

        @model_validator(mode="after")
        def _can_be_fitted(self) -> CliffordDataRegression.Settings:
            scales = self.scale_factors
            if not scales or scales[0] != 1.0 or list(scales) != sorted(set(scales)):
                raise ValueError(f"scale_factors must rise from 1; got {list(scales)}")
            if len(scales) > 1 and self.fit == "proportional":
                raise ValueError("a proportional fit is for scale_factors [1]; choose linear")
            if self.training < len(scales) + 3:
                raise ValueError(
                    f"{len(scales)} noise scales need {len(scales) + 3} training circuits; "
                    f"got {self.training}"
                )
            return self

    def __init__(self, inner: ExecutionBackend, settings: OptionSettings | None = None) -> None:
        super().__init__(inner, settings)
        self._trainer = Trainer(self.settings)

    def expand(self, experiments: Sequence[Experiment]) -> tuple[Sequence[Experiment], CdrContext]:
        seed = self.services.seed
        expanded: list[Experiment] = []
        exact = []
        for index, experiment in enumerate(experiments):
            rng = np.random.default_rng([seed, index])
            trained = self._trainer.draw(experiment, self.settings.training, rng)
            scales, gates = self.settings.scale_factors, self.settings.gates
            expanded += self._trainer.amplified(experiment, trained, scales, gates)
            exact.append(trained.nested())
        mixed = [mixed_values(experiment) for experiment in experiments]
        return expanded, CdrContext.model_validate({"exact": exact, "mixed": mixed})

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, CdrContext)
        size = 2 * len(self.settings.scale_factors)
        reduced = []
        for index, (exact, mixed) in enumerate(zip(context.exact, context.mixed, strict=True)):
            measured = Measured.of(outcomes[index * size : (index + 1) * size])
            reduced.append(self._corrected(np.array(exact), np.array(mixed), measured))
        return tuple(reduced)

    def cost(self, experiment: Experiment) -> Cost:
        training, scales = self.settings.training, len(self.settings.scale_factors)
        ratio = self.settings.shot_ratio(experiment)
        return Cost(scales * (1 + training), scales * (1 + training * ratio))

    @classmethod
    def plots(cls, figures: Mapping[str, JsonValue]) -> tuple[Plot, ...]:
        return (training_plot(figures),)

    def _corrected(self, exact: Array, mixed: Array, measured: Measured) -> ExpectationValues:
        """``exact`` has the shape of one scale's training values."""
        variances = np.moveaxis(measured.training_variances[0], 1, -1)
        there, noisy = np.moveaxis(exact, 1, -1), np.moveaxis(measured.training[0], 1, -1)
        fixed = None
        if self.settings.fit == "proportional":
            fixed = np.broadcast_to(mixed, there.shape[:-1])
        line = fit_line(there, noisy, variances, fixed)
        if len(measured.values) > 1:
            values, variance = self._over_scales(there, measured)
        else:
            values, variance = line.invert(measured.values[0], measured.variances[0])
        beyond = _beyond(noisy, measured.values[0], measured.variances[0])
        alike = np.ptp(there, axis=-1) < ALIKE
        shifted = fit_shift(there, noisy, variances).invert(
            measured.values[0], measured.variances[0]
        )
        values, variance = np.where(alike, shifted, (values, variance))
        refused = np.where(alike, beyond, _without_slope(line, values, variance))
        raw, raw_variances = measured.raw
        report = _Report(there, noisy, line, refused, beyond)
        corrected = np.where(refused, measured.values[0], values)
        errors = np.where(refused, measured.variances[0], variance)
        return ExpectationValues(
            values=corrected,
            variances=errors,
            raw_values=raw,
            raw_variances=raw_variances,
            diagnostics=(
                *measured.own[0].diagnostics,
                report.diagnostic(measured, corrected, errors),
            ),
        )

    def _over_scales(self, exact: Array, measured: Measured) -> tuple[Array, Array]:
        values, variances = np.empty(exact.shape[:-1]), np.empty(exact.shape[:-1])
        for point, observable in np.ndindex(*values.shape):
            values[point, observable], variances[point, observable] = fit_scales(
                exact[point, observable],
                measured.training[:, point, :, observable].T,
                measured.values[:, point, observable],
                measured.training_variances[:, point, :, observable].mean(axis=1),
                measured.variances[:, point, observable],
            )
        return values, variances


@dataclass(frozen=True, eq=False)
class _Report:
    """How a regression went; arrays have the shape ``(points, observables, ...)``."""

    exact: Array
    noisy: Array
    line: NoiseLine
    refused: NDArray[np.bool_]
    beyond: NDArray[np.bool_]

    def diagnostic(self, measured: Measured, values: Array, variances: Array) -> Diagnostic:
        """The first point's first observable, and how many values there are like it."""
        first = (0, 0)
        return Diagnostic(
            option="CliffordDataRegression",
            figures={
                "exact": self.exact[first].tolist(),
                "noisy": self.noisy[first].tolist(),
                "std_errors": np.sqrt(measured.training_variances[0, 0, :, 0]).tolist(),
                "measured": float(measured.values[0, 0, 0]),
                "value": float(values[first]),
                "std_error": float(np.sqrt(variances[first])),
                "slope": _finite(self.line.slope[first]),
                "intercept": _finite(self.line.intercept[first]),
                "scatter": float(np.sqrt(self.line.scatter[first])),
                "kept_as_measured": int(self.refused.sum()),
                "extrapolated": int(self.beyond.sum()),
            },
            warning=self._warning(measured, values, variances),
        )

    def _warning(self, measured: Measured, values: Array, variances: Array) -> str:
        number = self.refused.size
        if self.refused.any():
            return (
                f"{self.refused.sum()} of {number} values are kept as measured: their training "
                f"circuits' noisy values do not follow the exact ones, or those are all alike and "
                f"others than the measured value"
            )
        if self.beyond.any():
            return (
                f"{self.beyond.sum()} of {number} measured values lie outside their training "
                f"circuits' values, where the fitted line is extrapolated"
            )
        grown = np.sqrt(variances) - np.sqrt(measured.variances[0])
        worse = (grown > np.abs(values - measured.values[0])) & (
            grown > np.sqrt(measured.variances[0])
        )
        if worse.any():
            return f"the error bars of {worse.sum()} of {number} values grew more than they moved"
        return ""


def training_plot(figures: Mapping[str, JsonValue]) -> Plot:
    """Noisy against exact values of the training circuits, and the circuit of interest."""

    def numbers(name: str) -> tuple[float, ...]:
        found = figures.get(name, [])
        return tuple(map(float, found if isinstance(found, list) else [found]))  # type: ignore[arg-type]

    exact, (slope,), (intercept,) = numbers("exact"), numbers("slope"), numbers("intercept")
    ends = (min(exact), max(exact))
    return Plot(
        title="Training circuits",
        x_label="exact expectation value",
        y_label="measured expectation value",
        series=(
            Series(label="training", x=exact, y=numbers("noisy"), errors=numbers("std_errors")),
            Series(label="fit", x=ends, y=tuple(slope * x + intercept for x in ends), style="line"),
            Series(label="mitigated", x=numbers("value"), y=numbers("measured")),
        ),
    )


def _without_slope(line: NoiseLine, values: Array, variances: Array) -> NDArray[np.bool_]:
    """Where the training circuits' noisy values do not follow the exact ones."""
    nil = ~(line.slope > SIGNIFICANT * np.sqrt(line.slope_variance))
    without: NDArray[np.bool_] = nil | ~np.isfinite(values) | ~np.isfinite(variances)
    return without


def _beyond(noisy: Array, measured: Array, variances: Array) -> NDArray[np.bool_]:
    allowed = BEYOND * np.sqrt(variances)
    beyond: NDArray[np.bool_] = (measured > noisy.max(axis=-1) + allowed) | (
        measured < noisy.min(axis=-1) - allowed
    )
    return beyond


def _finite(value: float) -> float:
    return float(value) if np.isfinite(value) else 0.0
