"""A circuit's steps in time, wherever it is placed: waiting times of many placements at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import (
    CircuitInstruction,
    Clbit,
    ControlFlowOp,
    Delay,
    ForLoopOp,
    ParameterExpression,
    Qubit,
)

from adapters.schedule import SECONDS, Order
from calibration.durations import Durations
from calibration.template import IGNORED

Array = NDArray[np.float64]
Index = NDArray[np.intp]
TIMELESS = IGNORED | {"store"}
_NO_GATE = TIMELESS | {"measure"}


@dataclass(eq=False)
class Timeline:
    """The steps of a circuit; a run of 1-qubit gates is one step.

    A control-flow instruction lasts as long as its longest block, a loop as often as it says;
    waiting inside is not counted, since which block runs is not known before. A delay whose
    length is known only when it runs counts as none.

    Attributes:
        width: Compact qubits are numbered below, shared clbits from here on.
        bits: Of each step: compact qubits, and clbits that several steps share.
        acts: Whether the step does something: waiting before the first that does, and after the
            last, harms nothing.
        runs: Step, compact qubit, and how often each gate is applied.
        gates: Step, gate name, and compact qubits.
        reads: Step and compact qubit.
        delays: Step, length, and whether that is in units of the device's ``dt``.
        blocks: Step, rounds, and the alternatives.
    """

    width: int
    bits: list[tuple[int, ...]] = field(default_factory=list)
    acts: list[bool] = field(default_factory=list)
    runs: list[tuple[int, int, dict[str, int]]] = field(default_factory=list)
    gates: list[tuple[int, str, tuple[int, ...]]] = field(default_factory=list)
    reads: list[tuple[int, int]] = field(default_factory=list)
    delays: list[tuple[int, float, bool]] = field(default_factory=list)
    blocks: list[tuple[int, int, list[Timeline]]] = field(default_factory=list)

    @classmethod
    def of(
        cls, circuit: QuantumCircuit, number: Mapping[Qubit, int], read_later: Sequence[int] = ()
    ) -> Timeline:
        """Take in a circuit.

        Args:
            number: Compact qubit of each of its qubits.
            read_later: Qubits that are read after its last step.
        """
        line = cls(max(number.values(), default=-1) + 1)
        shared = {bit: line.width + place for place, bit in enumerate(_shared(circuit))}
        pending: dict[int, dict[str, int]] = {}
        for step in circuit.data:
            qubits = tuple(number[qubit] for qubit in step.qubits)
            if len(qubits) == 1 and not step.clbits and _is_gate(step):
                run = pending.setdefault(qubits[0], {})
                run[step.name] = run.get(step.name, 0) + 1
                continue
            line._add_runs({qubit: pending.pop(qubit) for qubit in qubits if qubit in pending})
            bits = (*qubits, *(shared[clbit] for clbit in step.clbits if clbit in shared))
            if bits:
                line._add(step, qubits, bits)
        line._add_runs(pending)
        for qubit in read_later:
            line._append((qubit,), acts=True)
        return line

    def idle(self, rows: Index, durations: Durations) -> tuple[Array, Array]:
        """Waiting times and durations of many placements at once.

        Args:
            rows: Device qubit of each compact qubit, shape ``(k, m)``.

        Returns:
            Seconds that each qubit waits between its first and its last instruction, shape
            ``(k, m)``, and seconds of the whole circuit, shape ``(m,)``.
        """
        lengths = self.lengths(rows, durations)
        waits, total = self._order.alap(lengths)
        idle = np.zeros(rows.shape)
        places, starts, qubits = self._counted
        if len(places):
            waits = np.concatenate([waits, lengths[[step for step, _, _ in self.delays]]])
            idle[qubits] = np.add.reduceat(waits[places], starts, axis=0)
        return idle, total

    def lengths(self, rows: Index, durations: Durations) -> Array:
        """Seconds of every step, shape ``(steps, m)``."""
        lengths = np.zeros((len(self.bits), rows.shape[1]))
        steps, qubits, counts = self._of_runs
        for gate, times in counts.items():
            if gate in durations.one_qubit:
                lengths[steps] += times[:, None] * durations.one_qubit[gate][rows[qubits]]
        for gate, (steps, first, second, where) in self._of_pairs.items():
            if gate in durations.two_qubit:
                coupler = durations.couplers.number[rows[first], rows[second]]
                lengths[steps] = durations.two_qubit[gate][coupler][where]
        for step, qubit in self.reads:
            lengths[step] = durations.readout[rows[qubit]]
        for step, length, in_dt in self.delays:
            lengths[step] = length * (durations.dt_s if in_dt else 1.0)
        for step, gate, wide in self._wider:
            places = zip(*(rows[qubit].tolist() for qubit in wide), strict=True)
            lengths[step] = [durations.wider.get((gate, place), 0.0) for place in places]
        for step, rounds, blocks in self.blocks:
            lasting = [block.idle(rows, durations)[1] for block in blocks]
            lengths[step] = rounds * np.max(lasting, axis=0, initial=0.0)
        return lengths

    def _add(
        self, step: CircuitInstruction, qubits: tuple[int, ...], bits: tuple[int, ...]
    ) -> None:
        operation, number = step.operation, len(self.bits)
        self._append(bits, acts=step.name not in TIMELESS)
        if isinstance(operation, ControlFlowOp):
            rounds = len(operation.params[0]) if isinstance(operation, ForLoopOp) else 1
            inside = [
                Timeline.of(block, dict(zip(block.qubits, qubits, strict=True)))
                for block in operation.blocks
            ]
            self.blocks.append((number, rounds, inside))
        elif isinstance(operation, Delay):
            self.delays.append((number, *_length(operation)))
        elif step.name == "measure":
            self.reads.append((number, qubits[0]))
        elif _is_gate(step):
            self.gates.append((number, step.name, qubits))

    def _add_runs(self, runs: Mapping[int, dict[str, int]]) -> None:
        for qubit, run in runs.items():
            self.runs.append((len(self.bits), qubit, run))
            self._append((qubit,), acts=True)

    def _append(self, bits: tuple[int, ...], acts: bool) -> None:
        self.bits.append(bits)
        self.acts.append(acts)

    @cached_property
    def _order(self) -> Order:
        return Order.of(self.bits, max((max(bits) for bits in self.bits), default=-1) + 1)

    @cached_property
    def _counted(self) -> tuple[Index, Index, Index]:
        """Which waits count: their places, sorted by qubit, where each qubit's begin, the qubits.

        The lengths of delays come after the waits of all steps.
        """
        starts, delays = self._order.starts, {step: i for i, (step, _, _) in enumerate(self.delays)}
        since: dict[int, list[int]] = {}  # the waits of each qubit since it last did something
        found: dict[int, list[int]] = {}
        for step, (bits, acts) in enumerate(zip(self.bits, self.acts, strict=True)):
            for slot, bit in enumerate(bits):
                if acts:
                    found.setdefault(bit, []).extend(since.pop(bit, []))
                    since[bit] = []
                if bit in since:
                    since[bit].append(int(starts[step]) + slot)
                    if step in delays:
                        since[bit].append(int(starts[-1]) + delays[step])
        kept = {bit: found[bit] for bit in sorted(found) if bit < self.width and found[bit]}
        begins = np.cumsum([0, *map(len, kept.values())])[:-1]
        return (
            np.array([place for places in kept.values() for place in places], dtype=np.intp),
            begins.astype(np.intp),
            np.array(list(kept), dtype=np.intp),
        )

    @cached_property
    def _of_runs(self) -> tuple[Index, Index, dict[str, Array]]:
        """Steps, qubits, and how often each gate is applied in each of them."""
        gates = sorted({gate for _, _, run in self.runs for gate in run})
        return (
            np.array([step for step, _, _ in self.runs], dtype=np.intp),
            np.array([qubit for _, qubit, _ in self.runs], dtype=np.intp),
            {gate: np.array([run.get(gate, 0.0) for _, _, run in self.runs]) for gate in gates},
        )

    @cached_property
    def _of_pairs(self) -> dict[str, tuple[Index, Index, Index, Index]]:
        """Of each 2-qubit gate: its steps, the distinct pairs, and the pair of each step."""
        found: dict[str, list[tuple[int, tuple[int, ...]]]] = {}
        for step, gate, qubits in self.gates:
            if len(qubits) == 2:
                found.setdefault(gate, []).append((step, qubits))
        columns = {}
        for gate, placed in found.items():
            steps = np.array([step for step, _ in placed], dtype=np.intp)
            pairs, where = np.unique(
                np.array([pair for _, pair in placed]), axis=0, return_inverse=True
            )
            columns[gate] = (steps, pairs[:, 0], pairs[:, 1], where.reshape(-1))
        return columns

    @cached_property
    def _wider(self) -> list[tuple[int, str, tuple[int, ...]]]:
        return [step for step in self.gates if len(step[2]) > 2]


def _is_gate(step: CircuitInstruction) -> bool:
    return step.name not in _NO_GATE and not step.is_control_flow()


def _shared(circuit: QuantumCircuit) -> list[Clbit]:
    """Clbits that several instructions touch: these wait for each other."""
    times: dict[Clbit, int] = {}
    for step in circuit.data:
        for clbit in step.clbits:
            times[clbit] = times.get(clbit, 0) + 1
    return [clbit for clbit, count in times.items() if count > 1]


def _length(delay: Delay) -> tuple[float, bool]:
    """In seconds, or in units of ``dt``; 0 where it is known only when it runs."""
    symbolic = isinstance(delay.duration, ParameterExpression) and delay.duration.parameters
    if symbolic or delay.unit == "expr":
        return 0.0, False
    return float(delay.duration) * SECONDS.get(delay.unit, 1.0), delay.unit == "dt"
