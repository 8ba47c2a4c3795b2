"""Loops that count: unrolled, since Qiskit takes their variable for a parameter of the circuit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from qcpaas.errors import CircuitError

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


def without_loop_variables(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with every ``for`` loop unrolled whose body uses the loop's variable.

    Other loops stay. Written here since Qiskit's ``UnrollForLoops`` fails on a body that holds an
    ``if`` without ``else``, and unrolls loops that need not be.

    Raises:
        CircuitError: Such a loop ends early, so that nobody knows how often it runs.
    """
    if not circuit.has_control_flow_op() or not any(map(_counts, _loops(circuit))):
        return circuit
    return _unrolled(circuit, _counts)


def without_loops(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with every ``for`` loop unrolled, but those that end early."""
    return _unrolled(circuit, lambda loop: _counts(loop) or not _ends_early(loop.params[2]))


def _unrolled(circuit: QuantumCircuit, wanted: Callable[[Any], bool]) -> QuantumCircuit:
    from qiskit.circuit import ControlFlowOp, ForLoopOp

    flat = circuit.copy_empty_like()
    for step in circuit.data:
        operation = step.operation
        if not isinstance(operation, ControlFlowOp):
            flat.append(step, copy=False)
        elif isinstance(operation, ForLoopOp) and wanted(operation):
            indices, variable, body = operation.params
            if _ends_early(body):
                raise CircuitError(
                    f"circuit {circuit.name} has a for loop that uses its variable "
                    f"{variable.name} and ends early (break_loop or continue_loop). Write its "
                    "rounds one by one, or let it not use the variable."
                )
            for value in indices:
                told = body.assign_parameters({variable: value}) if _counts(operation) else body
                once = _unrolled(told, wanted)
                flat.compose(once, step.qubits, step.clbits, inplace=True)
        else:
            blocks = [_unrolled(block, wanted) for block in operation.blocks]
            flat.append(operation.replace_blocks(blocks), step.qubits, step.clbits)
    return flat


def _loops(circuit: QuantumCircuit) -> Iterator[Any]:
    """Every ``for`` loop, also inside other blocks."""
    from qiskit.circuit import ControlFlowOp, ForLoopOp

    for step in circuit.data:
        operation = step.operation
        if isinstance(operation, ControlFlowOp):
            if isinstance(operation, ForLoopOp):
                yield operation
            for block in operation.blocks:
                yield from _loops(block)


def _counts(loop: Any) -> bool:
    """Whether its body uses its variable."""
    _, variable, body = loop.params
    return variable is not None and variable in body.parameters


def _ends_early(body: QuantumCircuit) -> bool:
    from qiskit.circuit import ControlFlowOp, ForLoopOp, WhileLoopOp

    loops = (ForLoopOp, WhileLoopOp)
    for step in body.data:
        if step.name in {"break_loop", "continue_loop"}:
            return True
        operation = step.operation
        if not isinstance(operation, ControlFlowOp) or isinstance(operation, loops):
            continue  # what ends a loop inside of this one is that loop's own affair
        if any(map(_ends_early, operation.blocks)):
            return True
    return False
