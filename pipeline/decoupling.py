"""Dynamical decoupling at bind time: echoes in the idle windows where the calibration shows a use.

An echo undoes dephasing that stays the same over a window and nothing else. A calibration shows
such dephasing where the coherence time of a Ramsey experiment (T2*) lies below that of an echo;
without a T2* nothing is done, and nothing where the pulses would cost half of what the echo saves.

Written here because Qiskit's ``PadDynamicalDecoupling`` has one sequence for all windows: it can
leave out neither a window that is too short to be worth its pulses, nor one whose dephasing nobody
sees, and it takes the delays that a user wrote for idle time.

Source: Viola, Knill and Lloyd, PRL 82, 2417 (1999); Maudsley, J. Magn. Reson. 69, 488 (1986), XY4.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Delay, Gate, Qubit
from qiskit.circuit.library import RGate, RXGate, RZGate, SXGate, XGate

from adapters.schedule import schedule_alap, snapshot_durations
from adapters.target import is_usable
from qcpaas.calibration import Quantity
from qcpaas.errors import CircuitError
from store.snapshot import Snapshot

CLEARLY = 0.7  # of the echo's time: drift between the two experiments seldom makes the difference
SIGMAS = 2.0  # that the two times lie apart, where their standard errors are known
MARGIN = 2.0  # what an echo saves over what its pulses cost: T2* is known to 10 % or so
GRID_DT = 16  # coarsest alignment of pulses among IBM's devices
# A rotation error that all pulses share adds up in X-X and cancels in XY4. A calibration does not
# tell how much of a pulse's error is of that kind: XY4 is taken where its two further pulses cost
# less than this share of the dephasing that any echo leaves.
AFFORDABLE = 0.1

# They commute with dephasing, and leave a qubit in its ground state.
_DIAGONAL = frozenset({"id", "rz", "z", "s", "sdg", "t", "tdg", "p", "u1", "cz", "cp", "rzz"})
_COLLAPSE = frozenset({"measure", "reset"})


@dataclass(frozen=True)
class Decoupling:
    """What was done to a circuit.

    Attributes:
        windows: Idle windows that were filled.
        pulses: Inserted in all of them; a rotation by pi each.
        predicted_gain: In log expected success probability, nats.
    """

    windows: int = 0
    pulses: int = 0
    predicted_gain: float = 0.0


NOTHING_DONE = Decoupling()


def decouple(
    circuit: QuantumCircuit, physical_qubits: Sequence[int], snapshot: Snapshot
) -> tuple[QuantumCircuit, Decoupling]:
    """Fill idle windows with X-X or XY4 where they are predicted to save more than they cost.

    Windows come from the as-late-as-possible schedule and end at barriers. Left alone are delays
    of the circuit's own, qubits in a basis state, windows that only a measurement follows, and
    circuits whose timing is not known beforehand.

    Args:
        circuit: In the device's gates; parameters may be symbolic, except in delays.
        physical_qubits: Device qubit of each circuit qubit.

    Returns:
        A circuit of equal unitary and duration, the given object itself where nothing is done.
    """
    qubits = {
        number: coherence
        for number, physical in enumerate(physical_qubits)
        if (coherence := _Coherence.of(snapshot, physical)) is not None
    }
    if not qubits or circuit.has_control_flow_op():
        return circuit, NOTHING_DONE
    place = tuple(physical_qubits)
    try:
        schedule = schedule_alap(circuit, snapshot_durations(snapshot, place), snapshot.dt_s)
    except CircuitError:  # a delay's length is a parameter
        return circuit, NOTHING_DONE
    grid_s = _grid_s(snapshot)
    trains: dict[int, list[tuple[Qubit, _Train]]] = {}
    for index, number, idle_s in _windows(circuit, schedule.idle_s):
        train = qubits[number].train(idle_s, grid_s) if number in qubits else None
        if train is not None:
            trains.setdefault(index, []).append((circuit.qubits[number], train))
    if not trains:
        return circuit, NOTHING_DONE
    chosen = [train for found in trains.values() for _, train in found]
    return _filled(circuit, trains, snapshot.dt_s), Decoupling(
        windows=len(chosen),
        pulses=sum(train.pulses for train in chosen),
        predicted_gain=sum(train.gain for train in chosen),
    )


@dataclass(frozen=True, eq=False)
class _Train:
    """``pulses`` rotations, ``2 * half_gap_s`` apart and half as far from the window's ends."""

    rotations: tuple[tuple[Gate, ...], ...]
    half_gap_s: float
    gain: float

    @property
    def pulses(self) -> int:
        return len(self.rotations)

    def steps(self, qubit: Qubit, dt_s: float | None) -> Iterator[CircuitInstruction]:
        ends = _delay(self.half_gap_s, dt_s)
        between = _delay(2 * self.half_gap_s, dt_s)
        yield CircuitInstruction(ends, (qubit,))
        for number, rotation in enumerate(self.rotations):
            if number:
                yield CircuitInstruction(between, (qubit,))
            yield from (CircuitInstruction(gate, (qubit,)) for gate in rotation)
        yield CircuitInstruction(ends, (qubit,))

    def phase(self) -> float:
        """Of the product of all rotations, which is the identity but for it."""
        gates = [gate for rotation in self.rotations for gate in rotation]
        product = reduce(lambda so_far, gate: gate.to_matrix() @ so_far, gates, np.eye(2))
        return float(np.angle(product[0, 0]))


