"""Noise taken out after the measurement, by a tensor network of the circuit's noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue, TypeAdapter

from pipeline.bases import MeasuredExperiment, real_coefficients
from pipeline.circuit_noise import NoiseSource, circuit_noise, wanted_layers
from pipeline.measurement import counts_of, evaluate
from pipeline.noise_inverse import NoiseInverse, noise_inverse
from pipeline.pauli_frames import PauliFrames
from pipeline.random_bases import (
    SharedBases,
    Terms,
    favoured_bases,
    first_of_each,
    measured_in,
    share,
    spread,
)
from qcpaas.errors import MitigationError
from qcpaas.execution import (
    Cost,
    Counts,
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

MAX_STRINGS = 1000  # that bases are chosen for
EXACT_SHOTS = 100_000.0  # a pick's, where exact probabilities are asked


class PointPlan(PlanContext):
    """One point of an experiment.

    Attributes:
        read: The mitigated observables, then the plain ones.
        systematic: For each observable, 2-norm of the terms that are not measured or were lost.
        figures: What the map and the bases are.
    """

    read: MeasuredExperiment
    systematic: tuple[float, ...]
    figures: dict[str, JsonValue]


class TensorNetworkContext(PlanContext):
    """For each experiment one plan a point."""

    experiments: tuple[tuple[PointPlan, ...], ...]


@dataclass(frozen=True, eq=False)
class _Mitigated:
    """Observables that have in the noisy state the values that the given ones have without noise.

    ``left_out`` is the squared 2-norm of the terms that are not among them.
    """

    terms: list[dict[str, float]]
    left_out: NDArray[np.float64]


class TensorNetworkMitigation(EnrichedExecutionBackend):
    """Changes the observables instead of the circuit, so that noise drops out of their values.

    The inverse of the circuit's Pauli noise is a tensor network, built from the middle of the
    circuit outwards and cut to ``max_bond``. What it makes of the observables is measured in
    local bases that share the circuit's shots. The circuit itself runs unchanged. Noise is taken
    as twirled: PauliTwirling around it makes that true, at the price of one network a twirl.
    Parameters are numbers here, and every point has a network of its own.

    Source: Filippov et al., arXiv:2307.11740 (2023).
    """

    rank = 50
    measures = True
    reusable_plan = False
    levels = frozenset[Level]({"expectation"})
    conflicts: ClassVar[Mapping[str, str]] = {
        "ZeroNoiseExtrapolation": "both remove the same noise",
        "LayerwiseRichardson": "both remove the same noise",
        "ProbabilisticErrorCancellation": "both remove the same noise",
        "ProbabilisticAmplification": "both remove the same noise",
    }

    class Settings(OptionSettings):
        """How the noise is known, and how exactly it is inverted.

        ``noise`` is ``learnt`` before the job, or follows from the ``calibration``; ``auto`` takes
        what has been learnt already. ``cutoff`` is the part of the map's squared norm that one cut
        may take away. A circuit whose map loses more than ``max_loss`` of its norm is refused.
        ``bases`` are measured at each point, some of them equal.
        """

        noise: NoiseSource = "auto"
        max_bond: int = Field(default=32, ge=2, le=512)
        cutoff: float = Field(default=1e-9, ge=0, lt=1)
        max_loss: float = Field(default=0.1, gt=0, lt=1)
        bases: int = Field(default=64, ge=1)

    def expand(
        self, experiments: Sequence[Experiment]
    ) -> tuple[Sequence[Experiment], TensorNetworkContext]:
        expanded: list[Experiment] = []
        plans = []
        for experiment in experiments:
            points = []
            for row in experiment.parameter_values:
                bound = replace(
                    experiment,
                    circuit=experiment.circuit.assign_parameters(row),
                    parameter_values=np.empty((1, 0)),
                )
                plan, bases = self._at_point(bound)
                points.append(plan)
                expanded.extend(measured_in(bound, bases))
            plans.append(tuple(points))
        growth = max((_number(p.figures["growth"]) for e in plans for p in e), default=1.0)
        return expanded, TensorNetworkContext(
            experiments=tuple(plans),
            announcement=(
                f"TensorNetworkMitigation: terms of the observables grow up to {growth:.3g} times, "
                f"so {growth**2:.3g} times the shots for the same standard error; "
                f"{len(expanded)} circuits."
            ),
        )

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, TensorNetworkContext)
        remaining = iter(outcomes)
        return tuple(
            _joined(
                [
                    _read(point, [counts_of(next(remaining)) for _ in point.read.bases])
                    for point in points
                ]
            )
            for points in context.experiments
        )

    def cost(self, experiment: Experiment) -> Cost:
        """At most: bases that come out equal run as one."""
        return Cost(min(self.settings.bases, experiment.shots or self.settings.bases), 1.0)

    def wanted_noise(self, experiments: Sequence[Experiment]) -> tuple[GateLayer, ...]:
        return wanted_layers(experiments, self.settings.noise)

    @classmethod
    def plots(cls, figures: Mapping[str, JsonValue]) -> tuple[Plot, ...]:
        sizes = TypeAdapter(tuple[float, ...]).validate_python(figures["largest_terms"])
        places = tuple(map(float, range(len(sizes))))
        return (
            Plot(
                title="Terms of the first observable without noise",
                x_label="term",
                y_label="coefficient",
                series=(Series(label="largest terms", x=places, y=sizes, style="bars"),),
            ),
        )

    def _at_point(self, bound: Experiment) -> tuple[PointPlan, SharedBases]:
        settings = self.settings
        frames = PauliFrames(bound.circuit, bound.binding.basis_gates if bound.binding else ())
        noise = circuit_noise(bound, frames, self.services, settings.noise, twirled=False)
        inverse = noise_inverse(bound.circuit, noise.sites, settings.max_bond, settings.cutoff)
        self._check_loss(bound, inverse)
        plain = [real_coefficients(observable) for observable in bound.observables or ()]
        mitigated = _mitigated(plain, inverse)
        bases = self._bases(mitigated.terms, plain, bound.shots)
        read = spread([*mitigated.terms, *plain], bases, bound.circuit.num_clbits)
        missed = mitigated.left_out + _unmeasured(mitigated.terms, bases)
        figures: dict[str, JsonValue] = {
            "bond": inverse.chain.largest_bond,
            "loss": inverse.loss,
            "growth": _growth(plain, mitigated.terms),
            "strings": len(_weights(mitigated.terms)),
            "circuits": len(bases.labels),
            "learnt_layers": noise.learnt,
            "calibrated_layers": noise.calibrated,
            "largest_terms": _largest_terms(mitigated.terms),
        }
        systematic = tuple(np.sqrt(missed).tolist())
        return PointPlan(read=read, systematic=systematic, figures=figures), bases

    def _check_loss(self, bound: Experiment, inverse: NoiseInverse) -> None:
        if inverse.loss > self.settings.max_loss:
            joint = sum(len(step.qubits) > 1 for step in bound.circuit.data)
            raise MitigationError(
                f"inverting the noise of circuit {bound.circuit.name} ({bound.circuit.num_qubits} "
                f"qubits, {joint} joint gates) loses {inverse.loss:.2g} of the map's norm at bond "
                f"{self.settings.max_bond}; max_loss is {self.settings.max_loss:g}. Raise "
                "max_bond, run a shallower circuit, or leave TensorNetworkMitigation out."
            )

    def _bases(
        self, mitigated: Sequence[Terms], plain: Sequence[Terms], shots: int | None
    ) -> SharedBases:
        weights = _weights([*mitigated, *plain])
        if not weights:
            width = len(next(iter(plain[0]), "I"))
            return SharedBases(("Z".rjust(width, "I"),), (shots or 1,))
        picks = min(self.settings.bases, shots or self.settings.bases)
        bases = favoured_bases(weights, picks, EXACT_SHOTS if shots is None else shots / picks)
        return bases if shots is None else replace(bases, repeats=share(shots, bases.repeats))


def _mitigated(plain: Sequence[Terms], inverse: NoiseInverse) -> _Mitigated:
    """The largest terms of every observable; lost by cuts counts as left out."""
    images: dict[str, tuple[dict[str, float], float]] = {}
    terms, left_out = [], []
    for observable in plain:
        total: dict[str, float] = {}
        rest = 0.0
        for string, coefficient in observable.items():
            if string not in images:
                images[string] = inverse.of(string, MAX_STRINGS)
            image, missed = images[string]
            lost = inverse.loss**2 if set(string) != {"I"} else 0.0
            rest += coefficient**2 * (missed + lost)
            for found, value in image.items():
                total[found] = total.get(found, 0.0) + coefficient * value
        largest = sorted(total, key=lambda found: -abs(total[found]))
        terms.append({found: total[found] for found in largest[:MAX_STRINGS]})
        left_out.append(rest + sum(total[found] ** 2 for found in largest[MAX_STRINGS:]))
    return _Mitigated(terms, np.array(left_out))


def _weights(terms: Sequence[Terms]) -> dict[str, float]:
    """Largest coefficient of each string in any observable, of those that count most."""
    weights: dict[str, float] = {}
    for each in terms:
        for string, value in each.items():
            if set(string) != {"I"}:
                weights[string] = max(weights.get(string, 0.0), abs(value))
    largest = sorted(weights, key=lambda string: (-weights[string], string))
    return {string: weights[string] for string in largest[:MAX_STRINGS]}


def _unmeasured(terms: Sequence[Terms], bases: SharedBases) -> NDArray[np.float64]:
    """Squared 2-norm of each observable's terms that are in no basis."""
    strings = sorted({string for each in terms for string in each})
    if not strings:
        return np.zeros(len(terms))
    missed = [s for s, told in zip(strings, bases.shots_of(strings), strict=True) if not told]
    return np.array([sum(each.get(string, 0.0) ** 2 for string in missed) for each in terms])


