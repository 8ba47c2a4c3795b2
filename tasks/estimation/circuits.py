"""How many circuits and shots a job makes, mitigation included, and how long a shot takes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from adapters.backend import DeviceBackend
from calibration.binding import bind_experiment
from pipeline.automatic import AutomaticOptions
from pipeline.measuring.bases import choose_bases
from pipeline.measuring.measurement import MeasurementBasis
from pipeline.readout.twirled import TwirledReadout
from pipeline.stack import build_logical_stack, build_stack, logical_specs, options_of
from qcpaas.errors import QCPaaSError
from qcpaas.execution import Cost, ExecutionBackend, Experiment, PlanningServices
from qcpaas.scheduling import JobEstimate
from qcpaas.schemas import OptionSpec
from tasks.device import Device
from tasks.estimation.case import Case, Runs
from tasks.estimation.estimator import Estimator, found
from tasks.estimation.layouts import Laid
from tasks.planning import DeviceServices

# Options whose costs are told against one circuit a measurement basis.
PER_BASIS = (MeasurementBasis, TwirledReadout, AutomaticOptions)
USUAL_GATE_S = 1e-7  # a layer, on a device of which no duration is known


class CircuitsAndShots(Estimator):
    """Counts them from what each option says it multiplies; nothing is planned."""

    rank = 10

    def estimate(self, case: Case, so_far: JobEstimate) -> JobEstimate:
        if case.asked is None:
            return so_far
        runs = runs_of(case)
        plain, plain_shots = sum(r.plain for r in runs), sum(r.plain_shots for r in runs)
        circuits, shots = sum(r.circuits for r in runs), sum(r.shots for r in runs)
        names = sorted({spec.name for specs in case.asked.options for spec in specs})
        return found(
            so_far,
            f"circuits and shots: as {', '.join(names)} say" if names else "circuits: as given",
            circuits=round(circuits),
            shots=round(shots),
            circuit_factor=circuits / plain if plain else 1.0,
            shot_factor=shots / plain_shots if plain_shots else 1.0,
            duration_s=max((r.duration_s for r in runs), default=0.0),
        )


def runs_of(case: Case) -> tuple[Runs, ...]:
    """Of every experiment of a circuit job.

    Raises:
        OptionError: An option cannot be had, or not for this.
    """
    assert case.asked is not None
    if case.runs is not None:
        return case.runs
    backend = Unsent(case.device)
    triples = zip(case.asked.batch.experiments, case.asked.keys, case.asked.options, strict=True)
    known: dict[object, Runs] = {}
    runs = []
    for experiment, key, options in triples:
        same = (key, experiment.points, experiment.shots, repr(options), _asked(experiment))
        if same not in known:
            known[same] = _runs(experiment, case.laid.get(key), options, case, backend)
        runs.append(known[same])
    case.runs = tuple(runs)
    return case.runs


class Unsent(DeviceBackend):
    """A device for stacks that only plan."""

    def __init__(self, device: Device) -> None:
        super().__init__(device.adapter, lambda: 0)
        self._device = device

    @property
    def services(self) -> PlanningServices:
        return DeviceServices(self._device, lambda: 0, estimating=True)


def _asked(experiment: Experiment) -> object:
    return None if experiment.observables is None else tuple(map(repr, experiment.observables))


def _runs(
    experiment: Experiment,
    laid: Laid | None,
    options: Sequence[OptionSpec],
    case: Case,
    backend: ExecutionBackend,
) -> Runs:
    bases = 1
    if experiment.observables is not None:
        bases = len(choose_bases(experiment.observables)[1])
    shots = experiment.shots or 0
    plain = experiment.points * bases
    cost = Cost()
    if options:
        cost = _cost(experiment, laid, options, backend, bases)
    return Runs(
        circuits=plain * cost.circuits,
        shots=plain * shots * cost.shots,
        plain=plain,
        plain_shots=plain * shots,
        duration_s=_duration_s(experiment, laid, case),
    )


def _cost(
    experiment: Experiment,
    laid: Laid | None,
    options: Sequence[OptionSpec],
    backend: ExecutionBackend,
    bases: int,
) -> Cost:
    """What all options together multiply circuits and shots by, both against plain bases."""
    logical = logical_specs(options)
    inner = [spec for spec in options if spec not in logical]
    level = experiment.level
    costs = [
        option.cost(experiment)
        for option in options_of(build_logical_stack(logical, backend, level))
    ]
    here = experiment if laid is None else bind_experiment(experiment, laid.bound)
    stack = list(options_of(build_stack(inner, backend, level)))
    costs += [option.cost(here) for option in stack]
    per_basis = any(isinstance(option, PER_BASIS) for option in stack)
    against = 1 if per_basis else bases
    return Cost(
        prod(cost.circuits for cost in costs) / against,
        prod(cost.shots for cost in costs) / against,
    )


def _duration_s(experiment: Experiment, laid: Laid | None, case: Case) -> float:
    """As laid out; of a circuit that was not, in proportion to its depth."""
    if laid is not None:
        return laid.duration_s
    if not case.device.capabilities.compiles and case.simulated:
        return 0.0
    depth: int = experiment.circuit.depth()
    other = next(iter(case.laid.values()), None)
    if other is None:
        return depth * USUAL_GATE_S
    placed_depth: int = other.bound.circuit.depth()
    return other.duration_s * depth / max(1, placed_depth)


def refused(case: Case) -> str:
    """Why a circuit job cannot run on the device; empty where it can."""
    from adapters.backend import check_shots, check_width
    from calibration.dynamic import refuse_unsupported

    assert case.asked is not None
    device = case.device
    triples = zip(case.asked.batch.experiments, case.asked.options, case.asked.keys, strict=True)
    seen = set()
    try:
        for experiment, options, key in triples:
            check_shots(experiment, device.name, device.capabilities)
            logical = bool(logical_specs(options)) if options else False
            if (key, logical) in seen:
                continue
            seen.add((key, logical))
            if not logical:  # which may cut it smaller
                check_width(experiment.circuit, device.name, device.capabilities)
            refuse_unsupported(experiment.circuit, device.name, device.capabilities)
    except QCPaaSError as error:
        return str(error)
    if any(map(logical_specs, case.asked.options)):
        return ""
    return next((one.why for one in case.not_laid if one.fatal), "")
