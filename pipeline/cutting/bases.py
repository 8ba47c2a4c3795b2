"""Quasi-probability decompositions of a cut gate or wire into operations on either side.

A cut is a sum of terms; each has a coefficient and, for the two qubits that it touches, what to do
there instead. Gate decompositions are those of ``qiskit-addon-cutting``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import CircuitInstruction, Instruction, Parameter, ParameterExpression
from qiskit.circuit.library import (
    HGate,
    PhaseGate,
    RZGate,
    RZZGate,
    SdgGate,
    SGate,
    SXdgGate,
    XGate,
)

from qcpaas.errors import CircuitError

NEGLIGIBLE = 1e-12  # coefficients of terms that are not there


OUTCOME = "cut_outcome"  # a Z measurement, whose outcome ±1 multiplies the result
TOLD = "cut_told"  # a Z measurement, whose outcome the other end of the wire is told
HEARD = "cut_heard"  # that outcome is prepared there
HEARD_FLIPPED = "cut_heard_flipped"  # the complementary one


def marker(name: str) -> Instruction:
    """What stands for a measurement or a preparation until a circuit is made of it."""
    return Instruction(name, 1, 0, [])


@dataclass(frozen=True)
class LocalTerm:
    """What one side of a cut does in one term.

    Attributes:
        operations: In place of the cut, on its qubit, in order.
        letter: Pauli letter measured at the end of a cut wire; empty where the qubit goes on.
        name: The same for equal operations.
    """

    operations: tuple[Instruction, ...]
    letter: str = ""
    name: str = ""

    @classmethod
    def of(cls, operations: Sequence[Instruction], letter: str = "") -> LocalTerm:
        name = ";".join(f"{step.name}({','.join(map(_text, step.params))})" for step in operations)
        return cls(tuple(operations), letter, name)


@dataclass(frozen=True, eq=False)
class CutBasis:
    """All terms of a cut.

    Attributes:
        sides: For each term, what the first and the second qubit do.
        fixed: One coefficient a term; ``None`` where they follow from ``angle``.
        angle: Of the symbolic ``rzz`` that is cut.
    """

    sides: tuple[tuple[LocalTerm, LocalTerm], ...]
    fixed: tuple[float, ...] | None
    angle: ParameterExpression | None = None

    def coefficients(
        self, values: NDArray[np.float64], parameters: Sequence[Parameter]
    ) -> NDArray[np.float64]:
        """Shape ``(points, terms)``; ``values`` has a column for each of ``parameters``."""
        if self.fixed is not None:
            return np.broadcast_to(self.fixed, (len(values), len(self.fixed)))
        assert self.angle is not None
        names = [symbol.name for symbol in parameters]  # an equal circuit has symbols of its own
        own = [(names.index(symbol.name), symbol) for symbol in self.angle.parameters]
        angles = [
            float(self.angle.bind({symbol: float(row[column]) for column, symbol in own}))
            for row in values
        ]
        return rzz_coefficients(np.array(angles))

    def gamma(self, values: NDArray[np.float64], parameters: Sequence[Parameter]) -> float:
        """Sum of the coefficients' magnitudes, at the worst point; its square is the overhead."""
        return float(np.abs(self.coefficients(values, parameters)).sum(axis=1).max())


def wire_basis(midway: bool = False) -> CutBasis:
    """Measure X, Y, Z or nothing at one end, prepare an eigenstate at the other; gamma is 4.

    Args:
        midway: Measure at once, so that the qubit is free; else with the observables, at the end.

    Source: Peng et al., PRL 125, 150504 (2020).
    """
    terms = [
        ("I", [], 0.5),
        ("I", [XGate()], 0.5),
        ("X", [HGate()], 0.5),
        ("X", [XGate(), HGate()], -0.5),
        ("Y", [SXdgGate()], 0.5),
        ("Y", [XGate(), SXdgGate()], -0.5),
        ("Z", [], 0.5),
        ("Z", [XGate()], -0.5),
    ]
    ends = {letter: LocalTerm.of([], letter) for letter in "IXYZ"}
    if midway:
        turns = {"X": [HGate()], "Y": [SdgGate(), HGate()], "Z": []}
        ends = {letter: LocalTerm.of([*turn, marker(OUTCOME)]) for letter, turn in turns.items()}
        ends["I"] = LocalTerm.of([])
    sides = tuple((ends[letter], LocalTerm.of(steps)) for letter, steps, _ in terms)
    return CutBasis(sides, tuple(coefficient for *_, coefficient in terms))


