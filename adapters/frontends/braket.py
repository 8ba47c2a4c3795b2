"""Braket's OpenQASM 3, as ``Circuit.to_ir("OPENQASM")`` writes it.

Qubits in ascending order without gaps; what is measured goes into register ``b`` in the order of
the program. A ``FreeParameter`` is an ``input`` there, and a parameter here. Verbatim boxes are
read as the gates in them; a job that is to run them uncompiled says ``gate_for_gate``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from math import e, pi, tau
from typing import Any, TypeVar

from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit.library import (
    CCXGate,
    CPhaseGate,
    CSwapGate,
    CXGate,
    CYGate,
    CZGate,
    ECRGate,
    HGate,
    IGate,
    PhaseGate,
    RXGate,
    RXXGate,
    RYGate,
    RYYGate,
    RZGate,
    RZZGate,
    SdgGate,
    SGate,
    SwapGate,
    SXdgGate,
    SXGate,
    TdgGate,
    TGate,
    UGate,
    XGate,
    YGate,
    ZGate,
    iSwapGate,
)

from adapters.frontends import gates
from adapters.frontends.bodies import Body, from_matrix, one
from adapters.frontends.expressions import Angle, Symbols, checked, combined, number
from adapters.frontends.texts import MAX_BITS, MAX_QUBITS, check_size, check_text
from qcpaas.errors import CircuitError
from qcpaas.schemas import CircuitPayload

T = TypeVar("T")

_GATES: dict[str, tuple[int, Callable[..., Body]]] = {
    name: (0, lambda gate=gate: one(gate()))
    for name, gate in {
        "i": IGate,
        "x": XGate,
        "y": YGate,
        "z": ZGate,
        "h": HGate,
        "s": SGate,
        "si": SdgGate,
        "t": TGate,
        "ti": TdgGate,
        "v": SXGate,
        "vi": SXdgGate,
        "cnot": CXGate,
        "cy": CYGate,
        "cz": CZGate,
        "swap": SwapGate,
        "iswap": iSwapGate,
        "ecr": ECRGate,
        "ccnot": CCXGate,
        "cswap": CSwapGate,
    }.items()
} | {
    "cv": (0, lambda: one(SXGate()).controlled([1])),
    "rx": (1, lambda a: one(RXGate(a))),
    "ry": (1, lambda a: one(RYGate(a))),
    "rz": (1, lambda a: one(RZGate(a))),
    "phaseshift": (1, lambda a: one(PhaseGate(a))),
    "cphaseshift": (1, lambda a: one(CPhaseGate(a))),
    "cphaseshift00": (1, lambda a: gates.phase_of("00", a)),
    "cphaseshift01": (1, lambda a: gates.phase_of("01", a)),
    "cphaseshift10": (1, lambda a: gates.phase_of("10", a)),
    "xx": (1, lambda a: one(RXXGate(a))),
    "yy": (1, lambda a: one(RYYGate(a))),
    "zz": (1, lambda a: one(RZZGate(a))),
    "xy": (1, gates.exchange),
    "pswap": (1, gates.phase_swap),
    "gpi": (1, gates.ion_trap),
    "gpi2": (1, lambda a: gates.turned_x(pi / 2, a)),
    "ms": (3, gates.molmer_sorensen),
    "prx": (2, gates.turned_x),
    "u": (3, lambda a, b, c: one(UGate(a, b, c))),
    "U": (3, lambda a, b, c: one(UGate(a, b, c))),
}
_CONSTANTS = {"pi": pi, "π": pi, "tau": tau, "τ": tau, "euler": e, "ℇ": e}
_BINARY = {"+": "add", "-": "sub", "*": "mul", "/": "div", "**": "pow"}
_FUNCTIONS = {"arcsin": "asin", "arccos": "acos", "arctan": "atan"} | {
    name: name for name in ("sin", "cos", "tan", "exp", "log", "sqrt", "pow")
}
_KEPT_RESULTS = {"expectation", "variance", "probability"}
_OPERAND = re.compile(r"(\w+)\s*\[\s*(\d+)\s*\]|(\$\d+)")


def read(payload: CircuitPayload) -> QuantumCircuit:
    """The circuit of Braket's OpenQASM.

    Raises:
        CircuitError: Broken text, or something in it that no circuit has here.
    """
    from qcpaas.openqasm import parse_qasm3

    program = parse_qasm3(check_text(payload.text, "Braket OpenQASM"))
    return _Reader(program.statements).circuit


class _Reader:
    def __init__(self, statements: Sequence[Any]) -> None:
        self._symbols = Symbols()
        self._inputs: set[str] = set()
        self._sizes: dict[str, int] = {}
        self._bits: dict[str, int] = {}
        found = list(_opened(statements))
        for statement in found:
            self._located(self._declare, statement)
        used = sorted({q for each in found for q in self._located(self._used, each)})
        self._place = {qubit: place for place, qubit in enumerate(used)}
        self.circuit = QuantumCircuit(check_size(len(used), MAX_QUBITS, "qubits", "Braket"))
        self._registers = {name: ClassicalRegister(n, name) for name, n in self._bits.items()}
        for register in self._registers.values():
            self.circuit.add_register(register)
        for statement in found:
            self._located(self._add, statement)
        if not self._bits and not _wants_values(found):
            self._measure_all()

    def _located(self, step: Callable[[Any], T], statement: Any) -> T:
        """Does a step, and says at which line where it fails."""
        try:
            return step(statement)
        except CircuitError as error:
            line = statement.span.start_line if statement.span else 0
            raise CircuitError(f"Braket OpenQASM, line {line}: {error}") from None

    def _measure_all(self) -> None:
        register = ClassicalRegister(self.circuit.num_qubits, "b")
        self.circuit.add_register(register)
        self.circuit.measure(self.circuit.qubits, list(register))

    # --- declarations -----------------------------------------------------------------------

    def _declare(self, statement: Any) -> None:
        match type(statement).__name__:
            case "QubitDeclaration":
                size = 1 if statement.size is None else _whole(statement.size)
                self._sizes[statement.qubit.name] = size
            case "ClassicalDeclaration" if type(statement.type).__name__ == "BitType":
                size = 1 if statement.type.size is None else _whole(statement.type.size)
                check_size(size, MAX_BITS, "bits", "Braket")
                self._bits[statement.identifier.name] = size
            case "IODeclaration" if statement.io_identifier.name == "input":
                self._inputs.add(statement.identifier.name)

    def _used(self, statement: Any) -> list[int]:
        kind = type(statement).__name__
        if kind in {"QuantumGate", "QuantumPhase", "QuantumBarrier"}:
            given = statement.qubits
        elif kind == "QuantumReset":
            given = [statement.qubits]
        elif kind == "QuantumMeasurementStatement":
            given = [statement.measure.qubit]
        elif kind == "Pragma":
            return [self._number(*found) for found in _operands(statement.command)]
        else:
            return []
        return [number for each in given for number in self._numbers(each)]

    def _numbers(self, operand: Any) -> list[int]:
        """The program's own numbers of a qubit, or of all in a register."""
        if hasattr(operand, "indices"):
            (index,) = operand.indices if len(operand.indices) == 1 else (None,)
            if not isinstance(index, list) or len(index) != 1:
                raise CircuitError("a qubit is named by a set or a slice. Name each by itself.")
            return [self._number(operand.name.name, _whole(index[0]))]
        if operand.name.startswith("$"):
            return [self._number(operand.name, 0)]
        if operand.name not in self._sizes:
            raise CircuitError(f"there is no qubit register {operand.name}")
        size = check_size(self._sizes[operand.name], MAX_QUBITS, "qubits", "Braket")
        return [self._number(operand.name, index) for index in range(size)]

    def _number(self, name: str, index: int) -> int:
        if name.startswith("$"):
            return int(name[1:10])
        if index >= self._sizes.get(name, 0):
            raise CircuitError(f"there is no qubit {name}[{index}]")
        before = list(self._sizes)[: list(self._sizes).index(name)]
        return index + sum(self._sizes[each] for each in before)

    # --- statements -------------------------------------------------------------------------

    def _add(self, statement: Any) -> None:
        match type(statement).__name__:
            case "QuantumGate":
                self._gate(statement)
            case "QuantumPhase":
                phase = self._angle(statement.argument, "gphase")
                body = Body(0, (), phase)
                self._modified(body, statement, [])
            case "QuantumMeasurementStatement":
                self._measure(statement)
            case "QuantumReset":
                for qubit in self._places(statement.qubits):
                    self.circuit.reset(qubit)
            case "QuantumBarrier":
                self.circuit.barrier([q for each in statement.qubits for q in self._places(each)])
            case "Pragma":
                self._pragma(statement.command.strip())
            case "QubitDeclaration" | "ClassicalDeclaration" | "IODeclaration" | "Include":
                self._check_declaration(statement)
            case kind:
                raise CircuitError(_refusal(kind))

    def _check_declaration(self, statement: Any) -> None:
        if type(statement).__name__ != "ClassicalDeclaration":
            return
        if type(statement.type).__name__ != "BitType" or statement.init_expression is not None:
            raise CircuitError(_refusal("ClassicalDeclaration"))

    def _places(self, operand: Any) -> list[int]:
        return [self._place[number] for number in self._numbers(operand)]

    def _gate(self, statement: Any) -> None:
        name = statement.name.name
        if name not in _GATES:
            raise CircuitError(
                f"there is no gate {name} in Braket. Define it with the circuit's unitary, or send "
                "the program as OpenQASM 3."
            )
        count, make = _GATES[name]
        if len(statement.arguments) != count:
            raise CircuitError(f"{name} takes {count} angles; {len(statement.arguments)} are given")
        angles = [self._angle(argument, name) for argument in statement.arguments]
        operands = [self._places(operand) for operand in statement.qubits]
        longest = max(map(len, operands))
        for round_ in range(longest):
            qubits = [each[round_ if len(each) > 1 else 0] for each in operands]
            self._modified(make(*angles), statement, qubits)

    def _modified(self, body: Body, statement: Any, qubits: Sequence[int]) -> None:
        controls = 0
        for modifier in reversed(statement.modifiers):
            kind = modifier.modifier.name
            if kind == "inv":
                body = body.inverse()
            elif kind == "pow":
                body = body.power(self._angle(modifier.argument, "a power"))
            else:
                count = 1 if modifier.argument is None else _whole(modifier.argument)
                controls += check_size(count, MAX_QUBITS, "controls", "Braket")
                body = body.controlled([int(kind == "ctrl")] * count)
        if type(statement).__name__ == "QuantumPhase":
            qubits = [q for operand in statement.qubits for q in self._places(operand)]
        body.onto(self.circuit, qubits)

    def _measure(self, statement: Any) -> None:
        if statement.target is None:
            raise CircuitError("a measurement keeps no outcome. Assign it to a bit.")
        qubits = self._places(statement.measure.qubit)
        target = statement.target
        name = target.name.name if hasattr(target, "indices") else target.name
        if name not in self._registers:
            raise CircuitError(f"there is no bit register {name}")
        register = self._registers[name]
        if hasattr(target, "indices"):
            index = _whole(target.indices[0][0])
            if index >= len(register):
                raise CircuitError(f"there is no bit {name}[{index}]")
            bits = [register[index]]
        else:
            bits = list(register)
        if len(bits) != len(qubits):
            raise CircuitError(f"{len(qubits)} qubits are measured into {len(bits)} bits")
        self.circuit.measure(qubits, bits)

    def _pragma(self, command: str) -> None:
        words = command.split(None, 2)
        if words[:1] != ["braket"]:
            return
        kind = re.split(r"[\s(]", words[1])[0] if len(words) > 1 else ""
        if kind == "noise":
            raise CircuitError(
                f"'{command[:60]}' is noise. Leave it out: a twin has its device's noise, or give "
                "a noise_model to a simulator."
            )
        if kind == "unitary":
            qubits = [self._place[self._number(*found)] for found in _operands(command)]
            from_matrix(_matrix(command), "a unitary").onto(self.circuit, qubits)
        elif kind == "result" and words[2].split("(")[0].split()[0] not in _KEPT_RESULTS:
            raise CircuitError(
                f"the result type '{words[2][:60]}' is not one of expectation, variance and "
                "probability. Measure, and compute it from the counts."
            )

    # --- angles -----------------------------------------------------------------------------

    def _angle(self, expression: Any, what: str) -> Angle:
        return checked(self._value(expression, what), f"an angle of {what}")

    def _value(self, expression: Any, what: str) -> Angle:
        match type(expression).__name__:
            case "IntegerLiteral" | "FloatLiteral":
                return number(expression.value, f"an angle of {what}")
            case "Identifier":
                return self._named(expression.name)
            case "UnaryExpression" if expression.op.name == "-":
                return combined("neg", [self._value(expression.expression, what)])
            case "BinaryExpression" if expression.op.name in _BINARY:
                sides = [self._value(side, what) for side in (expression.lhs, expression.rhs)]
                return combined(_BINARY[expression.op.name], sides)
            case "FunctionCall" if expression.name.name in _FUNCTIONS and expression.arguments:
                values = [self._value(argument, what) for argument in expression.arguments]
                return combined(_FUNCTIONS[expression.name.name], values)
        raise CircuitError(f"an angle of {what} is no arithmetic of numbers and inputs")

    def _named(self, name: str) -> Angle:
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name in self._inputs:
            return self._symbols.named(name)
        raise CircuitError(f"an angle names {name}, which is no input. Declare it: input float")


