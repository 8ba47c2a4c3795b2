"""An independent judge of placements: the product over a final circuit's instructions.

It shares no code with what places circuits, and reads the calibration value by value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qiskit import QuantumCircuit

from qcpaas.calibration import Quantity
from store.snapshot import Snapshot

SURELY_WRONG = 1 - 1e-9
NO_GATES = {"barrier", "delay"}


@dataclass(frozen=True)
class Figures:
    """Natural logarithms of the expected success probability.

    Attributes:
        errors: Product of (1 - error) over all instructions, measurements included.
        with_idle: The same times what relaxation leaves of every qubit that waits.
    """

    errors: float
    with_idle: float


def judge(circuit: QuantumCircuit, physical_qubits: tuple[int, ...], snapshot: Snapshot) -> Figures:
    """Every instruction of a circuit in the device's gates, at its place, in its direction."""
    number = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    steps = [
        (step.operation.name, tuple(physical_qubits[number[qubit]] for qubit in step.qubits))
        for step in circuit.data
    ]
    errors = sum(
        math.log1p(-min(error_of(name, place, snapshot), SURELY_WRONG)) for name, place in steps
    )
    idle = sum(
        math.log(kept(seconds, qubit, snapshot)) for qubit, seconds in idle_times(steps, snapshot)
    )
    return Figures(errors, errors + idle)


def error_of(name: str, place: tuple[int, ...], snapshot: Snapshot) -> float:
    """1 where the device cannot do it there, or does not say how well though it does elsewhere."""
    if name in NO_GATES:
        return 0.0
    known: float | None
    if name == "measure":
        readout = snapshot.readout_error(place[0])
        known = None if readout is None else sum(readout) / 2
    else:
        known = snapshot.get(Quantity.GATE_ERROR, *place, gate=name)
        if place not in snapshot.gates.get(name, ()):
            return 1.0
    working = all(snapshot.is_operational(qubit) for qubit in place) and snapshot.is_operational(
        *place, gate=name
    )
    return known if working and known is not None else 1.0


def idle_times(
    steps: list[tuple[str, tuple[int, ...]]], snapshot: Snapshot
) -> list[tuple[int, float]]:
    """(qubit, seconds) of every wait between two instructions, each as late as possible."""
    # Seconds before the circuit's end: when a qubit's next instruction begins, and the latest
    # moment at which an earlier one may end, which a barrier can move.
    begins: dict[int, float] = {}
    free: dict[int, float] = {}
    waits = []
    for name, place in reversed(steps):
        end = max((free.get(qubit, 0.0) for qubit in place), default=0.0)
        free.update(dict.fromkeys(place, end))
        if name == "barrier":
            continue
        for qubit in place:
            if qubit in begins:  # nothing asks what becomes of a qubit after its last instruction
                waits.append((qubit, end - begins[qubit]))
            begins[qubit] = free[qubit] = end + duration_s(name, place, snapshot)
    return [(qubit, seconds) for qubit, seconds in waits if seconds > 0]


def duration_s(name: str, place: tuple[int, ...], snapshot: Snapshot) -> float:
    """0 where the device does not say."""
    if name == "measure":
        return snapshot.get(Quantity.READOUT_DURATION_S, *place) or 0.0
    return snapshot.get(Quantity.GATE_DURATION_S, *place, gate=name) or 0.0


def kept(seconds: float, qubit: int, snapshot: Snapshot) -> float:
    """Average fidelity of amplitude and phase damping during a wait."""
    t1 = snapshot.get(Quantity.T1_S, qubit) or math.inf
    known = snapshot.t2_s(qubit)
    t2 = min(known[0] if known else math.inf, 2 * t1)
    return 0.5 + math.exp(-seconds / t1) / 6 + math.exp(-seconds / t2) / 3
