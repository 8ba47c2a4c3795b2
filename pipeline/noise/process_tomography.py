"""Process tomography of a layer's gates, and the Pauli noise that twirling would leave of each.

Four states and three bases a qubit, all gates of the layer at once. Nothing is amplified by
repetition and states are taken for well prepared, so that this is far less precise than cycle
benchmarking and counts errors of preparation as the gates'; it tells what that cannot: fidelities
that come in pairs there, and gates that do not undo themselves. No rate may be negative, so that
shot noise adds to their sum: measured on a twin with the usual settings, the sum came out up to
half too large where it was 0.01, and a seventh where it was 0.035.

Source: Chuang and Nielsen, Journal of Modern Optics 44, 2455 (1997); Smolin et al., PRL 108, 070502
(2012) for the projection.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.noise.cycle_circuits import TwirledLayers
from pipeline.noise.cycle_sequences import LayerAction, generators_of
from pipeline.noise.rates import Rates, fit_rates
from pipeline.pauli.algebra import Codes, anticommute, label_of
from pipeline.pauli.local_cliffords import Indices, local_cliffords
from pipeline.pauli.transfer import ideal_transfer, pauli_matrices
from pipeline.readout.model import inverse_assignment
from qcpaas.errors import MitigationError
from qcpaas.execution import Binding, Distribution, Experiment
from qcpaas.noise import GateLayer

Array = NDArray[np.float64]

# Expectation values of I, X, Z, Y in the four states: Z's two eigenstates, X's and Y's first.
STATES = np.array([[1, 0, 1, 0], [1, 0, -1, 0], [1, 1, 0, 0], [1, 0, 0, 1]], dtype=np.float64)
BASES = (1, 2, 3)
LEAST_FIDELITY = 0.05  # smaller ones are noise, and their logarithm says nothing

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class GateProcess:
    """What tomography says of one gate.

    Attributes:
        transfer: Pauli transfer matrix by linear inversion, shape ``(16, 16)``.
        physical: The nearest one of a completely positive map.
        distance: Trace distance between their Choi states: what shot noise, or a wrong readout
            calibration, adds that no process can be.
        fidelities: Of the noise before the gate, as twirling leaves it, one for each Pauli string
            but the identity; from ``transfer``, since the projection would bias them.
        covariance: Of ``fidelities``.
    """

    transfer: Array
    physical: Array
    distance: float
    fidelities: Array
    covariance: Array


@dataclass(frozen=True, eq=False)
class LayerProcesses:
    """How one layer is learnt: its gates side by side."""

    layer: GateLayer

    @classmethod
    def of(cls, layer: GateLayer) -> LayerProcesses:
        """Raises `MitigationError` for a gate that nobody knows the matrix of."""
        for gate in layer.gates:
            ideal_transfer(gate.name)
        return cls(layer)

    @cached_property
    def action(self) -> LayerAction:
        return LayerAction.placed(self.layer)

    @cached_property
    def generators(self) -> tuple[str, ...]:
        """Of the noise, as Pauli labels; the rightmost letter acts on ``layer.qubits[0]``."""
        return tuple(map(label_of, generators_of(self.action)))

    def experiments(self, shots: int, binding: Binding) -> Iterator[Experiment]:
        """The same states and bases on every gate, 144 settings."""
        settings = list(itertools.product(_PREPARED, _BASES))
        slots = np.zeros((len(settings), 2, self.action.num_qubits), dtype=np.intp)
        for row, (prepared, rotated) in zip(slots, settings, strict=True):
            for place in self.action.places:
                row[:, list(place)] = _states()[list(prepared)], _rotations()[list(rotated)]
        flips = np.zeros((len(settings), self.action.num_qubits), dtype=np.bool_)
        yield from TwirledLayers(self.action, slots, flips).experiments(shots, binding)

    def rates(self, points: Iterator[Distribution], binding: Binding) -> Rates:
        """Fit what was measured.

        Args:
            points: Of every experiment in turn; only this layer's are taken.

        Raises:
            MitigationError: A qubit has no usable readout calibration, or a gate is no better
                than noise.
        """
        found = [self._rates(process) for process in self.processes(points, binding)]
        return Rates(
            np.concatenate([one.rates for one in found]),
            np.concatenate([one.std_errors for one in found]),
            float(np.mean([one.misfit for one in found])),
        )

    def processes(self, points: Iterator[Distribution], binding: Binding) -> list[GateProcess]:
        """Tomography of each gate, corrected for the calibrated readout errors."""
        corrected = _z_values(binding, self.action.num_qubits)
        measured = [next(points) for _ in range(len(_PREPARED) * len(_BASES))]
        processes = []
        for gate, place in zip(self.layer.gates, self.action.places, strict=True):
            moments = [_moments(one, place, corrected) for one in measured]
            process = _process(gate.name, moments)
            log.info(
                "%s%s: process %.3f away from a physical one",
                gate.name,
                gate.qubits,
                process.distance,
            )
            processes.append(process)
        return processes

    def _rates(self, process: GateProcess) -> Rates:
        fidelities = process.fidelities
        if fidelities.min() < LEAST_FIDELITY:
            raise MitigationError(
                f"process tomography finds a Pauli fidelity of {fidelities.min():.2g} in a layer "
                f"of {self.layer.gates[0].name}: too little to correct. Choose other qubits."
            )
        strings = _strings()[1:]
        # In the order of `generators_of`, whose first letter varies slowest.
        generators = generators_of(LayerAction(((0, 1),), ("",), 2))
        scaled = process.covariance / np.outer(fidelities, fidelities)
        return fit_rates(
            np.where(anticommute(strings, generators), 2.0, 0.0),
            -np.log(fidelities),
            scaled,
            np.empty((0, len(generators))),
        )


_PREPARED = tuple(itertools.product(range(len(STATES)), repeat=2))
_BASES = tuple(itertools.product(BASES, repeat=2))


def _states() -> Indices:
    """Local Clifford gates that prepare `STATES`."""
    table = local_cliffords()
    numbers = [table.paulis[0], table.paulis[1], table.preparations[1], table.preparations[3]]
    return np.array(numbers)


def _rotations() -> Indices:
    return local_cliffords().rotations


def _strings() -> Codes:
    """All two-qubit Pauli strings, in the order of `pauli_matrices`."""
    return np.array([(index % 4, index // 4) for index in range(16)], dtype=np.uint8)


def _z_values(binding: Binding, num_qubits: int) -> Array:
    """What Z is taken for when a qubit is read as 0 or 1, shape ``(n, 2)``."""
    if binding.readout_errors is None:
        return np.tile([1.0, -1.0], (num_qubits, 1))
    errors = binding.readout_errors
    useless = np.flatnonzero(~(errors.sum(axis=1) < 1.0))
    if len(useless):
        raise MitigationError(
            f"process tomography needs the readout errors of qubit "
            f"{binding.physical_qubits[useless[0]]}, which are not known or leave no information. "
            "Refresh the calibration, or learn by cycle benchmarking."
        )
    inverse = inverse_assignment([(float(p10), float(p01)) for p10, p01 in errors])
    values: Array = inverse[:, 0, :] - inverse[:, 1, :]
    return values


def _moments(
    distribution: Distribution, place: tuple[int, int], z_values: Array
) -> tuple[Array, Array]:
    """Mean and covariance of Z on the first, the second, and on both qubits of a gate."""
    bits = np.unpackbits(distribution.outcomes, axis=1)[:, ::-1]
    first, second = (z_values[qubit][bits[:, qubit]] for qubit in place)
    signs = np.stack([first, second, first * second], axis=1)
    total = distribution.weights.sum()
    weights = distribution.weights / total
    means = weights @ signs
    centred = signs - means
    covariance = centred.T @ (weights[:, None] * centred) / total
    return means, covariance + np.eye(3) / total**2


def _process(name: str, moments: list[tuple[Array, Array]]) -> GateProcess:
    shape = (len(_PREPARED), len(_BASES))
    means = np.stack([mean for mean, _ in moments]).reshape(*shape, 3)
    covariances = np.stack([covariance for _, covariance in moments]).reshape(*shape, 3, 3)
    told, unprepared = _told(), _unprepared()
    signals = np.einsum("qbk,abk->qa", told, means)
    signals[0] = 1.0
    transfer = signals @ unprepared
    ideal = ideal_transfer(name)
    noise = ideal.T @ transfer
    # Each fidelity as a sum over what was measured.
    response = np.einsum("qp,ap,qbk->pabk", ideal, unprepared, told)[1:]
    covariance = np.einsum("pabk,abkl,rabl->pr", response, covariances, response)
    physical, distance = nearest_physical(transfer)
    return GateProcess(transfer, physical, distance, np.diag(noise)[1:].copy(), covariance)


def _told() -> Array:
    """How much each measured value counts towards a Pauli string, shape ``(16, 9, 3)``."""
    told = np.zeros((16, len(_BASES), 3))
    for index, (first, second) in enumerate(_BASES):
        told[first, index, 0] = told[4 * second, index, 1] = 1.0
        told[first + 4 * second, index, 2] = 1.0
    seen = told.sum(axis=(1, 2), keepdims=True)
    shares: Array = told / np.where(seen == 0, 1.0, seen)
    return shares


def _unprepared() -> Array:
    """Inverse of the Pauli strings' values in the prepared states, shape ``(16, 16)``."""
    values = [np.kron(STATES[second], STATES[first]) for first, second in _PREPARED]
    return np.linalg.inv(np.stack(values, axis=1))


def nearest_physical(transfer: Array) -> tuple[Array, float]:
    """The completely positive map whose Choi state is nearest, and its trace distance.

    Args:
        transfer: Pauli transfer matrix of two qubits, in the order of `pauli_matrices`.
    """
    paulis = pauli_matrices(2)
    basis = np.einsum("jba,icd->ijacbd", paulis, paulis).reshape(16, 16, 16, 16)
    choi = np.einsum("ij,ijab->ab", transfer, basis) / 16
    values, vectors = np.linalg.eigh(choi)
    kept = _onto_simplex(values)
    nearest = (vectors * kept) @ vectors.conj().T
    physical: Array = np.einsum("ijab,ba->ij", basis, nearest).real
    return physical, float(np.abs(values - kept).sum() / 2)


def _onto_simplex(values: Array) -> Array:
    """The nearest values that are not negative and have the sum 1."""
    ordered = np.sort(values)[::-1]
    excess = (np.cumsum(ordered) - 1) / np.arange(1, len(values) + 1)
    last = int(np.flatnonzero(ordered > excess)[-1])
    kept: Array = np.maximum(values - excess[last], 0.0)
    return kept
