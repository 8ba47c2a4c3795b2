"""Parameter expressions of a circuit, evaluated for many points at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterExpression

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ParameterTable:
    """The values that gates need, as functions of the circuit's parameters.

    Compiled circuits hold many expressions such as ``theta + pi``, and Aer would bind each of them
    at every point in Python. Linear ones are one matrix product; the others are bound one by one.

    Attributes:
        placeholders: A parameter for each distinct expression; these stand in the circuit.
        slopes: Shape ``(parameters, expressions)``.
        offsets: Shape ``(expressions,)``.
        curved: Column and expression of what is not linear.
        parameters: In the order of ``circuit.parameters``.
    """

    placeholders: tuple[Parameter, ...]
    slopes: Array
    offsets: Array
    curved: tuple[tuple[int, ParameterExpression], ...]
    parameters: tuple[Parameter, ...]

    def binds(self, points: Array) -> dict[Parameter, list[float]]:
        """Values of every placeholder at points of shape ``(n, parameters)``."""
        values = points @ self.slopes + self.offsets
        for column, expression in self.curved:
            values[:, column] = [self._value(expression, point) for point in points]
        return dict(zip(self.placeholders, values.T.tolist(), strict=True))

    def _value(self, expression: ParameterExpression, point: Array) -> float:
        named = dict(zip(self.parameters, point.tolist(), strict=True))
        return float(expression.bind({p: named[p] for p in expression.parameters}))


def symbolic(value: object) -> bool:
    return isinstance(value, ParameterExpression) and bool(value.parameters)


def tabulate(
    circuit: QuantumCircuit, parameters: Sequence[Parameter]
) -> tuple[QuantumCircuit, ParameterTable]:
    """Replace every expression of a circuit by a placeholder.

    Args:
        parameters: Columns of the points; a superset of the circuit's.
    """
    replaced = circuit.copy_empty_like()
    replaced.global_phase = 0.0  # no outcome depends on it
    found: dict[ParameterExpression, Parameter] = {}
    for instruction in circuit.data:
        if any(map(symbolic, instruction.params)):
            operation = instruction.operation.to_mutable()
            operation.params = [
                found.setdefault(value, Parameter(f"value_{len(found)}"))
                if symbolic(value)
                else value
                for value in operation.params
            ]
            instruction = instruction.replace(operation=operation)  # noqa: PLW2901
        replaced._append(instruction)  # noqa: SLF001  appending checks what is already checked
    return replaced, _table(found, tuple(parameters))


def _table(
    found: dict[ParameterExpression, Parameter], parameters: tuple[Parameter, ...]
) -> ParameterTable:
    slopes = np.zeros((len(parameters), len(found)))
    offsets = np.zeros(len(found))
    curved: list[tuple[int, ParameterExpression]] = []
    for column, expression in enumerate(found):
        form = linear(expression, parameters)
        if form is None:
            curved.append((column, expression))
        else:
            slopes[:, column], offsets[column] = form
    return ParameterTable(tuple(found.values()), slopes, offsets, tuple(curved), parameters)


def linear(
    expression: ParameterExpression, parameters: Sequence[Parameter]
) -> tuple[Array, float] | None:
    """Slopes and offset, or ``None`` where a slope depends on a parameter."""
    if isinstance(expression, Parameter):
        return np.array([float(p == expression) for p in parameters]), 0.0
    slopes = np.zeros(len(parameters))
    for row, parameter in enumerate(parameters):
        if parameter in expression.parameters:
            slope = expression.gradient(parameter)
            if symbolic(slope) or complex(slope).imag:
                return None
            slopes[row] = complex(slope).real
    at_zero = complex(expression.bind(dict.fromkeys(expression.parameters, 0.0)))
    return None if at_zero.imag else (slopes, at_zero.real)
