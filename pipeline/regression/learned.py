"""Learned post-processing: a regressor trained on circuits that can be simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue, model_validator

from pipeline.extrapolation.folding import FoldedGates
from pipeline.regression.regressors import Model, Regressor, regressor_for
from pipeline.regression.training_data import Measured, Trainer, TrainingSettings
from pipeline.regression.validation import Examples, Learned, learn
from qcpaas.errors import MitigationError
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


class LearningSettings(TrainingSettings):
    """``training`` circuits are drawn for all points of an experiment together.

    ``noise_scales`` are those at which the features are measured, by folding ``gates``. Each
    training circuit is predicted by a model that was trained without its one of ``folds``. A value
    ``outside`` the training range stays as measured, or fails the job. With ``together``, one
    model serves all circuits of a call that have equally many observables.
    """

    training: int = Field(default=48, ge=8, le=10_000)
    noise_scales: tuple[float, ...] = (1.0, 3.0)
    gates: FoldedGates = "two_qubit"
    folds: int = Field(default=8, ge=2)
    outside: Literal["raw", "fail"] = "raw"
    together: bool = False

    @model_validator(mode="after")
    def _can_be_learnt(self) -> LearningSettings:
        scales = self.noise_scales
        if not scales or scales[0] != 1.0 or list(scales) != sorted(set(scales)):
            raise ValueError(f"noise_scales must rise from 1; got {list(scales)}")
        if self.training < 2 * self.folds:
            raise ValueError(
                f"{self.folds} folds need {2 * self.folds} training circuits; got {self.training}"
            )
        return self


class LearnedContext(PlanContext):
    """What the training needs beside measured values, one entry an experiment.

    Attributes:
        exact: Points, training circuits of each, and observables.
        circuit_features: Depth, two-qubit gates and expected log fidelity.
        seed: Of the folds and the model.
    """

    exact: tuple[tuple[tuple[tuple[float, ...], ...], ...], ...]
    circuit_features: tuple[tuple[float, ...], ...]
    seed: int


class LearnedMitigation(EnrichedExecutionBackend):
    """Corrects expectation values by a regressor that it trains on near-Clifford circuits.

    Its features are the noisy values of all observables at several noise scales, and what tells
    circuits apart. The training circuits are measured in the same submission; the error that the
    model makes on those that were held out is the standard error of what it corrects. Values stay
    as measured where the model is no better than that, or was not trained.

    Source: Kim et al., New Journal of Physics 22, 073021 (2020); Liao et al., Nature Machine
    Intelligence 6, 1478 (2024).
    """

    rank = 6
    levels = frozenset[Level]({"expectation"})
    requires = ("scikit-learn",)
    reusable_plan = False
    purpose = "learn a correction from training circuits"

    class Settings(LearningSettings):
        """``model``: ridge regression, a neural network, a random forest, or a Gaussian process."""

        model: Model = "ridge"

    def __init__(self, inner: ExecutionBackend, settings: OptionSettings | None = None) -> None:
        super().__init__(inner, settings)
        self._trainer = Trainer(self.settings)

    def expand(
        self, experiments: Sequence[Experiment]
    ) -> tuple[Sequence[Experiment], LearnedContext]:
        seed = self.services.seed
        scales, gates = self.settings.noise_scales, self.settings.gates
        expanded: list[Experiment] = []
        exact, features = [], []
        for index, experiment in enumerate(experiments):
            rng = np.random.default_rng([seed, index])
            trained = self._trainer.draw(experiment, self._per_point(experiment), rng)
            expanded += self._trainer.amplified(experiment, trained, scales, gates)
            exact.append(trained.nested())
            features.append(_circuit_features(experiment))
        return expanded, LearnedContext.model_validate(
            {"exact": exact, "circuit_features": features, "seed": seed}
        )

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, LearnedContext)
        size = 2 * len(self.settings.noise_scales)
        measured = [
            Measured.of(outcomes[start : start + size]) for start in range(0, len(outcomes), size)
        ]
        reduced: dict[int, Outcome] = {}
        for members in self._groups(context):
            learned, exact = self._learned(context, measured, members)
            for index in members:
                features = context.circuit_features[index]
                reduced[index] = self._corrected(learned, exact, measured[index], features)
        return tuple(reduced[index] for index in range(len(measured)))

    def cost(self, experiment: Experiment) -> Cost:
        scales = len(self.settings.noise_scales)
        training = self._per_point(experiment)
        ratio = self.settings.shot_ratio(experiment)
        return Cost(scales * (1 + training), scales * (1 + training * ratio))

    @classmethod
    def plots(cls, figures: Mapping[str, JsonValue]) -> tuple[Plot, ...]:
        return (validation_plot(figures),)

    def regressor(self, seed: int) -> Regressor:
        """A fresh one, not yet trained."""
        return regressor_for(self.settings.model, seed)

    def _per_point(self, experiment: Experiment) -> int:
        training: int = self.settings.training
        return ceil(training / experiment.points)

    def _groups(self, context: LearnedContext) -> list[list[int]]:
        """Experiments that share a model."""
        groups: dict[int, list[int]] = {}
        for index, exact in enumerate(context.exact):
            key = len(exact[0][0]) if self.settings.together else index
            groups.setdefault(key, []).append(index)
        return list(groups.values())

    def _learned(
        self, context: LearnedContext, measured: Sequence[Measured], members: Sequence[int]
    ) -> tuple[Learned, Array]:
        examples = _joined(
            [_training_examples(measured[i], context.circuit_features[i]) for i in members]
        )
        observables = examples.noisy.shape[1]
        exact = np.concatenate(
            [np.array(context.exact[index]).reshape(-1, observables) for index in members]
        )
        rng = np.random.default_rng([context.seed, members[0]])
        source = partial(self.regressor, context.seed)
        return learn(examples, exact, source, self.settings.folds, rng), exact

    def _corrected(
        self, learned: Learned, exact: Array, measured: Measured, features: Sequence[float]
    ) -> ExpectationValues:
        asked = _own_examples(measured, features)
        outside = learned.outside(asked)
        if outside.any() and self.settings.outside == "fail":
            raise MitigationError(
                f"{outside.sum()} of {len(outside)} points lie outside what the model was trained "
                f"on. Use more training circuits, or outside='raw' to keep such values as measured."
            )
        values, variances = learned.predict(asked)
        kept = outside[:, None] | learned.useless
        raw, raw_variances = measured.raw
        return ExpectationValues(
            values=np.where(kept, asked.noisy, values),
            variances=np.where(kept, asked.variances, variances),
            raw_values=raw,
            raw_variances=raw_variances,
            diagnostics=(
                *measured.own[0].diagnostics,
                self._diagnostic(learned, exact, outside),
            ),
        )

    def _diagnostic(self, learned: Learned, exact: Array, outside: NDArray[np.bool_]) -> Diagnostic:
        """The first observable's validation, and every observable's errors."""
        useless = learned.useless
        return Diagnostic(
            option=self.option_name(),
            figures={
                "exact": exact[:, 0].tolist(),
                "noisy": learned.examples.noisy[:, 0].tolist(),
                "held_out": learned.held_out[:, 0].tolist(),
                "validation_errors": np.sqrt(learned.error).tolist(),
                "noisy_errors": np.sqrt(learned.raw_error).tolist(),
                "points_outside": int(outside.sum()),
                "observables_not_learnt": int(useless.sum()),
            },
            warning="; ".join(filter(None, _warnings(useless, outside))),
        )


def _warnings(useless: NDArray[np.bool_], outside: NDArray[np.bool_]) -> tuple[str, str]:
    """Why values are kept as measured."""
    not_learnt, beyond = "", ""
    if useless.any():
        not_learnt = (
            f"{useless.sum()} of {len(useless)} observables are kept as measured: held-out "
            f"training circuits are predicted no better than that"
        )
    if outside.any():
        beyond = (
            f"{outside.sum()} of {len(outside)} points are kept as measured: they lie outside what "
            f"the model was trained on"
        )
    return not_learnt, beyond


def validation_plot(figures: Mapping[str, JsonValue]) -> Plot:
    """Held-out predictions and noisy values against exact ones."""

    def numbers(name: str) -> tuple[float, ...]:
        found = figures.get(name)
        return (
            tuple(float(value) for value in found if isinstance(value, float))
            if isinstance(found, list)
            else ()
        )

    exact = numbers("exact")
    ends = (min(exact), max(exact)) if exact else ()
    return Plot(
        title="Validation on held-out training circuits",
        x_label="exact expectation value",
        y_label="expectation value",
        series=(
            Series(label="measured", x=exact, y=numbers("noisy")),
            Series(label="predicted", x=exact, y=numbers("held_out")),
            Series(label="exact", x=ends, y=ends, style="line"),
        ),
    )


def _circuit_features(experiment: Experiment) -> list[float]:
    circuit, binding = experiment.circuit, experiment.binding
    log_fidelity = 0.0 if binding is None else binding.log_fidelity or 0.0
    return [float(circuit.depth()), float(circuit.num_nonlocal_gates()), log_fidelity]


def _training_examples(measured: Measured, circuit_features: Sequence[float]) -> Examples:
    scales, _, _, observables = measured.training.shape
    values = measured.training.reshape(scales, -1, observables)
    return _examples(
        values, measured.training_variances.reshape(scales, -1, observables), circuit_features
    )


def _own_examples(measured: Measured, circuit_features: Sequence[float]) -> Examples:
    return _examples(measured.values, measured.variances, circuit_features)


def _examples(values: Array, variances: Array, circuit_features: Sequence[float]) -> Examples:
    """From values of shape ``(scales, rows, observables)``."""
    rows = values.shape[1]
    told = np.tile(np.array(circuit_features), (rows, 1))
    return Examples(
        features=np.hstack([*values, told]),
        spreads=np.hstack([*np.sqrt(variances), np.zeros_like(told)]),
        noisy=values[0],
        variances=variances[0],
    )


def _joined(parts: Sequence[Examples]) -> Examples:
    return Examples(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.spreads for part in parts]),
        np.concatenate([part.noisy for part in parts]),
        np.concatenate([part.variances for part in parts]),
    )
