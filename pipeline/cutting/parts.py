"""The circuit of one part of a cut circuit, for one choice of what happens at its cuts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Barrier, Clbit, Instruction, Qubit

from pipeline.cutting.bases import HEARD, HEARD_FLIPPED, OUTCOME, TOLD, LocalTerm
from pipeline.cutting.circuit import CutCircuit, Step

Choice = Mapping[tuple[int, int], LocalTerm]  # by number of the cut, and 0 or 1 for its side


@dataclass(frozen=True, eq=False)
class PartCircuit:
    """Runnable, without the measurement of observables.

    Attributes:
        qubits: Circuit qubit of each segment that is still there at the end.
        sign_qubits: Whose Z at the end multiplies every result.
        sign_clbits: Which hold such an outcome already.
    """

    circuit: QuantumCircuit
    qubits: dict[int, int]
    sign_qubits: tuple[int, ...]
    sign_clbits: tuple[int, ...]


def part_circuit(cut: CutCircuit, part: str, choice: Choice, midway: bool) -> PartCircuit:
    """Gates of a part, with the chosen operations in place of its cuts.

    An outcome that multiplies the result is measured in the midst of the circuit if ``midway``, and
    the qubits of wires that have ended are used again. Otherwise it is kept in a fresh qubit, which
    is measured at the end, so that a device without mid-circuit measurement does.
    """
    builder = _Builder(cut, part, midway)
    for step in cut.steps:
        builder.add(step, choice)
    return builder.finish()


@dataclass(eq=False)
class _Builder:
    cut: CutCircuit
    part: str
    midway: bool
    circuit: QuantumCircuit = field(init=False)
    place: dict[int, Qubit] = field(default_factory=dict)
    free: list[Qubit] = field(default_factory=list)
    sign_qubits: list[Qubit] = field(default_factory=list)
    sign_clbits: list[Clbit] = field(default_factory=list)
    told: dict[int, Clbit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.circuit = QuantumCircuit(name=f"{self.cut.name}_{self.part}")
        self.own = [s for s, label in enumerate(self.cut.labels) if label == self.part]
        self.ending = {c.segments[0] for c in self.cut.cuts if c.kind == "wire"}
        if not self.midway:
            for segment in self.own:
                self._qubit(segment)

    def add(self, step: Step, choice: Choice) -> None:
        if step.cut >= 0:
            self._add_cut(step, choice)
            return
        segments = [s for s in step.segments if self.cut.labels[s] == self.part]
        if not segments:
            return
        shortened = len(segments) < len(step.segments)  # a barrier across a cut
        operation = Barrier(len(segments)) if shortened else step.operation
        self.circuit.append(operation, [self._qubit(s) for s in segments], copy=False)

    def finish(self) -> PartCircuit:
        for segment in self.own:
            if not (self.midway and segment in self.ending):
                self._qubit(segment)
        index = {qubit: number for number, qubit in enumerate(self.circuit.qubits)}
        bits = {clbit: number for number, clbit in enumerate(self.circuit.clbits)}
        kept = {
            s: index[q] for s, q in self.place.items() if s not in self.ending or not self.midway
        }
        return PartCircuit(
            circuit=self.circuit,
            qubits=kept,
            sign_qubits=tuple(index[qubit] for qubit in self.sign_qubits),
            sign_clbits=tuple(bits[clbit] for clbit in self.sign_clbits),
        )

    def _add_cut(self, step: Step, choice: Choice) -> None:
        for side, segment in enumerate(step.segments):
            if self.cut.labels[segment] != self.part:
                continue
            qubit = self._qubit(segment)
            for operation in choice[step.cut, side].operations:
                self._operate(operation, qubit, step.cut)
            if self.midway and side == 0 and self.cut.cuts[step.cut].kind == "wire":
                self.free.append(qubit)

    def _operate(self, operation: Instruction, qubit: Qubit, cut: int) -> None:
        if operation.name == OUTCOME:
            self._keep_outcome(qubit)
        elif operation.name == TOLD:
            self.told[cut] = self._clbit(f"told{cut}")
            self.circuit.measure(qubit, self.told[cut])
        elif operation.name in {HEARD, HEARD_FLIPPED}:
            with self.circuit.if_test((self.told[cut], int(operation.name == HEARD))):
                self.circuit.x(qubit)
        else:
            self.circuit.append(operation, [qubit], copy=False)

    def _keep_outcome(self, qubit: Qubit) -> None:
        if self.midway:
            clbit = self._clbit(f"outcome{len(self.sign_clbits)}")
            self.circuit.measure(qubit, clbit)
            self.sign_clbits.append(clbit)
        else:
            (kept,) = self._added(QuantumRegister(1, f"outcome{len(self.sign_qubits)}"))
            self.circuit.cx(qubit, kept)
            self.sign_qubits.append(kept)

    def _qubit(self, segment: int) -> Qubit:
        """Of a segment; of one that begins, a fresh one, or one whose wire has ended."""
        if segment not in self.place:
            if self.free:
                self.place[segment] = self.free.pop(0)
                self.circuit.reset(self.place[segment])
            else:
                (self.place[segment],) = self._added(QuantumRegister(1, f"q{segment}"))
        return self.place[segment]

    def _added(self, register: QuantumRegister) -> QuantumRegister:
        self.circuit.add_register(register)
        return register

    def _clbit(self, name: str) -> Clbit:
        register = ClassicalRegister(1, name)
        self.circuit.add_register(register)
        return register[0]
