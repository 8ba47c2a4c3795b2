"""Small parts of a circuit whose states answer an observable, and bases that measure them all."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from qiskit import QuantumCircuit

from pipeline.measuring.bases import letters_at
from qcpaas.errors import MitigationError

NOT_UNITARY = frozenset({"measure", "reset", "initialize", "if_else", "for_loop", "while_loop"})
Qubits = tuple[int, ...]


def entangled_blocks(circuit: QuantumCircuit) -> tuple[Qubits, ...]:
    """Qubits that gates connect; each block's state is pure where nothing goes wrong.

    Raises:
        MitigationError: Something in the circuit is not unitary.
    """
    block = {qubit: {qubit} for qubit in range(circuit.num_qubits)}
    for step in circuit.data:
        if step.name in NOT_UNITARY:
            raise MitigationError(
                f"circuit {circuit.name} has a {step.name}, so that its state is not pure by "
                f"design. Set correction='project', or leave StateTomography out."
            )
        if step.name == "barrier":
            continue
        joined = set().union(*(block[circuit.find_bit(qubit).index] for qubit in step.qubits))
        block.update(dict.fromkeys(joined, joined))
    return tuple(sorted({tuple(sorted(qubits)) for qubits in block.values()}))


def choose_subsystems(
    strings: Iterable[str], blocks: Sequence[Qubits] | None
) -> tuple[Qubits, ...]:
    """The fewest sets of qubits so that each Pauli string acts within one.

    Args:
        blocks: To be kept whole; without them a string's own qubits will do.
    """
    wanted = set()
    for string in strings:
        support = set(letters_at(string))
        whole = [block for block in blocks or () if support & set(block)]
        wanted.add(tuple(sorted(support.union(*whole))))
    return tuple(
        sorted(each for each in wanted if not any(set(each) < set(other) for other in wanted))
    )


def check_sizes(subsystems: Sequence[Qubits], max_qubits: int) -> None:
    """Refuse what would take too many bases.

    Raises:
        MitigationError: A subsystem has more qubits than allowed.
    """
    largest = max(subsystems, key=len, default=())
    if len(largest) > max_qubits:
        raise MitigationError(
            f"an observable needs the state of the {len(largest)} qubits {list(largest)}; its "
            f"tomography takes 3^{len(largest)} = {3 ** len(largest)} bases, and max_qubits is "
            f"{max_qubits}. Ask for observables on fewer qubits, set correction='project', which "
            f"needs no whole entangled blocks, or leave StateTomography out."
        )


def joint_bases(subsystems: Sequence[Qubits], max_qubits: int) -> tuple[Qubits, tuple[str, ...]]:
    """Bases in which every subsystem sees all of its own, shared by all subsystems.

    Qubits that share a subsystem get different colours, and qubits of one colour the same letter.

    Returns:
        The measured qubits, and for each basis one letter a measured qubit.

    Raises:
        MitigationError: Subsystems overlap so much that more colours are needed than allowed.
    """
    colour = _coloured(subsystems)
    qubits = tuple(sorted(colour))
    colours = max(colour.values(), default=-1) + 1
    if colours > max_qubits:
        raise MitigationError(
            f"the {len(subsystems)} subsystems overlap so that their joint tomography takes "
            f"3^{colours} = {3**colours} bases; max_qubits = {max_qubits} allows "
            f"{3**max_qubits}. Ask for fewer observables in one circuit, or raise max_qubits."
        )
    words = itertools.product("XYZ", repeat=colours)
    return qubits, tuple("".join(word[colour[q]] for q in qubits) for word in words)


def _coloured(subsystems: Sequence[Qubits]) -> Mapping[int, int]:
    """A greedy colouring, qubits with most neighbours first."""
    near: dict[int, set[int]] = {}
    for qubits in subsystems:
        for qubit in qubits:
            near.setdefault(qubit, set()).update(other for other in qubits if other != qubit)
    colour: dict[int, int] = {}
    for qubit in sorted(near, key=lambda q: (-len(near[q]), q)):
        taken = {colour[other] for other in near[qubit] if other in colour}
        colour[qubit] = next(number for number in itertools.count() if number not in taken)
    return colour
