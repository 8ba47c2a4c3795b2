"""Options that choose themselves: the stack with the smallest error to expect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from math import prod

from pydantic import Field

from pipeline.cancellation.error_circuits import FEWEST_CIRCUITS
from pipeline.predicted_error import MOST_RUNS, Candidate, Losses, candidates, losses_of
from pipeline.stack import JointContext, StackPlan, build_stack, options_of
from qcpaas.errors import MitigationError
from qcpaas.execution import (
    Cost,
    EnrichedExecutionBackend,
    ExecutionBackend,
    Experiment,
    Level,
    OptionSettings,
    Outcome,
    Plan,
    PlanContext,
    PlanningServices,
)
from qcpaas.manifest import Diagnostic
from qcpaas.schemas import OptionSpec

NOTHING = Candidate("nothing", (), 1.0, 0.0)


class Choice(PlanContext):
    """The stack of one experiment.

    Attributes:
        options: Outermost first.
        expected_errors: Root mean squared error of an observable to expect of every candidate.
    """

    level: Level
    options: tuple[OptionSpec, ...]
    reason: str
    expected_errors: dict[str, float]


class AutoContext(PlanContext):
    """``joint`` holds the contexts of the chosen stacks."""

    choices: tuple[Choice, ...]
    joint: JointContext


class Underneath(ExecutionBackend):
    """What a chosen stack stands on: plans nothing by itself, and knows what the device knows."""

    def __init__(self, below: ExecutionBackend) -> None:
        self._below = below

    @property
    def services(self) -> PlanningServices:
        return self._below.services

    def plan(self, experiments: Sequence[Experiment]) -> Plan:
        return Plan(tuple(experiments))

    def execute(self, experiments: Sequence[Experiment]) -> tuple[Outcome, ...]:
        return self._below.execute(experiments)

    def combine(self, plan: Plan, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        return tuple(outcomes)


class AutomaticOptions(EnrichedExecutionBackend):
    """Chooses each circuit's options from what the calibration expects of it, and says why.

    Of doing nothing, readout mitigation, and with it extrapolation or error cancellation, it
    takes what promises the smallest squared error, bias and variance together, with at most
    ``max_overhead`` times the shots that were asked. It stands alone.
    """

    rank = 4
    measures = True
    alone = True

    class Settings(OptionSettings):
        """What a choice may cost.

        Attributes:
            max_overhead: Limit of a circuit's shots, in units of those that were asked.
            samples: Random circuits of error cancellation.
        """

        max_overhead: float = Field(default=3.0, ge=1.0)
        samples: int = Field(default=200, ge=FEWEST_CIRCUITS)

    def __init__(self, inner: ExecutionBackend, settings: OptionSettings | None = None) -> None:
        super().__init__(inner, settings)
        self._stacks: dict[tuple[Level, str], ExecutionBackend] = {}

    @classmethod
    def option_name(cls) -> str:
        return "auto"

    def expand(self, experiments: Sequence[Experiment]) -> tuple[Sequence[Experiment], AutoContext]:
        planned: list[Experiment] = []
        choices: list[Choice] = []
        shares: list[StackPlan] = []
        for index, experiment in enumerate(experiments):
            choice, plan = self._choose(experiment)
            choices.append(choice)
            planned.extend(replace(each, source=experiment.source) for each in plan.experiments)
            shares.append(
                StackPlan(
                    level=experiment.level,
                    members=(index,),
                    size=len(plan.experiments),
                    contexts=plan.contexts,
                )
            )
        said = dict.fromkeys(f"auto: {choice.reason}" for choice in choices)
        return planned, AutoContext(
            choices=tuple(choices),
            joint=JointContext(shares=tuple(shares)),
            announcement="\n".join(said),
        )

    def reduce(self, context: PlanContext, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        assert isinstance(context, AutoContext)
        found: list[Outcome] = []
        start = 0
        for choice, share in zip(context.choices, context.joint.shares, strict=True):
            own = outcomes[start : start + share.size]
            start += share.size
            stack = self._stack(choice.options, choice.level)
            (outcome,) = stack.combine(Plan((), share.contexts), own)
            found.append(replace(outcome, diagnostics=(*outcome.diagnostics, _note(choice))))
        return tuple(found)

    def cost(self, experiment: Experiment) -> Cost:
        """Of the chosen stack; that of doing nothing where the circuit is not bound yet."""
        losses = losses_of(experiment, self.services)
        if losses is None:
            return Cost()
        best = self._ranked(experiment, losses)[0]
        asked = _with_shots(experiment, best)
        stack = self._stack(best.options, experiment.level)
        costs = [option.cost(asked) for option in options_of(stack)]
        shots = best.shots * prod(cost.shots for cost in costs)
        return Cost(prod(cost.circuits for cost in costs), shots)

    def _choose(self, experiment: Experiment) -> tuple[Choice, Plan]:
        """The first candidate that can be planned, by expected error."""
        losses = losses_of(experiment, self.services)
        if losses is None:
            reason = "nothing: the device has no noise that is known, so nothing to correct"
            return self._planned(experiment, NOTHING, reason, [])
        ranked = self._ranked(experiment, losses)
        refused: list[str] = []
        for candidate in ranked:
            reason = self._reason(candidate, ranked, losses, experiment)
            try:
                return self._planned(experiment, candidate, "; ".join([reason, *refused]), ranked)
            except MitigationError as error:
                refused.append(f"not {candidate.name}: {error}")
        raise MitigationError(f"no choice of options can be planned: {'; '.join(refused)}")

    def _planned(
        self,
        experiment: Experiment,
        candidate: Candidate,
        reason: str,
        ranked: Sequence[Candidate],
    ) -> tuple[Choice, Plan]:
        stack = self._stack(candidate.options, experiment.level)
        plan = stack.plan([_with_shots(experiment, candidate)])
        expected = {each.name: math.sqrt(each.squared_error) for each in ranked}
        choice = Choice(
            level=experiment.level,
            options=candidate.options,
            reason=reason,
            expected_errors=expected,
        )
        return choice, plan

    def _ranked(self, experiment: Experiment, losses: Losses) -> list[Candidate]:
        settings = self.settings
        return candidates(experiment, losses, settings.max_overhead, settings.samples)

    def _reason(
        self,
        chosen: Candidate,
        ranked: Sequence[Candidate],
        losses: Losses,
        experiment: Experiment,
    ) -> str:
        """What was chosen, and the numbers that decided it."""
        names = " and ".join(option.name for option in chosen.options) or "nothing"
        taken = -math.expm1(-losses.rate)
        facts = [f"gates and waiting take {taken:.0%} of a Pauli string's value"]
        if losses.two_qubit_errors is not None:
            facts.append(f"2-qubit errors sum to {losses.two_qubit_errors:.2g}")
        if losses.readout is not None:
            facts.append(f"readout errors reach {losses.readout_error:.1%}")
        if losses.norm is not None:
            facts.append(f"cancellation would stretch variances by γ² = {losses.norm**2:.3g}")
        shots = experiment.shots
        facts.append("exact probabilities" if shots is None else f"{shots:,} shots")
        if experiment.points * self.settings.samples > MOST_RUNS and losses.norm is not None:
            facts.append(f"{experiment.points:,} points are too many for random circuits")
        errors = ", ".join(f"{each.name} {math.sqrt(each.squared_error):.2g}" for each in ranked)
        return f"{names}: {', '.join(facts)}; errors to expect: {errors}"

    def _stack(self, options: Sequence[OptionSpec], level: Level) -> ExecutionBackend:
        key = (level, repr(options))
        if key not in self._stacks:
            self._stacks[key] = build_stack(options, Underneath(self.inner), level)
        return self._stacks[key]


def _with_shots(experiment: Experiment, candidate: Candidate) -> Experiment:
    if experiment.shots is None:
        return experiment
    return replace(experiment, shots=round(experiment.shots * candidate.shots))


def _note(choice: Choice) -> Diagnostic:
    return Diagnostic(
        option="auto",
        figures={
            "options": [option.model_dump(mode="json") for option in choice.options],
            "reason": choice.reason,
            "expected_errors": dict(choice.expected_errors),
        },
    )
