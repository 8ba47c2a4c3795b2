"""Circuits as OpenQASM 3 that any language's parser reads, and back.

A parameter is ``input float[64]``. Gates have an expression of parameters nowhere: one that a
circuit has becomes a parameter of its own, whose values the sender computes, so that no two sides
round it differently. Numbers are written with all their digits. A gate of the device's own is
called by its name and declared with an empty body; the device knows what it does. Every other gate
that is not in ``stdgates.inc`` is defined in the text.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qasm3
from qiskit.circuit import CircuitInstruction, ControlFlowOp, Gate, Parameter, ParameterExpression
from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping
from qiskit.exceptions import QiskitError

from adapters.parameters import tabulate
from qcpaas.errors import CircuitError
from qcpaas.gate_arguments import order_arguments

Array = NDArray[np.float64]
Columns = Callable[[Array], Array]

_STDGATES = (
    "CX U ccx ch cp cphase crx cry crz cswap cu cx cy cz h id p phase rx ry rz s sdg swap sx t tdg "
    "u1 u2 u3 x y z gphase"
)
STDGATES = frozenset(_STDGATES.split())
MAX_TEXT_BYTES = 16 * 2**20
_INCLUDE = 'include "stdgates.inc";\n'
_INPUT = re.compile(r"^input float\[64\] (\w+);", re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z]\w*", re.ASCII)
_CONSTANTS = frozenset({"pi", "tau", "euler"})
_ROUNDS = 50  # of decomposing gates in gates
_READ_ERRORS = (
    QiskitError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RecursionError,
    MemoryError,
)


@dataclass(frozen=True, eq=False)
class Written:
    """A circuit as text.

    Attributes:
        parameters: Its inputs, in the order of the columns.
        columns: Values of the inputs from the circuit's own, shape ``(points, parameters)`` both.
    """

    text: str
    parameters: tuple[str, ...]
    columns: Columns


def write(circuit: QuantumCircuit, own_gates: Collection[str] = ()) -> Written:
    """A circuit as OpenQASM 3.

    Args:
        own_gates: Names that the device gives a meaning to.

    Raises:
        CircuitError: OpenQASM 3 has no words for something in it.
    """
    plain, columns = _plain(_phaseless(circuit))
    plain = _unambiguous(_with_registers(plain), own_gates)
    native = _native(plain, own_gates)
    try:
        text = qasm3.dumps(plain, disable_constants=True, basis_gates=list(native))
    except (QiskitError, ValueError, TypeError, AttributeError) as error:
        raise CircuitError(
            f"circuit {circuit.name} cannot be written as OpenQASM 3: {error}. Write it with gates "
            "of the device, or with gates that have a definition."
        ) from error
    declared = "".join(_declaration(name, *shape) for name, shape in native.items())
    text = text.replace(_INCLUDE, _INCLUDE + declared, 1)
    return Written(text, tuple(_INPUT.findall(text)), columns)


def read(
    text: str, max_qubits: int, max_bits: int, own_gates: Collection[str] = ()
) -> QuantumCircuit:
    """The circuit that a text holds; gates of Qiskit's names are Qiskit's.

    Args:
        own_gates: Whose definitions are the device's and not the text's.

    Raises:
        CircuitError: It cannot be read, or declares more than the limits.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise CircuitError(f"the OpenQASM 3 text has over {MAX_TEXT_BYTES // 2**20} MiB.")
    program = _parsed(text)
    _check_sizes(program, max_qubits, max_bits)
    return _recognised(_converted(program), own_gates)


def definitions(text: str) -> dict[str, QuantumCircuit]:
    """What ``gate`` statements say, by name: circuits on their qubits, arguments as parameters.

    A statement may define a standard gate; gates of the other statements are opaque in it.

    Raises:
        CircuitError: The text cannot be read, or holds something else.
    """
    from openqasm3 import ast

    statements = _parsed(text).statements if text.strip() else []
    gates = [each for each in statements if isinstance(each, ast.QuantumGateDefinition)]
    if len(gates) < len(statements):
        raise CircuitError("definitions of gates hold something else. Give gate statements only.")
    shapes = {each.name.name: (len(each.qubits), len(each.arguments)) for each in gates}
    opaque = "".join(
        _declaration(name, *shape) for name, shape in shapes.items() if name not in STDGATES
    )
    found: dict[str, QuantumCircuit] = {}
    for gate in gates:
        name = gate.name.name
        program = _parsed(f"OPENQASM 3.0;\n{_INCLUDE}{opaque}{_call('_defined', *shapes[name])}")
        program.statements.insert(len(program.statements) - 1, gate)
        gate.name.name = "_defined"
        definition = _converted(program).data[0].operation.definition
        found[name] = _recognised(definition, shapes)
    return found


