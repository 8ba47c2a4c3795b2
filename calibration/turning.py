"""What it costs to apply a gate the other way round, measured on the circuit that it is part of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from calibration.device_errors import SYMMETRIC, TURNABLE
from calibration.directions import turn_template
from calibration.recompiling import NO_ROTATIONS
from calibration.template import Template, leaves

Array = NDArray[np.float64]
Interaction = tuple[int, int, str]


def turning_prices(template: Template, basis_gates: tuple[str, ...]) -> Array:
    """1-qubit gates that turning a gate adds to its first and its second qubit.

    Most of what is put around a turned gate merges with its neighbours, or cancels: ECR circuits
    gain 0.3 gates a turn, and some lose. Half way between turning a gate alone and turning all of
    them leaves about one gate of a circuit unexplained, where a fixed price of one gate on each
    qubit leaves ten to fifty.

    Returns:
        In the order of the template's interactions, shape ``(i, 2)``; negative where turning
        saves gates.
    """
    interactions = template.interactions
    prices = np.zeros((len(interactions), 2))
    number = {interaction: place for place, interaction in enumerate(interactions)}
    turnable = [each for each in interactions if each[2] in TURNABLE - SYMMETRIC]
    uses = np.zeros(len(template.home))
    for first, second, gate in turnable:
        uses[[first, second]] += interactions[first, second, gate]
    if not turnable:
        return prices
    before = _rotations(template.circuit)

    def added(chosen: Iterable[Interaction]) -> Array:
        turned = turn_template(template, frozenset(chosen), basis_gates)
        return _rotations(turned) - before

    together = added(turnable) / np.maximum(uses, 1)
    for group in _apart(turnable):
        alone = added(group)
        for interaction in group:
            ends = list(interaction[:2])
            each = alone[ends] / interactions[interaction]
            prices[number[interaction]] = (each + together[ends]) / 2
    return prices


def _apart(interactions: Iterable[Interaction]) -> Iterator[list[Interaction]]:
    """Groups in which no qubit appears twice, so that one circuit prices a whole group."""
    left = list(interactions)
    while left:
        taken: set[int] = set()
        group: list[Interaction] = []
        later: list[Interaction] = []
        for interaction in left:
            free = taken.isdisjoint(interaction[:2])
            (group if free else later).append(interaction)
            taken.update(interaction[:2] if free else ())
        yield group
        left = later


def _rotations(circuit: QuantumCircuit) -> Array:
    counts = np.zeros(circuit.num_qubits)
    for operation, qubits, times in leaves(circuit):
        if len(qubits) == 1 and operation.name not in NO_ROTATIONS:
            counts[qubits[0]] += times
    return counts
