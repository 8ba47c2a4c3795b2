"""What the newest readout errors, durations and angles are worth at bind time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector

from adapters.fake_backends import read_snapshot
from adapters.noise import DeviceErrors
from benchmarks.binding_drift import DriftingDevice, with_values
from benchmarks.binding_extras_circuits import Case, cases, random_chain
from benchmarks.binding_extras_figures import mean
from benchmarks.binding_extras_wander import Wander, state_fidelities
from benchmarks.report import Interval, Report, ratio_of_sums
from calibration.binding import readout_errors
from calibration.placement import Placer
from calibration.portfolio import Portfolio
from calibration.template import Template
from calibration.workload import workload_of
from pipeline.stack import build_stack
from qcpaas.calibration import Quantity
from qcpaas.execution import (
    Binding,
    Counts,
    Distribution,
    ExecutionBackend,
    ExpectationValues,
    Experiment,
    Outcome,
    Plan,
)
from qcpaas.schemas import OptionSpec
from store.snapshot import Snapshot

Array = NDArray[np.float64]
DEVICE = "FakeKolkata"
SHOTS = 8192
LAYERS = 3
ANGLES = 7 * LAYERS  # of four qubits and three couplers
OFF_RAD = 0.05  # a gate's angle, standard deviation
RETUNED = 0.2  # spread of a coupler's new gate duration, relative


def measure_durations(report: Report, *, quick: bool, seed: int) -> None:
    """Places chosen with idle time by the newest durations, beside stale ones and none."""
    gains: dict[str, list[float]] = {"without idle time": [], "with stale durations": []}
    errors = []
    for day in range(2 if quick else 8):
        stale = DriftingDevice(read_snapshot(DEVICE), seed + day).days(1)[0]
        newest = _retuned(stale, np.random.default_rng([seed, day]))
        noise = DeviceErrors(newest)
        for case in cases(newest, seed + day):
            portfolio = Portfolio((Template.in_place(case.circuit, case.physical),), "", "")
            known = {
                "newest": newest,
                "without idle time": _timeless(newest),
                "with stale durations": _with_durations_of(newest, stale),
            }
            log = {
                name: _log_fidelity(case, Placer().choose(portfolio, told).physical_qubits, noise)
                for name, told in known.items()
            }
            for name, found in gains.items():
                found.append(log["newest"] - log[name])
            lasts, thought = (
                workload_of(Template.in_place(case.circuit, case.physical), of).duration_s
                for of in (newest, stale)
            )
            errors.append(abs(thought / lasts - 1))
    for name, found in gains.items():
        gain = mean(found, seed)
        report.add(
            f"newest_durations_over_{name.replace(' ', '_')}",
            gain.value,
            "nats of simulated fidelity",
            aim=0.0,
            better="higher",
            note=f"{gain}; {len(found)} circuits, gates retuned by {RETUNED:.0%}; "
            f"other place in {np.mean([g != 0 for g in found]):.0%}, worse in "
            f"{np.mean([g < 0 for g in found]):.0%}",
        )
    off = mean(errors, seed)
    report.add("duration_error_when_stale", off.value, "share", note=f"{off}; by new ones: 0")


def _log_fidelity(case: Case, physical: tuple[int, ...], noise: DeviceErrors) -> float:
    still = Wander(np.zeros(noise.snapshot.num_qubits))
    moved = replace(case, physical=physical)
    fidelity = state_fidelities(moved, case.circuit, noise, wander=still, runs=1, seed=0)
    return math.log(fidelity.mean())


def _retuned(snapshot: Snapshot, rng: np.random.Generator) -> Snapshot:
    """Two-qubit gates take another time, alike in both directions."""
    factors: dict[tuple[int, ...], float] = {}
    changed = []
    for key in snapshot.keys:
        name, _, qubits = key
        if name == Quantity.GATE_DURATION_S and len(qubits) == 2:
            pair = tuple(sorted(qubits))
            factors.setdefault(pair, float(np.exp(RETUNED * rng.standard_normal())))
            changed.append((key, float(snapshot.values[snapshot.index[key]]) * factors[pair]))
    return with_values(snapshot, changed)


def _with_durations_of(snapshot: Snapshot, other: Snapshot) -> Snapshot:
    keys = [key for key in snapshot.keys if key[0] == Quantity.GATE_DURATION_S]
    return with_values(snapshot, [(key, float(other.values[other.index[key]])) for key in keys])


def _timeless(snapshot: Snapshot) -> Snapshot:
    """Nothing is lost by waiting."""
    times = {Quantity.T1_S, Quantity.T2_S}
    return with_values(snapshot, [(key, 1e3) for key in snapshot.keys if key[0] in times])


def measure_readout(report: Report, *, quick: bool, seed: int) -> None:
    """<ZZ> corrected by the readout errors of the newest calibration, beside yesterday's."""
    circuit = QuantumCircuit(2)
    circuit.ry(0.9, 0)
    circuit.cx(0, 1)
    circuit.ry(0.4, 1)
    ideal = float(np.real(Statevector(circuit).expectation_value(SparsePauliOp("ZZ"))))
    rng = np.random.default_rng(seed)
    errors: dict[str, list[float]] = {"newest": [], "yesterday": [], "none": []}
    for number in range(40 if quick else 400):
        yesterday, today = DriftingDevice(read_snapshot(DEVICE), seed + number).days(2)
        pair = random_chain(today, 2, rng)
        truth = readout_errors(today, pair)
        for name, known in (
            ("newest", truth),
            ("yesterday", readout_errors(yesterday, pair)),
            ("none", np.zeros((2, 2))),
        ):
            found = _mitigated(circuit, pair, known, truth, np.random.default_rng([seed, number]))
            errors[name].append((found - ideal) ** 2)
    for name in ("yesterday", "none"):
        ratio = ratio_of_sums(errors["newest"], errors[name], seed)
        rms = Interval(*(math.sqrt(value) for value in (ratio.value, ratio.low, ratio.high)))
        report.add(
            f"readout_model_newest_over_{name}",
            rms.value,
            "ratio of RMS errors",
            aim=1.0,
            peer=f"readout model: {name}",
            note=f"{rms}; {len(errors[name])} pairs and days, {SHOTS} shots, the newest taken for "
            f"true; RMS error of <ZZ> {math.sqrt(np.mean(errors['newest'])):.4f} against "
            f"{math.sqrt(np.mean(errors[name])):.4f}",
        )


