"""Arguments of gates that an OpenQASM 3 text defines, in the order of their declaration.

qiskit-qasm3-import 0.6 hands a gate's values to its arguments in alphabetical order: after
``gate g(b, a) q { rx(a) q; }`` it reads ``g(1, 2) q[0]`` as RX(1). Renamed so that both orders
agree, the arguments get their own values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openqasm3.ast import Program


def order_arguments(program: Program) -> Program:
    """Rename the arguments of every gate's definition, in place."""
    from openqasm3 import ast

    for statement in program.statements:
        if isinstance(statement, ast.QuantumGateDefinition):
            names = {
                argument.name: f"_argument_{index:06d}"
                for index, argument in enumerate(statement.arguments)
            }
            for part in (statement.arguments, statement.body):
                _rename(part, names)
    return program


def _rename(node: Any, names: dict[str, str]) -> None:
    """Every identifier of those names below a node; names of called gates stay."""
    from openqasm3 import ast

    if isinstance(node, list | tuple):
        for each in node:
            _rename(each, names)
    elif isinstance(node, ast.Identifier):
        node.name = names.get(node.name, node.name)
    elif isinstance(node, ast.QASMNode):
        for name, value in vars(node).items():
            is_call = isinstance(node, ast.QuantumGate | ast.FunctionCall) and name == "name"
            if not is_call and name not in {"span", "qubits"}:
                _rename(value, names)