def feed_forward_basis() -> CutBasis:
    """Measure in a basis, tell the outcome, prepare it at the other end; gamma is 3.

    Measuring and preparing in the X and in the Y basis keep the Bloch vector's x and y; measuring Z
    and preparing the opposite gives -z, and is subtracted.

    Source: Brenner et al., arXiv:2302.03366; Harada et al., PR Applied 22, 024049 (2024).
    """
    into_y, from_y = [SdgGate(), HGate()], [HGate(), SGate()]
    sides = (
        (LocalTerm.of([HGate(), marker(TOLD)]), LocalTerm.of([marker(HEARD), HGate()])),
        (LocalTerm.of([*into_y, marker(TOLD)]), LocalTerm.of([marker(HEARD), *from_y])),
        (LocalTerm.of([marker(TOLD)]), LocalTerm.of([marker(HEARD_FLIPPED)])),
    )
    return CutBasis(sides, (1.0, 1.0, -1.0))


def gate_basis(gate: Instruction, circuit_name: str) -> CutBasis:
    """Local operations and measurements in place of a two-qubit gate.

    Source: Mitarai and Fujii, New J. Phys. 23, 023021 (2021); Schmitt et al., Quantum 9, 1634
    (2025).

    Raises:
        CircuitError: The gate cannot be cut.
    """
    from qiskit_addon_cutting.qpd import QPDBasis

    symbolic = any(isinstance(p, ParameterExpression) and p.parameters for p in gate.params)
    if symbolic and gate.name != "rzz":
        raise CircuitError(
            f"circuit {circuit_name}: the {gate.name} to cut has the parameter {gate.params[0]}, "
            "which has no value yet. Write it with rzz, or give it a number."
        )
    try:
        basis = QPDBasis.from_instruction(RZZGate(1.0) if symbolic else gate)
    except ValueError as error:
        raise CircuitError(
            f"circuit {circuit_name}: {gate.name} cannot be cut ({error}). Decompose it into "
            "two-qubit gates with a matrix."
        ) from error
    sides = tuple((_local(first), _local(second)) for first, second in basis.maps)
    if symbolic:
        return CutBasis(sides, None, gate.params[0])
    kept = [
        (side, float(c)) for side, c in zip(sides, basis.coeffs, strict=True) if abs(c) > NEGLIGIBLE
    ]
    return CutBasis(tuple(side for side, _ in kept), tuple(c for _, c in kept))


def rzz_coefficients(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the six terms of ``rzz`` in the addon's order, shape ``(points, 6)``."""
    half = -angles / 2
    cross = np.cos(half) * np.sin(half)
    return np.stack([np.cos(half) ** 2, np.sin(half) ** 2, -cross, cross, -cross, cross], axis=1)


def in_rzz(step: CircuitInstruction) -> list[CircuitInstruction]:
    """A symbolic two-qubit rotation as one ``rzz`` between gates on one qubit; others as given."""
    if not any(isinstance(p, ParameterExpression) and p.parameters for p in step.operation.params):
        return [step]
    first, second = step.qubits
    name, angle = step.operation.name, step.operation.params[0]
    if name in {"crx", "cry", "crz", "cp"}:
        phases = [(RZGate(angle / 2), second)]
        if name == "cp":
            phases = [(PhaseGate(angle / 2), first), (PhaseGate(angle / 2), second)]
        around = {"crx": [HGate()], "cry": [SdgGate(), HGate()]}.get(name, [])
        frame, core = [(gate, second) for gate in around], RZZGate(-angle / 2)
    elif name in {"rxx", "ryy", "rzx"}:
        turn = [SdgGate(), HGate()] if name == "ryy" else [HGate()]
        turned = [second] if name == "rzx" else [first, second]
        frame, phases, core = [(g, q) for q in turned for g in turn], [], RZZGate(angle)
    else:
        return [step]
    back = [(gate.inverse(), qubit) for gate, qubit in reversed(frame)]
    return [
        *(CircuitInstruction(gate, (qubit,)) for gate, qubit in (*frame, *phases)),
        CircuitInstruction(core, (first, second)),
        *(CircuitInstruction(gate, (qubit,)) for gate, qubit in back),
    ]


def _local(operations: Sequence[Instruction]) -> LocalTerm:
    return LocalTerm.of(
        [marker(OUTCOME) if step.name == "qpd_measure" else step for step in operations]
    )


def _text(value: object) -> str:
    if isinstance(value, np.ndarray):
        return np.array2string(value.round(12), threshold=64)
    return str(value)
