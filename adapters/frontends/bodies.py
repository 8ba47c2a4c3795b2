"""What a gate of another framework does, in Qiskit's gates, and its modifiers.

A `Body` is a gate's exact unitary, global phase included, since the phase counts once the gate is
controlled. Where it is not, the phase is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, ParameterExpression
from qiskit.circuit.library import (
    IGate,
    MCPhaseGate,
    PhaseGate,
    RXGate,
    RXXGate,
    RYGate,
    RYYGate,
    RZGate,
    RZZGate,
    UnitaryGate,
    XGate,
)
from qiskit.exceptions import QiskitError

from adapters.frontends.expressions import Angle
from qcpaas.errors import CircuitError

MAX_MATRIX_QUBITS = 8
_SCALED = (RXGate, RYGate, RZGate, PhaseGate, RXXGate, RYYGate, RZZGate)


@dataclass(frozen=True, eq=False)
class Body:
    """Gates in the order of time on positions ``0..num_qubits-1``, times ``exp(i phase)``."""

    num_qubits: int
    steps: tuple[tuple[Gate, tuple[int, ...]], ...]
    phase: Angle = 0.0

    def inverse(self) -> Body:
        turned = tuple((gate.inverse(), places) for gate, places in reversed(self.steps))
        return Body(self.num_qubits, turned, -self.phase)

    def power(self, exponent: Angle) -> Body:
        """The body ``exponent`` times, or its principal root.

        Raises:
            CircuitError: Nobody can tell with a symbol for the exponent.
        """
        whole = not _symbolic(exponent) and float(exponent).is_integer()
        if whole and abs(exponent) <= 1:
            return {1: self, 0: replace(self, steps=(), phase=0.0), -1: self.inverse()}[
                int(exponent)
            ]
        if len(self.steps) == 1 and isinstance(self.steps[0][0], _SCALED) and _zero(self.phase):
            gate, places = self.steps[0]
            return replace(self, steps=((type(gate)(gate.params[0] * exponent), places),))
        if _symbolic(exponent) or any(_symbolic(p) for gate, _ in self.steps for p in gate.params):
            raise CircuitError(
                "a power of a gate holds a symbol that cannot be kept. Write the power as a "
                "rotation by an angle, or bind the symbol before."
            )
        root = UnitaryGate(self.matrix()).power(float(exponent))
        return Body(self.num_qubits, ((root, tuple(range(self.num_qubits))),))

    def controlled(self, values: Sequence[int]) -> Body:
        """With controls in front of its qubits, each acting on the value given for it."""
        count = len(values)
        if not count:
            return self
        controls = tuple(range(count))
        flips = tuple((XGate(), (place,)) for place, value in enumerate(values) if not value)
        inner = tuple(
            (gate.control(count, annotated=False), controls + tuple(p + count for p in places))
            for gate, places in self.steps
            if not isinstance(gate, IGate)
        )
        turn = () if _zero(self.phase) else ((_phase_gate(self.phase, count), controls),)
        return Body(self.num_qubits + count, (*flips, *inner, *turn, *flips))

    def matrix(self) -> NDArray[np.complex128]:
        """Qiskit's order: position 0 is the lowest bit."""
        from qiskit.quantum_info import Operator

        circuit = QuantumCircuit(self.num_qubits, global_phase=self.phase)
        for gate, places in self.steps:
            circuit.append(gate, places)
        found: NDArray[np.complex128] = Operator(circuit).data
        return found

    def onto(self, circuit: QuantumCircuit, qubits: Sequence[Any]) -> None:
        """Append it, without its global phase.

        Raises:
            CircuitError: A qubit is named twice, or their number is another than the body's.
        """
        if len(set(qubits)) != len(qubits) or len(qubits) != self.num_qubits:
            raise CircuitError(
                f"a gate on {self.num_qubits} qubits is given the qubits "
                f"{', '.join(map(str, qubits))}. Name each once."
            )
        for gate, places in self.steps:
            circuit.append(gate, [qubits[place] for place in places], copy=False)


def one(gate: Gate, phase: Angle = 0.0) -> Body:
    """A single gate on its own qubits."""
    return Body(gate.num_qubits, ((gate, tuple(range(gate.num_qubits))),), phase)


def steps(num_qubits: int, *given: tuple[Gate, tuple[int, ...]], phase: Angle = 0.0) -> Body:
    return Body(num_qubits, given, phase)


def from_matrix(rows: Any, what: str) -> Body:
    """A unitary whose first qubit is the highest bit of its rows, as most frameworks write it.

    Raises:
        CircuitError: It is not a unitary matrix of 1 to 8 qubits.
    """
    try:
        matrix = np.array(rows, dtype=np.complex128)
        width = int(math.log2(matrix.shape[0])) if matrix.ndim == 2 else 0
        if not 1 <= width <= MAX_MATRIX_QUBITS or matrix.shape != (2**width, 2**width):
            raise ValueError(f"its shape is {matrix.shape}")
        gate = UnitaryGate(matrix)
    except (ValueError, TypeError, QiskitError) as error:
        raise CircuitError(
            f"{what} is not a unitary matrix of 1 to {MAX_MATRIX_QUBITS} qubits: {error}"
        ) from None
    return Body(width, ((gate, tuple(reversed(range(width)))),))


def _phase_gate(phase: Angle, count: int) -> Gate:
    return PhaseGate(phase) if count == 1 else MCPhaseGate(phase, count - 1)


def _zero(phase: Angle) -> bool:
    return not _symbolic(phase) and phase == 0


def _symbolic(value: Any) -> bool:
    return isinstance(value, ParameterExpression)
