"""Instructions as a Pauli frame leaves them; each variant is one object, however often it is used.

Z gates are put off until a rotation about Z takes them up, or something that they do not commute
with comes; before a measurement they are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

from qiskit.circuit import CircuitInstruction, ParameterExpression, Qubit

from pipeline.pauli.algebra import LETTERS
from pipeline.pauli.gates import pauli_steps

X, Z = 1, 2  # codes
# The codes that change the sign of each of a rotation's angles.
_SIGNS: dict[str, tuple[frozenset[int], ...]] = {
    "rz": (frozenset({1, 3}),),
    "p": (frozenset({1, 3}),),
    "u1": (frozenset({1, 3}),),
    "rx": (frozenset({2, 3}),),
    "ry": (frozenset({1, 2}),),
    "r": (frozenset({2, 3}), frozenset({1, 3})),
}
_ABOUT_Z = frozenset({"rz", "p", "u1"})


class FrameSteps:
    """Collects the steps of one circuit after the other.

    Args:
        basis_gates: What the device executes; empty where it executes any gate.
    """

    def __init__(self, qubits: Sequence[Qubit], basis_gates: tuple[str, ...]) -> None:
        self._qubits = qubits
        self._basis = basis_gates
        self._free_z = not basis_gates or "rz" in basis_gates
        self._variants: dict[tuple[int, tuple[bool, ...], bool], CircuitInstruction] = {}
        self._paulis: dict[tuple[int, int], list[CircuitInstruction]] = {}
        self._put_off: set[int] = set()  # qubits that a Z gate is still to act on
        self._steps: list[CircuitInstruction] = []

    def start(self) -> list[CircuitInstruction]:
        """Begin another circuit; its steps will be in the list."""
        self._put_off, self._steps = set(), []
        return self._steps

    def plain(self, instruction: CircuitInstruction) -> None:
        """What commutes with Z gates, or takes no notice of them."""
        self._steps.append(instruction)

    def gate(self, instruction: CircuitInstruction, qubits: Sequence[int]) -> None:
        for qubit in qubits:
            self.settle(qubit)
        self._steps.append(instruction)

    def pauli(self, qubit: int, code: int) -> None:
        """A Pauli gate; its Z part is put off where that is free."""
        if self._free_z:
            if code & X:
                self.settle(qubit)
                self._execute(qubit, X)
            if code & Z:
                self._put_off ^= {qubit}
        elif code:
            self._execute(qubit, code)

    def absorbing(self, instruction: CircuitInstruction, qubit: int, code: int) -> None:
        """A Clifford gate, an sx where there is a code, and after it a Pauli gate as part of it."""
        if code & X:
            self._put_off ^= {qubit}
            code ^= Z
        self.gate(instruction, (qubit,))
        if code & Z:
            self._put_off ^= {qubit}

    def rotation(self, index: int, instruction: CircuitInstruction, qubit: int, frame: int) -> None:
        """A rotation in a frame."""
        about_z = instruction.name in _ABOUT_Z
        turned = about_z and qubit in self._put_off
        if turned or not about_z:
            (self._put_off.discard if about_z else self.settle)(qubit)
        signs = tuple(frame in codes for codes in _SIGNS[instruction.name])
        if not turned and not any(signs):
            self._steps.append(instruction)
            return
        key = (index, signs, turned)
        if key not in self._variants:
            self._variants[key] = _rotated(instruction, signs, turned)
        self._steps.append(self._variants[key])

    def settle(self, qubit: int) -> None:
        """Execute a Z gate that was put off."""
        if qubit in self._put_off:
            self._put_off.discard(qubit)
            self._execute(qubit, Z)

    def forget(self, qubit: int) -> None:
        """Drop it: the qubit is read or reset."""
        self._put_off.discard(qubit)

    def _execute(self, qubit: int, code: int) -> None:
        key = (qubit, code)
        if key not in self._paulis:
            self._paulis[key] = pauli_steps(LETTERS[code], self._qubits[qubit], self._basis)
        self._steps.extend(self._paulis[key])


def _rotated(
    instruction: CircuitInstruction, signs: Sequence[bool], turned: bool
) -> CircuitInstruction:
    """With the signs of angles changed, and half a turn more."""
    gate = instruction.operation
    angles: list[float | ParameterExpression] = [
        -angle if sign else angle for angle, sign in zip(gate.params, signs, strict=True)
    ]
    if turned:
        angles[0] = angles[0] + pi
    return CircuitInstruction(type(gate)(*angles), instruction.qubits, ())
