"""Compiled circuits as IQM's: PRX and CZ, with every turn of the frame folded into phases.

A rotation about Z before ``PRX(angle, phase)`` is the same as ``PRX(angle, phase - turn)`` with the
rotation after it. So none is ever sent: it commutes with CZ and MOVE, and does nothing that a
measurement or a reset could see. Angles of all parameter points are found at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Clbit, IfElseOp, Parameter

from adapters.iqm.architecture import Architecture, Detour
from adapters.parameters import tabulate
from adapters.schedule import delay_s
from qcpaas.errors import CircuitError, SubmissionRefused
from qcpaas.execution import Experiment

if TYPE_CHECKING:
    from iqm.pulse import Circuit, CircuitOperation

Array = NDArray[np.float64]
Value = float | Array  # the same at every point, or one of each, shape ``(points,)``

PI = math.pi
# (angle, phase) of a PRX from a gate's parameters.
ROTATIONS: Mapping[str, Callable[..., tuple[Any, Any]]] = {
    "r": lambda angle, phase: (angle, phase),
    "rx": lambda angle: (angle, 0.0),
    "ry": lambda angle: (angle, PI / 2),
    "x": lambda: (PI, 0.0),
    "y": lambda: (PI, PI / 2),
    "sx": lambda: (PI / 2, 0.0),
    "sxdg": lambda: (-PI / 2, 0.0),
}
# Angle of a rotation about Z, up to a global phase.
TURNS: Mapping[str, Callable[..., Any]] = {
    "rz": lambda angle: angle,
    "p": lambda angle: angle,
    "u1": lambda angle: angle,
    "id": lambda: 0.0,
    "z": lambda: PI,
    "s": lambda: PI / 2,
    "sdg": lambda: -PI / 2,
    "t": lambda: PI / 4,
    "tdg": lambda: -PI / 4,
}
OVERWRITTEN = "overwritten"


@dataclass(frozen=True, eq=False)
class Step:
    """An operation at every point; ``angle`` and ``phase`` are set for a rotation."""

    name: str
    locus: tuple[str, ...]
    args: dict[str, str | float]
    angle: Value | None = None
    phase: Value = 0.0

    def at(self, point: int) -> dict[str, str | float]:
        if self.angle is None:
            return self.args
        turned = {"angle": _at(self.angle, point), "phase": _wrapped(_at(self.phase, point))}
        return self.args | turned


def registers_of(circuit: QuantumCircuit) -> tuple[tuple[str, int], ...]:
    """Name and size of the classical registers; one of all bits where they are not all in one."""
    inside = [bit for register in circuit.cregs for bit in register]
    if inside == list(circuit.clbits):
        return tuple((register.name, register.size) for register in circuit.cregs)
    return (("c", circuit.num_clbits),)


def keys_of(registers: Sequence[tuple[str, int]]) -> list[str]:
    """The measurement key of each clbit, as IQM's own Qiskit package has it."""
    return [
        f"{name}_{size}_{place}_{bit}"
        for place, (name, size) in enumerate(registers)
        for bit in range(size)
    ]


def write(
    experiment: Experiment, architecture: Architecture, metadata: Mapping[str, Any]
) -> list[Circuit]:
    """One circuit of IQM's for each parameter point.

    Args:
        metadata: Kept with each circuit, besides the number of its point.

    Raises:
        SubmissionRefused: The device has no such operation there.
    """
    from iqm.pulse import Circuit, CircuitOperation

    found = []
    for start, points, writer in _written(experiment, architecture):
        fixed = [
            None if step.angle is not None else CircuitOperation(step.name, step.locus, step.args)
            for step in writer.steps
        ]
        for point in range(points):
            operations: list[CircuitOperation] = [
                kept or CircuitOperation(step.name, step.locus, step.at(point))
                for kept, step in zip(fixed, writer.steps, strict=True)
            ]
            kept_with = {**metadata, "point": start + point}
            name = experiment.circuit.name or "circuit"
            found.append(Circuit(name, tuple(operations), {"qcpaas": kept_with}))
    return found