def _mitigated(
    circuit: QuantumCircuit,
    pair: tuple[int, ...],
    known: Array,
    truth: Array,
    rng: np.random.Generator,
) -> float:
    """<ZZ> by the mitigation option from shots that were read with the true errors."""
    binding = Binding(pair, "", known, ("rz", "sx", "x", "cx"))
    asked = Experiment(
        circuit, np.zeros((1, 0)), (SparsePauliOp("ZZ"),), shots=SHOTS, binding=binding
    )
    stack = build_stack([OptionSpec(name="ReadoutMitigation")], Reader(truth, rng), "expectation")
    (value,) = stack.run([asked])
    assert isinstance(value, ExpectationValues)
    return float(value.values[0, 0])


class Reader(ExecutionBackend):
    """Perfect gates, and readout errors ``p(1|0)`` and ``p(0|1)`` of shape ``(qubits, 2)``."""

    def __init__(self, errors: Array, rng: np.random.Generator) -> None:
        self._errors = errors
        self._rng = rng

    def plan(self, experiments: Sequence[Experiment]) -> Plan:
        return Plan(tuple(experiments))

    def combine(self, plan: Plan, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        return tuple(outcomes)

    def execute(self, experiments: Sequence[Experiment]) -> tuple[Counts, ...]:
        found = []
        for experiment in experiments:
            circuit = experiment.circuit
            plain = circuit.remove_final_measurements(inplace=False)
            chances = Statevector(plain).probabilities()
            for p10, p01 in self._errors[::-1]:
                matrix = np.array([[1 - p10, p01], [p10, 1 - p01]])
                chances = np.tensordot(matrix, chances.reshape(2, -1), 1).T.reshape(-1)
            shots = experiment.shots
            assert shots is not None
            weights = self._rng.multinomial(shots, chances / chances.sum())
            named = {f"{n:0{circuit.num_clbits}b}": float(w) for n, w in enumerate(weights) if w}
            point = Distribution.from_dict(named, circuit.num_clbits, shots)
            registers = tuple((register.name, register.size) for register in circuit.cregs)
            found.append(Counts((point,), registers))
        return tuple(found)


def measure_angles(report: Report, *, quick: bool, seed: int) -> None:
    """Infidelity with over-rotations corrected as reported, and as far as the report is sure."""
    rng = np.random.default_rng(seed)
    circuits = 40 if quick else 300
    for relative in (0.25, 0.5, 1.0, 2.0):
        lost: dict[str, list[float]] = {"none": [], "reported": [], "shrunk": []}
        for _ in range(circuits):
            angles = rng.uniform(-math.pi, math.pi, ANGLES)
            off = OFF_RAD * rng.standard_normal(ANGLES)
            reported = off + relative * OFF_RAD * rng.standard_normal(ANGLES)
            sure = 1 / (1 + relative**2)
            ideal = _rotated(angles)
            for name, corrected in (("none", 0.0), ("reported", 1.0), ("shrunk", sure)):
                state = _rotated(angles + off - corrected * reported)
                lost[name].append(float(1 - abs(np.vdot(ideal, state)) ** 2))
        reported_as_is = ratio_of_sums(lost["reported"], lost["none"], seed)
        shrunk = ratio_of_sums(lost["shrunk"], lost["none"], seed)
        report.add(
            f"angle_corrections_error_{relative:g}_sigma",
            shrunk.value,
            "ratio of infidelities",
            aim=1.0,
            peer=f"as reported: {reported_as_is.value:.3f} ({reported_as_is})",
            note=f"{shrunk}; shrunk by its standard error, over no correction; {circuits} "
            f"circuits, gates off by {OFF_RAD} rad; left out: no calibration here reports angles",
        )


def _rotated(angles: Array) -> Array:
    """State of four qubits after layers of ry on all and rzz on neighbours."""
    state = np.full(16, 0.25, dtype=complex)
    left = iter(angles)
    for _ in range(LAYERS):
        for qubit in range(4):
            half = next(left) / 2
            turn = np.array([[math.cos(half), -math.sin(half)], [math.sin(half), math.cos(half)]])
            state = np.einsum("ab,ibj->iaj", turn, state.reshape(2**qubit, 2, -1)).reshape(-1)
        for qubit in range(3):
            signs = np.array([1, -1, -1, 1])
            phase = np.exp(-0.5j * next(left) * signs)
            state = (phase[None, :, None] * state.reshape(2**qubit, 4, -1)).reshape(-1)
    return state
