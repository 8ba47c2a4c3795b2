"""Which sequences of a gate layer tell which fidelities of its Pauli noise.

A layer is repeated with fixed local Clifford gates in between. After two rounds each measured Pauli
string is back where it began; on the way it met the layer's noise as two strings, and the decay
tells the product of these two fidelities. With no local gates in between nine bases tell nine such
products of a gate; a few sequences with local gates tell the others that can be told at all.

Source: van den Berg et al., Nature Physics 19, 1116 (2023); Chen et al., Nature Communications 14,
52 (2023) on what cannot be told apart from state preparation and measurement.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.pauli.algebra import Codes, anticommute
from pipeline.pauli.local_cliffords import Indices, local_cliffords
from pipeline.pauli.transfer import clifford_action
from qcpaas.noise import GateLayer

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class LayerAction:
    """A layer's gates on its own qubits, numbered in the order of `GateLayer.qubits`."""

    places: tuple[Pair, ...]
    names: tuple[str, ...]
    num_qubits: int

    @classmethod
    def of(cls, layer: GateLayer) -> LayerAction:
        """Raises `MitigationError` for a gate whose repetition does not tell its noise."""
        for gate in layer.gates:
            clifford_action(gate.name)
        return cls.placed(layer)

    @classmethod
    def placed(cls, layer: GateLayer) -> LayerAction:
        """Of any gates on two qubits each."""
        number = {qubit: index for index, qubit in enumerate(layer.qubits)}
        pairs = tuple((number[gate.qubits[0]], number[gate.qubits[1]]) for gate in layer.gates)
        return cls(pairs, tuple(gate.name for gate in layer.gates), len(number))

    def conjugate(self, strings: Codes) -> tuple[Codes, Indices]:
        """What each string becomes, shape as given, and its sign, shape ``(m,)``."""
        moved, signs = strings.copy(), np.ones(len(strings), dtype=np.intp)
        for (first, second), name in zip(self.places, self.names, strict=True):
            action = clifford_action(name)
            index = strings[:, first] + 4 * strings[:, second]
            moved[:, first], moved[:, second] = action.image[index] % 4, action.image[index] // 4
            signs *= action.sign[index]
        return moved, signs


@dataclass(frozen=True, eq=False)
class RepeatedLayer:
    """One way to repeat a layer.

    Attributes:
        letters: Basis in which each qubit is prepared and measured, shape ``(n,)``, of 1 to 3.
        between: Local Clifford gate after each layer, by number, shape ``(n,)``.
    """

    action: LayerAction
    letters: Codes
    between: Indices

    def cycles(self, supports: Sequence[tuple[int, ...]]) -> Cycles:
        """What the basis' strings on the given qubits meet."""
        first = np.zeros((len(supports), self.action.num_qubits), dtype=np.uint8)
        for string, support in zip(first, supports, strict=True):
            string[list(support)] = self.letters[list(support)]
        second, sign = self._round(first)
        last, further = self._round(second)
        closed = (last == first).all(axis=1)
        return Cycles(first, second, sign * further, closed)

    def _round(self, strings: Codes) -> tuple[Codes, Indices]:
        moved, signs = self.action.conjugate(strings)
        table = local_cliffords()
        signs = signs * np.where(moved > 0, table.signs[self.between, moved], 1).prod(axis=1)
        return table.letters[self.between, moved].astype(np.uint8), signs


@dataclass(frozen=True, eq=False)
class Cycles:
    """What a repeated layer's measured strings meet.

    Attributes:
        first: Strings before the first layer and each second one, shape ``(m, n)``.
        second: Before the layers in between.
        signs: Of each string after two rounds; ``closed`` says whether it is itself again.
    """

    first: Codes
    second: Codes
    signs: Indices
    closed: NDArray[np.bool_]

    def rows(self, generators: Codes) -> NDArray[np.float64]:
        """How the rates of generators make up ``-log`` of each decay a layer."""
        met = [anticommute(strings, generators) for strings in (self.first, self.second)]
        rows: NDArray[np.float64] = np.sum(met, axis=0, dtype=np.float64)
        return rows


def repeated_layers(layer: LayerAction, couplings: Iterable[Pair] = ()) -> list[RepeatedLayer]:
    """Nine bases without gates in between, and some with them, for all gates at once.

    Args:
        couplings: Pairs of qubits of different gates that see each other; they get all nine pairs
            of letters too where the qubits can be told in two colours.
    """
    colours = _colours(layer, couplings)
    still = np.zeros(layer.num_qubits, dtype=np.intp)
    plain = [
        RepeatedLayer(layer, np.where(colours == 0, one, other).astype(np.uint8), still)
        for one, other in itertools.product((1, 2, 3), repeat=2)
    ]
    return [*plain, *_with_gates_between(layer)]


