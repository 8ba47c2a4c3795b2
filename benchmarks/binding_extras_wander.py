"""Circuits on a noisy device whose qubits' frequencies wander, simulated run by run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Delay, Parameter
from qiskit_aer import AerSimulator

from adapters.noise import DeviceErrors, local_noise_model
from adapters.prepare import prepare_noisy
from adapters.schedule import delay_s, schedule_alap, snapshot_durations
from benchmarks.binding_extras_circuits import Case
from store.snapshot import Snapshot

Array = NDArray[np.float64]
STEPS = 10  # of a wandering frequency in one stretch of time


@dataclass(frozen=True, eq=False)
class Wander:
    """How the qubits' frequencies are off.

    Attributes:
        width: Standard deviation of each qubit's angular frequency, rad/s, shape ``(n,)``.
        correlation_s: Of an Ornstein-Uhlenbeck process; infinite where constant over a run.
    """

    width: Array
    correlation_s: float = math.inf

    @classmethod
    def of(cls, ramsey_s: Array, echo_s: Array) -> Wander:
        """Constant over a run, and falling with the echo's decay to 1/e at T2*."""
        width = np.sqrt(2 * np.clip(1 - ramsey_s / echo_s, 0, None)) / ramsey_s
        return cls(np.nan_to_num(width))

    @classmethod
    def within_run(cls, t1_s: Array, echo_s: Array, correlation_s: float) -> Wander:
        """Wide enough to make, with T1, the echo of the given T2: no other dephasing.

        Source: Klauder and Anderson, Phys. Rev. 125, 912 (1962).
        """
        x = echo_s / correlation_s
        unit = correlation_s**2 * (x - 3 + 4 * np.exp(-x / 2) - np.exp(-x))
        width = np.sqrt((1 - echo_s / (2 * t1_s)) / unit)
        return cls(np.nan_to_num(width), correlation_s)

    def ramsey_s(self, qubit: int, others_s: float) -> float:
        """When a Ramsey experiment has fallen to 1/e, beside a decay in ``others_s``; or NaN."""
        times = np.linspace(0, others_s, 20_001)
        x = times / self.correlation_s
        exponent = (self.width[qubit] * self.correlation_s) ** 2 * (x - 1 + np.exp(-x))
        return float(np.interp(1.0, exponent + times / others_s, times))

    def phases(self, stretches: Sequence[tuple[int, float, float]], runs: int, seed: int) -> Array:
        """What each stretch of time (qubit, from, to) turns its qubit by, ``(runs, stretches)``."""
        phases = np.empty((runs, len(stretches)))
        for qubit in sorted({qubit for qubit, _, _ in stretches}):
            rng = np.random.default_rng([seed, qubit])
            now, clock = rng.standard_normal(runs), 0.0
            for place, (owner, start, end) in enumerate(stretches):
                if owner != qubit:
                    continue
                now = self._later(now, max(start - clock, 0.0), rng)
                turned, step = np.zeros(runs), (end - start) / STEPS
                for _ in range(STEPS):
                    now = self._later(now, step, rng)
                    turned += now * step
                phases[:, place], clock = self.width[qubit] * turned, end
        return phases

    def _later(self, now: Array, seconds: float, rng: np.random.Generator) -> Array:
        kept = math.exp(-seconds / self.correlation_s)
        return kept * now + math.sqrt(1 - kept**2) * rng.standard_normal(len(now))


def state_fidelities(
    case: Case,
    circuit: QuantumCircuit,
    errors: DeviceErrors,
    *,
    wander: Wander,
    runs: int,
    seed: int,
) -> Array:
    """Fidelity of each run's state with the ideal one, shape ``(runs,)``; readout left out.

    Args:
        circuit: Of the case, or with echoes; all its qubits are read together at the end.
        errors: What the device does, besides wandering; kept between calls, it is built once.
    """
    timed, stretches = _with_phases(circuit, case.physical, errors.snapshot)
    phases = wander.phases(stretches, runs, seed)
    prepared = prepare_noisy(timed, case.physical, errors)
    saving = prepared.circuit.copy_empty_like()
    for step in prepared.circuit.data:
        if step.name != "measure":
            saving.append(step)
    saving.save_density_matrix()
    assert prepared.table is not None
    simulator = AerSimulator(
        method="density_matrix",
        max_parallel_threads=1,
        runtime_parameter_bind_enable=True,
        enable_truncation=False,
    )
    job = simulator.run(
        [saving],
        parameter_binds=[prepared.table.binds(phases)],
        noise_model=local_noise_model(prepared.errors or {}, {}),
        shots=1,
    )
    states = [np.asarray(one.data.density_matrix) for one in job.result().results]
    ideal = case.ideal.data
    return np.array([float(np.real(ideal.conj() @ state @ ideal)) for state in states])


def _with_phases(
    circuit: QuantumCircuit, physical: tuple[int, ...], twin: Snapshot
) -> tuple[QuantumCircuit, list[tuple[int, float, float]]]:
    """The circuit, read at its end, with an rz for each stretch of time between two gates' middles.

    Returns:
        Its parameters are the stretches, each a device's qubit and two moments in seconds.
    """
    read = circuit.copy()
    read.barrier()
    read.measure_all(add_bits=True)
    duration = snapshot_durations(twin, physical)
    idle = schedule_alap(read, duration, twin.dt_s).idle_s
    timed = read.copy_empty_like()
    stretches: list[tuple[int, float, float]] = []
    now = np.zeros(read.num_qubits)
    since: dict[int, float] = {}
    for step, waits in zip(read.data, idle, strict=True):
        qubits = [read.find_bit(qubit).index for qubit in step.qubits]
        if isinstance(step.operation, Delay):
            lasts = delay_s(step, twin.dt_s)
        else:
            lasts = duration(step.name, tuple(qubits))
        for qubit in qubits if lasts and step.name != "delay" else ():
            middle = now[qubit] + (0.0 if step.name == "measure" else lasts / 2)
            if qubit in since:  # before its first gate a phase does nothing
                timed.rz(Parameter(f"stretch_{len(stretches):05d}"), qubit)
                stretches.append((physical[qubit], since[qubit], middle))
            since[qubit] = middle
        timed.append(step)
        now[qubits] += np.array(waits) + lasts
    return timed, stretches
