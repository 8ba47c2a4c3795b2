"""Pauli gates that pass through a compiled circuit, and the few that must be executed.

A Pauli gate that is inserted somewhere is not executed there: it joins its qubit's frame, the Pauli
by which the device's state differs from the circuit's. Clifford gates turn a frame into another
one, rotations change the signs of their angles, parameters stay symbolic. A frame is taken back, by
gates of the device, before what it cannot pass and at the circuit's end.

Twirling sets the frame of a gate's qubits at random just before the gate. The change of frame goes
into an sx gate where one stands before: ``X sx = Z sx Z`` up to a phase, and Z costs nothing. Thus
twirled circuits have the noise of the plain one, and hardly any gate more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Gate

from pipeline.pauli.algebra import CliffordTable, clifford_table
from pipeline.pauli.frame_steps import FrameSteps

Place = tuple[int, int]  # an instruction that it acts before, and a circuit qubit
Insertions = Mapping[int, Sequence[tuple[int, int]]]  # by instruction: circuit qubit and code
Steps = tuple[CircuitInstruction, ...]

NO_INSERTIONS: Insertions = {}
TAKEN_BACK = -1
ROTATIONS = frozenset({"rz", "p", "u1", "rx", "ry", "r"})
_PASSED = frozenset({"barrier", "delay", "id"})
_FRAME_CHANGES = frozenset({"rz", "p", "u1", "id", "barrier"})
_STOPS = frozenset({"twirl", "read", "stop"})


@dataclass(frozen=True, eq=False)
class FrameStep:
    """An instruction, and what a frame does there.

    Attributes:
        kind: ``pass`` leaves it, ``turn`` is a rotation, ``map`` a Clifford gate on one qubit,
            ``twirl`` one on several, ``read`` a measurement, ``reset``; ``stop`` anything else.
        first_point: Of a twirled gate's qubits.
        absorbs: Of an sx gate that takes up a change of frame: the twirl's point, or `TAKEN_BACK`.
    """

    instruction: CircuitInstruction
    qubits: tuple[int, ...]
    kind: str
    table: CliffordTable | None = None
    first_point: int = 0
    absorbs: int | None = None


class PauliFrames:
    """A circuit, prepared for many random choices of Pauli gates.

    Args:
        circuit: In the device's gates.
        basis_gates: What the device executes; empty where it executes any gate.

    Attributes:
        points: Qubits of twirled gates, gate by gate: a twirl is one code for each.
        twirled: Number of Clifford gates on two or more qubits.
        untwirled: Names of other gates on two or more qubits.
        changes: Where a twirl changes a frame, and no sx gate takes it up.
    """

    def __init__(self, circuit: QuantumCircuit, basis_gates: Sequence[str] = ()) -> None:
        self.circuit = circuit
        self._steps, self.points = _classified(circuit)
        self.twirled = sum(step.kind == "twirl" for step in self._steps)
        self.untwirled = tuple(
            dict.fromkeys(s.instruction.name for s in self._steps if s.kind == "stop" and _joins(s))
        )
        self.changes = self._absorb(free_z=not basis_gates or "rz" in basis_gates)
        self._emitter = FrameSteps(circuit.qubits, tuple(basis_gates))
        last = {q: s.kind for s in self._steps if s.kind != "pass" for q in s.qubits}
        self._open = [qubit for qubit, kind in last.items() if kind != "read"]

    def draw_twirls(self, number: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Independent uniform twirls, shape ``(number, points)``."""
        return rng.integers(4, size=(number, self.points), dtype=np.uint8)

    def steps(
        self, insertions: Insertions = NO_INSERTIONS, twirl: Sequence[int] | None = None
    ) -> Steps:
        """The circuit with Pauli gates inserted, and with its gates twirled.

        Equal circuits consist of the same objects.

        Args:
            insertions: At the number of instructions, after the last one.
            twirl: A code for each point; ``None`` lets frames pass through gates as they are.
        """
        frame = [0] * self.circuit.num_qubits
        emit = self._emitter.start()
        for index, step in enumerate(self._steps):
            for qubit, code in insertions.get(index, ()):
                frame[qubit] ^= code
            self._pass(index, step, frame, twirl)
        for qubit, code in insertions.get(len(self._steps), ()):
            frame[qubit] ^= code
        for qubit in self._open:
            self._emitter.pauli(qubit, frame[qubit])
            self._emitter.settle(qubit)
        return tuple(emit)

    def build(self, steps: Steps) -> QuantumCircuit:
        """A circuit of these steps, with the given one's registers and parameters."""
        built = self.circuit.copy_empty_like()
        for step in steps:
            built._append(step)  # noqa: SLF001 - the public append costs ten times as much
        return built

    def _pass(
        self, index: int, step: FrameStep, frame: list[int], twirl: Sequence[int] | None
    ) -> None:
        """Let the frame pass one instruction, and emit what is executed there."""
        emit, kind, qubits = self._emitter, step.kind, step.qubits
        if kind == "pass":
            emit.plain(step.instruction)
        elif kind == "turn":
            emit.rotation(index, step.instruction, qubits[0], frame[qubits[0]])
        elif kind == "map":
            self._map(step, frame, twirl)
        elif kind == "twirl":
            if twirl is not None:
                for place, qubit in enumerate(qubits, step.first_point):
                    emit.pauli(qubit, frame[qubit] ^ twirl[place])
                    frame[qubit] = twirl[place]
            emit.gate(step.instruction, qubits)
            _turn(step, frame)
        elif kind == "stop":
            for qubit in qubits:
                emit.pauli(qubit, frame[qubit])
                frame[qubit] = 0
            emit.gate(step.instruction, qubits)
        else:
            if kind == "read":  # what is read does not know of Z
                emit.pauli(qubits[0], frame[qubits[0]] & 1)
            frame[qubits[0]] = 0
            emit.forget(qubits[0])
            emit.plain(step.instruction)

    def _map(self, step: FrameStep, frame: list[int], twirl: Sequence[int] | None) -> None:
        (qubit,) = step.qubits
        _turn(step, frame)
        wanted = frame[qubit]
        if step.absorbs == TAKEN_BACK:
            wanted = 0
        elif step.absorbs is not None and twirl is not None:
            wanted = twirl[step.absorbs]
        self._emitter.absorbing(step.instruction, qubit, frame[qubit] ^ wanted)
        frame[qubit] = wanted

    def _absorb(self, free_z: bool) -> tuple[Place, ...]:
        """Let changes of frame be taken up by sx gates; returns where none can be.

        Not by one that a delay follows: it may belong to a sequence that decouples.

        Args:
            free_z: Whether the device has Z rotations, without which no gate takes anything up.
        """
        near: dict[int, int] = {}  # sx gates that nothing but frame changes has followed
        random: set[int] = set()
        left = []
        for index, step in enumerate(self._steps):
            for place, qubit in enumerate(step.qubits if step.kind in _STOPS else ()):
                twirls = step.kind == "twirl"
                point = step.first_point + place if twirls else TAKEN_BACK
                if not self._absorbed(near.get(qubit), point) and (twirls or qubit in random):
                    left.append((index, qubit))
                (random.add if twirls else random.discard)(qubit)
            if step.instruction.name not in _FRAME_CHANGES:
                for qubit in step.qubits:
                    near.pop(qubit, None)
            if free_z and step.instruction.name == "sx":
                near[step.qubits[0]] = index
        left.extend(
            (len(self._steps), qubit)
            for qubit in range(self.circuit.num_qubits)
            if not self._absorbed(near.get(qubit), TAKEN_BACK) and qubit in random
        )
        return tuple(left)

    def _absorbed(self, index: int | None, point: int) -> bool:
        if index is not None:
            self._steps[index] = replace(self._steps[index], absorbs=point)
        return index is not None


