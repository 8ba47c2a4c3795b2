"""When the instructions of a circuit run on a device: as late as possible, in seconds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction

from qcpaas.calibration import Quantity
from qcpaas.errors import CircuitError
from store.snapshot import Snapshot

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Duration = Callable[[str, tuple[int, ...]], float]
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}


@dataclass(frozen=True)
class Schedule:
    """An as-late-as-possible schedule.

    Attributes:
        idle_s: For each instruction, how long each of its qubits then waits for its next one.
        duration_s: Of the whole circuit.
    """

    idle_s: tuple[tuple[float, ...], ...]
    duration_s: float


@dataclass(frozen=True, eq=False)
class Order:
    """In which order steps share bits: all of a schedule but the lengths of its steps.

    Attributes:
        num_bits: Bits are numbered from 0.
        starts: Where the bits of each step begin among those of all steps, shape ``(steps + 1,)``.
        layers: From the end: steps that wait for none of each other, ``(s,)``, their bits and
            the places of these among those of all steps, both ``(s, width)``.
    """

    num_bits: int
    starts: Index
    layers: tuple[tuple[Index, Index, Index], ...]

    @classmethod
    def of(cls, bits: Sequence[Sequence[int]], num_bits: int) -> Order:
        """From the bits that each step occupies, in the order of the steps."""
        starts = np.cumsum([0, *map(len, bits)])
        depth = [0] * num_bits
        found: dict[tuple[int, int], list[int]] = {}
        for step in range(len(bits) - 1, -1, -1):
            if bits[step]:
                layer = max(depth[bit] for bit in bits[step])
                found.setdefault((layer, len(bits[step])), []).append(step)
                for bit in bits[step]:
                    depth[bit] = layer + 1
        layers = []
        for (_, width), chosen in sorted(found.items()):
            steps = np.array(chosen, dtype=np.intp)
            places = np.array([bits[step] for step in chosen], dtype=np.intp)
            layers.append((steps, places, starts[steps][:, None] + np.arange(width)))
        return cls(num_bits, starts, tuple(layers))

    def alap(self, lengths: Array) -> tuple[Array, Array]:
        """Place every step as late as the ones after it allow.

        Args:
            lengths: Seconds, shape ``(steps, m)`` for ``m`` variants at once.

        Returns:
            How long each bit of each step then waits for its next one, shape
            ``(bits of all steps, m)``, and the whole duration, shape ``(m,)``.
        """
        # Times count backwards from the end: as late as possible is as soon as then.
        busy = np.zeros((self.num_bits, lengths.shape[1]))
        waits = np.zeros((int(self.starts[-1]), lengths.shape[1]))
        for steps, bits, places in self.layers:
            if bits.shape[1] == 1:
                busy[bits[:, 0]] += lengths[steps]
                continue
            until = busy[bits]
            end = until.max(axis=1)
            waits[places] = end[:, None] - until
            busy[bits] = (end + lengths[steps])[:, None]
        return waits, busy.max(axis=0, initial=0.0)


def schedule_alap(circuit: QuantumCircuit, duration: Duration, dt_s: float | None) -> Schedule:
    """Place every instruction as late as the ones after it allow.

    Barriers align their qubits; a measurement also occupies its clbits. A control-flow
    instruction counts as taking no time: which branch runs is not known before.

    Args:
        duration: Seconds of a gate by name and circuit qubits.

    Raises:
        CircuitError: A delay has no definite length in seconds.
    """
    number = {bit: index for index, bit in enumerate((*circuit.qubits, *circuit.clbits))}
    bits, lengths = [], []
    for instruction in circuit.data:
        qubits = tuple(number[qubit] for qubit in instruction.qubits)
        bits.append((*qubits, *(number[clbit] for clbit in instruction.clbits)))
        name = instruction.name
        lengths.append(delay_s(instruction, dt_s) if name == "delay" else duration(name, qubits))
    order = Order.of(bits, len(number))
    waits, total = order.alap(np.array(lengths, dtype=np.float64)[:, None])
    flat, starts = waits[:, 0].tolist(), order.starts.tolist()
    return Schedule(
        idle_s=tuple(
            tuple(flat[start : start + len(instruction.qubits)])
            for start, instruction in zip(starts, circuit.data, strict=False)
        ),
        duration_s=float(total[0]),
    )


def delay_s(instruction: CircuitInstruction, dt_s: float | None) -> float:
    """Length of a delay in seconds."""
    length, unit = instruction.operation.duration, instruction.operation.unit
    scale = dt_s if unit == "dt" else SECONDS.get(unit)
    if scale is None:
        raise CircuitError(
            f"a delay of {length} {unit} has no length in seconds on this device. "
            "Give it in seconds."
        )
    try:
        return float(length) * scale
    except TypeError as error:
        raise CircuitError(
            f"a delay of {length} {unit} is not a number. Assign its parameters before running."
        ) from error


def snapshot_durations(snapshot: Snapshot, physical_qubits: tuple[int, ...]) -> Duration:
    """Durations on the device, asked for by the circuit's own qubit numbers; 0 where unknown."""

    @functools.cache
    def duration(name: str, qubits: tuple[int, ...]) -> float:
        place = tuple(physical_qubits[qubit] for qubit in qubits)
        if name == "measure":
            return snapshot.get(Quantity.READOUT_DURATION_S, *place) or 0.0
        return snapshot.get(Quantity.GATE_DURATION_S, *place, gate=name) or 0.0

    return duration