def shapes(circuit: QuantumCircuit) -> dict[str, tuple[int, int]]:
    """Qubits and numbers of every gate, by name, also inside control flow."""
    return {
        item.name: (len(item.qubits), len(item.operation.params))
        for item in _walk(circuit)
        if isinstance(item.operation, Gate)
    }


def standard_names() -> Collection[str]:
    """Of gates and instructions that Qiskit knows."""
    return {*_standard(), "measure", "delay", "reset", "barrier"}


# --- writing ------------------------------------------------------------------------------------


def _phaseless(circuit: QuantumCircuit) -> QuantumCircuit:
    """A copy without its global phase, on which no outcome depends."""
    if circuit.num_identifiers and list(circuit.iter_input_vars()):
        raise CircuitError(
            f"circuit {circuit.name} has classical inputs, which have no values here. Use "
            "parameters."
        )
    copy: QuantumCircuit = circuit.copy()
    copy.global_phase = 0.0
    return copy


def _plain(circuit: QuantumCircuit) -> tuple[QuantumCircuit, Columns]:
    """A circuit whose parameters have plain names and stand alone, and how to get their values."""
    before = tuple(circuit.parameters)
    alone = all(isinstance(value, Parameter) for item in _walk(circuit) for value in _symbols(item))
    if alone and all(_is_plain(parameter.name) for parameter in before):
        return circuit, lambda values: values
    if circuit.has_control_flow_op():  # where the expressions stay, and the names change
        names = {p: Parameter(f"parameter_{index}") for index, p in enumerate(before)}
        renamed = circuit.assign_parameters(names)
        order = [list(names.values()).index(p) for p in renamed.parameters]
        return renamed, lambda values: values[:, order]
    replaced, table = tabulate(circuit, before)

    def columns(values: Array) -> Array:
        found = table.binds(values)
        return np.array([found[p] for p in replaced.parameters]).T.reshape(len(values), -1)

    return replaced, columns


def _symbols(item: CircuitInstruction) -> Iterator[ParameterExpression]:
    if not isinstance(item.operation, ControlFlowOp):
        for value in item.operation.params:
            if isinstance(value, ParameterExpression) and value.parameters:
                yield value


def _is_plain(name: str) -> bool:
    return bool(_PLAIN.fullmatch(name)) and name not in _CONSTANTS | STDGATES


def _with_registers(circuit: QuantumCircuit) -> QuantumCircuit:
    """One whose registers hold each bit once and in order, so that the text keeps its number."""
    clbits = [bit for register in circuit.cregs for bit in register]
    qubits = [bit for register in circuit.qregs for bit in register]
    if clbits == list(circuit.clbits) and qubits == list(circuit.qubits):
        return circuit
    if circuit.has_control_flow_op():
        raise CircuitError(
            f"circuit {circuit.name} has bits in no register or in several, and control flow. Put "
            "each bit into one register."
        )
    flat = QuantumCircuit(
        QuantumRegister(circuit.num_qubits, "q"), ClassicalRegister(circuit.num_clbits, "c")
    )
    flat.name = circuit.name
    flat.compose(circuit, flat.qubits, flat.clbits, inplace=True)
    return flat


def _unambiguous(circuit: QuantumCircuit, own_gates: Collection[str]) -> QuantumCircuit:
    """Without gates that bear a standard gate's name and are another."""
    for _ in range(_ROUNDS):
        others = {
            item.name
            for item in _walk(circuit)
            if item.name in _standard() and item.name not in own_gates and not _is_standard(item)
        }
        if not others:
            return circuit
        circuit = circuit.decompose(sorted(others))
    raise CircuitError(f"circuit {circuit.name} has {', '.join(sorted(others))} of another kind.")


def _is_standard(item: CircuitInstruction) -> bool:
    return item.operation.base_class is _standard()[item.name].base_class


def _native(circuit: QuantumCircuit, own_gates: Collection[str]) -> dict[str, tuple[int, int]]:
    found = shapes(circuit)
    return {
        name: shape for name, shape in found.items() if name in own_gates and name not in STDGATES
    }


