"""Layerwise Richardson extrapolation: every chunk of layers has a noise scale of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations_with_replacement, pairwise
from math import comb
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue

from pipeline.extrapolation.folding import FoldedGates, Group, fold_at, foldable_groups
from pipeline.extrapolation.strength import UNAMPLIFIED
from pipeline.noise.expected import mixed_value
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

Array = NDArray[np.float64]
Folds = tuple[int, ...]

LARGEST = 1000  # circuits for one


class LreContext(PlanContext):
    """One entry an experiment; circuits are in the order of the planned experiments.

    Attributes:
        weights: Of each circuit's values in the extrapolated ones.
        lower_weights: The same for a polynomial of one degree less.
        scales: Mean noise scale of each circuit's gates.
        chunks: Chunks of layers; 0 where there is no gate to fold.
        mixed_values: Of each observable in the fully mixed state.
    """

    weights: tuple[tuple[float, ...], ...]
    lower_weights: tuple[tuple[float, ...], ...]
    scales: tuple[tuple[float, ...], ...]
    chunks: tuple[int, ...]
    mixed_values: tuple[tuple[float, ...], ...]


class LayerwiseRichardson(EnrichedExecutionBackend):
    """Extrapolates to zero noise in as many noise scales as the circuit has chunks of layers.

    A polynomial of all scales together passes through the measured values, so that parts of a
    circuit may differ in how much they disturb an observable. ``c`` chunks and degree ``d`` take
    ``(c + d)! / (c! d!)`` circuits, each with the experiment's full number of shots.

    Source: Russo and Mari, arXiv:2402.04000.
    """

    rank = 10
    levels = frozenset[Level]({"expectation"})
    purpose = "remove the noise of gates"

    class Settings(OptionSettings):
        """How layers are amplified.

        Attributes:
            degree: Total degree of the polynomial.
            fold_multiplier: How often a layer is folded for each power of its scale.
            num_chunks: Groups of consecutive layers that are folded together, as many as there
                are layers at most; every layer by itself where it is ``None``.
            gates: Those that are folded.
            systematic_error: Whether standard errors hold what the degree, and noise that is not
                amplified, may be wrong by.
        """

        degree: int = Field(default=2, ge=1)
        fold_multiplier: int = Field(default=1, ge=1)
        num_chunks: int | None = Field(default=3, ge=1)
        gates: FoldedGates = "two_qubit"
        systematic_error: bool = True

    def expand(self, experiments: Sequence[Experiment]) -> tuple[Sequence[Experiment], LreContext]:
        planned: list[Experiment] = []
        columns: list[tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], int]] = []
        for experiment in experiments:
            chunks = self._chunks(experiment)
            patterns = fold_patterns(len(chunks), self.settings.degree)
            self._check(len(patterns), len(chunks))
            vectors = self.settings.fold_multiplier * 2 * np.array(patterns) + 1
            sizes = np.array([sum(map(len, chunk)) for chunk in chunks], dtype=float)
            means = vectors @ (sizes / sizes.sum()) if chunks else np.ones(1)
            columns.append(
                (
                    tuple(richardson_weights(vectors, self.settings.degree)),
                    tuple(self._lower(vectors)),
                    tuple(means),
                    len(chunks),
                )
            )
            planned.extend(self._folded(experiment, chunks, pattern) for pattern in patterns)
        weights, lower, scales, counts = zip(*columns, strict=True) if columns else ((),) * 4
        mixed = tuple(tuple(map(mixed_value, each.observables or ())) for each in experiments)
        return planned, LreContext(
            weights=weights,
            lower_weights=lower,
            scales=scales,
            chunks=counts,
            mixed_values=mixed,
        )

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, LreContext)
        remaining = iter(outcomes)
        return tuple(
            self._extrapolated(context, index, [next(remaining) for _ in weights])
            for index, weights in enumerate(context.weights)
        )

    def cost(self, experiment: Experiment) -> Cost:
        circuits = comb(len(self._chunks(experiment)) + self.settings.degree, self.settings.degree)
        return Cost(circuits, circuits)

    @classmethod
    def plots(cls, figures: Mapping[str, JsonValue]) -> tuple[Plot, ...]:
        """Measured values over the mean noise scale, and the value at none."""
        measured, at_zero = _numbers(figures, "values"), _numbers(figures, "extrapolated")
        if not measured:
            return ()
        points = Series(
            label="measured",
            x=_numbers(figures, "mean_scales"),
            y=measured,
            errors=_numbers(figures, "std_errors"),
        )
        found = Series(
            label="at zero noise", x=(0.0,), y=at_zero, errors=_numbers(figures, "std_error")
        )
        weights = Series(
            label="weight",
            x=tuple(map(float, range(len(measured)))),
            y=_numbers(figures, "weights"),
            style="bars",
        )
        title = "Layerwise Richardson extrapolation"
        return (
            Plot(
                title=title,
                x_label="mean noise scale",
                y_label="expectation value",
                series=(points, found),
            ),
            Plot(title=f"{title}: weights", x_label="circuit", y_label="weight", series=(weights,)),
        )

    def _chunks(self, experiment: Experiment) -> list[list[Group]]:
        """Consecutive groups of layers, of equal numbers as far as they go."""
        layers = foldable_groups(experiment.circuit, self.settings.gates, "layers")
        wanted = self.settings.num_chunks
        count = len(layers) if wanted is None else min(wanted, len(layers))
        ends = [(number * len(layers)) // count for number in range(count + 1)] if count else [0]
        return [layers[start:end] for start, end in pairwise(ends)]

    def _check(self, circuits: int, chunks: int) -> None:
        if circuits > LARGEST:
            raise MitigationError(
                f"{chunks} chunks of layers and degree {self.settings.degree} take {circuits:,} "
                f"circuits for one, more than {LARGEST:,}. Give fewer num_chunks."
            )

    def _lower(self, vectors: NDArray[np.int64]) -> Array:
        """Weights for one degree less; those vectors come first."""
        degree = self.settings.degree - 1
        size = comb(vectors.shape[1] + degree, degree)
        weights = np.zeros(len(vectors))
        weights[:size] = richardson_weights(vectors[:size], degree)
        return weights

    def _folded(
        self, experiment: Experiment, chunks: Sequence[Sequence[Group]], pattern: Folds
    ) -> Experiment:
        folds = {
            index: self.settings.fold_multiplier * times
            for chunk, times in zip(chunks, pattern, strict=True)
            for group in chunk
            for index in group
        }
        return replace(experiment, circuit=fold_at(experiment.circuit, folds))

    def _extrapolated(
        self, context: LreContext, index: int, measured: Sequence[Outcome]
    ) -> ExpectationValues:
        noisy = [cast("ExpectationValues", outcome) for outcome in measured]
        values = np.stack([outcome.values for outcome in noisy])
        variances = np.stack([outcome.variances for outcome in noisy])
        weights = np.array(context.weights[index])
        found = np.tensordot(weights, values, 1)
        statistical = np.tensordot(weights**2, variances, 1)
        systematic = self._systematic(context, index, values, variances)
        plain = noisy[0]
        outcome = ExpectationValues(
            values=found,
            variances=statistical + systematic**2 * self.settings.systematic_error,
            raw_values=plain.values if plain.raw_values is None else plain.raw_values,
            raw_variances=plain.variances if plain.raw_variances is None else plain.raw_variances,
        )
        note = self._diagnose(context, index, values, variances, outcome)
        return replace(outcome, diagnostics=(*plain.diagnostics, note))

    def _systematic(
        self, context: LreContext, index: int, values: Array, variances: Array
    ) -> Array:
        """What the polynomial leaves out, and what no fit sees, since folding does not amplify it.

        The first is about its last term, less what shot noise makes of it.

        Beyond a line that is the step from the degree before. A line's own correction is a share
        of the signal, and what it leaves out is that share of the correction again.
        """
        weights, lower = np.array(context.weights[index]), np.array(context.lower_weights[index])
        beyond = _beyond_noise(weights - lower, values, variances)
        plain = np.eye(len(weights))[0]
        missed = UNAMPLIFIED * _beyond_noise(weights - plain, values, variances)
        if self.settings.degree > 1:
            return np.hypot(beyond, missed)
        signal = np.abs(np.tensordot(weights, values, 1) - np.array(context.mixed_values[index]))
        # A line stays behind a decay as it does behind noise that is not amplified.
        short: Array = missed + beyond * np.minimum(beyond / np.maximum(signal, 1e-12), 1.0)
        return short

    def _diagnose(
        self,
        context: LreContext,
        index: int,
        values: Array,
        variances: Array,
        found: ExpectationValues,
    ) -> Diagnostic:
        weights = context.weights[index]
        errors = np.sqrt(found.variances)
        lost = int(np.count_nonzero(errors > np.abs(found.values - values[0])))
        warning = ""
        if context.chunks[index] == 0:
            warning = "no gate was folded"
        elif 2 * lost > errors.size:
            warning = f"{lost} of {errors.size} corrections are smaller than their standard errors"
        return Diagnostic(
            option=self.option_name(),
            figures={
                "chunks": context.chunks[index],
                "degree": self.settings.degree,
                "circuits": len(weights),
                "norm": float(np.abs(weights).sum()),
                "weights": list(weights),
                "mean_scales": list(context.scales[index]),
                "values": values[:, 0, 0].tolist(),
                "std_errors": np.sqrt(variances[:, 0, 0]).tolist(),
                "extrapolated": [float(found.values[0, 0])],
                "std_error": [float(errors[0, 0])],
            },
            warning=warning,
        )


def fold_patterns(chunks: int, degree: int) -> list[Folds]:
    """How often each chunk is folded in each circuit: every monomial up to the degree.

    The first folds nothing; those of a lower degree come first.
    """
    chosen = (
        places
        for size in range(degree + 1)
        for places in combinations_with_replacement(range(chunks), size)
    )
    return [tuple(places.count(chunk) for chunk in range(chunks)) for places in chosen]


def richardson_weights(scales: NDArray[np.int64], degree: int) -> Array:
    """Weights with which values at vectors of noise scales add up to the value at none.

    Args:
        scales: Shape ``(circuits, chunks)``, one circuit for each monomial up to the degree.

    Returns:
        Shape ``(circuits,)``; they sum to 1.
    """
    monomials = np.array(fold_patterns(scales.shape[1], degree), dtype=np.int64)
    sample = np.prod(scales[:, None, :].astype(float) ** monomials, axis=2)
    constant = np.zeros(len(monomials))
    constant[0] = 1.0
    weights: Array = np.linalg.solve(sample.T, constant)
    return weights


def _beyond_noise(weights: Array, values: Array, variances: Array) -> Array:
    """A difference of two weighted sums, less what shot noise makes of it."""
    difference = np.tensordot(weights, values, 1)
    noise = np.tensordot(weights**2, variances, 1)
    beyond: Array = np.sqrt(np.maximum(difference**2 - noise, 0.0))
    return beyond


def _numbers(figures: Mapping[str, JsonValue], name: str) -> tuple[float, ...]:
    found = cast("list[float]", figures.get(name, []))
    return tuple(map(float, found))
