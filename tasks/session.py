"""A workload's loop: the stages as function calls, compiled once, bound at every call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.stack import (
    JointContext,
    build_stack,
    combine_together,
    find_options,
    plan_together,
)
from qcpaas.circuits import circuit_key
from qcpaas.execution import Counts, ExecutionBackend, Experiment, Level, Outcome, Plan
from qcpaas.schemas import Estimate, OptionSpec
from tasks.batch import check_experiment
from tasks.bind import bind_experiments, calibration_uses
from tasks.estimate import estimate_plan
from tasks.execute import JournalledDevice
from tasks.transpile import transpile_experiments

KEPT_PLANS = 256


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything about a call that does not depend on its parameter values."""

    plan: Plan
    keys: tuple[str, ...]
    estimate: Estimate


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
        plan = prepared.plan.at(experiments)
        journal.expect(prepared.estimate)
        with journal.stage("execute"):
            counts = self.device.submit(plan.experiments, prepared.keys)
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
        """Transpile, bind and plan, or find it done before."""
        key = (self._snapshot_id(), *map(_structure, experiments))
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = self._prepare(experiments)
            if len(self._prepared) > KEPT_PLANS:
                self._prepared.popitem(last=False)
        return prepared

    def _prepare(self, experiments: Sequence[Experiment]) -> Prepared:
        journal, device = self.device.journal, self.device.device
        checked = [check_experiment(experiment, device) for experiment in experiments]
        with journal.stage("transpile"):
            templates = transpile_experiments(checked, device, self.device.settings)
        with journal.stage("bind"):
            bound = bind_experiments(checked, templates, device)
            journal.placed(calibration_uses(bound, device))
        with journal.stage("plan"):
            stacks = [self.stack(experiment.level) for experiment in bound]
            plan = plan_together(stacks, bound, sources=checked)
        with journal.stage("estimate"):
            estimate = estimate_plan(plan.experiments, device)
        return Prepared(plan, journal.keys(plan.experiments), estimate)

    def _snapshot_id(self) -> str:
        device = self.device.device
        return device.snapshot().content_id if device.capabilities.compiles else ""


def _structure(experiment: Experiment) -> tuple[object, ...]:
    """What a plan depends on."""
    observables = experiment.observables
    return (
        circuit_key(experiment.circuit),
        experiment.shots,
        None
        if observables is None
        else tuple(
            (o.num_qubits, o.paulis.z.tobytes(), o.paulis.x.tobytes(), o.coeffs.tobytes())
            for o in observables
        ),
    )
