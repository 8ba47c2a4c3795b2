"""Learning the noise of gate layers: the experiments to run, and what their counts say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.noise.cycle_benchmarking import LayerCycles
from pipeline.noise.process_tomography import LayerProcesses
from qcpaas.execution import Binding, Counts, Distribution, Experiment, Outcome
from qcpaas.noise import GateLayer, LayerNoise, NoiseLearning, NoiseMethod

LARGEST_MISFIT = 4.0  # mean square of residuals in standard errors; without change it is about 0.6

log = logging.getLogger(__name__)

Place = Callable[[GateLayer], Binding]


@dataclass(frozen=True, eq=False)
class LearningContext:
    """What `learn` must know of the experiments, beside their counts."""

    layers: tuple[LayerCycles | LayerProcesses, ...]
    bindings: tuple[Binding, ...]
    method: NoiseMethod


def learning_experiments(
    layers: Sequence[GateLayer],
    settings: NoiseLearning,
    *,
    place: Place,
    couplings: Sequence[tuple[int, int]] = (),
    seed: int = 0,
) -> tuple[list[Experiment], LearningContext]:
    """Experiments for one submission, on each layer's own qubits.

    Args:
        place: The binding of a layer's circuits: ``physical_qubits`` are ``layer.qubits``.
        couplings: Pairs of physical qubits that see each other; where two gates of a layer are
            coupled, noise on both sides is learnt too.
        seed: Of the random frames; each layer draws its own.

    Raises:
        MitigationError: A layer has a gate whose noise cannot be learnt so.
    """
    bindings = tuple(place(layer) for layer in layers)
    learnt: tuple[LayerCycles | LayerProcesses, ...]
    if settings.method == "process_tomography":
        # A setting is one circuit there, and several frames here.
        learnt, shots = tuple(map(LayerProcesses.of, layers)), settings.shots * settings.twirls
    else:
        learnt = tuple(LayerCycles.of(layer, couplings, settings, seed) for layer in layers)
        shots = settings.shots
    experiments = [
        experiment
        for one, binding in zip(learnt, bindings, strict=True)
        for experiment in one.experiments(shots, binding)
    ]
    return experiments, LearningContext(learnt, bindings, settings.method)


def learn(context: LearningContext, outcomes: Sequence[Outcome]) -> list[LayerNoise]:
    """The noise of each layer, in their order.

    Raises:
        MitigationError: The data does not support a fit.
    """
    points = _points(outcomes)
    learnt = []
    for one, binding in zip(context.layers, context.bindings, strict=True):
        found = one.rates(points, binding)
        if found.misfit > LARGEST_MISFIT:
            log.warning(
                "the decays of a layer of %d gates on %s are %.1f standard errors away from what "
                "any Pauli noise gives: it may have changed meanwhile. Learn it again.",
                len(one.layer.gates),
                ", ".join(map(str, one.layer.qubits)),
                found.misfit**0.5,
            )
        learnt.append(
            LayerNoise(
                layer=one.layer,
                qubits=one.layer.qubits,
                paulis=one.generators,
                rates=tuple(found.rates.tolist()),
                std_errors=tuple(found.std_errors.tolist()),
                method=context.method,
                snapshot_id=binding.snapshot_id,
            )
        )
    return learnt


def _points(outcomes: Sequence[Outcome]) -> Iterator[Distribution]:
    for outcome in outcomes:
        assert isinstance(outcome, Counts)
        yield from outcome.points
