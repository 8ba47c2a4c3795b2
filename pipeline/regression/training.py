"""Circuits to learn a device's noise from: like the circuit of interest, and easy to simulate.

The angles of most rotations are moved to those that make them Clifford gates; everything else
stays, so that the device's noise acts as it does on the circuit of interest. Since training
circuits differ by angles alone they are one circuit with many points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Gate, Parameter, ParameterExpression

from adapters.parameters import linear, symbolic
from qcpaas.errors import MitigationError

Array = NDArray[np.float64]

HALF = pi / 2
# Distances between the angles, one for each parameter, that make a gate Clifford.
CLIFFORD_STEPS = {
    "rz": (HALF,),
    "p": (HALF,),
    "u1": (HALF,),
    "rx": (HALF,),
    "ry": (HALF,),
    "r": (HALF, HALF),
    "u2": (HALF, HALF),
    "u": (HALF, HALF, HALF),
    "u3": (HALF, HALF, HALF),
    "rzz": (HALF,),
    "rxx": (HALF,),
    "ryy": (HALF,),
    "rzx": (HALF,),
    "cp": (pi,),
    "cu1": (pi,),
    "crx": (pi,),
    "cry": (pi,),
    "crz": (pi,),
    "xx_plus_yy": (pi, HALF),
    "xx_minus_yy": (pi, HALF),
}
# Widths of the choice among Clifford angles, by the gates' distance: the first is the usual one,
# the others bring training values apart where all angles are near the same Clifford gate.
WIDTHS = (0.5, 0.5, 1.0, 2.0)
# Of the rotations that are not Clifford: the more are kept, the more alike is the noise. Errors on
# twins of 4-qubit Ising circuits were 10 to 25 % smaller than with half of them.
KEPT_SHARE = 0.75
_PASSIVE = frozenset({"barrier", "delay"})
_ROUNDING = 1e-9  # rad


@dataclass(frozen=True, eq=False)
class TrainingTemplate:
    """A circuit whose angles are all parameters of its own, to be given anew.

    Attributes:
        circuit: ``circuit.parameters`` are in the order of the angles.
        slopes: Shape ``(parameters, angles)``: what the angles are, as functions of the original
            circuit's parameters; ``offsets`` are their values where those are 0.
        curved: Angles that are no linear functions of them.
        parameters: The original circuit's.
        steps: Distance between each angle's Clifford values; NaN for one that has none.
        gates: Which gate, counted from 0, each angle belongs to.
        wide: Whether that gate acts on several qubits.
    """

    circuit: QuantumCircuit
    slopes: Array
    offsets: Array
    curved: tuple[tuple[int, ParameterExpression], ...]
    parameters: tuple[Parameter, ...]
    steps: Array
    gates: NDArray[np.intp]
    wide: NDArray[np.bool_]

    @classmethod
    def of(cls, circuit: QuantumCircuit) -> TrainingTemplate:
        """Free the angles of a compiled circuit, bound or not.

        Fixed angles of Clifford gates stay fixed, unless there are no others.

        Raises:
            MitigationError: An instruction is no gate, or there is no angle to move.
        """
        steps = [_checked(step, circuit.name) for step in circuit.data]
        free = [index for index, step in enumerate(steps) if _is_free(step)]
        if not any(steps[index].name in CLIFFORD_STEPS for index in free):
            free += [index for index, step in enumerate(steps) if step.name in CLIFFORD_STEPS]
        if not any(steps[index].name in CLIFFORD_STEPS for index in free):
            names = ", ".join(sorted({s.name for s in steps} - _PASSIVE)) or "no gates"
            raise MitigationError(
                f"circuit {circuit.name} has no rotation whose angle could be moved to a Clifford "
                f"gate's; it has {names}. Leave out the option that learns from such circuits."
            )
        return cls._freed(circuit, sorted(free))

    @classmethod
    def _freed(cls, circuit: QuantumCircuit, free: Sequence[int]) -> TrainingTemplate:
        parameters = tuple(circuit.parameters)
        freed = circuit.copy_empty_like()
        freed.global_phase = 0.0  # no outcome depends on it, and it may hold parameters
        angles: list[float | ParameterExpression] = []
        spacing: list[float] = []
        gates: list[int] = []
        wide: list[bool] = []
        chosen = set(free)
        for index, step in enumerate(circuit.data):
            if index not in chosen:
                freed._append(step)  # noqa: SLF001 - the public append costs ten times as much
                continue
            values = step.operation.params
            spacing += CLIFFORD_STEPS.get(step.name, (np.nan,) * len(values))
            names = [Parameter(f"angle_{len(angles) + k:06}") for k in range(len(values))]
            angles += values
            gates += [free.index(index)] * len(values)
            wide += [len(step.qubits) > 1] * len(values)
            operation = step.operation.to_mutable()
            operation.params = names
            freed._append(step.replace(operation=operation))  # noqa: SLF001
        slopes, offsets, curved = _forms(angles, parameters)
        return cls(
            freed,
            slopes,
            offsets,
            curved,
            parameters,
            np.array(spacing),
            np.array(gates),
            np.array(wide),
        )

    def angles(self, point: Array) -> Array:
        """The angles of the original circuit at one point, shape ``(angles,)``."""
        values: Array = point @ self.slopes + self.offsets
        named = dict(zip(self.parameters, point.tolist(), strict=True))
        for column, expression in self.curved:
            bound = expression.bind({p: named[p] for p in expression.parameters})
            values[column] = float(bound)
        return values

    def near_clifford(
        self, angles: Array, count: int, kept: int, rng: np.random.Generator
    ) -> Array:
        """Draw angles that make all rotations but a few Clifford gates.

        Which rotations keep their angle, and which Clifford angle the others get, is drawn with
        weights ``exp(-(distance / width)**2)`` of the gates' distance. Where all angles are
        Clifford already, some are moved to others.

        Args:
            angles: Of the original circuit, shape ``(angles,)``.
            count: Rows to draw.
            kept: Rotations that keep their angle, at most `KEPT_SHARE` of those not Clifford.

        Returns:
            Shape ``(count, angles)``.

        Source: Czarnik et al., Quantum 5, 592 (2021).
        """
        nearest = np.round(angles / self.steps) * self.steps
        away = np.abs(angles - nearest) > _ROUNDING
        movable = away if away.any() else ~np.isnan(self.steps)
        widths = np.resize(WIDTHS, count)[:, None]
        drawn = np.tile(angles, (count, 1))
        drawn[:, movable] = self._clifford(angles, movable, widths, rng)
        kept_gates = self._kept(angles - nearest, away, widths, min(kept, self._most(away)), rng)
        return np.where(kept_gates, angles, drawn)

    def _most(self, away: NDArray[np.bool_]) -> int:
        """As many of the rotations that are not Clifford as can be kept."""
        return int(KEPT_SHARE * len(np.unique(self.gates[away])))

    def _clifford(
        self, angles: Array, movable: NDArray[np.bool_], widths: Array, rng: np.random.Generator
    ) -> Array:
        """A Clifford angle for each movable one, shape ``(rows, movable angles)``."""
        steps, wide = self.steps[movable], self.wide[movable]
        places = angles[movable] / steps
        places = np.where(np.abs(places - np.round(places)) < _ROUNDING, np.round(places), places)
        around = np.floor(places)[:, None] + np.arange(-1, 3)
        options = around * steps[:, None]
        scores = -_distance_squared(options - angles[movable, None]) / widths[:, :, None] ** 2
        # Devices limit the angles of two-qubit rotations: the nearest ones on both sides are taken.
        beyond = wide[:, None] & (np.abs(around - places[:, None]) >= 1)
        scores[:, beyond] = -np.inf
        choice = np.argmax(scores + rng.gumbel(size=scores.shape), axis=2)
        drawn: Array = options[np.arange(len(options)), choice]
        return drawn

    def _kept(
        self,
        moved: Array,
        away: NDArray[np.bool_],
        widths: Array,
        kept: int,
        rng: np.random.Generator,
    ) -> NDArray[np.bool_]:
        """Which angles stay, shape ``(rows, angles)``."""
        size = int(self.gates.max()) + 1
        distance = np.zeros(size)
        np.add.at(distance, self.gates[away], _distance_squared(moved[away]))
        scores = distance / widths**2 + rng.gumbel(size=(len(widths), size))
        scores[:, np.setdiff1d(np.arange(size), self.gates[away])] = -np.inf
        order = np.argsort(-scores, axis=1)[:, :kept]
        stays = np.zeros((len(widths), size), dtype=bool)
        np.put_along_axis(stays, order, True, axis=1)
        return stays[:, self.gates]


def near_clifford(
    circuit: QuantumCircuit, rng: np.random.Generator, fraction: float = 0.2
) -> QuantumCircuit:
    """A bound circuit's likeness with Clifford gates for most of its rotations.

    Args:
        fraction: Of the rotations that are not Clifford: those that keep their angle.

    Raises:
        MitigationError: An instruction is no gate, or there is no angle to move.
    """
    template = TrainingTemplate.of(circuit)
    angles = template.angles(np.empty(0))
    kept = round(fraction * len(np.unique(template.gates)))
    (row,) = template.near_clifford(angles, 1, kept, rng)
    return template.circuit.assign_parameters(row)


def spread(values: Array, count: int) -> NDArray[np.intp]:
    """Rows that lie as far apart as can be, so that a fit has something to hold on to.

    Args:
        values: Exact values of candidates, shape ``(candidates, observables)``.

    Returns:
        Indices of ``count`` rows, each chosen as the farthest from those before.
    """
    scale = np.ptp(values, axis=0)
    places = (values - values.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    chosen = [int(np.argmax((places**2).sum(axis=1)))]
    nearest = np.full(len(values), np.inf)
    for _ in range(count - 1):
        distance = ((places - places[chosen[-1]]) ** 2).sum(axis=1)
        nearest = np.minimum(nearest, distance)
        nearest[chosen] = -np.inf
        chosen.append(int(np.argmax(nearest)))
    return np.array(sorted(chosen))


def _distance_squared(angle: Array) -> Array:
    """Squared Frobenius distance of a rotation about an axis from none, up to a phase."""
    distance: Array = 4 - 4 * np.abs(np.cos(angle / 2))
    return distance


def _is_free(step: CircuitInstruction) -> bool:
    """Whether a gate has parameters, or angles that do not make it Clifford."""
    values = step.operation.params
    if any(symbolic(value) for value in values):
        return True
    steps = CLIFFORD_STEPS.get(step.name, ())
    return any(
        abs(float(v) - round(float(v) / s) * s) > _ROUNDING
        for v, s in zip(values, steps, strict=True)
    )


def _checked(step: CircuitInstruction, name: str) -> CircuitInstruction:
    if step.name in _PASSIVE or isinstance(step.operation, Gate):
        return step
    raise MitigationError(
        f"circuit {name} has {step.name}, which cannot be made a Clifford gate. Leave out the "
        f"option that learns from near-Clifford circuits, or the instruction."
    )


def _forms(
    angles: Sequence[float | ParameterExpression], parameters: Sequence[Parameter]
) -> tuple[Array, Array, tuple[tuple[int, ParameterExpression], ...]]:
    """The angles as linear functions of the parameters, and those that are none."""
    slopes, offsets = np.zeros((len(parameters), len(angles))), np.zeros(len(angles))
    known: dict[ParameterExpression, tuple[Array, float] | None] = {}
    curved = []
    for column, angle in enumerate(angles):
        if not symbolic(angle):
            offsets[column] = float(angle)
            continue
        assert isinstance(angle, ParameterExpression)
        if angle not in known:
            known[angle] = linear(angle, parameters)
        form = known[angle]
        if form is None:
            curved.append((column, angle))
        else:
            slopes[:, column], offsets[column] = form
    return slopes, offsets, tuple(curved)
