"""Qiskit's control flow as Quil's jumps on measured bits.

Conditions compare a bit or a register with a number; Qiskit's expressions on classical variables
are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from qiskit import QuantumCircuit
from qiskit.circuit import CASE_DEFAULT, CircuitInstruction, ClassicalRegister, Clbit, Qubit

from qcpaas.errors import SubmissionRefused

HOLDS = "scratch[0]"  # whether a condition does
OTHER = "scratch[1]"
Names = Mapping[Qubit, int]
Bits = Mapping[Clbit, int]


class Writer(Protocol):
    """What writes the blocks.

    Attributes:
        loops: Labels that ``continue`` and ``break`` lead to, the innermost loop last.
        scratch: Bits that conditions need.
    """

    lines: list[str]
    loops: list[tuple[str, str]]
    scratch: int

    def label(self) -> str:
        """One that was not used before."""
        ...

    def inside(
        self, block: QuantumCircuit, instruction: CircuitInstruction, names: Names, bits: Bits
    ) -> None:
        """Write a block of an instruction."""
        ...

    def refused(self, what: str, advice: str) -> SubmissionRefused: ...


def write_control_flow(
    writer: Writer, instruction: CircuitInstruction, names: Names, bits: Bits
) -> None:
    """Write an instruction's blocks with labels around them."""
    by_name = {
        "if_else": _if_else,
        "while_loop": _while,
        "for_loop": _for,
        "switch_case": _switch,
        "break_loop": _leave,
        "continue_loop": _leave,
    }
    if instruction.name not in by_name:
        raise writer.refused(instruction.name, "Write it without, or choose another device.")
    by_name[instruction.name](writer, instruction, names, bits)


def _if_else(writer: Writer, instruction: CircuitInstruction, names: Names, bits: Bits) -> None:
    otherwise, end = writer.label(), writer.label()
    blocks = instruction.operation.blocks
    _condition(writer, instruction.operation.condition, bits)
    writer.lines.append(f"JUMP-UNLESS {otherwise} {HOLDS}")
    writer.inside(blocks[0], instruction, names, bits)
    writer.lines += [f"JUMP {end}", f"LABEL {otherwise}"]
    if len(blocks) > 1:
        writer.inside(blocks[1], instruction, names, bits)
    writer.lines.append(f"LABEL {end}")


def _while(writer: Writer, instruction: CircuitInstruction, names: Names, bits: Bits) -> None:
    begin, end = writer.label(), writer.label()
    writer.lines.append(f"LABEL {begin}")
    _condition(writer, instruction.operation.condition, bits)
    writer.lines.append(f"JUMP-UNLESS {end} {HOLDS}")
    writer.loops.append((begin, end))
    writer.inside(instruction.operation.blocks[0], instruction, names, bits)
    writer.loops.pop()
    writer.lines += [f"JUMP {begin}", f"LABEL {end}"]


def _for(writer: Writer, instruction: CircuitInstruction, names: Names, bits: Bits) -> None:
    """Unrolled, so that the loop's number can stand in an angle."""
    indices, parameter, body = instruction.operation.params
    end = writer.label()
    for index in indices:
        after = writer.label()
        block = body if parameter is None else body.assign_parameters({parameter: index})
        writer.loops.append((after, end))
        writer.inside(block, instruction, names, bits)
        writer.loops.pop()
        writer.lines.append(f"LABEL {after}")
    writer.lines.append(f"LABEL {end}")


def _switch(writer: Writer, instruction: CircuitInstruction, names: Names, bits: Bits) -> None:
    end = writer.label()
    for values, block in instruction.operation.cases_specifier():
        begin, after = writer.label(), writer.label()
        for value in values:
            if value is CASE_DEFAULT:
                writer.lines.append(f"JUMP {begin}")
            else:
                _condition(writer, (instruction.operation.target, int(value)), bits)
                writer.lines.append(f"JUMP-WHEN {begin} {HOLDS}")
        writer.lines += [f"JUMP {after}", f"LABEL {begin}"]
        writer.inside(block, instruction, names, bits)
        writer.lines += [f"JUMP {end}", f"LABEL {after}"]
    writer.lines.append(f"LABEL {end}")


def _leave(writer: Writer, instruction: CircuitInstruction, names: Names, bits: Bits) -> None:
    del names, bits
    writer.lines.append(f"JUMP {writer.loops[-1][instruction.name == 'break_loop']}")


def _condition(writer: Writer, condition: Any, bits: Bits) -> None:
    """Set `HOLDS` where a bit, or every bit of a register, has its value."""
    wanted = _wanted(writer, condition, bits)
    writer.scratch = 2
    writer.lines.append(f"MOVE {HOLDS} 1")
    for bit, value in wanted:
        writer.lines.append(f"MOVE {OTHER} ro[{bit}]")
        if not value:
            writer.lines.append(f"NOT {OTHER}")
        writer.lines.append(f"AND {HOLDS} {OTHER}")


def _wanted(writer: Writer, condition: Any, bits: Bits) -> list[tuple[int, int]]:
    """Bits and the values that they must have; a number too large can never hold."""
    if isinstance(condition, tuple):
        what, value = condition
        if isinstance(what, Clbit):
            return [(bits[what], int(value))]
        if isinstance(what, ClassicalRegister):
            return [(bits[bit], int(value) >> place & 1) for place, bit in enumerate(what)]
    raise writer.refused(
        "a condition on a classical expression", "Compare a bit or a register with a number."
    )
