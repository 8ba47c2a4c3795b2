"""Whether echoes put in at bind time help: circuits simulated with frequencies that wander slowly.

The simulated device has the relaxation, the gate errors and the durations of a real one's
calibration. On top of them every qubit's frequency is off by an amount that is constant over one
run and normal over many, as wide as its T2* says, or that wanders within a run. The calibration
that decides sees T2* with an error of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit.library import XGate
from qiskit.transpiler import PassManager
from qiskit.transpiler.passes import ALAPScheduleAnalysis, PadDynamicalDecoupling

from adapters.fake_backends import read_snapshot
from adapters.noise import DeviceErrors
from adapters.target import restrict
from benchmarks.binding_drift import with_values
from benchmarks.binding_extras_circuits import Case, cases
from benchmarks.binding_extras_figures import mean
from benchmarks.binding_extras_wander import Wander, state_fidelities
from benchmarks.report import Report
from pipeline.idle.decoupling import decouple
from qcpaas.calibration import Quantity
from store.snapshot import Reading, Snapshot

Array = NDArray[np.float64]
DEVICE = "FakeKolkata"
WANDERING_S = 30e-6
MEASURED = 0.15  # relative standard error of a T2*


def measure_decoupling(report: Report, *, quick: bool, seed: int) -> None:
    """What echoes add to log fidelity where frequencies wander, and where they do not."""
    runs, sets = (6, 1) if quick else (24, 5)
    worlds = {
        "slow": "frequencies constant over a run, T2* 0.2 to 1 of the echo's T2, known to 15 %",
        "within_run": "frequencies that wander within 30 us, beside no other dephasing",
        "markov": "relaxation alone, T2* measured as T2 within 15 %",
    }
    for name, world in worlds.items():
        found = [
            gain
            for number in range(sets)
            for gain in _gains(World.of(name, seed + number), runs, seed + number)
        ]
        ours, everywhere = (mean([getattr(g, of) for g in found], seed) for of in ("ours", "all"))
        losing = ", ".join(f"{g.name} {g.ours:+.4f}" for g in found if g.ours < -1e-4) or "none"
        report.add(
            f"decoupling_gain_{name}",
            ours.value,
            "nats",
            aim=-0.002 if name == "markov" else 0.0,  # nothing to win there, and little to lose
            better="higher",
            peer=f"X-X in every window (Qiskit): {everywhere.value:+.4f} ({everywhere})",
            note=f"{ours}; {len(found)} circuits, {world}; predicted "
            f"{np.mean([g.predicted for g in found]):.4f}; losing: {losing}",
        )
    report.add("decoupling_without_t2_star", _cost_us(), "us", aim=1000.0, note="a circuit kept")


@dataclass(frozen=True)
class Gain:
    """What echoes added to the log of one circuit's mean fidelity, nats."""

    name: str
    ours: float
    all: float
    predicted: float


def _gains(world: World, runs: int, seed: int) -> Iterator[Gain]:
    errors = DeviceErrors(world.twin)
    for case in cases(world.twin, seed):

        def log_fidelity(circuit: QuantumCircuit, case: Case = case) -> float:
            of_runs = state_fidelities(
                case, circuit, errors, wander=world.wander, runs=runs, seed=seed
            )
            return math.log(of_runs.mean())

        echoed, done = decouple(case.circuit, case.physical, world.told)
        plain = log_fidelity(case.circuit)
        yield Gain(
            case.name,
            log_fidelity(echoed) - plain if done.windows else 0.0,
            log_fidelity(echoed_everywhere(case, world.twin)) - plain,
            done.predicted_gain,
        )


def _cost_us() -> float:
    twin = read_snapshot(DEVICE)
    case = cases(twin, 1)[1]
    began = time.perf_counter()
    for _ in range(1000):
        decouple(case.circuit, case.physical, twin)
    return 1e3 * (time.perf_counter() - began)


@dataclass(frozen=True, eq=False)
class World:
    """A device, how its frequencies wander, and what its calibration tells.

    Attributes:
        twin: The device but for its frequencies.
        told: What decides about echoes.
    """

    twin: Snapshot
    wander: Wander
    told: Snapshot

    @classmethod
    def of(cls, name: str, seed: int) -> World:
        """``slow``, ``within_run`` or ``markov``."""
        device = read_snapshot(DEVICE)
        rng = np.random.default_rng([seed, 1])
        t1 = device.per_qubit(Quantity.T1_S)
        echo = np.minimum(device.t2_per_qubit(), 1.6 * t1)
        device = _with_t2(device, echo)
        measured = np.exp(MEASURED * rng.standard_normal(len(t1)))
        if name == "markov":
            return cls(device, Wander(np.zeros(len(t1))), with_ramsey(device, echo * measured))
        if name == "slow":
            ramsey = echo * rng.uniform(0.2, 1.0, len(t1))
            wander = Wander.of(ramsey, echo)
            return cls(device, wander, with_ramsey(device, ramsey * measured))
        wander = Wander.within_run(t1, echo, WANDERING_S)
        ramsey = np.array([wander.ramsey_s(qubit, 2 * t1[qubit]) for qubit in range(len(t1))])
        return cls(_with_t2(device, 2 * t1), wander, with_ramsey(device, ramsey * measured))


def echoed_everywhere(case: Case, twin: Snapshot) -> QuantumCircuit:
    """Qiskit's pass with X-X in every idle window, by its documentation's example."""
    target = restrict(twin, case.physical)
    passes = [
        ALAPScheduleAnalysis(target=target),
        PadDynamicalDecoupling(target=target, dd_sequence=[XGate(), XGate()]),
    ]
    return PassManager(passes).run(case.circuit)


def with_ramsey(snapshot: Snapshot, ramsey_s: Array) -> Snapshot:
    """The same calibration with a T2* of every qubit that has one given, shape ``(n,)``."""
    at = snapshot.readings()[0].measured_at
    told = [
        Reading(Quantity.T2_RAMSEY_S, (qubit,), float(value), at, std_error=MEASURED * float(value))
        for qubit, value in enumerate(ramsey_s)
        if math.isfinite(value)
    ]
    return Snapshot.of(
        snapshot.device,
        snapshot.num_qubits,
        (*snapshot.readings(), *told),
        snapshot.taken_at,
        snapshot.dt_s,
    )


def _with_t2(snapshot: Snapshot, t2_s: Array) -> Snapshot:
    return with_values(
        snapshot,
        [
            ((Quantity.T2_S.value, "", (qubit,)), float(value))
            for qubit, value in enumerate(t2_s)
            if math.isfinite(value)
        ],
    )
