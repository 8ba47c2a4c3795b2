"""Where to cut a circuit so that its parts fit a number of qubits."""

from __future__ import annotations

from math import sqrt

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Gate

from pipeline.cutting.circuit import CUT_WIRE, Marked, marked
from qcpaas.errors import CircuitError, OptionError

BACKJUMPS = 10_000  # of the search, which ends there with the best that it has found
ANGLE = 0.7  # of symbolic gates, rad, while the search compares what their cuts cost


def search_cuts(
    circuit: QuantumCircuit, max_qubits: int, max_overhead: float, seed: int, gates: bool = True
) -> Marked:
    """The cuts with the least overhead found, as ``qiskit-addon-cutting`` finds them.

    A circuit that fits as it is stays whole.

    Args:
        gates: Whether gates may be cut; else only wires.

    Raises:
        CircuitError: A gate acts on more than two qubits.
        OptionError: No cuts were found.
    """
    from qiskit_addon_cutting.automated_cut_finding import (
        DeviceConstraints,
        OptimizationParameters,
        find_cuts,
    )

    whole = marked(circuit)
    if circuit.num_qubits <= max_qubits:
        return whole
    skeleton, positions = _skeleton(whole)
    parameters = OptimizationParameters(
        seed=seed % 2**32,
        max_gamma=max(sqrt(max_overhead), 1.0),
        max_backjumps=BACKJUMPS,
        gate_lo=gates,
    )
    try:
        found, _ = find_cuts(skeleton, parameters, DeviceConstraints(max_qubits))
    except ValueError as error:
        raise OptionError(
            f"no cuts of circuit {circuit.name} into parts of {max_qubits} qubits were found "
            f"({error}). Allow more qubits, or give a partition."
        ) from error
    return _with_cuts(whole, found, positions)


def _skeleton(whole: Marked) -> tuple[QuantumCircuit, list[int]]:
    """The gates on two qubits, with numbers for angles, and their places in the circuit."""
    circuit = whole.circuit
    skeleton = QuantumCircuit(circuit.num_qubits)
    positions = []
    for position, step in enumerate(whole.steps):
        qubits = [circuit.find_bit(qubit).index for qubit in step.qubits]
        operation = step.operation
        if operation.name == "barrier" or len(qubits) < 2:
            continue
        if len(qubits) > 2 or not isinstance(operation, Gate):
            raise CircuitError(
                f"circuit {circuit.name}: {operation.name} on qubits "
                f"{', '.join(map(str, qubits))} cannot be cut. Decompose it into gates on two "
                "qubits, or give a partition."
            )
        skeleton.append(operation, qubits)
        positions.append(position)
    return skeleton.assign_parameters(dict.fromkeys(skeleton.parameters, ANGLE)), positions


def _with_cuts(whole: Marked, found: QuantumCircuit, positions: list[int]) -> Marked:
    """The cuts of the skeleton in the circuit itself; a wire is cut just before a gate."""
    index = {qubit: place for place, qubit in enumerate(found.qubits)}
    wires: dict[int, list[int]] = {}
    gates: set[int] = set()
    reached = 0
    for step in found.data:
        if step.operation.name == CUT_WIRE:
            wires.setdefault(positions[reached], []).append(index[step.qubits[0]])
            cut = step.operation
            continue
        if step.operation.name == "qpd_2q":
            gates.add(positions[reached])
        reached += 1
    steps: list[CircuitInstruction] = []
    cut_gates: set[int] = set()
    for position, step in enumerate(whole.steps):
        steps += [
            CircuitInstruction(cut, (whole.circuit.qubits[q],)) for q in wires.get(position, ())
        ]
        if position in gates:
            cut_gates.add(len(steps))
        steps.append(step)
    return Marked(whole.circuit, tuple(steps), frozenset(cut_gates))
