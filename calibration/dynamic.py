"""Control flow, mid-circuit measurement, reset and delay: used, rewritten, or refused.

A device that lacks one of them is given an equal circuit without it where there is one, so that
nothing is spent on what could not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qiskit import QuantumCircuit
from qiskit.circuit import (
    CircuitInstruction,
    Clbit,
    ControlFlowOp,
    Delay,
    ParameterExpression,
    Qubit,
)
from qiskit.circuit.library import Measure, XGate

from adapters.contract import Capabilities
from adapters.schedule import delay_s
from qcpaas.circuits import PROGRAM
from qcpaas.errors import CircuitError
from qcpaas.loops import without_loops
from store.snapshot import Snapshot

_LOOP_ENDS = {"break_loop", "continue_loop"}
_PASSIVE = {"barrier", "delay"}
_LARGEST_ROUNDING = 1e-3  # of a delay: more than that is said


@dataclass(frozen=True, eq=False)
class Adapted:
    """An equal circuit that the device can execute, and what was changed to get there."""

    circuit: QuantumCircuit
    notes: tuple[str, ...] = ()


def refuse_unsupported(
    circuit: QuantumCircuit,
    device: str,
    capabilities: Capabilities,
    snapshot: Snapshot | None = None,
) -> None:
    """Raises `CircuitError` where `adapt_circuit` would."""
    adapt_circuit(circuit, device, capabilities, snapshot)


def adapt_circuit(
    circuit: QuantumCircuit,
    device: str,
    capabilities: Capabilities,
    snapshot: Snapshot | None = None,
) -> Adapted:
    """Rewrite what the device does not have, where an equal circuit has the same meaning.

    ``for`` loops of fixed length are unrolled; a reset becomes a measurement and a conditional X,
    if a classical bit is free for the outcome; a delay is given in the device's own time steps.

    Args:
        snapshot: Says how long a time step is; ``None`` for a simulator.

    Raises:
        CircuitError: The device cannot execute the circuit, and why.
    """
    whom = f"circuit {circuit.name}", device
    notes: list[str] = []
    names = {name for name, _ in _walk(circuit)}
    if PROGRAM in names and capabilities.compiles:
        reason = circuit.data[0].operation.params[1]
        raise CircuitError(
            f"{whom[0]} is a QIR program without a gate list: {reason}. Only the simulators "
            f"statevector and aer run such programs; for {device} compile it for the base profile."
        )
    if "for_loop" in names and "for_loop" not in capabilities.control_flow:
        circuit = without_loops(circuit)
        notes.append("for loops unrolled")
        names = {name for name, _ in _walk(circuit)}
    if "reset" in names and _lacks("reset", capabilities):
        circuit = _without_resets(circuit, whom, capabilities)
        notes.append("resets written as measurement and conditional X")
        names = {name for name, _ in _walk(circuit)}
    _check_control_flow(circuit, whom, capabilities)
    if not capabilities.mid_circuit_measurement:
        _check_measured_last(circuit, whom)
    if "delay" in names:
        if _lacks("delay", capabilities):
            raise CircuitError(
                f"{whom[0]} uses delay, which {device} does not have. Leave the waiting out, or "
                "choose another device."
            )
        circuit = _in_time_steps(circuit, whom, snapshot, notes)
    return Adapted(circuit, tuple(dict.fromkeys(notes)))


def _lacks(name: str, capabilities: Capabilities) -> bool:
    return capabilities.compiles and name not in capabilities.basis_gates


def _walk(circuit: QuantumCircuit) -> Iterator[tuple[str, CircuitInstruction]]:
    """Every instruction with its name, control flow both as such and opened."""
    for step in circuit.data:
        yield step.operation.name, step
        if isinstance(step.operation, ControlFlowOp):
            for block in step.operation.blocks:
                yield from _walk(block)


def _check_control_flow(
    circuit: QuantumCircuit, whom: tuple[str, str], capabilities: Capabilities
) -> None:
    used = {name for name, step in _walk(circuit) if isinstance(step.operation, ControlFlowOp)}
    lacking = sorted(used - capabilities.control_flow - _LOOP_ENDS)
    if lacking:
        has = ", ".join(sorted(capabilities.control_flow)) or "no classical control at all"
        raise CircuitError(
            f"{whom[0]} uses {', '.join(lacking)}, which {whom[1]} does not have; it has {has}. "
            "Write the circuit without, or choose another device."
        )
    inputs = [variable.name for variable in circuit.iter_input_vars()]
    if inputs:
        raise CircuitError(
            f"{whom[0]} has the classical input {inputs[0]}, to which a job cannot give a value. "
            "Use a Parameter, or set the value in the circuit."
        )


def _check_measured_last(circuit: QuantumCircuit, whom: tuple[str, str]) -> None:
    measured: set[Qubit | Clbit] = set()
    for step in circuit.data:
        inside = isinstance(step.operation, ControlFlowOp) and any(
            name == "measure" for name, _ in _walk(QuantumCircuit.from_instructions([step]))
        )
        again = [q for q in step.qubits if q in measured] if step.name not in _PASSIVE else []
        if inside or again or any(bit in measured for bit in step.clbits):
            where = circuit.find_bit((again or list(step.qubits))[0]).index
            raise CircuitError(
                f"{whom[0]} measures before its end (qubit {where} goes on, or depends on the "
                f"outcome), which {whom[1]} cannot. Move the measurements to the end, or choose "
                "another device."
            )
        if step.name == "measure":
            measured.update((*step.qubits, *step.clbits))


def _without_resets(
    circuit: QuantumCircuit, whom: tuple[str, str], capabilities: Capabilities
) -> QuantumCircuit:
    """Resets of fresh qubits left out, others as a measurement and a conditional X."""
    changed = circuit.copy_empty_like()
    touched: set[Qubit] = set()
    outcome: dict[Qubit, Clbit] = {}  # of a qubit that was measured, and untouched since
    for position, step in enumerate(circuit.data):
        if step.name != "reset":
            _check_no_reset_inside(step, whom)
            changed.append(step, copy=False)
            _follow(step, touched, outcome)
            continue
        (qubit,) = step.qubits
        if qubit not in touched:
            continue
        if "if_else" not in capabilities.control_flow or not capabilities.mid_circuit_measurement:
            raise _no_reset(whom, "nor a conditional X to write it with")
        if qubit not in outcome:
            outcome[qubit] = _free_clbit(circuit, position, whom)
            changed.append(Measure(), [qubit], [outcome[qubit]])
        with changed.if_test((outcome.pop(qubit), 1)):
            changed.append(XGate(), [qubit])
    return changed


def _follow(step: CircuitInstruction, touched: set[Qubit], outcome: dict[Qubit, Clbit]) -> None:
    """Which qubits are no longer fresh, and which clbits still hold a qubit's state."""
    if step.name == "barrier":
        return
    touched.update(step.qubits)
    written = set(step.clbits)
    for qubit, clbit in list(outcome.items()):
        if clbit in written or (qubit in step.qubits and step.name != "delay"):
            del outcome[qubit]
    if step.name == "measure":
        outcome[step.qubits[0]] = step.clbits[0]


