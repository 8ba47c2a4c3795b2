"""Two copies of a circuit, measured so that products of states can be read from the outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import ControlFlowOp
from qiskit.quantum_info import PauliList

from pipeline.measuring.bases import letters_at
from qcpaas.errors import CircuitError


@dataclass(frozen=True, eq=False)
class SharedCircuit:
    """Pauli strings that one circuit can measure: a Clifford turns each into Z of one qubit.

    Attributes:
        turns: The letter that each qubit is turned from, a Pauli label.
        controls: Gates CX (control, target) behind that.
        pivots: For each string, the qubit whose Z it becomes.
    """

    strings: tuple[str, ...]
    turns: str
    controls: tuple[tuple[int, int], ...]
    pivots: tuple[int, ...]


def share_circuits(strings: Sequence[str]) -> list[SharedCircuit]:
    """Few circuits for all strings: in each they commute qubit by qubit, and none is a product."""
    shared = []
    for group in PauliList(list(strings)).group_commuting(qubit_wise=True):
        left = group.to_labels()
        columns = zip(*left, strict=True)
        turns = "".join(next((c for c in column if c != "I"), "I") for column in columns)
        while left:
            found = _independent(left, turns)
            shared.append(found)
            left = [string for string in left if string not in found.strings]
    return shared


def two_copies(circuit: QuantumCircuit, shared: SharedCircuit) -> QuantumCircuit:
    """Both copies, turned alike, then each qubit with its double; qubit q into clbits q and n + q.

    Behind the last gates the swap of a qubit with its double is -1 where both read 1, else 1. On a
    pivot, the mean of Z over the copies is 1 where both read 0, -1 where only the first reads 1.

    Source: Huggins et al., PRX 11, 041036 (2021), appendix on measurement by diagonalisation; a
    qubit that nothing is asked of takes the cheaper Bell measurement.

    Raises:
        CircuitError: It has measurements or control flow.
    """
    for step in circuit.data:
        if step.clbits or isinstance(step.operation, ControlFlowOp):
            raise CircuitError(
                f"circuit {circuit.name} has {step.operation.name}; VirtualDistillation doubles "
                "circuits of gates without classical bits. Leave one of them out."
            )
    size = circuit.num_qubits
    first, second = (QuantumRegister(size, name) for name in ("copy1", "copy2"))
    both = QuantumCircuit(first, second, ClassicalRegister(2 * size, "copies"))
    both.name = f"{circuit.name}_twice"
    for register in (first, second):
        both.compose(circuit, register[:], inplace=True)
        for qubit in letters_at(shared.turns):
            if shared.turns[-1 - qubit] == "Y":
                both.sdg(register[qubit])
            if shared.turns[-1 - qubit] != "Z":
                both.h(register[qubit])
        for control, target in shared.controls:
            both.cx(register[control], register[target])
    for qubit in range(size):
        both.cx(first[qubit], second[qubit])
        if qubit in shared.pivots:
            both.ch(second[qubit], first[qubit])
        else:
            both.h(first[qubit])
    both.measure(range(2 * size), range(2 * size))
    return both


def _independent(strings: Sequence[str], turns: str) -> SharedCircuit:
    """As many of the strings as can each become the Z of a qubit of its own."""
    supports = [set(letters_at(string)) for string in strings]
    controls: list[tuple[int, int]] = []
    pivots: dict[int, int] = {}  # place of a string to its qubit
    for place in sorted(range(len(strings)), key=lambda p: len(supports[p])):
        free = supports[place] - set(pivots.values())
        if not free:
            continue  # a product of those before
        pivot = min(free)
        for control in sorted(supports[place] - {pivot}):
            controls.append((control, pivot))
            for support in supports:
                if pivot in support:
                    support ^= {control}
        pivots[place] = pivot
    return SharedCircuit(
        strings=tuple(strings[place] for place in pivots),
        turns=turns,
        controls=tuple(controls),
        pivots=tuple(pivots.values()),
    )
