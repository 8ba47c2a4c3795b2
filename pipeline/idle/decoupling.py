"""Dynamical decoupling: echoes in the idle windows of a circuit.

An echo undoes dephasing that stays the same over a window and nothing else. A calibration shows
such dephasing where the coherence time of a Ramsey experiment (T2*) lies below that of an echo.
Unless a policy says otherwise, nothing is done without a T2*, and nothing where the pulses would
cost half of what the echo saves.

Written here because Qiskit's ``PadDynamicalDecoupling`` has one sequence for all windows: it can
leave out neither a window that is too short to be worth its pulses, nor one whose dephasing nobody
sees, and it takes the delays that a user wrote for idle time.

Source: Viola, Knill and Lloyd, PRL 82, 2417 (1999); Maudsley, J. Magn. Reson. 69, 488 (1986), XY4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Qubit

from adapters.schedule import schedule_alap, snapshot_durations
from pipeline.idle.echo_sequences import Echoes, EchoPolicy, Train
from qcpaas.calibration import Quantity
from qcpaas.errors import CircuitError
from store.snapshot import Snapshot

GRID_DT = 16  # coarsest alignment of pulses among IBM's devices

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
        left: Windows that were left alone, though dephasing harms in them.
        assumed: Filled ones whose T2* is an assumption.
        problem: Why the circuit was not looked at.
    """

    windows: int = 0
    pulses: int = 0
    predicted_gain: float = 0.0
    left: int = 0
    assumed: int = 0
    problem: str = ""


NOTHING_DONE = Decoupling()
WHERE_IT_HELPS = EchoPolicy()


def decouple(
    circuit: QuantumCircuit,
    physical_qubits: Sequence[int],
    snapshot: Snapshot,
    policy: EchoPolicy = WHERE_IT_HELPS,
) -> tuple[QuantumCircuit, Decoupling]:
    """Fill idle windows with echoes, by default where they save more than they cost.

    Windows come from the as-late-as-possible schedule and end at barriers. Left alone are delays
    of the circuit's own, and with them windows that are filled already, qubits in a basis state,
    windows that only a measurement follows, and circuits whose timing is not known beforehand.

    Args:
        circuit: In the device's gates; parameters may be symbolic, except in delays.
        physical_qubits: Device qubit of each circuit qubit.

    Returns:
        A circuit of equal unitary and duration, the given object itself where nothing is done.

    Raises:
        MitigationError: A qubit cannot be rotated as the policy's sequence wants it.
    """
    if policy == WHERE_IT_HELPS and Quantity.T2_RAMSEY_S.value not in snapshot.layout.of_qubits:
        return circuit, NOTHING_DONE
    qubits = {
        number: echoes
        for number, physical in enumerate(physical_qubits)
        if (echoes := Echoes.of(snapshot, physical, policy)) is not None
    }
    if not qubits and policy == WHERE_IT_HELPS:
        return circuit, NOTHING_DONE
    if circuit.has_control_flow_op():
        return circuit, Decoupling(problem="control flow decides when its instructions run")
    place = tuple(physical_qubits)
    try:
        schedule = schedule_alap(circuit, snapshot_durations(snapshot, place), snapshot.dt_s)
    except CircuitError:
        return circuit, Decoupling(problem="the length of a delay is not known beforehand")
    grid_s = _grid_s(snapshot)
    trains: dict[int, list[tuple[Qubit, Train]]] = {}
    left, assumed = 0, 0
    for index, number, idle_s in _windows(circuit, schedule.idle_s):
        train = qubits[number].train(idle_s, grid_s) if number in qubits else None
        if train is None:
            left += 1
            continue
        trains.setdefault(index, []).append((circuit.qubits[number], train))
        assumed += qubits[number].coherence.assumed
    chosen = [train for found in trains.values() for _, train in found]
    done = Decoupling(
        windows=len(chosen),
        pulses=sum(train.pulses for train in chosen),
        predicted_gain=sum(train.gain for train in chosen),
        left=left,
        assumed=assumed,
    )
    return _filled(circuit, trains, snapshot.dt_s) if trains else circuit, done


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
    circuit: QuantumCircuit, trains: dict[int, list[tuple[Qubit, Train]]], dt_s: float | None
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