@dataclass(frozen=True)
class _Coherence:
    """A qubit whose T2* says that an echo helps, and the rotations by pi that it has.

    Attributes:
        t1_s: Infinite where it is not known.
        x, y: Rotations by pi about two axes; ``y`` may be missing.
        pulse_s, pulse_error: Of one rotation.
    """

    t1_s: float
    t2_echo_s: float
    t2_ramsey_s: float
    x: tuple[Gate, ...]
    y: tuple[Gate, ...]
    pulse_s: float
    pulse_error: float

    @classmethod
    def of(cls, snapshot: Snapshot, qubit: int) -> _Coherence | None:
        """``None`` where the calibration shows no use of an echo, or no way to make one."""
        if Quantity.T2_RAMSEY_S.value not in snapshot.layout.of_qubits:
            return None
        ramsey, echo = snapshot.get(Quantity.T2_RAMSEY_S, qubit), snapshot.t2_s(qubit)
        if ramsey is None or echo is None or not _clearly_below(snapshot, qubit, ramsey, *echo):
            return None
        if not is_usable(snapshot, "delay", (qubit,)):
            return None
        for name, x, y in _ROTATIONS:
            pulse_s = snapshot.get(Quantity.GATE_DURATION_S, qubit, gate=name)
            error = snapshot.get(Quantity.GATE_ERROR, qubit, gate=name)
            if pulse_s and error is not None and is_usable(snapshot, name, (qubit,)):
                if not y and snapshot.get(Quantity.GATE_DURATION_S, qubit, gate="rz") == 0.0:
                    y = (RZGate(math.pi), *x)  # noqa: PLW2901
                gates = len(x)
                kept = (1 - min(error, 1.0)) ** gates
                t1 = snapshot.get(Quantity.T1_S, qubit) or math.inf
                return cls(t1, echo[0], ramsey, x, y, gates * pulse_s, 1 - kept)
        return None

    def train(self, idle_s: float, grid_s: float) -> _Train | None:
        """The sequence for an idle window; ``None`` where it is better left alone."""
        kept, left = self._fidelity(idle_s, echo=True), self._fidelity(idle_s, echo=False)
        lost_in_echo = self._fidelity(idle_s, echo=True, dephasing=False) - kept
        longer = self.y and 2 * self.pulse_error < AFFORDABLE * lost_in_echo
        for rotations in ((self.x, self.y) * 2, (self.x,) * 2)[0 if longer else 1 :]:
            pulses = len(rotations)
            free_s = idle_s - pulses * self.pulse_s
            half_gap_s = math.floor(free_s / (2 * pulses) / grid_s + 1e-6) * grid_s
            saved = math.log(kept / left)
            cost = -pulses * math.log1p(-min(self.pulse_error, 1 - 1e-9))
            if half_gap_s > 0 and saved > MARGIN * cost:
                return _Train(rotations, half_gap_s, saved - cost)
        return None

    def _fidelity(self, idle_s: float, *, echo: bool, dephasing: bool = True) -> float:
        """Average gate fidelity of an idle window.

        Dephasing that an echo undoes is Gaussian in time (a frequency that is constant over one
        run and normal over many), so that both factors together fall to 1/e at T2*.
        """
        relaxed = math.exp(-idle_s / self.t1_s)
        if not dephasing:
            return 0.5 + relaxed / 6 + math.sqrt(relaxed) / 3
        exponent = idle_s / self.t2_echo_s
        if not echo:
            undone = 1 - self.t2_ramsey_s / self.t2_echo_s
            exponent += undone * (idle_s / self.t2_ramsey_s) ** 2
        return 0.5 + relaxed / 6 + math.exp(-exponent) / 3


