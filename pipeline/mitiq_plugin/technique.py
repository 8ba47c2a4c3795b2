"""Any of Mitiq's techniques that splits into circuits and their combination, as an option.

Mitiq is under the GPL: it is imported where a job names one of these options, and nowhere else.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
from pydantic import JsonValue

from pipeline.mitiq_plugin.circuits import Handed, hand_over, take_back
from pipeline.mitiq_plugin.combination import Array, Combination, Samples
from pipeline.mitiq_plugin.loading import load_mitiq
from qcpaas.errors import MitigationError
from qcpaas.execution import (
    Binding,
    EnrichedExecutionBackend,
    ExecutionBackend,
    ExpectationValues,
    Experiment,
    Level,
    OptionSettings,
    Outcome,
    PlanContext,
)
from qcpaas.manifest import Diagnostic

Remembered = Mapping[str, JsonValue]
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Construction:
    """What a technique's ``construct_circuits`` gave for one circuit.

    Attributes:
        circuits: Mitiq's, in the order in which ``combine_results`` wants their results.
        remember: What ``combine_results`` needs besides.
        plain: Which of them is the circuit as it was given.
    """

    circuits: Sequence[Any]
    remember: dict[str, JsonValue] = field(default_factory=dict)
    plain: int | None = None


class MitiqPoint(PlanContext):
    """One parameter point of one experiment.

    Attributes:
        results: For each of Mitiq's circuits, which of the ``executed`` ones it is.
        plain: The executed one that is the circuit without any change.
        advice: Why the technique is likely to do harm on its device.
    """

    results: tuple[int, ...]
    executed: int
    plain: int
    remember: dict[str, JsonValue]
    advice: str = ""


class MitiqContext(PlanContext):
    """For each experiment, its points."""

    experiments: tuple[tuple[MitiqPoint, ...], ...]


class MitiqOption(EnrichedExecutionBackend):
    """A technique of Mitiq around bound circuits: a subclass names it, and translates its settings.

    Each parameter point is planned by itself, since Mitiq's circuits have no parameters. Circuits
    that are equal run once, with the shots of all of them. The standard error is propagated from
    those of the results by central differences of one standard error, which is exact where the
    technique is linear; that of random samples is added.
    """

    rank = 10
    levels = frozenset[Level]({"expectation"})
    requires = ("mitiq", "ply")
    reusable_plan = False
    technique: ClassVar[str]  # the module of Mitiq's

    def __init__(self, inner: ExecutionBackend, settings: OptionSettings | None = None) -> None:
        load_mitiq()
        super().__init__(inner, settings)

    @abstractmethod
    def construct(self, handed: Handed, seed: int) -> Construction:
        """Call the technique's ``construct_circuits``."""

    @abstractmethod
    def combined(self, remember: Remembered, results: Array) -> float:
        """Call the technique's ``combine_results`` with one observable's results."""

    def samples(self, remember: Remembered) -> Sequence[Samples]:
        """Which results are random samples, where the technique draws circuits."""
        return ()

    def announced(self, remembered: Sequence[Remembered]) -> str:
        """What the job's user should know before anything is spent, of all points."""
        return ""

    def advice(self, binding: Binding | None) -> str:
        """A warning that the technique is likely to do harm there; empty where it is not."""
        return ""

    def shots_each(self, experiment: Experiment) -> int | None:
        """Of each of Mitiq's circuits."""
        return experiment.shots

    def expand(self, experiments: Sequence[Experiment]) -> tuple[Sequence[Experiment], PlanContext]:
        expanded: list[Experiment] = []
        contexts: list[tuple[MitiqPoint, ...]] = []
        for number, experiment in enumerate(experiments):
            points = []
            for point in range(experiment.points):
                seed = np.random.SeedSequence([self.services.seed, number, point])
                planned, context = self._at_point(experiment, point, int(seed.generate_state(1)[0]))
                expanded.extend(planned)
                points.append(context)
            contexts.append(tuple(points))
        announcement = self.announced([point.remember for each in contexts for point in each])
        return expanded, MitiqContext(experiments=tuple(contexts), announcement=announcement)

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, MitiqContext)
        remaining = iter(outcomes)
        return tuple(
            self._joined(
                [[_expectation(next(remaining)) for _ in range(each.executed)] for each in points],
                points,
            )
            for points in context.experiments
        )

    def _at_point(
        self, experiment: Experiment, point: int, seed: int
    ) -> tuple[list[Experiment], MitiqPoint]:
        calibration = self.services.calibration(experiment.binding)
        handed, plain = self._called(lambda: hand_over(experiment, point, calibration))
        built = self._called(lambda: self.construct(handed, seed))
        order, results = _distinct(built.circuits)
        circuits = self._called(lambda: [take_back(handed, circuit) for circuit in order])
        each = self.shots_each(experiment)
        shots = [None if each is None else each * results.count(i) for i in range(len(order))]
        place = len(order) if built.plain is None else results[built.plain]
        if built.plain is None:
            circuits.append(plain)
            shots.append(experiment.shots)
        at_point = replace(experiment, parameter_values=np.empty((1, 0)))
        planned = [
            replace(at_point, circuit=circuit, shots=own)
            for circuit, own in zip(circuits, shots, strict=True)
        ]
        remembered = MitiqPoint(
            results=tuple(results),
            executed=len(planned),
            plain=place,
            remember=built.remember,
            advice=self.advice(experiment.binding),
        )
        return planned, remembered

    def _called(self, call: Callable[[], Result]) -> Result:
        """Mitiq's own errors as ours."""
        try:
            return call()
        except _refusals() as error:
            raise MitigationError(
                f"mitiq.{self.technique} refuses the circuit: {error} Change the settings of "
                f"{self.option_name()}, or leave it out."
            ) from error

    def _joined(
        self, measured: Sequence[Sequence[ExpectationValues]], points: Sequence[MitiqPoint]
    ) -> ExpectationValues:
        parts = [
            self._mitigated(point, outcomes)
            for point, outcomes in zip(points, measured, strict=True)
        ]
        raw = [
            _raw(outcomes[point.plain]) for point, outcomes in zip(points, measured, strict=True)
        ]
        joined = ExpectationValues(
            values=np.array([values for values, _, _ in parts]),
            variances=np.array([variances for _, variances, _ in parts]),
            raw_values=np.concatenate([values for values, _ in raw]),
            raw_variances=np.concatenate([variances for _, variances in raw]),
        )
        notes = [note for _, _, failures in parts for note in failures]
        notes += [point.advice for point in points[:1] if point.advice]
        inner = measured[0][points[0].plain].diagnostics
        first = (points[0], measured[0])
        return replace(joined, diagnostics=(*inner, self._diagnosis(joined, first, notes)))

    def _mitigated(
        self, point: MitiqPoint, outcomes: Sequence[ExpectationValues]
    ) -> tuple[Array, Array, list[str]]:
        """Values and variances of each observable, and what went wrong."""
        values = np.concatenate([outcome.values for outcome in outcomes])
        variances = np.concatenate([outcome.variances for outcome in outcomes])
        from mitiq.zne.inference import ExtrapolationError

        combination = Combination(
            lambda results: self.combined(point.remember, results),
            np.array(point.results),
            self.samples(point.remember),
        )
        answers, failures = [], []
        for column, spread in zip(values.T, variances.T, strict=True):
            try:
                answers.append(combination.of(column, spread))
            except (ValueError, ArithmeticError, RuntimeError, ExtrapolationError) as error:
                answers.append((column[point.plain], spread[point.plain]))
                failures.append(
                    f"mitiq.{self.technique} found no value ({error}); it is the raw one"
                )
        both = np.array(answers)
        return both[:, 0], both[:, 1], failures

    def _diagnosis(
        self,
        joined: ExpectationValues,
        first: tuple[MitiqPoint, Sequence[ExpectationValues]],
        failures: Sequence[str],
    ) -> Diagnostic:
        """Figures of the first point and observable."""
        assert joined.raw_values is not None
        assert joined.raw_variances is not None
        point, outcomes = first
        growth = np.sqrt(joined.variances) - np.sqrt(joined.raw_variances)
        worse = int((growth > np.abs(joined.values - joined.raw_values)).sum())
        warning = "; ".join(dict.fromkeys(failures))
        if worse and not warning:
            warning = (
                f"the error bar grew by more than the correction did for {worse} of "
                f"{growth.size} values"
            )
        shown = outcomes[:32]
        figures: dict[str, JsonValue] = {
            "technique": f"mitiq.{self.technique}",
            "circuits": point.executed,
            "values": [float(outcome.values[0, 0]) for outcome in shown],
            "std_errors": [math.sqrt(outcome.variances[0, 0]) for outcome in shown],
            "mitigated": float(joined.values[0, 0]),
            "std_error": math.sqrt(joined.variances[0, 0]),
            "error_propagation": "central differences of one standard error",
        }
        figures |= {key: value for key, value in point.remember.items() if key != "signs"}
        return Diagnostic(option=self.option_name(), figures=figures, warning=warning)