def _turn(step: FrameStep, frame: list[int]) -> None:
    """What a Clifford gate makes of its qubits' frames."""
    assert step.table is not None
    number = sum(frame[qubit] << (2 * place) for place, qubit in enumerate(step.qubits))
    for qubit, code in zip(step.qubits, step.table[number][1], strict=True):
        frame[qubit] = code


def _classified(circuit: QuantumCircuit) -> tuple[list[FrameStep], int]:
    """Every instruction with what a frame does there, and the number of a twirl's points."""
    number = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    steps, points = [], 0
    for instruction in circuit.data:
        qubits = tuple(number[qubit] for qubit in instruction.qubits)
        table = clifford_table(instruction.operation)
        kind = _kind(instruction, table)
        steps.append(FrameStep(instruction, qubits, kind, table, points))
        points += len(qubits) if kind == "twirl" else 0
    return steps, points


def _kind(instruction: CircuitInstruction, table: CliffordTable | None) -> str:
    name = instruction.name
    if name in _PASSED:
        return "pass"
    if name in ROTATIONS:
        return "turn"
    if name == "measure":
        return "read"
    if name == "reset":
        return "reset"
    if table is None:
        return "stop"
    return "twirl" if len(instruction.qubits) > 1 else "map"


def _joins(step: FrameStep) -> bool:
    return isinstance(step.instruction.operation, Gate) and len(step.qubits) > 1
