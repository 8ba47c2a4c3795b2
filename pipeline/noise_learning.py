"""Learning the noise of gate layers: the experiments to run, and what their counts say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.cycle_benchmarking import LayerCycles
from qcpaas.execution import Binding, Counts, Distribution, Experiment, Outcome
from qcpaas.noise import GateLayer, LayerNoise, NoiseLearning

Place = Callable[[GateLayer], Binding]


@dataclass(frozen=True, eq=False)
class LearningContext:
    """What `learn` must know of the experiments, beside their counts."""

    layers: tuple[LayerCycles, ...]
    bindings: tuple[Binding, ...]


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
    learnt = tuple(LayerCycles.of(layer, couplings, settings, seed) for layer in layers)
    bindings = tuple(place(layer) for layer in layers)
    experiments = [
        experiment
        for cycles, binding in zip(learnt, bindings, strict=True)
        for experiment in cycles.experiments(settings.shots, binding)
    ]
    return experiments, LearningContext(learnt, bindings)


def learn(context: LearningContext, outcomes: Sequence[Outcome]) -> list[LayerNoise]:
    """The noise of each layer, in their order.

    Raises:
        MitigationError: The data does not support a fit.
    """
    points = _points(outcomes)
    learnt = []
    for cycles, binding in zip(context.layers, context.bindings, strict=True):
        found = cycles.rates(points)
        learnt.append(
            LayerNoise(
                layer=cycles.layer,
                qubits=cycles.layer.qubits,
                paulis=cycles.generators,
                rates=tuple(found.rates.tolist()),
                std_errors=tuple(found.std_errors.tolist()),
                method="cycle_benchmarking",
                snapshot_id=binding.snapshot_id,
            )
        )
    return learnt


def _points(outcomes: Sequence[Outcome]) -> Iterator[Distribution]:
    for outcome in outcomes:
        assert isinstance(outcome, Counts)
        yield from outcome.points
