"""A batch as the options divide it that see circuits before they are compiled.

Each share of it is a batch of its own, on a device of its own; without such options there is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.stack import (
    announcements,
    build_logical_stack,
    combine_together,
    compiled_specs,
    find_options,
    logical_specs,
    plan_together,
)
from qcpaas.errors import OptionError
from qcpaas.execution import ExecutionBackend, Experiment, Outcome, Plan
from qcpaas.schemas import OptionSpec
from tasks.batch import Batch

OWN = ""  # the job's own device


@dataclass(frozen=True, eq=False)
class Division:
    """What runs where.

    Attributes:
        plan: Of the logical options, over the caller's experiments; ``None`` without such options.
        stacks: The logical options of each of the caller's experiments.
        places: Of each device, which of the plan's experiments it runs.
        shares: By device name; `OWN` is the job's.
    """

    plan: Plan | None
    stacks: tuple[ExecutionBackend, ...]
    places: Mapping[str, tuple[int, ...]]
    shares: Mapping[str, Batch]

    @property
    def announcements(self) -> tuple[str, ...]:
        return () if self.plan is None else announcements(self.plan)

    def at(self, experiments: Sequence[Experiment]) -> Division:
        """The same at the caller's experiments' parameter points."""
        if self.plan is None:
            own = replace(self.shares[OWN], experiments=tuple(experiments))
            return replace(self, shares={OWN: own})
        plan = self.plan.at(experiments)
        shares = {
            device: replace(
                batch,
                experiments=tuple(
                    _after(plan.experiments[place], known)
                    for place, known in zip(self.places[device], batch.experiments, strict=True)
                ),
            )
            for device, batch in self.shares.items()
        }
        return replace(self, plan=plan, shares=shares)

    def combined(self, outcomes: Mapping[str, Sequence[Outcome]]) -> tuple[Outcome, ...]:
        """The outcomes of the caller's experiments, from those of every share."""
        if self.plan is None:
            return tuple(outcomes[OWN])
        found = {
            place: outcome
            for device, places in self.places.items()
            for place, outcome in zip(places, outcomes[device], strict=True)
        }
        return combine_together(self.stacks, self.plan, [found[place] for place in sorted(found)])


def divides(options: Sequence[Sequence[OptionSpec]]) -> bool:
    """Whether any of these options sees circuits before they are compiled."""
    return any(logical_specs(each) for each in options)


def divide(
    batch: Batch,
    compiler: ExecutionBackend,
    built: dict[str, ExecutionBackend] | None = None,
) -> Division:
    """Plan the options that see circuits before they are compiled.

    Args:
        compiler: What such options stand around: it compiles circuits and runs them.
        built: Stacks of earlier calls, to be used again; new ones are added.

    Raises:
        OptionError: An option cannot be had, or cannot work on what another makes of a circuit.
        InputError: What an option cannot do to a circuit.
    """
    if not divides(batch.options):
        return Division(None, (), {OWN: tuple(range(len(batch.experiments)))}, {OWN: batch})
    built = {} if built is None else built
    stacks = []
    for experiment, options in zip(batch.experiments, batch.options, strict=True):
        key = repr((options, experiment.level))
        if key not in built:
            built[key] = build_logical_stack(options, compiler, experiment.level)
        stacks.append(built[key])
    plan = plan_together(stacks, batch.experiments)
    places: dict[str, list[int]] = {}
    for place, experiment in enumerate(plan.experiments):
        places.setdefault(experiment.device, []).append(place)
    shares = {
        device: Batch(
            tuple(plan.experiments[place] for place in own),
            tuple(_inner_options(batch, plan.experiments[place]) for place in own),
        )
        for device, own in places.items()
    }
    frozen = {device: tuple(own) for device, own in places.items()}
    return Division(plan, tuple(stacks), frozen, shares)


def _inner_options(batch: Batch, part: Experiment) -> tuple[OptionSpec, ...]:
    """Options of the circuit that a part comes from, as far as they are not logical."""
    specs = compiled_specs(batch.options[part.source])
    known = find_options()
    for spec in specs:
        if part.level not in known[spec.name].levels:
            outer = ", ".join(one.name for one in logical_specs(batch.options[part.source]))
            raise OptionError(
                f"option {spec.name} gives {' and '.join(sorted(known[spec.name].levels))}; "
                f"{outer} asks its circuits for {part.level}. Leave {spec.name} out."
            )
    return specs


def _after(moved: Experiment, known: Experiment) -> Experiment:
    return replace(known, parameter_values=moved.parameter_values)
