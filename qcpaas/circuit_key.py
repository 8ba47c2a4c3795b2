"""A circuit's content hash: the key of caches, manifests and ledgers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import (
    ClassicalRegister,
    Clbit,
    ControlFlowOp,
    ForLoopOp,
    IfElseOp,
    Parameter,
    ParameterExpression,
    SwitchCaseOp,
    WhileLoopOp,
)
from qiskit.circuit.classical import expr
from qiskit.circuit.library import Initialize, PermutationGate, StatePreparation, UnitaryGate
from qiskit.exceptions import QiskitError

# Their parameters say everything, and their definitions are slow to synthesise.
_DEFINED_BY_PARAMETERS = (UnitaryGate, Initialize, StatePreparation, PermutationGate)
_LOOP = "\x1dloop"
_LOOP_NAME = re.compile(r"_loop_i_\d+")


def circuit_key(circuit: QuantumCircuit) -> str:
    """Hash what a circuit does: 32 hexadecimal digits, the same in every process.

    Covers instructions, parameters (expressions by the names in them, and the order of
    ``circuit.parameters``), qubit and clbit indices, registers, classical variables, global
    phase, labels, control flow and custom gates' definitions. Names and metadata of circuits and
    the UUIDs of ``Parameter`` objects play no part.
    """
    text = "\x1e".join(_circuit_parts(circuit))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _circuit_parts(circuit: QuantumCircuit) -> Iterator[str]:
    yield f"{circuit.num_qubits} {circuit.num_clbits} {_value(circuit.global_phase, circuit)}"
    if circuit.num_parameters:
        # Qiskit numbers its loop variables by process: their names say nothing.
        names = [parameter.name for parameter in circuit.parameters]
        yield repr([_LOOP if _LOOP_NAME.fullmatch(name) else name for name in names])
    index = {bit: position for position, bit in enumerate(circuit.qubits)}
    index.update((bit, position) for position, bit in enumerate(circuit.clbits))
    for register in (*circuit.qregs, *circuit.cregs):
        yield f"{register.name!r} {[index[bit] for bit in register]}"
    if circuit.num_identifiers:
        yield from _variables(circuit)
    for instruction in circuit.data:
        qubits = ",".join([str(index[bit]) for bit in instruction.qubits])
        if instruction.is_standard_gate() and instruction.label is None:
            values = ",".join([_value(value, circuit) for value in instruction.params])
            yield f"{instruction.name}({values}){qubits}"
        else:
            clbits = ",".join([str(index[bit]) for bit in instruction.clbits])
            yield f"{_operation(instruction.operation, circuit)} {qubits};{clbits}"


def _variables(circuit: QuantumCircuit) -> Iterator[str]:
    kinds = {
        "input": circuit.iter_input_vars(),
        "captured": circuit.iter_captured_vars(),
        "declared": circuit.iter_declared_vars(),
        "captured stretch": circuit.iter_captured_stretches(),
        "declared stretch": circuit.iter_declared_stretches(),
    }
    for kind, variables in kinds.items():
        for variable in variables:
            yield f"{kind} {variable.name!r} {variable.type!r}"


def _operation(operation: Any, circuit: QuantumCircuit) -> str:
    """An operation other than an unlabelled standard gate, as text."""
    if isinstance(operation, ControlFlowOp):
        return _control_flow(operation, circuit)
    head = f"{operation.name!r} {operation.num_qubits} {operation.num_clbits}"
    if hasattr(operation, "base_op"):  # AnnotatedOperation
        return f"{head} {operation.modifiers!r} {_operation(operation.base_op, circuit)}"
    if hasattr(operation, "tableau"):  # Clifford, which has no parameters
        return f"{head} {_value(operation.tableau, circuit)}"
    values = ",".join([_value(value, circuit) for value in getattr(operation, "params", ())])
    head += f" {getattr(operation, 'label', None)!r} {getattr(operation, 'unit', '')}({values})"
    if isinstance(operation, _DEFINED_BY_PARAMETERS):
        return f"{type(operation).__name__} {head}"
    definition = getattr(operation, "definition", None)
    return head if definition is None else f"{head} {{{circuit_key(definition)}}}"


def _control_flow(operation: ControlFlowOp, circuit: QuantumCircuit) -> str:
    blocks = operation.blocks
    detail = ""
    if isinstance(operation, IfElseOp | WhileLoopOp):
        detail = _value(operation.condition, circuit)
    elif isinstance(operation, SwitchCaseOp):
        cases = [[str(value) for value in values] for values, _ in operation.cases_specifier()]
        blocks = tuple(block for _, block in operation.cases_specifier())
        detail = f"{_value(operation.target, circuit)} {cases}"
    elif isinstance(operation, ForLoopOp):
        indices, variable, body = operation.params
        detail = f"{list(indices)} {variable is None}"
        if variable is not None and variable in body.parameters:
            body = body.assign_parameters({variable: Parameter(_LOOP)})
        blocks = (body,)
    else:  # box, break_loop, continue_loop
        detail = f"{_value(getattr(operation, 'duration', None), circuit)}"
        detail += f" {getattr(operation, 'unit', '')} {getattr(operation, 'annotations', ())!r}"
    keys = " ".join(circuit_key(block) for block in blocks if block is not None)
    return f"{operation.name} {operation.label!r} {detail} {{{keys}}}"


def _value(value: Any, circuit: QuantumCircuit) -> str:  # noqa: PLR0911  one line a kind of value
    """A parameter, condition or classical expression, as text."""
    if type(value) is float:
        return repr(value)
    if isinstance(value, ParameterExpression):
        return _parameter(value)
    if isinstance(value, np.ndarray):
        digest = hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16)
        return f"{value.dtype} {value.shape} {digest.hexdigest()}"
    if isinstance(value, expr.Expr):
        return _expression(value, circuit)
    if isinstance(value, Clbit):
        return f"clbit {circuit.find_bit(value).index}"
    if isinstance(value, ClassicalRegister):
        return f"register {value.name!r} {[circuit.find_bit(bit).index for bit in value]}"
    if isinstance(value, QuantumCircuit):
        return f"{{{circuit_key(value)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join([_value(item, circuit) for item in value])}]"
    return repr(_plain(value))


def _parameter(value: ParameterExpression) -> str:
    """Equal for expressions of equal names and equal value.

    An expression is told by its value at one point that the names fix, to 12 digits: the text
    that Qiskit 2.1 prints is ambiguous (``b**1/b``) and at times another expression's, and the
    same sum can come back from QPY in another order.
    """
    if isinstance(value, Parameter):
        return f"parameter {value.name!r}"
    if not value.parameters:
        return repr(_plain(value.numeric()))
    names = sorted(parameter.name for parameter in value.parameters)
    try:
        bound = value.bind({parameter: _point(parameter.name) for parameter in value.parameters})
        figures = [f"{part:.12g}" for part in _rounded(complex(bound))]
    except (QiskitError, ArithmeticError, TypeError, ValueError):
        figures = [str(value)]  # outside its domain at this point
    return f"expression {names} {figures}"


def _point(name: str) -> float:
    """A number in (0.3, 0.9), the same for a name in every process."""
    digest = hashlib.blake2b(name.encode(), digest_size=6).digest()
    return 0.3 + 0.6 * int.from_bytes(digest, "big") / 2**48


def _rounded(value: complex) -> tuple[float, float]:
    """Angles below 1e-12 are rounding; adding zero removes its sign."""
    return round(value.real, 12) + 0.0, round(value.imag, 12) + 0.0


def _plain(value: Any) -> Any:
    """One spelling for equal numbers: NumPy's, whole and real ones as Python's float."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | float | np.integer | np.floating):
        return float(value)
    if isinstance(value, complex | np.complexfloating):
        return complex(value) if value.imag else float(value.real)
    return value


def _expression(node: expr.Expr, circuit: QuantumCircuit) -> str:
    parts = [type(node).__name__, repr(node.type)]
    if isinstance(node, expr.Var | expr.Stretch) and node.name is not None:
        return f"{' '.join(parts)} {node.name!r}"  # its UUID differs between processes
    for field in ("var", "op", "value", "left", "right", "operand", "target", "index"):
        if hasattr(node, field):
            child = getattr(node, field)
            parts.append(child.name if field == "op" else _value(child, circuit))
    return f"({' '.join(parts)})"