def _declaration(name: str, num_qubits: int, num_params: int) -> str:
    arguments = ", ".join(f"_argument_{index:06d}" for index in range(num_params))
    qubits = ", ".join(f"_qubit_{index}" for index in range(num_qubits))
    return f"gate {name}{f'({arguments})' if arguments else ''} {qubits} {{}}\n"


def _call(name: str, num_qubits: int, num_params: int) -> str:
    """A program that calls a gate once, on inputs."""
    inputs = [f"_input_{index:06d}" for index in range(num_params)]
    declared = "".join(f"input float[64] {each};\n" for each in inputs)
    arguments = f"({', '.join(inputs)})" if inputs else ""
    qubits = ", ".join(f"_q[{index}]" for index in range(num_qubits))
    return f"{declared}qubit[{num_qubits}] _q;\n{name}{arguments} {qubits};\n"


# --- reading ------------------------------------------------------------------------------------


def _parsed(text: str) -> Any:
    from openqasm3 import parser

    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the parser prints its first complaint
            return parser.parse(text)
    except (*_READ_ERRORS, parser.QASM3ParsingError) as error:
        raise CircuitError(f"broken OpenQASM 3: {_told(error)}.") from None


def _converted(program: Any) -> QuantumCircuit:
    from qiskit_qasm3_import import ConversionError, convert

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return convert(order_arguments(program))
    except (*_READ_ERRORS, ConversionError, AssertionError) as error:
        raise CircuitError(f"broken OpenQASM 3: {_told(error)}.") from None


def _told(error: BaseException) -> str:
    cause = error.__cause__.args[0] if error.__cause__ and error.__cause__.args else None
    token = getattr(cause, "offendingToken", None)
    if token is not None:
        return f"line {token.line}, column {token.column}: unexpected {token.text!r}"
    return (str(error) or type(error).__name__).strip().rstrip(".")[:300]


def _check_sizes(program: Any, max_qubits: int, max_bits: int) -> None:
    """Refuse registers that are too large, before anybody makes room for them."""
    from openqasm3 import ast

    totals = {"qubits": 0, "classical bits": 0}
    for statement in program.statements:
        if isinstance(statement, ast.QubitDeclaration):
            totals["qubits"] += _size(statement.size)
        elif isinstance(statement, ast.ClassicalDeclaration):
            totals["classical bits"] += _size(getattr(statement.type, "size", None))
    for (kind, found), most in zip(totals.items(), (max_qubits, max_bits), strict=True):
        if found > most:
            raise CircuitError(f"the circuit declares {found} {kind}; {most} are taken.")


def _size(node: Any) -> int:
    if node is None:
        return 1
    value = getattr(node, "value", None)
    if not isinstance(value, int):
        raise CircuitError("a register's size is no plain number. Write it as one.")
    return value


def _recognised(circuit: QuantumCircuit, own_gates: Collection[str]) -> QuantumCircuit:
    """With Qiskit's own gates for those of their names, and opaque ones for the device's."""
    changed: QuantumCircuit = circuit.copy_empty_like()
    for item in circuit.data:
        operation = item.operation
        if isinstance(operation, ControlFlowOp):
            blocks = [_recognised(block, own_gates) for block in operation.blocks]
            operation = operation.replace_blocks(blocks) if blocks else operation
        elif type(operation) is Gate and operation.name in own_gates:
            operation = Gate(operation.name, operation.num_qubits, list(operation.params))
        if type(operation) is Gate:
            operation = _standard_like(operation) or operation
        changed._append(item.replace(operation=operation))  # noqa: SLF001  was checked
    return changed


def _standard_like(gate: Gate) -> Gate | None:
    known = _standard().get(gate.name)
    if known is None or known.num_qubits != gate.num_qubits:
        return None
    if len(known.params) != len(gate.params):
        return None
    return known.base_class(*gate.params)


def _walk(circuit: QuantumCircuit) -> Iterator[CircuitInstruction]:
    for item in circuit.data:
        yield item
        if isinstance(item.operation, ControlFlowOp):
            for block in item.operation.blocks:
                yield from _walk(block)


@functools.cache
def _standard() -> dict[str, Gate]:
    """Qiskit's gates by name."""
    named = get_standard_gate_name_mapping().items()
    return {name: gate for name, gate in named if isinstance(gate, Gate)}
