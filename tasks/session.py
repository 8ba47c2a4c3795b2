"""A workload's loop: the stages as function calls, compiled once, bound at every call."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from adapters.backend import check_points
from pipeline.stack import (
    JointContext,
    announcements,
    build_stack,
    combine_together,
    compiled_specs,
    option_named,
    options_of,
    parameter_columns,
    plan_together,
    wanted_noise,
)
from qcpaas.circuits import circuit_key
from qcpaas.execution import ExecutionBackend, Experiment, Level, Outcome, Plan
from qcpaas.loops import without_loop_variables
from qcpaas.noise import GateLayer
from qcpaas.schemas import OptionSpec
from tasks.batch import check_experiment
from tasks.bind import Placed, bind_experiments, calibration_uses
from tasks.calls import Call, Request, observable_bytes, options_text
from tasks.divided import Divided, Elsewhere
from tasks.division import divides
from tasks.estimate import PlanCost, compared
from tasks.execute import JournalledDevice
from tasks.plan import learn_noise
from tasks.transpile import transpile_experiments

KEPT_PLANS = 256


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything about a call that does not depend on its parameter values.

    Attributes:
        checked: The caller's experiments as they can run.
        placed: The same on physical qubits.
        plan: What to submit; made anew at every call where an option draws fresh circuits.
        plan_key: Its content, where it serves many calls.
    """

    checked: tuple[Experiment, ...]
    placed: tuple[Placed, ...]
    plan: Plan
    keys: tuple[str, ...]
    cost: PlanCost
    plan_key: str

    def at(self, experiments: Sequence[Experiment]) -> Prepared:
        """The same bound at other parameter points, for options that plan each call anew."""
        checked = tuple(map(_moved, self.checked, experiments))
        placed = tuple(
            replace(each, experiment=_moved_bound(each.experiment, source))
            for each, source in zip(self.placed, checked, strict=True)
        )
        return replace(self, checked=checked, placed=placed)