def _growth(plain: Sequence[Terms], mitigated: Sequence[Terms]) -> float:
    """Largest factor by which an observable's 2-norm has grown, identity aside."""
    factors = [1.0]
    for before, after in zip(plain, mitigated, strict=True):
        small, large = (
            sum(value**2 for string, value in terms.items() if set(string) != {"I"})
            for terms in (before, after)
        )
        factors.append(float(np.sqrt(large / small)) if small else 1.0)
    return max(factors)


def _largest_terms(terms: Sequence[Terms]) -> list[JsonValue]:
    return [round(value, 6) for value in list(terms[0].values())[:16]] if terms else []


def _read(point: PointPlan, counts: Sequence[Counts]) -> ExpectationValues:
    """Mitigated values, with what was left out as part of their variances."""
    both = evaluate(point.read, counts)
    count = len(point.systematic)
    systematic = np.array(point.systematic) ** 2
    raw = both.values if both.raw_values is None else both.raw_values
    raw_variances = both.variances if both.raw_variances is None else both.raw_variances
    statistical = both.variances[:, :count]
    worse = bool(np.any(systematic > np.maximum(statistical, 1e-6)))
    warning = (
        f"terms that were cut or not measured, of 2-norm {max(point.systematic):.2g}, may be off "
        "by more than the shot noise; raise max_bond or bases."
        if worse
        else ""
    )
    figures = {**point.figures, "systematic": max(point.systematic)}
    note = Diagnostic(option="TensorNetworkMitigation", figures=figures, warning=warning)
    return ExpectationValues(
        values=both.values[:, :count],
        variances=statistical + systematic,
        raw_values=raw[:, count:],
        raw_variances=raw_variances[:, count:],
        diagnostics=(*first_of_each(both.diagnostics), note),
    )


def _joined(points: Sequence[ExpectationValues]) -> ExpectationValues:
    """Points under each other; the diagnostic is that of the worst of them."""
    notes = [point.diagnostics[-1] for point in points]
    worst = max(notes, key=lambda note: _number(note.figures["systematic"]))
    return ExpectationValues(
        values=np.concatenate([point.values for point in points]),
        variances=np.concatenate([point.variances for point in points]),
        raw_values=np.concatenate([_known(point.raw_values) for point in points]),
        raw_variances=np.concatenate([_known(point.raw_variances) for point in points]),
        diagnostics=(*points[0].diagnostics[:-1], worst),
    )


def _known(values: NDArray[np.float64] | None) -> NDArray[np.float64]:
    assert values is not None
    return values


def _number(value: JsonValue) -> float:
    assert isinstance(value, int | float)
    return float(value)
