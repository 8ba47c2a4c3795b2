"""Cycle benchmarking: the Pauli noise of a layer from how signals decay with its repetition.

State preparation and measurement change where a decay starts, not how fast it falls; random Pauli
frames make the layer's noise Pauli noise, and random flips make that of the readout symmetric. What
is learnt is the noise of the layer with its twirl: two pulses a qubit where the device has ``sx``.

Two of a gate's fifteen directions can be told by no experiment that is free of preparation and
measurement errors. There a string is taken to decay as what the gate makes of it, which standard
errors count with all else that leaves no rate negative: where relaxation follows the gate, as on
the twins, single fidelities are off by up to half the relaxation's share, and products over two
rounds are right.

Source: Erhard et al., Nature Communications 10, 5347 (2019); van den Berg et al., Nature Physics
19, 1116 (2023).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.noise.cycle_circuits import TwirledLayers
from pipeline.noise.cycle_sequences import (
    LayerAction,
    Pair,
    RepeatedLayer,
    generators_of,
    repeated_layers,
    supports_of,
)
from pipeline.noise.pauli_decay import fit_signals
from pipeline.noise.rates import Rates, fit_rates
from pipeline.pauli.algebra import Codes, anticommute, label_of
from pipeline.pauli.local_cliffords import Indices
from qcpaas.errors import MitigationError
from qcpaas.execution import Binding, Distribution, Experiment
from qcpaas.noise import GateLayer, NoiseLearning

Array = NDArray[np.float64]

LEAST_SIGNAL = 5.0  # standard errors that a decay must start from


@dataclass(frozen=True, eq=False)
class LayerCycles:
    """How one layer is learnt.

    Attributes:
        couplings: Pairs of its qubits, by place in ``layer.qubits``, that see each other across
            gates.
        repeated: Sequences; ``runs`` are each one's circuits, one a depth.
    """

    layer: GateLayer
    couplings: tuple[Pair, ...]
    depths: tuple[int, ...]
    repeated: tuple[RepeatedLayer, ...]
    runs: tuple[tuple[TwirledLayers, ...], ...]

    @classmethod
    def of(
        cls, layer: GateLayer, couplings: Iterable[Pair], settings: NoiseLearning, seed: int
    ) -> LayerCycles:
        """Raises `MitigationError` for gates, or depths, that this cannot learn from."""
        depths = _checked(settings.depths)
        action = LayerAction.of(layer)
        pairs = _across(layer, couplings)
        repeated = tuple(repeated_layers(action, pairs))
        rng = np.random.default_rng([seed, *(ord(letter) for letter in layer.model_dump_json())])
        runs = tuple(
            tuple(TwirledLayers.draw(one, depth, settings.twirls, rng) for depth in depths)
            for one in repeated
        )
        return cls(layer, pairs, depths, repeated, runs)

    def experiments(self, shots: int, binding: Binding) -> Iterator[Experiment]:
        for run in itertools.chain.from_iterable(self.runs):
            yield from run.experiments(shots, binding)

    @cached_property
    def generators(self) -> tuple[str, ...]:
        """Of the noise, as Pauli labels; the rightmost letter acts on ``layer.qubits[0]``."""
        action = self.repeated[0].action
        strings = generators_of(action, self.couplings)
        return tuple(map(label_of, strings))

    def rates(self, points: Iterator[Distribution], binding: Binding) -> Rates:
        """Fit what was measured.

        Args:
            points: Of every experiment in turn; only this layer's are taken.

        Raises:
            MitigationError: Too little of a signal is left to learn from.
        """
        action = self.repeated[0].action
        generators = generators_of(action, self.couplings)
        supports = supports_of(action, self.couplings)
        design, exponents, blocks = [], [], []
        for repeated, runs in zip(self.repeated, self.runs, strict=True):
            cycles = repeated.cycles(supports)
            signals = [_Signals.of(run, points, supports) for run in runs]
            found, covariance = self._decays(signals, cycles.signs)
            kept = np.flatnonzero(cycles.closed)
            design.append(cycles.rows(generators)[kept])
            exponents.append(found[kept])
            blocks.append(covariance[np.ix_(kept, kept)])
        return fit_rates(
            np.concatenate(design),
            np.concatenate(exponents),
            _block_diagonal(blocks),
            _asymmetry(action, generators),
        )

    def _decays(self, signals: Sequence[_Signals], signs: Indices) -> tuple[Array, Array]:
        """``-log`` of each string's decay a layer, and the covariance of these."""
        scales = np.array(self.depths, dtype=np.float64)
        turned = np.where((scales[:, None] % 4 == 2) & (signs < 0), -1.0, 1.0)
        values = turned * np.stack([one.values for one in signals])
        spread = max(1.0, float(np.mean([one.spread for one in signals])))
        covariances = spread * np.stack([one.covariance for one in signals])
        variances = np.diagonal(covariances, axis1=1, axis2=2)
        fitted = fit_signals(scales, values, variances)
        lost = np.abs(fitted.amplitudes) < LEAST_SIGNAL * np.sqrt(variances.max(axis=0))
        if lost.any():
            raise MitigationError(
                f"the noise of {_named(self.layer)} cannot be learnt: state preparation and "
                f"readout leave a signal of {np.abs(fitted.amplitudes).min():.2g}, with an error "
                f"of {np.sqrt(variances.max()):.2g}. Give more shots or twirls, or choose other "
                "qubits."
            )
        turned_covariances = turned[:, :, None] * covariances * turned[:, None]
        covariance: Array = np.einsum(
            "dp,dpq,dq->pq", fitted.responses, turned_covariances, fitted.responses
        )
        return fitted.rates, covariance


