"""From a job's list of options to a stack of decorators, and one submission for many stacks."""

from __future__ import annotations

import functools
import importlib.metadata
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pydantic import SerializeAsAny, ValidationError
from qiskit import QuantumCircuit

from pipeline.measuring.device_estimator import DeviceEstimator
from pipeline.measuring.measurement import MeasurementBasis
from qcpaas.errors import OptionError, nearest
from qcpaas.execution import (
    EnrichedExecutionBackend,
    ExecutionBackend,
    Experiment,
    Level,
    OptionSettings,
    Outcome,
    Plan,
    PlanContext,
    Spent,
)
from qcpaas.noise import GateLayer
from qcpaas.schemas import OptionInfo, OptionSpec

OptionClass = type[EnrichedExecutionBackend]


def find_options() -> dict[str, OptionClass]:
    """Every option in this environment: installed ones and imported descendants, by name.

    An installed option that cannot be imported is left out; `broken_options` says why.
    """
    broken_options()
    return {
        option.option_name(): option
        for option in _descendants(EnrichedExecutionBackend)  # type: ignore[type-abstract]
        if not option.internal and not getattr(option, "__abstractmethods__", None)
    }


def broken_options() -> dict[str, str]:
    """Installed options that cannot be imported, and why; the others are imported."""
    broken = {}
    for entry in _installed(tuple(sys.path)):
        try:
            entry.load()
        except (ImportError, AttributeError) as error:
            broken[entry.name] = str(error)
    return broken


@functools.lru_cache(maxsize=4)  # 40 to 80 ms, for each look at an option
def _installed(path: tuple[str, ...]) -> tuple[importlib.metadata.EntryPoint, ...]:
    """Of the distributions on a search path."""
    return tuple(importlib.metadata.entry_points(group="qcpaas.options"))


def describe_options() -> tuple[OptionInfo, ...]:
    """What `find_options` found, as a worker registers it, outermost first."""
    return tuple(
        OptionInfo(
            name=name,
            rank=option.rank,
            summary=(option.__doc__ or "").strip().partition("\n")[0],
            levels=tuple(sorted(option.levels)),
            requires=option.requires,
            settings=option.Settings.model_json_schema().get("properties", {}),
            logical=option.logical,
        )
        for name, option in sorted(find_options().items(), key=lambda found: found[1].rank)
    )


def build_stack(
    specs: Sequence[OptionSpec], device: ExecutionBackend, level: Level
) -> ExecutionBackend:
    """Decorate a device with options, outermost first.

    The measurement basis is placed where it belongs, between the options that change circuits
    and those that correct counts. Logical options are left out: `build_logical_stack`.

    Raises:
        OptionError: An unknown name, a wrong order, a wrong setting, a missing distribution, or
            an option that cannot give what is asked.
    """
    layers = _checked_layers(compiled_specs(specs), level)
    options = [option for option, _ in layers]
    if any(option is DeviceEstimator for option in options):
        _check_estimator(options)
    if not any(option.measures for option in options):
        layers.append((MeasurementBasis, MeasurementBasis.Settings()))
    return _decorated(device, layers)


def build_logical_stack(
    specs: Sequence[OptionSpec], compiler: ExecutionBackend, level: Level
) -> ExecutionBackend:
    """Decorate what compiles and runs circuits with the options that see them before.

    Raises:
        OptionError: As in `build_stack`.
    """
    return _decorated(compiler, _checked_layers(logical_specs(specs), level))


def logical_specs(specs: Sequence[OptionSpec]) -> tuple[OptionSpec, ...]:
    """Those that work on circuits before they are compiled."""
    _check_order([option_named(spec.name) for spec in specs])
    return tuple(spec for spec in specs if option_named(spec.name).logical)


def compiled_specs(specs: Sequence[OptionSpec]) -> tuple[OptionSpec, ...]:
    """The others."""
    return tuple(spec for spec in specs if not option_named(spec.name).logical)


def option_named(name: str) -> OptionClass:
    """An option of this environment.

    Raises:
        OptionError: There is none, or it cannot be imported.
    """
    known = find_options()
    if name in known:
        return known[name]
    why = broken_options().get(name)
    if why is not None:
        raise OptionError(f"option {name} is installed, but cannot be imported: {why}.")
    raise OptionError(f"there is no option {name!r}. {nearest(name, known)}")


