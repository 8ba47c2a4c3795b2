"""A workload's loop: the stages as function calls, compiled once, bound at every call."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

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
from tasks.calls import Call, Request, observable_bytes, options_text
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
        plan_key: Its content, where it serves many calls.
    """

    checked: tuple[Experiment, ...]
    bound: tuple[Experiment, ...]
    plan: Plan
    keys: tuple[str, ...]
    cost: PlanCost
    plan_key: str


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
        device, journal = self.device, self.device.journal
        keys = tuple(circuit_key(experiment.circuit) for experiment in experiments)
        call = device.calls.next(Request(experiments, keys, self._options_text))
        if call.outcomes is not None:
            return call.outcomes
        for experiment in experiments:
            check_points(experiment)
        prepared = device.patience.through(lambda: self._prepared_for(call))
        plan = prepared.plan.at(experiments)
        journal.expect(prepared.cost.at(plan.experiments))
        with journal.stage("execute"):
            counts = device.perform(
                call, prepared.plan, plan.experiments, prepared.keys, prepared.plan_key
            )
        with journal.stage("mitigate"):
            outcomes = self.combine(plan, counts)
        journal.diagnosed(outcomes)
        device.finish(call, outcomes)
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

    def prepare(
        self, experiments: Sequence[Experiment], circuit_keys: Sequence[str] | None = None
    ) -> Prepared:
        """Transpile, bind and plan, or find it done before.

        Raises:
            InputError: The device cannot run what is asked.
        """
        keys = circuit_keys or [circuit_key(experiment.circuit) for experiment in experiments]
        key = (self._snapshot_id(), *map(_structure, keys, experiments))
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = self._prepare(experiments, key)
            if len(self._prepared) > KEPT_PLANS:
                self._prepared.popitem(last=False)
        else:
            self._prepared.move_to_end(key)
            if not self._reusable(experiments):
                prepared = self._planned(prepared.checked, prepared.bound)
        return prepared

    def _prepared_for(self, call: Call) -> Prepared:
        """What an earlier process has sent for the call, where it was interrupted; else anew."""
        request = call.request
        plan = self.device.recorded_plan(call)
        if plan is None:
            return self.prepare(request.experiments, request.circuit_keys)
        cost = PlanCost.of(plan.experiments, self.device.device)
        keys = self.device.journal.keys(plan.experiments)
        return Prepared((), (), plan, keys, cost, call.plan_key)

    def _prepare(self, experiments: Sequence[Experiment], key: tuple[object, ...]) -> Prepared:
        journal, device = self.device.journal, self.device.device
        checked = tuple(check_experiment(experiment, device) for experiment in experiments)
        with journal.stage("transpile"):
            portfolios = transpile_experiments(checked, device, self.device.settings)
        with journal.stage("bind"):
            bound = bind_experiments(checked, portfolios, device)
            journal.placed(calibration_uses(bound, device))
        reusable = self._reusable(experiments)
        return self._planned(checked, bound, self._plan_key(key) if reusable else "")

    def _planned(
        self, checked: tuple[Experiment, ...], bound: tuple[Experiment, ...], plan_key: str = ""
    ) -> Prepared:
        journal = self.device.journal
        with journal.stage("plan"):
            stacks = [self.stack(experiment.level) for experiment in bound]
            plan = plan_together(stacks, bound, sources=checked)
            self.device.check(plan.experiments)
        with journal.stage("estimate"):
            cost = PlanCost.of(plan.experiments, self.device.device)
        return Prepared(checked, bound, plan, journal.keys(plan.experiments), cost, plan_key)

    @cached_property
    def _options_text(self) -> str:
        return options_text(self.options)

    def _plan_key(self, structure: tuple[object, ...]) -> str:
        text = repr((self._options_text, structure)).encode()
        return hashlib.blake2b(text, digest_size=16).hexdigest()

    def _reusable(self, experiments: Sequence[Experiment]) -> bool:
        return all(
            option.reusable_plan
            for level in {experiment.level for experiment in experiments}
            for option in options_of(self.stack(level))
        )

    def _snapshot_id(self) -> str:
        device = self.device.device
        return device.snapshot().content_id if device.capabilities.compiles else ""


def _structure(key: str, experiment: Experiment) -> tuple[object, ...]:
    """What a plan depends on."""
    observables = experiment.observables
    return (
        key,
        experiment.parameter_values.shape[1:],
        experiment.shots,
        None if observables is None else tuple(map(observable_bytes, observables)),
    )