def _written(
    experiment: Experiment, architecture: Architecture
) -> Iterator[tuple[int, int, Writer]]:
    """First point, number of points, and what is sent at them."""
    circuit, values = experiment.circuit, experiment.parameter_values
    physical = _physical(experiment, len(architecture.qubits))
    conditional = any(isinstance(step.operation, IfElseOp) for step in circuit.data)
    if conditional and circuit.num_parameters:
        # Expressions inside a branch are not tabulated: each point is bound by itself.
        for point, row in enumerate(values):
            writer = Writer(architecture, physical, circuit, {})
            writer.write(circuit.assign_parameters(row.tolist()))
            yield point, 1, writer
        return
    plain, table = tabulate(circuit, tuple(circuit.parameters))
    named = {p: np.asarray(column) for p, column in table.binds(values).items()}
    writer = Writer(architecture, physical, circuit, named)
    writer.write(plain)
    yield 0, experiment.points, writer


def _physical(experiment: Experiment, there: int) -> tuple[int, ...]:
    circuit, binding = experiment.circuit, experiment.binding
    if circuit.num_qubits > there:
        raise SubmissionRefused(
            f"circuit {circuit.name} needs {circuit.num_qubits} qubits; the device has {there}. "
            "Choose a larger device or cut the circuit."
        )
    return tuple(range(circuit.num_qubits)) if binding is None else binding.physical_qubits