def _checked_layers(
    specs: Sequence[OptionSpec], level: Level
) -> list[tuple[OptionClass, OptionSettings]]:
    layers = [_layer(spec, level) for spec in specs]
    options = [option for option, _ in layers]
    _check_order(options)
    _check_conflicts(options)
    return layers


def _decorated(
    device: ExecutionBackend, layers: Sequence[tuple[OptionClass, OptionSettings]]
) -> ExecutionBackend:
    stack = device
    for option, settings in sorted(layers, key=lambda layer: layer[0].rank, reverse=True):
        stack = option(stack, settings)
    return stack


def options_of(stack: ExecutionBackend) -> Iterator[EnrichedExecutionBackend]:
    """The options around a device, outermost first."""
    while isinstance(stack, EnrichedExecutionBackend):
        yield stack
        stack = stack.inner


def wanted_noise(
    stacks: Sequence[ExecutionBackend], experiments: Sequence[Experiment]
) -> tuple[GateLayer, ...]:
    """Layers whose noise the options of these stacks want to know, each once."""
    wanted: dict[GateLayer, None] = {}
    for stack, experiment in zip(stacks, experiments, strict=True):
        for option in options_of(stack):
            wanted |= dict.fromkeys(option.wanted_noise([experiment]))
    return tuple(wanted)


class StackPlan(PlanContext):
    """One stack's share of a joint plan.

    Contexts travel between tasks by pickle, which keeps their classes; as JSON each can be read
    back by its own class, which JSON does not name.

    Attributes:
        members: The caller's experiments that it serves, all asking for ``level``.
        size: Planned experiments that are its own.
        contexts: Of its options, outermost first.
    """

    level: Level
    members: tuple[int, ...]
    size: int
    contexts: tuple[SerializeAsAny[PlanContext], ...]


class JointContext(PlanContext):
    """How several stacks share one submission, in the order of the planned experiments."""

    shares: tuple[StackPlan, ...]


def plan_together(
    stacks: Sequence[ExecutionBackend],
    experiments: Sequence[Experiment],
    sources: Sequence[Experiment] | None = None,
) -> Plan:
    """Plan each experiment with its own stack, for one submission.

    Args:
        stacks: One an experiment; those that are the same object plan together.
        sources: The caller's experiments that `Plan.at` will be given; ``experiments`` unless set.
    """
    groups: dict[int, list[int]] = {}
    for index, stack in enumerate(stacks):
        groups.setdefault(id(stack), []).append(index)
    shares: list[StackPlan] = []
    planned: list[Experiment] = []
    for members in groups.values():
        own = [replace(experiments[index], source=index) for index in members]
        plan = stacks[members[0]].plan(own)
        planned.extend(plan.experiments)
        shares.append(
            StackPlan(
                level=own[0].level,
                members=tuple(members),
                size=len(plan.experiments),
                contexts=plan.contexts,
            )
        )
    callers = experiments if sources is None else sources
    movable = [all(option.reusable_plan for option in options_of(stack)) for stack in stacks]
    columns = tuple(
        parameter_columns(e.circuit, callers[e.source].circuit) if movable[e.source] else None
        for e in planned
    )
    return Plan(tuple(planned), (JointContext(shares=tuple(shares)),), columns)


def combine_together(
    stacks: Sequence[ExecutionBackend], plan: Plan, outcomes: Sequence[Outcome]
) -> tuple[Outcome, ...]:
    """The outcomes of the caller's experiments, in their order.

    Args:
        stacks: One an experiment, as in `plan_together`.
    """
    (context,) = plan.contexts
    assert isinstance(context, JointContext)
    answers: dict[int, Outcome] = {}
    start = 0
    for share in context.shares:
        end = start + share.size
        own = Plan(plan.experiments[start:end], share.contexts)
        combined = stacks[share.members[0]].combine(own, outcomes[start:end])
        spent = _spent(own.experiments, outcomes[start:end])
        for member, outcome in zip(share.members, combined, strict=True):
            answers[member] = replace(outcome, spent=spent.get(member, Spent(0, 0)))
        start = end
    return tuple(answers[index] for index in range(len(answers)))