@dataclass(frozen=True, eq=False)
class _Signals:
    """Measured strings at one depth, frames together.

    Attributes:
        values: Mean of each string, shape ``(m,)``; ``covariance`` is that of shot noise.
        spread: Variance between pairs of frames over what shot noise explains.
    """

    values: Array
    covariance: Array
    spread: float

    @classmethod
    def of(
        cls,
        run: TwirledLayers,
        points: Iterator[Distribution],
        supports: Sequence[tuple[int, ...]],
    ) -> _Signals:
        masks = np.zeros((len(supports), run.layer.num_qubits), dtype=np.uint8)
        for mask, support in zip(masks, supports, strict=True):
            mask[list(support)] = 1
        means, products, shots = [], [], []
        for flips in run.flips:
            distribution = next(points)
            signs = _parities(distribution, flips, masks)
            weights = distribution.weights / distribution.weights.sum()
            means.append(weights @ signs)
            products.append(signs.T @ (weights[:, None] * signs))
            shots.append(float(distribution.weights.sum()))
        share = np.array(shots) / sum(shots)
        values = share @ np.stack(means)
        # One more shot against each value: no number of equal shots makes a value certain.
        second = np.einsum("f,fpq->pq", share, np.stack(products))
        covariance = (second - np.outer(values, values)) / sum(shots)
        covariance += np.diag(np.full(len(values), 1 / sum(shots) ** 2))
        return cls(values, covariance, _spread(np.stack(means), covariance))


def _parities(
    distribution: Distribution, flips: NDArray[np.bool_], masks: NDArray[np.uint8]
) -> Array:
    """±1 of each string for each outcome, shape ``(outcomes, strings)``."""
    bits = np.unpackbits(distribution.outcomes, axis=1)[:, ::-1][:, : len(flips)] ^ flips
    return 1.0 - 2.0 * ((bits @ masks.T) & 1).astype(np.float64)


def _spread(means: Array, covariance: Array) -> float:
    """Of pairs of frames, whose flips are opposite."""
    pairs = len(means) // 2
    if pairs < 2:
        return 1.0
    halves = means[: 2 * pairs].reshape(pairs, 2, -1).mean(axis=1)
    found: Array = halves.var(axis=0, ddof=1) / (pairs * np.diag(covariance))
    return float(found.mean())


def _asymmetry(action: LayerAction, generators: Codes) -> Array:
    """Rows whose product with the rates is 0 where a string decays as what the layer makes of it.

    Some fidelities cannot be told from preparation and readout: two of fifteen for ``cx``. There
    this symmetry is assumed, as in the source.
    """
    moved, _ = action.conjugate(generators)
    before, after = (anticommute(strings, generators) for strings in (generators, moved))
    return before.astype(np.float64) - after


def _block_diagonal(blocks: Sequence[Array]) -> Array:
    from scipy.linalg import block_diag

    joined: Array = block_diag(*blocks)
    return joined


def _across(layer: GateLayer, couplings: Iterable[Pair]) -> tuple[Pair, ...]:
    """Coupled pairs of qubits in two gates of the layer, by place, each once."""
    number = {qubit: index for index, qubit in enumerate(layer.qubits)}
    gates = {frozenset(gate.qubits) for gate in layer.gates}
    pairs = {frozenset(pair) for pair in couplings if set(pair) <= set(number)} - gates
    ordered = (sorted(number[qubit] for qubit in pair) for pair in pairs)
    return tuple(sorted((first, second) for first, second in ordered))


def _checked(depths: Sequence[int]) -> tuple[int, ...]:
    distinct = tuple(sorted(set(depths)))
    if len(distinct) < 2 or any(depth < 0 or depth % 2 for depth in distinct):
        raise MitigationError(
            f"noise was to be learnt at depths {', '.join(map(str, depths))}; a decay needs two or "
            "more, all even, since a layer brings some signals back after two rounds only."
        )
    return distinct


def _named(layer: GateLayer) -> str:
    shown = [f"{gate.name}{gate.qubits}" for gate in layer.gates[:3]]
    return " ".join(shown) + (" ..." if len(layer.gates) > 3 else "")