class Writer:
    """Writes one circuit; ``steps`` are what is sent, ``frames`` the turns that are left over.

    Args:
        physical: Device qubit of each circuit qubit.
        source: As it was submitted, for messages and registers.
        values: Of the placeholders that stand in it.
    """

    def __init__(
        self,
        architecture: Architecture,
        physical: Sequence[int],
        source: QuantumCircuit,
        values: Mapping[Parameter, Array],
    ) -> None:
        self.steps: list[Step] = []
        self.frames: dict[int, Value] = dict.fromkeys(physical, 0.0)
        self._architecture = architecture
        self._physical = physical
        self._name = source.name
        self._values = values
        self._keys = keys_of(registers_of(source))
        self._moved: dict[str, int] = {}  # resonator, and the qubit whose state it holds
        self._written: dict[int, int] = {}  # clbit, and the step that last measured into it

    def write(self, circuit: QuantumCircuit) -> None:
        """Raises `SubmissionRefused`."""
        for instruction in circuit.data:
            qubits = [self._physical[circuit.find_bit(q).index] for q in instruction.qubits]
            self._put(instruction, qubits, circuit)
        self._return_all(self._moved)

    def _put(
        self, instruction: CircuitInstruction, qubits: list[int], circuit: QuantumCircuit
    ) -> None:
        name = instruction.name
        if name in TURNS:
            self.frames[qubits[0]] = self.frames[qubits[0]] + TURNS[name](*self._of(instruction))
        elif name in ROTATIONS:
            self._rotate(qubits[0], *ROTATIONS[name](*self._of(instruction)))
        elif name == "cz":
            self._cz(*qubits)
        elif name == "measure":
            self._measure(qubits[0], circuit.find_bit(instruction.clbits[0]).index)
        elif name == "barrier":
            self._append("barrier", qubits)
        elif name == "delay":
            self._delay(instruction, qubits)
        elif name == "reset":
            self._check(qubits[0], self._architecture.conditional, "reset")
            self._append("reset", qubits)
        elif isinstance(instruction.operation, IfElseOp):
            self._branch(instruction.operation, qubits, circuit)
        else:
            raise self._refused(f"{name} on {self._told(qubits)}")

    def _of(self, instruction: CircuitInstruction) -> list[Value]:
        """The parameters of a gate, at every point."""
        return [
            self._values[value] if isinstance(value, Parameter) else float(value)
            for value in instruction.operation.params
        ]

    def _rotate(self, qubit: int, angle: Value, phase: Value, **args: str) -> None:
        self._check(qubit, self._architecture.rotations, "rotation")
        self._return(qubit)
        locus = (self._architecture.qubits[qubit],)
        name = "cc_prx" if args else "prx"
        self.steps.append(Step(name, locus, dict(args), angle, phase - self.frames[qubit]))

    def _cz(self, first: int, second: int) -> None:
        found = self._architecture.coupling(first, second, self._moved.values())
        if found is None:
            raise self._refused(f"cz on {self._told((first, second))}")
        if not isinstance(found, Detour):
            self._return(first)
            self._return(second)
            self.steps.append(Step("cz", found.locus, {}))
            return
        moved = first if self._architecture.qubits[first] == found.move.locus[0] else second
        self._return(second if moved == first else first)
        if self._moved.get(found.resonator) != moved:
            self._return(moved)
            self._return_all([found.resonator])
            self.steps.append(Step("move", found.move.locus, {}))
            self._moved[found.resonator] = moved
        self.steps.append(Step("cz", found.cz.locus, {}))

    def _measure(self, qubit: int, clbit: int) -> None:
        self._check(qubit, self._architecture.measurements, "measurement")
        if clbit in self._written:
            # Keys are unique in a circuit, and the later outcome is the one that counts.
            before = self.steps[self._written[clbit]]
            before.args["key"] = f"{OVERWRITTEN}_{self._written[clbit]}_{before.args['key']}"
        self._append("measure", [qubit], key=self._keys[clbit])
        self._written[clbit] = len(self.steps) - 1

    def _delay(self, instruction: CircuitInstruction, qubits: list[int]) -> None:
        try:
            duration = delay_s(instruction, None)
        except CircuitError as error:
            raise SubmissionRefused(f"circuit {self._name}: {error}") from error
        self._append("delay", qubits, duration=duration)

    def _branch(self, operation: IfElseOp, qubits: list[int], circuit: QuantumCircuit) -> None:
        """Rotations that one measurement's outcome 1 switches on."""
        body, otherwise = operation.blocks[0], operation.blocks[1:]
        condition, value = operation.condition if isinstance(operation.condition, tuple) else (0, 0)
        if not isinstance(condition, Clbit) and getattr(condition, "size", 0) == 1:
            condition = condition[0]
        if not isinstance(condition, Clbit) or int(value) != 1 or any(map(len, otherwise)):
            raise self._refused("an if_else that is not `if one bit is 1`, or that has an else")
        clbit = circuit.find_bit(condition).index
        if clbit not in self._written:
            raise self._refused(f"an if_else on bit {clbit}, into which nothing was measured")
        measured = self.steps[self._written[clbit]]
        measured.args["feedback_key"] = f"feedback_{self._written[clbit]}"
        source = {
            "feedback_key": str(measured.args["feedback_key"]),
            "feedback_qubit": measured.locus[0],
        }
        for inner in body.data:
            qubit = qubits[body.find_bit(inner.qubits[0]).index]
            self._check(qubit, self._architecture.conditional, "conditional rotation")
            for angle, phase in self._pulses(inner):
                self._rotate(qubit, angle, phase, **source)

    def _pulses(self, instruction: CircuitInstruction) -> list[tuple[Value, Value]]:
        """A gate that happens or not: its turn of the frame cannot be left to later phases.

        Two half turns about axes at half an angle make a turn about Z by that angle.
        """
        name, values = instruction.name, self._of(instruction)
        if name in TURNS:
            return [(PI, 0.0), (PI, TURNS[name](*values) / 2)]
        if name in ROTATIONS:
            return [ROTATIONS[name](*values)]
        raise self._refused(f"{name} inside an if_else")

    def _append(self, name: str, qubits: Sequence[int], **args: str | float) -> None:
        for qubit in qubits:
            self._return(qubit)
        locus = tuple(self._architecture.qubits[qubit] for qubit in qubits)
        self.steps.append(Step(name, locus, dict(args)))

    def _return(self, qubit: int) -> None:
        """Take a qubit's state out of a resonator, if it is in one."""
        self._return_all([r for r, moved in self._moved.items() if moved == qubit])

    def _return_all(self, resonators: Sequence[str] | Mapping[str, int]) -> None:
        for resonator in [r for r in resonators if r in self._moved]:
            qubit = self._architecture.qubits[self._moved.pop(resonator)]
            self.steps.append(Step("move", (qubit, resonator), {}))

    def _check(self, qubit: int, having: object, what: str) -> None:
        if qubit not in having:  # type: ignore[operator]
            raise self._refused(f"a {what} on {self._told([qubit])}")

    def _told(self, qubits: Sequence[int]) -> str:
        names = self._architecture.qubits
        return " and ".join(names[q] if q < len(names) else f"qubit {q}" for q in qubits)

    def _refused(self, what: str) -> SubmissionRefused:
        return SubmissionRefused(
            f"circuit {self._name} has {what}, which calibration set "
            f"{self._architecture.calibration_set_id} does not offer. Compile the circuit for this "
            "device again."
        )


def _at(value: Value, point: int) -> float:
    return float(value[point]) if isinstance(value, np.ndarray) else float(value)


def _wrapped(angle: float) -> float:
    """Between -pi and pi, by whole turns; unchanged where it is there already."""
    return angle if -PI <= angle <= PI else math.remainder(angle, 2 * PI)