def _spent(planned: Sequence[Experiment], outcomes: Sequence[Outcome]) -> dict[int, Spent]:
    """What the planned experiments of each source cost, with what options inside made of them."""
    totals: dict[int, Spent] = {}
    for experiment, outcome in zip(planned, outcomes, strict=True):
        circuits, shots = totals.get(experiment.source, (0, 0))
        plain = Spent(experiment.points, experiment.points * (experiment.shots or 0))
        own = outcome.spent or plain
        totals[experiment.source] = Spent(circuits + own.circuits, shots + own.shots)
    return totals


def announcements(plan: Plan) -> tuple[str, ...]:
    """What the options of a joint plan want said before anything is spent."""
    said: dict[str, None] = {}
    for context in plan.contexts:
        inner = (
            [each for share in context.shares for each in share.contexts]
            if isinstance(context, JointContext)
            else [context]
        )
        said |= {each.announcement: None for each in inner if each.announcement}
    return tuple(said)


def parameter_columns(circuit: QuantumCircuit, source: QuantumCircuit) -> tuple[int, ...]:
    """Where a compiled circuit finds its parameters among its source's, by name."""
    place = {parameter.name: column for column, parameter in enumerate(source.parameters)}
    return tuple(place[parameter.name] for parameter in circuit.parameters)


def _descendants(option: OptionClass) -> Iterator[OptionClass]:
    for child in option.__subclasses__():
        yield child
        yield from _descendants(child)


def _layer(spec: OptionSpec, level: Level) -> tuple[OptionClass, OptionSettings]:
    option = option_named(spec.name)
    for distribution in option.requires:
        try:
            importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            raise OptionError(
                f"option {spec.name} needs {distribution}, which this worker does not have. "
                f"Choose a worker image with it, or install it there."
            ) from None
    if level not in option.levels:
        raise OptionError(
            f"option {spec.name} gives {' and '.join(sorted(option.levels))}, and this job asks "
            f"for {level}. Give an observable, or leave the option out."
        )
    try:
        return option, option.Settings.model_validate(spec.settings)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, part['loc'])) or 'settings'}: {part['msg']}"
            for part in error.errors()
        )
        known_settings = ", ".join(option.Settings.model_fields) or "none"
        raise OptionError(f"option {spec.name}: {wrong}. Its settings: {known_settings}.") from None


def _check_estimator(options: Sequence[OptionClass]) -> None:
    """Refuse options inside the device's estimator: there are no counts for them to correct."""
    inside = [o.option_name() for o in options if o.rank > DeviceEstimator.rank]
    if inside:
        raise OptionError(
            f"option {', '.join(inside)} corrects counts, and DeviceEstimator lets the device "
            "answer expectation values. Leave one of them out."
        )


def _check_conflicts(options: Sequence[OptionClass]) -> None:
    names = [option.option_name() for option in options]
    for option, name in zip(options, names, strict=True):
        for other in names:
            if other in option.conflicts:
                raise OptionError(
                    f"options {name} and {other} make no sense together: "
                    f"{option.conflicts[other]}. Leave one of them out."
                )
    for first, second in itertools.combinations(options, 2):
        if first.purpose is not None and first.purpose == second.purpose:
            raise OptionError(
                f"options {first.option_name()} and {second.option_name()} both {first.purpose}. "
                "Leave one of them out."
            )
    alone = [name for option, name in zip(options, names, strict=True) if option.alone]
    if alone and len(names) > 1:
        others = ", ".join(name for name in names if name not in alone)
        raise OptionError(
            f"option {alone[0]} chooses the options itself, and {others} is named beside it. Leave "
            f"{alone[0]} out, or the others."
        )
    measuring = [name for option, name in zip(options, names, strict=True) if option.measures]
    if len(measuring) > 1:
        raise OptionError(
            f"options {' and '.join(measuring)} each measure observables in a way of their own. "
            "Keep one of them."
        )


def _check_order(options: Sequence[OptionClass]) -> None:
    names = [option.option_name() for option in options]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise OptionError(f"option {', '.join(sorted(twice))} is named twice. Name it once.")
    right = [option.option_name() for option in sorted(options, key=lambda option: option.rank)]
    if names != right and [option.rank for option in options] != sorted(o.rank for o in options):
        raise OptionError(
            f"options were given in the order {', '.join(names)}. "
            f"Outermost first, it must be {', '.join(right)}."
        )
