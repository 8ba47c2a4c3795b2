"""Quil, as ``Program.out`` of pyQuil writes it, parsed by the ``quil`` package.

Qubits in ascending order without gaps. A ``DECLARE``d region of type BIT that something is measured
into is a classical register of its name and length. A REAL region that gates use is a parameter
of its name (length 1) or a vector of parameters (``theta[0]``, ``theta[1]``, ...).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import ParameterExpression
from qiskit.circuit.library import (
    CCXGate,
    CPhaseGate,
    CSwapGate,
    CXGate,
    CZGate,
    HGate,
    IGate,
    PhaseGate,
    RXGate,
    RXXGate,
    RYGate,
    RYYGate,
    RZGate,
    RZZGate,
    SGate,
    SwapGate,
    TGate,
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

_PLAIN = {
    "I": IGate,
    "X": XGate,
    "Y": YGate,
    "Z": ZGate,
    "H": HGate,
    "S": SGate,
    "T": TGate,
    "CZ": CZGate,
    "CNOT": CXGate,
    "CCNOT": CCXGate,
    "SWAP": SwapGate,
    "CSWAP": CSwapGate,
    "ISWAP": iSwapGate,
}
_ANGLED: dict[str, Callable[[Angle], Body]] = {
    "RX": lambda a: one(RXGate(a)),
    "RY": lambda a: one(RYGate(a)),
    "RZ": lambda a: one(RZGate(a)),
    "PHASE": lambda a: one(PhaseGate(a)),
    "CPHASE": lambda a: one(CPhaseGate(a)),
    "CPHASE00": lambda a: gates.phase_of("00", a),
    "CPHASE01": lambda a: gates.phase_of("01", a),
    "CPHASE10": lambda a: gates.phase_of("10", a),
    "PSWAP": gates.phase_swap,
    "XY": gates.exchange,
    "PISWAP": gates.exchange,
    "RXX": lambda a: one(RXXGate(a)),
    "RYY": lambda a: one(RYYGate(a)),
    "RZZ": lambda a: one(RZZGate(a)),
}
_OPERATORS = {"Plus": "add", "Minus": "sub", "Star": "mul", "Slash": "div", "Caret": "pow"}
_FUNCTIONS = {"Cosine": "cos", "Sine": "sin", "SquareRoot": "sqrt", "Exponent": "exp"}
_IGNORED = {"Nop", "Fence", "Declaration", "GateDefinition"}
_NOISE = {"ADD-KRAUS", "READOUT-POVM", "NOISY-GATE"}
_PULSES = (
    "Calibration",
    "Capture",
    "Frame",
    "MeasureCalibration",
    "Pulse",
    "Frequency",
    "Phase",
    "Scale",
    "Waveform",
)


def read(payload: CircuitPayload) -> QuantumCircuit:
    """The circuit of a Quil program.

    Raises:
        CircuitError: Broken text, or something in it that no circuit has.
    """
    from quil.program import Program

    text = check_text(payload.text, "Quil")
    try:
        program = Program.parse(text)
        instructions = program.to_instructions()
    except ValueError as error:
        raise CircuitError(f"broken Quil: {_parsed(error)}") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of the parser, which is written in Rust
            raise
        raise CircuitError("broken Quil: its parser failed on it") from None
    return _Reader(instructions).circuit


class _Reader:
    def __init__(self, instructions: Sequence[Any]) -> None:
        found = [(_kind(each), _inner(each)) for each in instructions]
        self._symbols = Symbols()
        self._regions = {each.name: each for kind, each in found if kind == "Declaration"}
        self._defined = {each.name: each for kind, each in found if kind == "GateDefinition"}
        used = sorted({index for kind, each in found for index in _qubits(kind, each)})
        check_size(len(used), MAX_QUBITS, "qubits", "Quil")
        self._place = {index: place for place, index in enumerate(used)}
        self.circuit = QuantumCircuit(len(used))
        self._registers: dict[str, ClassicalRegister] = {}
        measured = {each.target.name for kind, each in found if _is_kept(kind, each)}
        for name, region in self._regions.items():
            if name in measured:
                self._registers[name] = _register(name, region)
                self.circuit.add_register(self._registers[name])
        for kind, each in found:
            if kind == "Halt":
                break
            self._add(kind, each)

    def _add(self, kind: str, instruction: Any) -> None:
        if kind in _IGNORED:
            return
        adders: dict[str, Callable[[Any], None]] = {
            "Gate": self._gate,
            "Measurement": self._measure,
            "Reset": self._reset,
            "Delay": self._delay,
            "Pragma": _check_pragma,
        }
        if kind not in adders:
            raise CircuitError(_refusal(kind, instruction))
        adders[kind](instruction)

    def _gate(self, gate: Any) -> None:
        qubits = [self._place[_index(qubit)] for qubit in gate.qubits]
        modifiers = [_enum(modifier).upper() for modifier in gate.modifiers]
        controls = modifiers.count("CONTROLLED")
        angles = [
            self._angle(each, f"parameter {place} of {gate.name}")
            for place, each in enumerate(gate.parameters)
        ]
        body = self._body(gate.name, angles)
        if body.num_qubits + controls != len(qubits):
            raise CircuitError(
                f"{gate.name} acts on {body.num_qubits + controls} qubits; {len(qubits)} are given"
            )
        if set(modifiers) - {"CONTROLLED", "DAGGER"}:
            raise CircuitError(f"{gate.name} is FORKED. Write the two cases with CONTROLLED.")
        if modifiers.count("DAGGER") % 2:
            body = body.inverse()
        body.controlled([1] * controls).onto(self.circuit, qubits)

    def _body(self, name: str, angles: Sequence[Angle]) -> Body:
        if name in self._defined:
            return _from_definition(self._defined[name], angles)
        if name in _PLAIN and not angles:
            return one(_PLAIN[name]())
        if name in _ANGLED and len(angles) == 1:
            return _ANGLED[name](angles[0])
        if name in _PLAIN or name in _ANGLED:
            raise CircuitError(f"{name} takes {int(name in _ANGLED)} angles; {len(angles)} given")
        if name == "SQISW" and not angles:
            return gates.exchange(math.pi / 2)
        raise CircuitError(
            f"there is no gate {name} in Quil, and no DEFGATE of it in the program. Define it as "
            "a matrix, or write it with the standard gates."
        )

    def _measure(self, measurement: Any) -> None:
        qubit = self._place[_index(measurement.qubit)]
        target = measurement.target
        if target is None:
            raise CircuitError(
                f"MEASURE {_index(measurement.qubit)} keeps no outcome. Name a bit, such as ro[0]."
            )
        register = self._registers.get(target.name)
        if register is None:
            raise CircuitError(f"memory {target.name} is not declared. Add DECLARE {target.name}.")
        if target.index >= len(register):
            raise CircuitError(f"{target.name}[{target.index}] is outside of {target.name}")
        self.circuit.measure(qubit, register[target.index])

    def _reset(self, reset: Any) -> None:
        if reset.qubit is not None:
            self.circuit.reset(self._place[_index(reset.qubit)])
        elif self.circuit.data:  # at the start of a program all qubits are 0 anyway
            for qubit in self.circuit.qubits:
                self.circuit.reset(qubit)

    def _delay(self, delay: Any) -> None:
        seconds = self._angle(delay.duration, "a DELAY")
        for qubit in delay.qubits:
            self.circuit.delay(seconds, self._place[_index(qubit)], unit="s")

    def _angle(self, expression: Any, what: str) -> Angle:
        return checked(_value(expression, what, self._memory), what)

    def _memory(self, reference: Any) -> Angle:
        region = self._regions.get(reference.name)
        if region is None:
            raise CircuitError(f"memory {reference.name} is not declared")
        kind = _enum(region.size.data_type)
        if kind.upper() != "REAL":
            raise CircuitError(
                f"a gate takes its angle from {reference.name}, which is {kind.upper()}. Declare "
                "it as REAL; what was measured cannot set an angle here."
            )
        if reference.index >= check_size(region.size.length, MAX_BITS, "elements", "Quil"):
            raise CircuitError(f"{reference.name}[{reference.index}] is outside of its region")
        single = region.size.length == 1
        name = reference.name if single else f"{reference.name}[{reference.index}]"
        return self._symbols.named(name)


def _value(expression: Any, what: str, memory: Callable[[Any], Angle]) -> Angle:
    if expression.is_pi():
        return math.pi
    if expression.is_number():
        found = complex(expression.to_number())
        if found.imag:
            raise CircuitError(f"{what} is {found}, which is not real")
        return number(found.real, what)
    if expression.is_address():
        return memory(expression.to_address())
    if expression.is_infix():
        inner = expression.to_infix()
        sides = [_value(side, what, memory) for side in (inner.left, inner.right)]
        return combined(_OPERATORS[_enum(inner.operator)], sides)
    if expression.is_prefix():
        inner = expression.to_prefix()
        value = _value(inner.expression, what, memory)
        return combined("neg", [value]) if _enum(inner.operator) == "Minus" else value
    if expression.is_function_call():
        inner = expression.to_function_call()
        function = _enum(inner.function)
        if function in _FUNCTIONS:
            return combined(_FUNCTIONS[function], [_value(inner.expression, what, memory)])
        raise CircuitError(f"{what} uses {function.upper()}, which is complex")
    raise CircuitError(f"{what} holds %{expression.to_variable()}, which has no value")


def _from_definition(definition: Any, angles: Sequence[Angle]) -> Body:
    """The unitary that a DEFGATE gives for these parameters."""
    name, specification = definition.name, definition.specification
    names = definition.parameters
    if len(names) != len(angles):
        raise CircuitError(f"{name} takes {len(names)} parameters; {len(angles)} are given")
    if any(isinstance(angle, ParameterExpression) for angle in angles):
        raise CircuitError(
            f"{name} is defined by a matrix, which cannot hold a symbol. Bind its memory before, "
            "or write the gate with the standard ones."
        )
    if specification.is_permutation():
        order = list(specification.to_permutation())
        rows = [[float(column == place) for column in order] for place in range(len(order))]
        return from_matrix(rows, f"DEFGATE {name}")
    if not specification.is_matrix():
        raise CircuitError(f"DEFGATE {name} is neither a matrix nor a permutation. Write it so.")
    values = {n: complex(a) for n, a in zip(names, angles, strict=True)}
    entries = [[_entry(each, values, name) for each in row] for row in specification.to_matrix()]
    return from_matrix(entries, f"DEFGATE {name}")


def _entry(expression: Any, values: Mapping[str, complex], name: str) -> complex:
    try:
        return complex(expression.evaluate(dict(values), {}))
    except (ValueError, TypeError) as error:
        raise CircuitError(f"DEFGATE {name}: an entry has no value: {error}.") from None


def _register(name: str, region: Any) -> ClassicalRegister:
    kind = _enum(region.size.data_type).upper()
    if kind != "BIT":
        raise CircuitError(f"memory {name} is {kind}, and outcomes are bits. Declare it as BIT.")
    return ClassicalRegister(check_size(region.size.length, MAX_BITS, "bits", "Quil"), name)


def _is_kept(kind: str, instruction: Any) -> bool:
    return kind == "Measurement" and instruction.target is not None


def _qubits(kind: str, instruction: Any) -> list[int]:
    if kind in {"Gate", "Delay", "Fence"}:
        return [_index(qubit) for qubit in instruction.qubits]
    if kind == "Measurement" or (kind == "Reset" and instruction.qubit is not None):
        return [_index(instruction.qubit)]
    return []


def _index(qubit: Any) -> int:
    if not qubit.is_fixed():
        raise CircuitError(
            f"qubit {qubit.to_quil_or_debug()} has no number. Assign numbers before "
            "(pyquil.quil.address_qubits)."
        )
    return int(qubit.to_fixed())


def _check_pragma(pragma: Any) -> None:
    if pragma.name in _NOISE:
        raise CircuitError(
            f"PRAGMA {pragma.name} is noise. Leave it out: a twin has its device's noise, or give "
            "a noise_model to a simulator."
        )


def _refusal(kind: str, instruction: Any) -> str:
    text = instruction.to_quil_or_debug() if hasattr(instruction, "to_quil_or_debug") else kind
    line = str(text).strip().splitlines()[0][:80] if str(text).strip() else kind
    if any(word in kind for word in _PULSES):
        return f"'{line}' is pulse-level control, which the platform does not take. Use gates."
    if kind == "CircuitDefinition":
        return f"'{line}' defines a circuit. Write its gates where it is used."
    return (
        f"'{line}' is classical control, of which no circuit can be made. Write the branches in a "
        "workload, or the condition in OpenQASM 3."
    )


def _kind(instruction: Any) -> str:
    """``Gate``, ``Measurement``, ... of an instruction, whose Python type does not tell."""
    return repr(instruction).partition("(")[0]


def _inner(instruction: Any) -> Any:
    return instruction if _kind(instruction) in {"Halt", "Nop", "Wait"} else instruction.inner()


def _enum(value: Any) -> str:
    return repr(value)


def _parsed(error: BaseException) -> str:
    return str(error).removeprefix("error while parsing: at ").strip()[:300]