def supports_of(layer: LayerAction, couplings: Iterable[Pair] = ()) -> list[tuple[int, ...]]:
    """Qubits of the strings that are looked at: each qubit, gate and coupled pair."""
    single = [(qubit,) for qubit in range(layer.num_qubits)]
    return [*single, *layer.places, *couplings]


def generators_of(layer: LayerAction, couplings: Iterable[Pair] = ()) -> Codes:
    """Pauli strings on a qubit, on a gate, or on both qubits of a coupled pair."""
    found: dict[tuple[int, ...], None] = {}
    for pair in (*layer.places, *couplings):
        for letters in itertools.product(range(4), repeat=2):
            string = [0] * layer.num_qubits
            string[pair[0]], string[pair[1]] = letters
            if any(letters):
                found[tuple(string)] = None
    return np.array(list(found), dtype=np.uint8)


def _colours(layer: LayerAction, couplings: Iterable[Pair]) -> Indices:
    """0 or 1 for each qubit, different within each gate, and along couplings where that can be."""
    neighbours: dict[int, list[int]] = {}
    for first, second in (*layer.places, *couplings):
        neighbours.setdefault(first, []).append(second)  # gates come first, and so hold
        neighbours.setdefault(second, []).append(first)
    colours = np.full(layer.num_qubits, -1, dtype=np.intp)
    for place in layer.places:
        waiting = [(place[0], 0)] if colours[place[0]] < 0 else []
        while waiting:
            qubit, colour = waiting.pop()
            if colours[qubit] >= 0:
                continue
            colours[qubit] = colour
            waiting.extend((near, 1 - colour) for near in neighbours[qubit][::-1])
    return colours


def _with_gates_between(layer: LayerAction) -> list[RepeatedLayer]:
    """Each gate goes through its own sequences; one with fewer repeats its last."""
    chosen = [_telling(name) for name in layer.names]
    repeated = []
    for index in range(max(map(len, chosen))):
        letters = np.zeros(layer.num_qubits, dtype=np.uint8)
        between = np.zeros(layer.num_qubits, dtype=np.intp)
        for place, own in zip(layer.places, chosen, strict=True):
            pair, gates = own[min(index, len(own) - 1)] if own else ((3, 3), (0, 0))
            letters[list(place)], between[list(place)] = pair, gates
        repeated.append(RepeatedLayer(layer, letters, between))
    return repeated


@cache
def _telling(name: str) -> tuple[tuple[Pair, Pair], ...]:
    """Bases and gates in between that tell what the nine plain bases leave open.

    Greedy: each is the one that tells most, and most precisely. Measured: two are enough for cx
    and cz, one for ecr; they leave two of 15 directions, which no experiment tells from state
    preparation.
    """
    alone = LayerAction(((0, 1),), (name,), 2)
    generators = generators_of(alone)
    supports = supports_of(alone)

    def rows(pair: Pair, gates: Pair) -> NDArray[np.float64]:
        found = RepeatedLayer(alone, np.array(pair, dtype=np.uint8), np.array(gates)).cycles(
            supports
        )
        return found.rows(generators) if found.closed.all() else np.empty((0, len(generators)))

    bases = _pairs((1, 2, 3))
    known = np.concatenate([rows(pair, (0, 0)) for pair in bases])
    options = list(itertools.product(bases, _pairs(local_cliffords().classes)))
    candidates = {option: rows(*option) for option in options}
    chosen: list[tuple[Pair, Pair]] = []
    while True:
        rank = _rank(known)
        joined = {
            option: np.concatenate([known, told])
            for option, told in candidates.items()
            if len(told)
        }
        gains = {option: _rank(rows) - rank for option, rows in joined.items()}
        most = max(gains.values())
        if not most:
            return tuple(chosen)
        best = min(
            (option for option, gain in gains.items() if gain == most),
            key=lambda option: _uncertainty(joined[option]),
        )
        chosen.append(best)
        known = joined[best]


def _rank(rows: NDArray[np.float64]) -> int:
    return int(np.linalg.matrix_rank(rows))


def _uncertainty(rows: NDArray[np.float64]) -> float:
    """Sum of the variances of what the rows tell, for equal errors of each."""
    return float(np.trace(np.linalg.pinv(rows.T @ rows, rcond=1e-9)))


def _pairs(values: Sequence[int]) -> list[Pair]:
    return [(first, second) for first in values for second in values]
