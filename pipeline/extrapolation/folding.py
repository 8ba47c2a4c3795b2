"""Noise amplification: replace gates G of a compiled circuit by G G⁻¹ G, and nothing else.

Folding comes after compilation, since a compiler would cancel the folded gates. It is written
here because libraries fold through another circuit model: they lose symbolic parameters, layout
and the device's gate set, and unfolded gates stay out of the device's noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import pi
from typing import Literal

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Gate, Instruction
from qiskit.circuit.exceptions import CircuitError
from qiskit.circuit.library import RZGate, SXGate

from pipeline.pauli.layers import layers_of
from qcpaas.errors import MitigationError

FoldedGates = Literal["two_qubit", "all"]
Folding = Literal["gates", "layers"]
Group = tuple[int, ...]
UNFOLDED = frozenset({"barrier", "delay", "measure", "reset", "id", "rz"})  # rz changes the frame
SELF_INVERSE = frozenset({"x", "y", "z", "h", "cx", "cy", "cz", "ecr", "swap", "ccx"})


def fold(
    circuit: QuantumCircuit,
    scale: float,
    gates: FoldedGates = "two_qubit",
    folding: Folding = "gates",
) -> tuple[QuantumCircuit, float]:
    """Amplify the noise of a compiled circuit.

    A scale between odd integers folds an evenly spread part once more: of the gates, or of the
    layers, whose gates run at once and are then folded together. Parameters stay symbolic;
    measurement, reset, delay and rz, which costs a device nothing, are left as they are.

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
    groups = foldable_groups(circuit, gates, folding)
    extra_folds = _spread_over(groups, (scale - 1) / 2)
    folds = {
        index: extra for group, extra in zip(groups, extra_folds, strict=True) for index in group
    }
    total = len(folds)
    reached = 1 + 2 * sum(folds.values()) / total if total else 1.0
    return fold_at(circuit, folds), reached


def fold_at(circuit: QuantumCircuit, folds: Mapping[int, int]) -> QuantumCircuit:
    """The circuit with G replaced by G (G⁻¹ G)ᵏ at given places.

    Args:
        folds: k for each place in ``circuit.data`` that is folded.

    Raises:
        MitigationError: A gate there has no inverse in the device's gates.
    """
    folded = circuit.copy_empty_like()
    for index, step in enumerate(circuit.data):
        folded._append(step)  # noqa: SLF001 - the public append costs ten times as much
        for _ in range(folds.get(index, 0)):
            for inverse in _inverse_at(circuit, index):
                folded._append(  # noqa: SLF001
                    CircuitInstruction(inverse, step.qubits, ())
                )
            folded._append(step)  # noqa: SLF001
    return folded


def foldable_groups(
    circuit: QuantumCircuit, gates: FoldedGates = "two_qubit", folding: Folding = "gates"
) -> list[Group]:
    """Places in ``circuit.data`` of what is folded together, in the order of time.

    Gates on one qubit belong to no layer; each is a group of its own.

    Raises:
        MitigationError: An instruction cannot be folded, or stands where none is; says which.
    """
    places = [index for index in range(len(circuit.data)) if _is_folded(circuit, index, gates)]
    if folding == "gates":
        return [(index,) for index in places]
    layers = layers_of(circuit, range(circuit.num_qubits))
    layered = {index for layer in layers for index in layer.instructions}
    single = [(index,) for index in places if index not in layered]
    return sorted([*(tuple(sorted(layer.instructions)) for layer in layers), *single])


def _spread_over(groups: Sequence[Group], times: float) -> list[int]:
    """How often each group is folded, so that every gate is folded ``times`` on average.

    As even as whole numbers allow: the gates folded so far follow a straight line.
    """
    total = sum(map(len, groups))
    wanted = round(times * total)
    folds: list[int] = []
    done = passed = 0
    for group in groups:
        passed += len(group)
        due = passed * wanted // total - done
        extra = max(round(due / len(group)), 0)
        folds.append(extra)
        done += extra * len(group)
    return folds


def _is_folded(circuit: QuantumCircuit, index: int, gates: FoldedGates) -> bool:
    operation = circuit.data[index].operation
    if operation.name in UNFOLDED:
        return False
    if not isinstance(operation, Gate):
        raise MitigationError(
            f"{place_of(circuit, index)} has no inverse, so the circuit cannot be folded. "
            f"Leave out noise extrapolation, or the instruction."
        )
    if gates == "all" or operation.num_qubits >= 2:
        _inverse_at(circuit, index)  # before anything is folded, or spent
        return True
    return False


def place_of(circuit: QuantumCircuit, index: int) -> str:
    """An instruction as messages name it."""
    step = circuit.data[index]
    qubits = ", ".join(str(circuit.find_bit(qubit).index) for qubit in step.qubits)
    plural = "s" if len(step.qubits) > 1 else ""
    return (
        f"instruction {step.operation.name!r} on qubit{plural} {qubits} of the compiled circuit "
        f"(number {index + 1} of {len(circuit.data)})"
    )


def _inverse_at(circuit: QuantumCircuit, index: int) -> list[Instruction]:
    try:
        return inverse_of(circuit.data[index].operation)
    except MitigationError as error:
        raise MitigationError(f"{place_of(circuit, index)}: {error}") from None


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