@dataclass(eq=False)
class Stacks:
    """The options around one innermost backend, one stack for each level of results."""

    options: tuple[OptionSpec, ...]
    innermost: ExecutionBackend
    _built: dict[Level, ExecutionBackend] = field(default_factory=dict)

    def of(self, level: Level) -> ExecutionBackend:
        """The options that can give what is asked: counts of single shots, or values."""
        if level not in self._built:
            known = {option.name: option_named(option.name) for option in self.options}
            fitting = [
                option
                for option in self.options
                if level in known[option.name].levels
                and not (level == "counts" and known[option.name].quasi)
            ]
            self._built[level] = build_stack(fitting, self.innermost, level)
        return self._built[level]

    def plan(self, bound: Sequence[Experiment], sources: Sequence[Experiment]) -> Plan:
        stacks = [self.of(experiment.level) for experiment in bound]
        return plan_together(stacks, bound, sources=sources)

    def wanted_noise(self, bound: Sequence[Experiment]) -> tuple[GateLayer, ...]:
        return wanted_noise([self.of(experiment.level) for experiment in bound], bound)

    def combine(self, plan: Plan, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        (context,) = plan.contexts
        assert isinstance(context, JointContext)
        levels = {index: share.level for share in context.shares for index in share.members}
        stacks = [self.of(levels[index]) for index in range(len(levels))]
        return combine_together(stacks, plan, outcomes)

    def reusable(self, experiments: Sequence[Experiment]) -> bool:
        """Whether one plan serves every parameter point of these."""
        return all(
            option.reusable_plan
            for level in {experiment.level for experiment in experiments}
            for option in options_of(self.of(level))
        )


@dataclass(eq=False)
class Session(ExecutionBackend):
    """An execution backend for abstract circuits, on one device under one stack of options.

    A call with circuits seen before costs their content hash, a look-up and a binding of
    parameters. Once the store has a newer calibration the placement is looked at again, and moves
    where the job's binding policy says so.

    Attributes:
        elsewhere: Gives another device, held while it is used, to options that divide circuits
            among devices.
    """

    device: JournalledDevice
    options: tuple[OptionSpec, ...]
    elsewhere: Elsewhere | None = None
    _prepared: OrderedDict[tuple[object, ...], Prepared] = field(default_factory=OrderedDict)
    _stacks: Stacks = field(init=False)
    _divided: Divided | None = field(init=False)
    _said: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._divided = Divided(self, self.elsewhere) if divides([self.options]) else None
        self._stacks = Stacks(compiled_specs(self.options), self.device)

    def run(self, experiments: Sequence[Experiment]) -> tuple[Outcome, ...]:
        experiments = tuple(map(_unrolled, experiments))
        if self._divided is not None:
            return self._divided.run(experiments)
        return self.run_compiled(experiments)

    def run_compiled(self, experiments: Sequence[Experiment]) -> tuple[Outcome, ...]:
        """`run` with the options that work on compiled circuits."""
        device = self.device
        keys = tuple(circuit_key(experiment.circuit) for experiment in experiments)
        call = device.calls.next(Request(experiments, keys, self._options_text))
        if call.outcomes is not None:
            device.made_again(call)  # the answer is that call's
            return call.outcomes
        for experiment in experiments:
            check_points(experiment)
        prepared, outcomes = self._carried_out(call)
        again = device.made_again(call)
        if again is None and device.watch.after_execution(prepared.placed, call.index):
            again = device.calls.next(call.request.again())
        if again is not None:
            outcomes = self._made_again(again)
        device.finish(call, outcomes)
        return outcomes

    def plan(self, experiments: Sequence[Experiment]) -> Plan:
        return self.prepare(experiments).plan.at(experiments)

    def execute(self, experiments: Sequence[Experiment]) -> tuple[Outcome, ...]:
        return self.device.execute(experiments)

    def combine(self, plan: Plan, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        return self._stacks.combine(plan, outcomes)

    def prepare(
        self,
        experiments: Sequence[Experiment],
        circuit_keys: Sequence[str] | None = None,
        drawn: str = "",
    ) -> Prepared:
        """Transpile, bind and plan, or find it done before.

        Args:
            drawn: What options that draw anew at every call draw by.

        Raises:
            InputError: The device cannot run what is asked.
        """
        keys = circuit_keys or [circuit_key(experiment.circuit) for experiment in experiments]
        key = tuple(map(_structure, keys, experiments))
        prepared = self._prepared.get(key)
        if prepared is None or self.device.watch.before_submission(
            prepared.placed, self.device.calls.position
        ):
            prepared = self._prepared[key] = self._prepare(experiments, key, drawn, prepared)
            if len(self._prepared) > KEPT_PLANS:
                self._prepared.popitem(last=False)
        elif not self._stacks.reusable(experiments):
            prepared = self._planned(prepared.at(experiments), self._stacks, drawn)
        self._prepared.move_to_end(key)
        return prepared

    def _carried_out(self, call: Call) -> tuple[Prepared, tuple[Outcome, ...]]:
        """Prepare, submit and combine a call, and learn from the echo that it carries."""
        device, journal, experiments = self.device, self.device.journal, call.request.experiments
        innermost = device.innermost(call.index)
        plain = innermost is device
        stacks = self._stacks if plain else Stacks(self.options, innermost)
        prepared = device.patience.through(lambda: self._prepared_for(call, stacks))
        plan = prepared.plan.at(experiments)
        journal.expect(compared(prepared.cost.at(plan.experiments), experiments))
        with journal.stage("execute"):
            counts = device.perform(
                call, prepared.plan, plan.experiments, prepared.keys, prepared.plan_key
            )
        with journal.stage("mitigate"):
            outcomes = stacks.combine(plan, counts)
        journal.diagnosed(outcomes)
        if not plain:
            device.learn(plan.experiments, outcomes)
        return prepared, outcomes

    def _made_again(self, call: Call) -> tuple[Outcome, ...]:
        """A call in the place of one during which the calibration moved."""
        if call.outcomes is not None:
            return call.outcomes
        prepared, outcomes = self._carried_out(call)
        self.device.watch.after_execution(prepared.placed, call.index, again=False)
        self.device.finish(call, outcomes)
        return outcomes

    def _prepared_for(self, call: Call, stacks: Stacks) -> Prepared:
        """What an earlier process has sent for the call, where it was interrupted; else anew."""
        request = call.request
        plan = self.device.recorded_plan(call)
        if plan is None:
            drawn = f"{request.key} {call.occurrence}"
            prepared = self.prepare(request.experiments, request.circuit_keys, drawn)
            if stacks is self._stacks:
                return prepared
            return self._planned(prepared.at(request.experiments), stacks, drawn)
        cost = PlanCost.of(plan.experiments, self.device.device)
        keys = self.device.journal.keys(plan.experiments)
        return Prepared((), (), plan, keys, cost, call.plan_key)

    def _prepare(
        self,
        experiments: Sequence[Experiment],
        key: tuple[object, ...],
        drawn: str,
        before: Prepared | None = None,
    ) -> Prepared:
        journal, device = self.device.journal, self.device.device
        settings = self.device.settings
        checked = tuple(check_experiment(experiment, device) for experiment in experiments)
        with journal.stage("transpile"):
            portfolios = transpile_experiments(checked, device, settings)
        with journal.stage("bind"):
            held = before.placed if before is not None else ()
            placed = bind_experiments(checked, portfolios, device, settings.binding, held)
            bound = [each.experiment for each in placed]
            journal.placed(calibration_uses(bound, device))
        with journal.stage("learn noise"):
            learn_noise(self._stacks.wanted_noise(bound), bound, self.device)
        plan_key = self._plan_key(key, bound) if self._stacks.reusable(experiments) else ""
        prepared = Prepared(checked, placed, Plan(()), (), PlanCost((), 0.0, 0.0), plan_key)
        return self._planned(prepared, self._stacks, plan_key or drawn)

    def _planned(self, prepared: Prepared, stacks: Stacks, drawn: str) -> Prepared:
        """The same with a plan of these stacks; their options draw by ``drawn``."""
        journal, device = self.device.journal, self.device
        bound = [each.experiment for each in prepared.placed]
        with journal.stage("plan"), device.planning(drawn):
            plan = stacks.plan(bound, prepared.checked)
            device.check(plan.experiments)
        self.say(announcements(plan))
        with journal.stage("estimate"):
            cost = PlanCost.of(plan.experiments, device.device)
        return replace(prepared, plan=plan, keys=journal.keys(plan.experiments), cost=cost)

    def on(self, device: JournalledDevice, options: tuple[OptionSpec, ...]) -> Session:
        """A session on another device."""
        return Session(device, options)

    def say(self, texts: Sequence[str]) -> None:
        """Log what options want said before anything is spent, once."""
        for text in texts:
            if text not in self._said:
                self._said.add(text)
                self.device.patience.log.info("%s", text)

    @cached_property
    def _options_text(self) -> str:
        return options_text(self.options)

    def _plan_key(self, structure: tuple[object, ...], bound: Sequence[Experiment]) -> str:
        bindings = [experiment.binding for experiment in bound]
        places = [(b.snapshot_id, b.routing, b.physical_qubits) for b in bindings if b is not None]
        text = repr((self._options_text, structure, places)).encode()
        return hashlib.blake2b(text, digest_size=16).hexdigest()


def _moved(experiment: Experiment, source: Experiment) -> Experiment:
    return replace(experiment, parameter_values=source.parameter_values)


def _moved_bound(bound: Experiment, source: Experiment) -> Experiment:
    columns = parameter_columns(bound.circuit, source.circuit)
    return replace(bound, parameter_values=source.parameter_values[:, list(columns)])


def _unrolled(experiment: Experiment) -> Experiment:
    circuit = without_loop_variables(experiment.circuit)
    return experiment if circuit is experiment.circuit else replace(experiment, circuit=circuit)


def _structure(key: str, experiment: Experiment) -> tuple[object, ...]:
    """What a plan depends on."""
    observables = experiment.observables
    return (
        key,
        experiment.parameter_values.shape[1:],
        experiment.shots,
        None if observables is None else tuple(map(observable_bytes, observables)),
    )