_ROTATIONS: tuple[tuple[str, tuple[Gate, ...], tuple[Gate, ...]], ...] = (
    ("x", (XGate(),), ()),
    ("sx", (SXGate(), SXGate()), ()),
    ("r", (RGate(math.pi, 0.0),), (RGate(math.pi, math.pi / 2),)),
    ("rx", (RXGate(math.pi),), ()),
)


def _clearly_below(
    snapshot: Snapshot, qubit: int, ramsey_s: float, echo_s: float, kind: Quantity
) -> bool:
    if kind == Quantity.T2_RAMSEY_S or not 0 < ramsey_s < CLEARLY * echo_s:
        return False
    rows = [snapshot.index[of.value, "", (qubit,)] for of in (Quantity.T2_RAMSEY_S, kind)]
    errors = np.nan_to_num(snapshot.std_errors[rows])
    return bool(echo_s - ramsey_s > SIGMAS * np.hypot(*errors))


def _windows(
    circuit: QuantumCircuit, idle_s: Sequence[Sequence[float]]
) -> Iterator[tuple[int, int, float]]:
    """(instruction that it follows, circuit qubit, seconds) of windows where dephasing harms."""
    number = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    read = _read_next(circuit)
    superposed: set[Qubit] = set()
    for index, step in enumerate(circuit.data):
        if step.name in _COLLAPSE:
            superposed.difference_update(step.qubits)
        elif step.name not in _DIAGONAL and step.name not in {"barrier", "delay"}:
            superposed.update(step.qubits)
        for qubit, seconds in zip(step.qubits, idle_s[index], strict=True):
            if seconds > 0 and qubit in superposed and (index, qubit) not in read:
                yield index, number[qubit], seconds


def _read_next(circuit: QuantumCircuit) -> set[tuple[int, Qubit]]:
    """Instructions after which a qubit meets nothing but phases until it is read or reset."""
    found: set[tuple[int, Qubit]] = set()
    reading: set[Qubit] = set()
    for index, step in reversed(list(enumerate(circuit.data))):
        found.update((index, qubit) for qubit in step.qubits if qubit in reading)
        if step.name in _COLLAPSE:
            reading.update(step.qubits)
        elif step.name not in _DIAGONAL and step.name not in {"barrier", "delay"}:
            reading.difference_update(step.qubits)
    return found


def _filled(
    circuit: QuantumCircuit, trains: dict[int, list[tuple[Qubit, _Train]]], dt_s: float | None
) -> QuantumCircuit:
    filled = circuit.copy_empty_like()
    for index, step in enumerate(circuit.data):
        filled._append(step)  # noqa: SLF001 - the public append checks what is already checked
        for qubit, train in trains.get(index, ()):
            for inserted in train.steps(qubit, dt_s):
                filled._append(inserted)  # noqa: SLF001
            filled.global_phase -= train.phase()
    return filled


def _grid_s(snapshot: Snapshot) -> float:
    """Step of delays: the device's sampling time, or the multiple that all its gates keep to."""
    if not snapshot.dt_s:
        return 1e-12
    rows = [row for row, key in enumerate(snapshot.keys) if key[0] == Quantity.GATE_DURATION_S]
    samples = np.rint(snapshot.values[rows] / snapshot.dt_s).astype(np.int64)
    return int(np.gcd.reduce(samples, initial=GRID_DT)) * snapshot.dt_s


def _delay(seconds: float, dt_s: float | None) -> Delay:
    return Delay(round(seconds / dt_s), "dt") if dt_s else Delay(seconds, "s")
