"""Noise taken out after the measurement, by a tensor network of the circuit's noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue, TypeAdapter

from pipeline.measuring.bases import MeasuredExperiment, real_coefficients
from pipeline.measuring.measurement import counts_of, evaluate
from pipeline.measuring.random_bases import (
    SharedBases,
    Terms,
    favoured_bases,
    first_of_each,
    measured_in,
    share,
    spread,
)
from pipeline.noise.circuit_noise import NoiseSource, circuit_noise, wanted_layers
from pipeline.pauli.frames import PauliFrames
from pipeline.tensor_networks.mitigated_terms import (
    growth,
    largest_weights,
    mitigated_terms,
    unmeasured,
)
from pipeline.tensor_networks.noise_inverse import NoiseInverse, noise_inverse
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

EXACT_SHOTS = 100_000.0  # a pick's, where exact probabilities are asked
EXACT_TWIRLED = 64.0  # the same where twirls vary as shots do: repeat what counts most


class PointPlan(PlanContext):
    """One point of an experiment.

    Attributes:
        read: The mitigated observables, then the plain ones.
        labels: Of the bases; circuits of equal label differ by their twirls alone.
        systematic: For each observable, 2-norm of the terms that are not measured or were lost.
        figures: What the map and the bases are.
    """

    read: MeasuredExperiment
    labels: tuple[str, ...]
    systematic: tuple[float, ...]
    figures: dict[str, JsonValue]


class TensorNetworkContext(PlanContext):
    """For each experiment one plan a point."""

    experiments: tuple[tuple[PointPlan, ...], ...]


class TensorNetworkMitigation(EnrichedExecutionBackend):
    """Changes the observables instead of the circuit, so that noise drops out of their values.

    The inverse of the circuit's Pauli noise is a tensor network, built from the middle of the
    circuit outwards and cut to ``max_bond``. What it makes of the observables is measured in
    local bases that share the circuit's shots. Since the noise is taken to be Pauli noise, every
    one of the measured circuits is twirled, at random; the network is the same for all of them.
    Parameters are numbers here, and every point has a network of its own.

    Source: Filippov et al., arXiv:2307.11740 (2023).
    """

    rank = 50
    measures = True
    reusable_plan = False
    levels = frozenset[Level]({"expectation"})
    purpose = "remove the noise of gates"
    conflicts: ClassVar[Mapping[str, str]] = {
        "PauliTwirling": "TensorNetworkMitigation twirls its circuits by itself"
    }

    class Settings(OptionSettings):
        """How the noise is known, and how exactly it is inverted.

        ``noise`` is ``learnt`` before the job, or follows from the ``calibration``; ``auto`` takes
        what has been learnt already. ``cutoff`` is the part of the map's squared norm that one cut
        may take away. A circuit whose map loses more than ``max_loss`` of its norm is refused.
        ``bases`` are measured at each point, some of them equal. Without ``twirl`` these are one
        circuit; relaxation and coherent errors are then not fully taken out.
        """

        noise: NoiseSource = "auto"
        max_bond: int = Field(default=32, ge=2, le=512)
        cutoff: float = Field(default=1e-9, ge=0, lt=1)
        max_loss: float = Field(default=0.1, gt=0, lt=1)
        bases: int = Field(default=64, ge=1)
        twirl: bool = True

    def expand(
        self, experiments: Sequence[Experiment]
    ) -> tuple[Sequence[Experiment], TensorNetworkContext]:
        expanded: list[Experiment] = []
        plans = []
        for index, experiment in enumerate(experiments):
            rng = np.random.default_rng([self.services.seed, self.rank, index])
            points = []
            for row in experiment.parameter_values:
                bound = replace(
                    experiment,
                    circuit=experiment.circuit.assign_parameters(row),
                    parameter_values=np.empty((1, 0)),
                )
                plan, circuits = self._at_point(bound, rng)
                points.append(plan)
                expanded.extend(circuits)
            plans.append(tuple(points))
        factor = max((_number(p.figures["growth"]) for e in plans for p in e), default=1.0)
        return expanded, TensorNetworkContext(
            experiments=tuple(plans),
            announcement=(
                f"TensorNetworkMitigation: terms of the observables grow up to {factor:.3g} times, "
                f"so {factor**2:.3g} times the shots for the same standard error; "
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
        """At most: without twirls, bases that come out equal run as one."""
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

    def _at_point(
        self, bound: Experiment, rng: np.random.Generator
    ) -> tuple[PointPlan, list[Experiment]]:
        settings = self.settings
        frames = PauliFrames(bound.circuit, bound.binding.basis_gates if bound.binding else ())
        twirl = bool(settings.twirl and frames.twirled)
        # Of one twirled circuit: its pulses make the others wait as they will in every other one.
        # On a twin of FakeLima, 18 joint gates, leaving them out left a sixth of the noise.
        run = _any_twirl(bound, frames, rng) if twirl else bound
        noise = circuit_noise(run, frames, self.services, settings.noise, twirled=False)
        inverse = noise_inverse(run.circuit, noise.sites, settings.max_bond, settings.cutoff)
        self._check_loss(bound, inverse)
        plain = [real_coefficients(observable) for observable in bound.observables or ()]
        mitigated = mitigated_terms(plain, inverse)
        bases = self._bases(mitigated.terms, plain, bound.shots, twirl=twirl)
        read = spread([*mitigated.terms, *plain], bases, bound.circuit.num_clbits)
        missed = mitigated.left_out + unmeasured(mitigated.terms, bases)
        figures: dict[str, JsonValue] = {
            "bond": inverse.chain.largest_bond,
            "loss": inverse.loss,
            "growth": growth(plain, mitigated.terms),
            "strings": len(largest_weights(mitigated.terms)),
            "circuits": len(bases.labels),
            "learnt_layers": noise.learnt,
            "calibrated_layers": noise.calibrated,
            "largest_terms": _largest_terms(mitigated.terms),
        }
        systematic = tuple(np.sqrt(missed).tolist())
        plan = PointPlan(read=read, labels=bases.labels, systematic=systematic, figures=figures)
        return plan, _twirled(bound, bases, frames, rng) if twirl else measured_in(bound, bases)

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
        self,
        mitigated: Sequence[Terms],
        plain: Sequence[Terms],
        shots: int | None,
        *,
        twirl: bool,
    ) -> SharedBases:
        """Bases that differ, or, to be twirled one by one, as often as they were picked."""
        weights = largest_weights([*mitigated, *plain])
        if not weights:
            width = len(next(iter(plain[0]), "I"))
            return SharedBases(("Z".rjust(width, "I"),), (shots or 1,))
        picks = min(self.settings.bases, shots or self.settings.bases)
        exact = EXACT_TWIRLED if twirl else EXACT_SHOTS
        bases = favoured_bases(weights, picks, exact if shots is None else shots / picks)
        if twirl:
            labels = tuple(np.repeat(bases.labels, bases.repeats).tolist())
            bases = SharedBases(labels, (1,) * len(labels))
        return bases if shots is None else replace(bases, repeats=share(shots, bases.repeats))


def _any_twirl(bound: Experiment, frames: PauliFrames, rng: np.random.Generator) -> Experiment:
    (twirl,) = frames.draw_twirls(1, rng).tolist()
    return replace(bound, circuit=frames.build(frames.steps(twirl=twirl)))


def _twirled(
    bound: Experiment, bases: SharedBases, frames: PauliFrames, rng: np.random.Generator
) -> list[Experiment]:
    """Each basis with a twirl of its own."""
    twirls = frames.draw_twirls(len(bases.labels), rng).tolist()
    return [
        experiment
        for label, shots, twirl in zip(bases.labels, bases.repeats, twirls, strict=True)
        for experiment in measured_in(
            replace(bound, circuit=frames.build(frames.steps(twirl=twirl))),
            SharedBases((label,), (shots,)),
        )
    ]


def _largest_terms(terms: Sequence[Terms]) -> list[JsonValue]:
    return [round(value, 6) for value in list(terms[0].values())[:16]] if terms else []


def _read(point: PointPlan, counts: Sequence[Counts]) -> ExpectationValues:
    """Mitigated values, with twirls and what was left out as parts of their variances."""
    count = len(point.systematic)
    empty = (0.0,) * len(point.read.constants)
    each = [
        evaluate(MeasuredExperiment(bases=(basis,), constants=empty), [outcome])
        for basis, outcome in zip(point.read.bases, counts, strict=True)
    ]
    parts = np.array([one.values[0] for one in each])
    within = np.array([one.variances[0] for one in each])
    raw = np.array([_raw(one) for one in each]).sum(axis=0)
    constants = np.array(point.read.constants)
    statistical = within.sum(axis=0) + _between_twirls(point.labels, parts, within)
    systematic = np.array(point.systematic) ** 2
    return ExpectationValues(
        values=(constants + parts.sum(axis=0))[None, :count],
        variances=(statistical[:count] + systematic)[None],
        raw_values=(constants + raw[0])[None, count:],
        raw_variances=raw[1][None, count:],
        diagnostics=(*first_of_each(each[0].diagnostics), _note(point, statistical[:count])),
    )


def _raw(one: ExpectationValues) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if one.raw_values is None or one.raw_variances is None:
        return one.values[0], one.variances[0]
    return one.raw_values[0], one.raw_variances[0]


def _between_twirls(
    labels: Sequence[str], parts: NDArray[np.float64], within: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Variance of a sum over circuits beyond that of their shots, where bases were repeated.

    Args:
        parts: What each circuit adds, shape ``(circuits, observables)``; ``within`` is its shots'
            variance.
    """
    _, group = np.unique(np.array(labels), return_inverse=True)
    excess = np.zeros(parts.shape[1])
    for number, size in enumerate(np.bincount(group)):
        if size > 1:
            alike = group == number
            excess += size * parts[alike].var(axis=0, ddof=1) - within[alike].sum(axis=0)
    return np.clip(excess, 0, None)


def _note(point: PointPlan, statistical: NDArray[np.float64]) -> Diagnostic:
    """Warns where more may be missing than shots leave open."""
    worst = max(point.systematic)
    figures = {**point.figures, "systematic": worst}
    warning = ""
    if np.any(np.array(point.systematic) ** 2 > np.maximum(statistical, 1e-6)):
        warning = (
            f"terms that were cut or not measured, of 2-norm {worst:.2g}, may be off by more than "
            "the shot noise; raise max_bond or bases."
        )
    return Diagnostic(option="TensorNetworkMitigation", figures=figures, warning=warning)


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
