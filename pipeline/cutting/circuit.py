"""Where a circuit is cut, and the parts that it falls into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, ControlFlowOp, Instruction

from pipeline.cutting.bases import CutBasis, feed_forward_basis, gate_basis, in_rzz, wire_basis
from qcpaas.errors import CircuitError, OptionError

CUT_WIRE = "cut_wire"  # the name of qiskit-addon-cutting's CutWire, also after a round trip


@dataclass(frozen=True, eq=False)
class Step:
    """An instruction on segments of wires; ``cut`` numbers the cut that it is, if it is one."""

    operation: Instruction
    segments: tuple[int, ...]
    cut: int = -1


@dataclass(frozen=True, eq=False)
class Cut:
    """``segments`` are those of a cut gate's qubits, or before and behind a cut in a wire."""

    kind: Literal["gate", "wire"]
    basis: CutBasis
    segments: tuple[int, int]


@dataclass(frozen=True, eq=False)
class CutCircuit:
    """A circuit whose wires are segments between cuts, numbered qubit by qubit.

    Attributes:
        labels: The part of each segment.
        last: The segment that each qubit of the circuit ends in.
        midway: Whether cuts are measured in the midst of a circuit.
    """

    name: str
    steps: tuple[Step, ...]
    cuts: tuple[Cut, ...]
    labels: tuple[str, ...]
    last: tuple[int, ...]
    midway: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.labels)))

    def qubits_of(self, part: str) -> int:
        return self.labels.count(part)


@dataclass(frozen=True, eq=False)
class Marked:
    """A circuit's instructions, cut wires among them, and which gates to cut in any case."""

    circuit: QuantumCircuit
    steps: tuple[CircuitInstruction, ...]
    cut_gates: frozenset[int] = frozenset()


def marked(circuit: QuantumCircuit) -> Marked:
    """A circuit with the wires that its user has marked.

    Raises:
        CircuitError: It has measurements or control flow, which cannot be cut around.
    """
    for step in circuit.data:
        if step.clbits or isinstance(step.operation, ControlFlowOp):
            raise CircuitError(
                f"circuit {circuit.name} has {step.operation.name}; only circuits of gates without "
                "classical bits are cut. Leave it out, or leave CircuitCutting out."
            )
    return Marked(circuit, tuple(circuit.data))


def cut_circuit(
    found: Marked, partition: str = "", midway: bool = False, forwarded: bool = False
) -> CutCircuit:
    """Cut the marked wires and gates, and the gates between parts.

    Args:
        partition: One label for each segment of a wire, qubit by qubit; parts follow from what is
            connected unless given.
        midway: Measure at the cuts, in the midst of a circuit; at its end otherwise.
        forwarded: Tell the outcome at a cut wire's end to its other end, all in one circuit.

    Raises:
        OptionError: The partition does not fit the circuit.
        CircuitError: A gate cannot be cut.
    """
    circuit = found.circuit
    placed, last, count = _segments(found)
    labels = _given(partition, circuit, count) if partition else _connected(found, placed, count)
    steps: list[Step] = []
    cuts: list[Cut] = []
    wire = feed_forward_basis() if forwarded else wire_basis(midway)
    for position, (step, segments) in enumerate(zip(found.steps, placed, strict=True)):
        if step.operation.name == CUT_WIRE:
            before, after = segments
            cuts.append(Cut("wire", wire, (before, after)))
            steps.append(Step(step.operation, segments, len(cuts) - 1))
        elif position not in found.cut_gates and not _crosses(step, segments, labels):
            steps.append(Step(step.operation, segments))
        else:
            _cut_gate(step, segments, circuit, steps, cuts)
    if forwarded:
        labels = ("A",) * count
    return CutCircuit(circuit.name, tuple(steps), tuple(cuts), labels, last, midway)


def _cut_gate(
    step: CircuitInstruction,
    segments: tuple[int, ...],
    circuit: QuantumCircuit,
    steps: list[Step],
    cuts: list[Cut],
) -> None:
    if len(segments) > 2:
        qubits = ", ".join(str(circuit.find_bit(qubit).index) for qubit in step.qubits)
        raise CircuitError(
            f"circuit {circuit.name}: {step.operation.name} on qubits {qubits} lies across a cut, "
            "and only gates on two qubits are cut. Decompose it, or cut elsewhere."
        )
    place = dict(zip(step.qubits, segments, strict=True))
    for piece in in_rzz(step):
        own = tuple(place[qubit] for qubit in piece.qubits)
        if len(own) == 1:
            steps.append(Step(piece.operation, own))
            continue
        cuts.append(Cut("gate", gate_basis(piece.operation, circuit.name), (own[0], own[1])))
        steps.append(Step(piece.operation, own, len(cuts) - 1))


def _segments(found: Marked) -> tuple[list[tuple[int, ...]], tuple[int, ...], int]:
    """Segments of each instruction, the last one of each qubit, and their number."""
    circuit = found.circuit
    index = {qubit: place for place, qubit in enumerate(circuit.qubits)}
    ends = Counter(index[s.qubits[0]] for s in found.steps if s.operation.name == CUT_WIRE)
    first, count = [], 0
    for qubit in range(circuit.num_qubits):
        first.append(count)
        count += 1 + ends[qubit]
    now = list(first)
    placed: list[tuple[int, ...]] = []
    for step in found.steps:
        qubits = [index[qubit] for qubit in step.qubits]
        if step.operation.name == CUT_WIRE:
            now[qubits[0]] += 1
            placed.append((now[qubits[0]] - 1, now[qubits[0]]))
        else:
            placed.append(tuple(now[qubit] for qubit in qubits))
    return placed, tuple(now), count


def _given(partition: str, circuit: QuantumCircuit, segments: int) -> tuple[str, ...]:
    if len(partition) != segments:
        wires = "" if segments == circuit.num_qubits else " and cut wires"
        raise OptionError(
            f"partition {partition!r} has {len(partition)} labels; circuit {circuit.name} has "
            f"{segments} qubits{wires}. Give one letter for each."
        )
    return tuple(partition)


def _connected(found: Marked, placed: Sequence[tuple[int, ...]], count: int) -> tuple[str, ...]:
    """Labels of what hangs together; idle qubits belong to the first part."""
    root = list(range(count))

    def of(segment: int) -> int:
        while root[segment] != segment:
            segment = root[segment]
        return segment

    used: set[int] = set()
    for position, (step, segments) in enumerate(zip(found.steps, placed, strict=True)):
        if step.operation.name == "barrier":
            continue
        used.update(segments)
        if step.operation.name != CUT_WIRE and position not in found.cut_gates:
            for segment in segments[1:]:
                low, high = sorted((of(segments[0]), of(segment)))
                root[high] = low
    roots = sorted({of(segment) for segment in used}) or [0]
    names = {each: _letter(number) for number, each in enumerate(roots)}
    return tuple(names.get(of(segment), "A") for segment in range(count))


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else f"P{number}"


def _crosses(step: CircuitInstruction, segments: Iterable[int], labels: Sequence[str]) -> bool:
    if step.operation.name == "barrier":
        return False
    return len({labels[segment] for segment in segments}) > 1
