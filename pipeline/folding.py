"""Noise amplification: replace gates G of a compiled circuit by G G⁻¹ G, and nothing else.

Folding comes after compilation, since a compiler would cancel the folded gates. It is written
here because libraries fold through another circuit model: they lose symbolic parameters, layout
and the device's gate set, and unfolded gates stay out of the device's noise.
"""

from __future__ import annotations

from math import pi
from typing import Literal

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Gate, Instruction
from qiskit.circuit.exceptions import CircuitError
from qiskit.circuit.library import RZGate, SXGate

from qcpaas.errors import MitigationError

FoldedGates = Literal["two_qubit", "all"]
UNFOLDED = frozenset({"barrier", "delay", "measure", "reset", "id", "rz"})  # rz changes the frame
SELF_INVERSE = frozenset({"x", "y", "z", "h", "cx", "cy", "cz", "ecr", "swap", "ccx"})


def fold(
    circuit: QuantumCircuit, scale: float, gates: FoldedGates = "two_qubit"
) -> tuple[QuantumCircuit, float]:
    """Amplify the noise of a compiled circuit.

    A scale between odd integers folds an evenly spread part of the gates once more. Parameters
    stay symbolic; measurement, reset, delay and rz, which costs a device nothing, are left as
    they are.

    Args:
        circuit: In the device's gates.
        scale: Wanted noise scale, at least 1.

    Returns:
        The folded circuit, and the scale that was reached: gates after folding over gates before.

    Raises:
        MitigationError: An instruction cannot be inverted in the device's gates, or the scale is
            below 1.
    """
    if scale < 1:
        raise MitigationError(f"noise scale {scale} is below 1. Folding only amplifies noise.")
    places = [index for index, step in enumerate(circuit.data) if _is_folded(step, gates)]
    extra_folds = _spread(round(len(places) * (scale - 1) / 2), len(places))
    folds = dict(zip(places, extra_folds, strict=True))
    folded = circuit.copy_empty_like()
    for index, step in enumerate(circuit.data):
        folded._append(step)  # noqa: SLF001 - the public append costs ten times as much
        for _ in range(folds.get(index, 0)):
            for inverse in inverse_of(step.operation):
                folded._append(  # noqa: SLF001
                    CircuitInstruction(inverse, step.qubits, ())
                )
            folded._append(step)  # noqa: SLF001
    reached = 1 + 2 * sum(extra_folds) / len(places) if places else 1.0
    return folded, reached


def _is_folded(step: CircuitInstruction, gates: FoldedGates) -> bool:
    operation = step.operation
    if operation.name in UNFOLDED:
        return False
    if not isinstance(operation, Gate):
        raise MitigationError(
            f"instruction {operation.name!r} has no inverse, so the circuit cannot be folded. "
            f"Leave out zero-noise extrapolation, or the instruction."
        )
    return gates == "all" or operation.num_qubits >= 2


def _spread(total: int, places: int) -> list[int]:
    """``total`` folds over ``places`` gates, as even as whole numbers allow."""
    return [
        (index + 1) * total // places - index * total // places if places else 0
        for index in range(places)
    ]


def inverse_of(operation: Instruction) -> list[Instruction]:
    """The inverse, in the gates that the operation itself belongs to; applied first to last.

    Raises:
        MitigationError: It has none there.
    """
    if operation.name in SELF_INVERSE:
        return [operation]
    if operation.name == "sx":  # √X⁻¹ is no native gate where √X is
        return [RZGate(pi), SXGate(), RZGate(pi)]
    try:
        inverse = operation.inverse()
    except CircuitError:
        raise MitigationError(
            f"gate {operation.name!r} has no known inverse, so the circuit cannot be folded. "
            f"Leave out zero-noise extrapolation, or the gate."
        ) from None
    if inverse.name != operation.name:
        raise MitigationError(
            f"the inverse of {operation.name!r} is {inverse.name!r}, which the device may not "
            f"have, so the circuit cannot be folded. Fold two-qubit gates only."
        )
    return [inverse]