def _free_clbit(circuit: QuantumCircuit, position: int, whom: tuple[str, str]) -> Clbit:
    """A clbit whose value nobody reads before it is measured into."""
    seen: set[Clbit] = set()
    for step in circuit.data[position:]:
        if isinstance(step.operation, ControlFlowOp) or step.name == "store":
            break  # an expression may read any of them
        if step.name == "measure" and step.clbits[0] not in seen:
            return step.clbits[0]
        seen.update(step.clbits)
    raise _no_reset(whom, "and no classical bit is free for an outcome; measure into it later on")


def _check_no_reset_inside(step: CircuitInstruction, whom: tuple[str, str]) -> None:
    if isinstance(step.operation, ControlFlowOp) and any(
        name == "reset" for block in step.operation.blocks for name, _ in _walk(block)
    ):
        raise _no_reset(whom, "and it stands inside control flow, where it cannot be rewritten")


def _no_reset(whom: tuple[str, str], why: str) -> CircuitError:
    return CircuitError(
        f"{whom[0]} uses reset, which {whom[1]} does not have, {why}. Use a fresh qubit, or "
        "choose another device."
    )


def _in_time_steps(
    circuit: QuantumCircuit, whom: tuple[str, str], snapshot: Snapshot | None, notes: list[str]
) -> QuantumCircuit:
    """Delays in whole time steps where the device tells how long one is."""
    dt_s = None if snapshot is None else snapshot.dt_s
    for name, step in _walk(circuit):
        if name == "delay" and step.operation.unit == "dt" and snapshot and dt_s is None:
            raise CircuitError(
                f"{whom[0]} has a delay of {step.operation.duration} dt, and {whom[1]} does not "
                "tell how long a time step is. Give it in seconds."
            )
        if name == "delay" and step.operation.unit == "expr":
            raise CircuitError(
                f"{whom[0]} has a delay of a length that is found when it is scheduled (stretch), "
                f"which {whom[1]} cannot run. Give it in seconds."
            )
    return circuit if dt_s is None else _rounded(circuit, dt_s, notes)


def _rounded(circuit: QuantumCircuit, dt_s: float, notes: list[str]) -> QuantumCircuit:
    changed = circuit.copy_empty_like()
    for step in circuit.data:
        operation = step.operation
        if isinstance(operation, ControlFlowOp):
            blocks = [_rounded(block, dt_s, notes) for block in operation.blocks]
            operation = operation.replace_blocks(blocks) if blocks else operation
        elif isinstance(operation, Delay) and operation.unit != "dt" and _is_number(operation):
            length_s = delay_s(step, dt_s)
            steps = round(length_s / dt_s)
            if abs(steps * dt_s - length_s) > _LARGEST_ROUNDING * length_s:
                notes.append(f"a delay of {length_s:.4g} s rounded to {steps * dt_s:.4g} s")
            operation = Delay(steps, "dt")
        changed.append(step.replace(operation=operation), copy=False)
    return changed


def _is_number(delay: Delay) -> bool:
    length = delay.duration
    return not (isinstance(length, ParameterExpression) and length.parameters)
