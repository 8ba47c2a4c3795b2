"""A workload's loop: the stages as function calls, compiled once, bound at every call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.backend import check_points
from pipeline.stack import (
    JointContext,
    build_stack,
    combine_together,
    find_options,
    options_of,
    plan_together,
)
from qcpaas.circuits import circuit_key
from qcpaas.execution import Counts, ExecutionBackend, Experiment, Level, Outcome, Plan
from qcpaas.schemas import OptionSpec
from tasks.batch import check_experiment
from tasks.bind import bind_experiments, calibration_uses
from tasks.estimate import PlanCost
from tasks.execute import JournalledDevice
from tasks.transpile import transpile_experiments

KEPT_PLANS = 256


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything about a call that does not depend on its parameter values.

    Attributes:
        checked: The caller's experiments as they can run.
        bound: The same on physical qubits.
        plan: What to submit; made anew at every call where an option draws fresh circuits.
    """

    checked: tuple[Experiment, ...]
    bound: tuple[Experiment, ...]
    plan: Plan
    keys: tuple[str, ...]
    cost: PlanCost


@dataclass(eq=False)
class Session(ExecutionBackend):
    """An execution backend for abstract circuits, on one device under one stack of options.

    A call with circuits seen before costs their content hash, a look-up and a binding of
    parameters. The placement is reconsidered when the store has a newer calibration.
    """

    device: JournalledDevice
    options: tuple[OptionSpec, ...]
    _prepared: OrderedDict[tuple[object, ...], Prepared] = field(default_factory=OrderedDict)
    _stacks: dict[Level, ExecutionBackend] = field(default_factory=dict)

    def run(self, experiments: Sequence[Experiment]) -> tuple[Outcome, ...]:
        journal = self.device.journal
        prepared = self.prepare(experiments)
        for experiment in experiments:
            check_points(experiment)
        plan = prepared.plan.at(experiments)
        journal.expect(prepared.cost.at(plan.experiments))
        with journal.stage("execute"):
            counts = self.device.record(plan.experiments, prepared.keys).result.counts
        with journal.stage("mitigate"):
            outcomes = self.combine(plan, counts)
        journal.diagnosed(outcomes)
        return outcomes

    def plan(self, experiments: Sequence[Experiment]) -> Plan:
        return self.prepare(experiments).plan.at(experiments)

    def execute(self, experiments: Sequence[Experiment]) -> tuple[Counts, ...]:
        return self.device.execute(experiments)

    def combine(self, plan: Plan, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        (context,) = plan.contexts
        assert isinstance(context, JointContext)
        levels = {index: share.level for share in context.shares for index in share.members}
        stacks = [self.stack(levels[index]) for index in range(len(levels))]
        return combine_together(stacks, plan, outcomes)

    def stack(self, level: Level) -> ExecutionBackend:
        """The options that can give what is asked, around the device."""
        if level not in self._stacks:
            known = find_options()
            fitting = [
                option
                for option in self.options
                if option.name not in known or level in known[option.name].levels
            ]
            self._stacks[level] = build_stack(fitting, self.device, level)
        return self._stacks[level]

    def prepare(self, experiments: Sequence[Experiment]) -> Prepared:
        """Transpile, bind and plan, or find it done before.

        Raises:
            InputError: The device cannot run what is asked.
        """
        key = (self._snapshot_id(), *map(_structure, experiments))
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = self._prepare(experiments)
            if len(self._prepared) > KEPT_PLANS:
                self._prepared.popitem(last=False)
        else:
            self._prepared.move_to_end(key)
            if not self._reusable(experiments):
                prepared = self._planned(prepared.checked, prepared.bound)
        return prepared

    def _prepare(self, experiments: Sequence[Experiment]) -> Prepared:
        journal, device = self.device.journal, self.device.device
        checked = tuple(check_experiment(experiment, device) for experiment in experiments)
        with journal.stage("transpile"):
            templates = transpile_experiments(checked, device, self.device.settings)
        with journal.stage("bind"):
            bound = bind_experiments(checked, templates, device)
            journal.placed(calibration_uses(bound, device))
        return self._planned(checked, bound)

    def _planned(self, checked: tuple[Experiment, ...], bound: tuple[Experiment, ...]) -> Prepared:
        journal = self.device.journal
        with journal.stage("plan"):
            stacks = [self.stack(experiment.level) for experiment in bound]
            plan = plan_together(stacks, bound, sources=checked)
            self.device.check(plan.experiments)
        with journal.stage("estimate"):
            cost = PlanCost.of(plan.experiments, self.device.device)
        return Prepared(checked, bound, plan, journal.keys(plan.experiments), cost)

    def _reusable(self, experiments: Sequence[Experiment]) -> bool:
        return all(
            option.reusable_plan
            for level in {experiment.level for experiment in experiments}
            for option in options_of(self.stack(level))
        )

    def _snapshot_id(self) -> str:
        device = self.device.device
        return device.snapshot().content_id if device.capabilities.compiles else ""


def _structure(experiment: Experiment) -> tuple[object, ...]:
    """What a plan depends on."""
    observables = experiment.observables
    return (
        circuit_key(experiment.circuit),
        experiment.parameter_values.shape[1:],
        experiment.shots,
        None
        if observables is None
        else tuple(
            (o.num_qubits, o.paulis.z.tobytes(), o.paulis.x.tobytes(), o.coeffs.tobytes())
            for o in observables
        ),
    )