def _opened(statements: Sequence[Any]) -> Iterator[Any]:
    for statement in statements:
        if type(statement).__name__ == "Box":
            yield from _opened(statement.body)
        else:
            yield statement


def _wants_values(statements: Sequence[Any]) -> bool:
    """Whether the program asks for expectation values, which need no measurement."""
    commands = [s.command for s in statements if type(s).__name__ == "Pragma"]
    return any(re.match(r"\s*braket result (expectation|variance)", each) for each in commands)


def _operands(command: str) -> list[tuple[str, int]]:
    """Register and index of every qubit that a pragma names; ``$k`` has index 0."""
    body = command[command.rindex("]]") + 2 :] if "]]" in command else command
    found = _OPERAND.findall(body) if re.search(r"braket\s+(unitary|result|noise)", command) else []
    return [(physical or name, int(index[:9]) if index else 0) for name, index, physical in found]


def _matrix(command: str) -> list[list[complex]]:
    rows = re.findall(r"\[([^\[\]]*)\]", command[: command.rindex("]]") + 1])
    try:
        return [
            [complex(re.sub(r"\s", "", entry).replace("im", "j")) for entry in row.split(",")]
            for row in rows
        ]
    except ValueError:
        raise CircuitError(f"the matrix of '{command[:60]}' cannot be read") from None


def _whole(expression: Any) -> int:
    value = getattr(expression, "value", None)
    if type(expression).__name__ != "IntegerLiteral" or not isinstance(value, int):
        raise CircuitError("a size or an index is no whole number")
    return value


def _refusal(kind: str) -> str:
    if "Calibration" in kind or kind == "DelayInstruction":
        return f"{kind} is pulse-level control, which the platform does not take. Use gates."
    return (
        f"{kind} is not part of what Braket's circuits write. Send the program as OpenQASM 3 "
        "(format qasm3), which takes definitions and control flow."
    )