def _refusals() -> tuple[type[Exception], ...]:
    """What Mitiq and the translation back raise for circuits that they cannot take."""
    from mitiq.interface.conversions import CircuitConversionError, UnsupportedCircuitError
    from mitiq.zne.scaling.folding import UnfoldableCircuitError
    from mitiq.zne.scaling.identity_insertion import UnscalableCircuitError
    from qiskit.transpiler.exceptions import TranspilerError

    return (
        ValueError,
        CircuitConversionError,
        UnsupportedCircuitError,
        UnfoldableCircuitError,
        UnscalableCircuitError,
        TranspilerError,
    )


def _distinct(circuits: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Each distinct circuit once, and for each circuit which of them it is."""
    numbers: dict[str, int] = {}
    order, results = [], []
    for circuit in circuits:
        # Its text, not its hash: Cirq's circuits are mutable and have none.
        key = repr(circuit)
        if key not in numbers:
            numbers[key] = len(numbers)
            order.append(circuit)
        results.append(numbers[key])
    return order, results


def _raw(outcome: ExpectationValues) -> tuple[Array, Array]:
    if outcome.raw_values is None or outcome.raw_variances is None:
        return outcome.values, outcome.variances
    return outcome.raw_values, outcome.raw_variances


def _expectation(outcome: Outcome) -> ExpectationValues:
    assert isinstance(outcome, ExpectationValues)
    return outcome
