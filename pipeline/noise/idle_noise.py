"""Relaxation of qubits that wait, as noise of a circuit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Delay

from adapters.schedule import delay_s, schedule_alap, snapshot_durations
from pipeline.noise.calibrated import Rates, relaxation_rates
from pipeline.pauli.frames import PauliFrames, Place
from qcpaas.execution import CalibrationValues, Experiment
from store.snapshot import Snapshot

# A qubit waits while another one executes its twirl's pulse: the mean of so many twirls counts.
SCHEDULED_TWIRLS = 16


def idle_rates(
    experiment: Experiment,
    frames: PauliFrames,
    calibration: CalibrationValues,
    *,
    twirled: bool,
) -> Iterator[tuple[Place, Rates]]:
    """Before each gate and at the end, for the time that qubits waited since their last gate.

    Args:
        twirled: Whether twirls of the circuit are executed, with pulses of their own.
    """
    if not isinstance(calibration, Snapshot) or experiment.binding is None:
        return
    circuit, physical = experiment.circuit, experiment.binding.physical_qubits
    executed = _executed(experiment, frames, twirled=twirled)
    idle_s = np.mean([_joint_idle_s(each, calibration, physical) for each in executed], axis=0)
    remaining = iter(idle_s.tolist())
    waited: dict[int, float] = {}  # of the qubits that have started: the ground state does not wait
    read: set[int] = set()  # at last: what happens then is seen by nobody
    for index, step in enumerate(circuit.data):
        qubits = [circuit.find_bit(qubit).index for qubit in step.qubits]
        own = delay_s(step, calibration.dt_s) if isinstance(step.operation, Delay) else 0.0
        for qubit in qubits:
            seconds = next(remaining) if _joins(step) else 0.0
            if step.name in {"barrier", "delay"}:
                waited |= {qubit: waited[qubit] + seconds + own} if qubit in waited else {}
                continue
            if waited.get(qubit):
                rates = relaxation_rates(calibration, physical[qubit], waited[qubit])
                yield (index, qubit), rates
            waited[qubit] = seconds
            if step.name == "reset":
                waited.pop(qubit)
            (read.add if step.name == "measure" else read.discard)(qubit)
    for qubit in waited.keys() - read:
        rates = relaxation_rates(calibration, physical[qubit], waited[qubit])
        yield (len(circuit.data), qubit), rates


def _joint_idle_s(
    circuit: QuantumCircuit, calibration: Snapshot, physical: tuple[int, ...]
) -> list[float]:
    """How long each qubit of each joint step then waits: nothing else makes one wait.

    A circuit has these steps in common with its twirls, in the same order.
    """
    schedule = schedule_alap(circuit, snapshot_durations(calibration, physical), calibration.dt_s)
    return [
        seconds
        for step, idle in zip(circuit.data, schedule.idle_s, strict=True)
        if _joins(step)
        for seconds in idle
    ]


def _joins(step: CircuitInstruction) -> bool:
    return len(step.qubits) + len(step.clbits) > 1


def _executed(
    experiment: Experiment, frames: PauliFrames, *, twirled: bool
) -> list[QuantumCircuit]:
    """Circuits whose mean schedule is that of the experiment's executions."""
    if not (twirled and frames.changes):
        return [experiment.circuit]
    twirls = frames.draw_twirls(SCHEDULED_TWIRLS, np.random.default_rng(0)).tolist()
    return [frames.build(frames.steps(twirl=twirl)) for twirl in twirls]
