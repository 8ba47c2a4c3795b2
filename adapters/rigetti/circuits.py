"""ISA circuits as Quil with declared memory: one program serves every parameter point."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import (
    CircuitInstruction,
    Clbit,
    ControlFlowOp,
    Instruction,
    Parameter,
    ParameterExpression,
    Qubit,
)

from adapters.parameters import linear, symbolic
from adapters.rigetti.control_flow import write_control_flow
from adapters.schedule import delay_s
from qcpaas.errors import CircuitError, SubmissionRefused

READOUT = "ro"  # bit i is the circuit's clbit i
PARAMETERS = "parameters"  # number i is the circuit's parameter i
VALUES = "values"  # what Quil's arithmetic on parameters cannot say, worked out for each point

Array = NDArray[np.float64]
Names = Mapping[Qubit, int]
Bits = Mapping[Clbit, int]


@dataclass(frozen=True)
class Dialect:
    """What one kind of machine takes of Quil.

    Attributes:
        machine: For messages.
        pulse_level: ``FENCE`` and ``DELAY``; a QVM has no time, and refuses both.
        control_flow: ``JUMP`` on what was measured.
        mid_circuit: Whether a qubit can be used once it was measured.
        native: Only these gates of Qiskit's names; ``None`` takes any that Quil can express.
    """

    machine: str
    pulse_level: bool = False
    control_flow: bool = True
    mid_circuit: bool = True
    native: frozenset[str] | None = None


@dataclass(frozen=True, eq=False)
class QuilProgram:
    """A Quil program that is run once for each memory map.

    Attributes:
        text: Declares `READOUT`, and `PARAMETERS` and `VALUES` where it needs them.
        num_bits: Width of `READOUT`.
        registers: The circuit's classical registers as (name, size), lowest clbits first.
        measured: Bits of `READOUT` that are written to, ascending.
        linear: Whether `PARAMETERS` is declared.
        curved: What stands in `VALUES`.
        parameters: In the order of the circuit's.
    """

    text: str
    num_bits: int
    registers: tuple[tuple[str, int], ...]
    measured: tuple[int, ...]
    linear: bool
    curved: tuple[ParameterExpression, ...]
    parameters: tuple[Parameter, ...]

    def memory_map(self, point: Array) -> dict[str, list[float]]:
        """Values of the declared regions at a point of shape ``(parameters,)``."""
        memory = {PARAMETERS: point.tolist()} if self.linear else {}
        if self.curved:
            named = dict(zip(self.parameters, point.tolist(), strict=True))
            memory[VALUES] = [_value(expression, named) for expression in self.curved]
        return memory


def quil_program(circuit: QuantumCircuit, qubits: Sequence[int], dialect: Dialect) -> QuilProgram:
    """Write a circuit as Quil.

    Args:
        qubits: Rigetti's number of each of the circuit's qubits.

    Raises:
        SubmissionRefused: The machine does not execute an instruction of it.
    """
    writer = QuilWriter(circuit, dialect)
    names = dict(zip(circuit.qubits, qubits, strict=True))
    bits = {bit: index for index, bit in enumerate(circuit.clbits)}
    writer.write(circuit, names, bits)
    return QuilProgram(
        text="\n".join([*writer.declarations(), *writer.lines, ""]),
        num_bits=circuit.num_clbits,
        registers=_registers(circuit),
        measured=tuple(sorted(writer.measured)),
        linear=writer.linear,
        curved=tuple(writer.curved),
        parameters=tuple(circuit.parameters),
    )


class QuilWriter:
    """Collects the lines of one program, and the memory that they need.

    Attributes:
        scratch: Bits that conditions need.
        loops: Labels that ``continue`` and ``break`` lead to, the innermost loop last.
    """

    def __init__(self, circuit: QuantumCircuit, dialect: Dialect) -> None:
        self.lines: list[str] = []
        self.measured: set[int] = set()
        self.linear = False
        self.curved: dict[ParameterExpression, int] = {}
        self.scratch = 0
        self.loops: list[tuple[str, str]] = []
        self._read: set[int] = set()
        self._circuit = circuit
        self._dialect = dialect
        self._labels = 0

    def declarations(self) -> list[str]:
        sizes = {
            READOUT: ("BIT", self._circuit.num_clbits),
            PARAMETERS: ("REAL", self._circuit.num_parameters * self.linear),
            VALUES: ("REAL", len(self.curved)),
            "scratch": ("BIT", self.scratch),
        }
        return [f"DECLARE {name} {kind}[{n}]" for name, (kind, n) in sizes.items() if n]

    def write(self, circuit: QuantumCircuit, names: Names, bits: Bits) -> None:
        for instruction in circuit.data:
            self._instruction(instruction, names, bits)

    def inside(
        self, block: QuantumCircuit, instruction: CircuitInstruction, names: Names, bits: Bits
    ) -> None:
        """Write what an instruction is made of, on the qubits and bits that it stands on."""
        qubits = zip(block.qubits, instruction.qubits, strict=True)
        clbits = zip(block.clbits, instruction.clbits, strict=True)
        self.write(
            block,
            {inner: names[outer] for inner, outer in qubits},
            {inner: bits[outer] for inner, outer in clbits},
        )

    def label(self) -> str:
        self._labels += 1
        return f"@part_{self._labels}"

    def refused(self, what: str, advice: str) -> SubmissionRefused:
        return SubmissionRefused(
            f"circuit {self._circuit.name} has {what}; {self._dialect.machine} does not execute "
            f"it. {advice}"
        )

    def angle(self, value: object) -> str:
        """A number or an expression of parameters as Quil."""
        if not symbolic(value):
            return number(float(value))  # type: ignore[arg-type]
        assert isinstance(value, ParameterExpression)
        form = linear(value, tuple(self._circuit.parameters))
        if form is None:
            return f"{VALUES}[{self.curved.setdefault(value, len(self.curved))}]"
        self.linear = True
        slopes, offset = form
        terms = [
            _signed(slope, f"{PARAMETERS}[{index}]")
            for index, slope in enumerate(slopes.tolist())
            if slope
        ]
        terms += [_signed(offset, "")] if offset or not terms else []
        return "".join(terms).removeprefix("+")

    def _instruction(self, instruction: CircuitInstruction, names: Names, bits: Bits) -> None:
        operation, name = instruction.operation, instruction.name
        qubits = [names[qubit] for qubit in instruction.qubits]
        if isinstance(operation, ControlFlowOp) or name in {"break_loop", "continue_loop"}:
            self._control_flow(instruction, names, bits)
        elif name == "barrier":
            if self._dialect.pulse_level and qubits:
                self.lines.append(f"FENCE {_spaced(qubits)}")
        elif name == "delay":
            if self._dialect.pulse_level:
                self.lines.append(f"DELAY {qubits[0]} {delay_s(instruction, None)!r}")
        elif not self._dialect.mid_circuit and self._read.intersection(qubits):
            raise self.refused(
                f"{name} on qubits {_spaced(qubits)} after a measurement there",
                "Measure each qubit once, at the end.",
            )
        elif name == "measure":
            self._read.add(qubits[0])
            bit = bits[instruction.clbits[0]]
            self.measured.add(bit)
            self.lines.append(f"MEASURE {qubits[0]} {READOUT}[{bit}]")
        elif name == "reset" and self._takes(name):
            self.lines.append(f"RESET {qubits[0]}")
        else:
            self._gate(instruction, qubits, names, bits)

    def _gate(
        self, instruction: CircuitInstruction, qubits: list[int], names: Names, bits: Bits
    ) -> None:
        operation: Instruction = instruction.operation
        if operation.name in _GATES and self._takes(operation.name):
            angles = [self.angle(value) for value in operation.params]
            self.lines.extend(_GATES[operation.name](qubits, angles))
            return
        inside = operation.definition if self._dialect.native is None else None
        if inside is None:
            native = ", ".join(sorted(self._dialect.native or _GATES))
            raise self.refused(
                f"{operation.name} on qubits {_spaced(qubits)}", f"Its gates are {native}."
            )
        self.inside(inside, instruction, names, bits)

    def _takes(self, name: str) -> bool:
        return self._dialect.native is None or name in self._dialect.native

    def _control_flow(self, instruction: CircuitInstruction, names: Names, bits: Bits) -> None:
        if not self._dialect.control_flow:
            raise self.refused(
                f"control flow ({instruction.name})",
                "Choose a QVM, or measure at the end and select afterwards.",
            )
        write_control_flow(self, instruction, names, bits)


def number(value: float) -> str:
    """A finite number as Quil; the angles of native pulses as multiples of pi."""
    if not math.isfinite(value):
        raise CircuitError(f"a gate has the angle {value}, which is no number.")
    return _MULTIPLES.get(value, repr(value))


def _signed(factor: float, of: str) -> str:
    """``+2.0*parameters[0]``, with its sign in front."""
    sign = "-" if factor < 0 else "+"
    if not of:
        return f"{sign}{abs(factor)!r}"
    return f"{sign}{of}" if abs(factor) == 1 else f"{sign}{abs(factor)!r}*{of}"


def _value(expression: ParameterExpression, named: Mapping[Parameter, float]) -> float:
    return float(expression.bind({p: named[p] for p in expression.parameters}))


def _registers(circuit: QuantumCircuit) -> tuple[tuple[str, int], ...]:
    inside = [bit for register in circuit.cregs for bit in register]
    if inside == list(circuit.clbits):
        return tuple((register.name, register.size) for register in circuit.cregs)
    return (("c", circuit.num_clbits),)


def _spaced(qubits: Sequence[int]) -> str:
    return " ".join(map(str, qubits))


_MULTIPLES = {math.pi: "pi", -math.pi: "-pi", math.pi / 2: "pi/2", -math.pi / 2: "-pi/2"}
_Lines = Callable[[list[int], list[str]], list[str]]


def _plain(quil: str) -> _Lines:
    def lines(qubits: list[int], angles: list[str]) -> list[str]:
        given = f"({', '.join(angles)})" if angles else ""
        return [f"{quil}{given} {_spaced(qubits)}"]

    return lines


def _xy(qubits: list[int], angles: list[str]) -> list[str]:
    """Qiskit's ``xx_plus_yy(theta, beta)``: Quil's ``XY`` turns the other way, with beta zero."""
    first, second = qubits
    theta, beta = angles
    turned = f"XY(-({theta})) {first} {second}"
    if beta == number(0.0):
        return [turned]
    return [f"RZ({beta}) {first}", turned, f"RZ(-({beta})) {first}"]


def _u(qubits: list[int], angles: list[str]) -> list[str]:
    theta, phi, lam = angles
    return [f"RZ({lam}) {qubits[0]}", f"RY({theta}) {qubits[0]}", f"RZ({phi}) {qubits[0]}"]


# Qiskit's name of each gate and its Quil, equal up to a phase of the whole.
_GATES: dict[str, _Lines] = {
    "rz": _plain("RZ"),
    "sx": _plain("RX(pi/2)"),
    "sxdg": _plain("RX(-pi/2)"),
    "x": _plain("RX(pi)"),
    "cz": _plain("CZ"),
    "iswap": _plain("ISWAP"),
    "cp": _plain("CPHASE"),
    "xx_plus_yy": _xy,
    "id": lambda _qubits, _angles: [],
    "h": _plain("H"),
    "y": _plain("Y"),
    "z": _plain("Z"),
    "s": _plain("S"),
    "t": _plain("T"),
    "sdg": _plain("PHASE(-pi/2)"),
    "tdg": _plain(f"PHASE({-math.pi / 4!r})"),
    "p": _plain("PHASE"),
    "u": _u,
    "rx": _plain("RX"),
    "ry": _plain("RY"),
    "cx": _plain("CNOT"),
    "swap": _plain("SWAP"),
    "ccx": _plain("CCNOT"),
    "cswap": _plain("CSWAP"),
}
