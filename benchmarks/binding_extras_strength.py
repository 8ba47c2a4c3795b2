"""Whether noise scales chosen from the expected fidelity beat fixed ones at equal shots."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from pydantic import JsonValue
from qiskit import QuantumCircuit, transpile
from qiskit.quantum_info import SparsePauliOp, Statevector

from adapters.contract import Submission
from adapters.fake_backends import read_snapshot
from adapters.target import build_target, restrict
from adapters.twins import TwinAdapter
from benchmarks.binding_extras_circuits import random_chain, without_waiting
from benchmarks.binding_extras_figures import geometric_mean
from benchmarks.report import Report
from calibration.placement import Placer
from calibration.template import Template
from pipeline.stack import build_stack
from qcpaas.circuit_key import circuit_key
from qcpaas.execution import (
    Binding,
    Counts,
    ExecutionBackend,
    ExpectationValues,
    Experiment,
    Outcome,
    Plan,
)
from qcpaas.schemas import OptionSpec
from store.snapshot import Snapshot

DEVICES = ("FakeKolkata", "FakeAlmaden")
BINS = (0.0, 0.2, 0.5, 1.0, math.inf)  # of the lost log fidelity, nats
STRATEGIES: dict[str, JsonValue] = {
    "auto": "auto",
    "1, 3, 5": [1.0, 3.0, 5.0],
    "1, 1, 3": [1.0, 1.0, 3.0],
}
PLAIN = "1, 3, 5"


@dataclass(frozen=True, eq=False)
class Task:
    """An energy to measure: a compiled circuit at its place."""

    name: str
    experiment: Experiment
    ideal: float
    log_fidelity: float


@dataclass(frozen=True)
class Errors:
    """Root mean squared errors of one task's energy, by strategy."""

    name: str
    log_fidelity: float
    rms: dict[str, float]

    def ratio(self, to: str) -> float:
        return self.rms["auto"] / self.rms[to]


def measure_strength(report: Report, *, quick: bool, seed: int) -> None:
    """Errors of energies extrapolated from chosen noise scales, over those from fixed ones."""
    shots = (4096,) if quick else (1024, 4096, 32768)
    widths, draws = ((4,), 20) if quick else ((4, 6), 60)
    devices = DEVICES[:1] if quick else DEVICES
    found = [
        errors for device in devices for errors in errors_on(device, widths, shots, draws, seed)
    ]
    count = f"{len(found)} circuits and numbers of shots on {' and '.join(devices)}"
    for to, name in ((PLAIN, "zne_auto_over_135"), ("1, 1, 3", "zne_auto_over_113")):
        ratio = geometric_mean([errors.ratio(to) for errors in found], seed)
        worst = sorted(found, key=lambda errors: -errors.ratio(to))[:3]
        losing = ", ".join(f"{e.name} {e.ratio(to):.2f}" for e in worst)
        report.add(
            name,
            ratio.value,
            "ratio of RMS errors",
            aim=1.0,
            peer=f"scale factors {to}, equal shots",
            note=f"{ratio}; {count}; better in {np.mean([e.ratio(to) < 1 for e in found]):.0%}; "
            f"worst: {losing}",
        )
    for low, high in pairwise(BINS):
        inside = [e.ratio(PLAIN) for e in found if low <= -e.log_fidelity < high]
        if inside:
            ratio = geometric_mean(inside, seed)
            note = f"{ratio}; {len(inside)} with {low:g} to {high:g} nats expected to be lost"
            report.add(f"zne_auto_over_135_from_{low:g}", ratio.value, "ratio", note=note)


def errors_on(
    device: str, widths: Sequence[int], shots: Sequence[int], draws: int, seed: int
) -> Iterator[Errors]:
    """Every task's errors at every number of shots; the noisy circuits are simulated exactly."""
    snapshot = read_snapshot(device)
    twin = TwinAdapter(device, snapshot)
    rng = np.random.default_rng(seed)
    for task in tasks_on(snapshot, widths, rng):
        runner = Runner(twin, rng)
        for number in shots:
            rms = {
                name: _rms(task, factors, number, draws, runner)
                for name, factors in STRATEGIES.items()
            }
            yield Errors(f"{device[4:]} {task.name}, {number} shots", task.log_fidelity, rms)


def _rms(task: Task, factors: JsonValue, shots: int, draws: int, runner: Runner) -> float:
    options = [
        OptionSpec(name="ZeroNoiseExtrapolation", settings={"scale_factors": factors}),
        OptionSpec(name="ReadoutMitigation"),
    ]
    stack = build_stack(options, runner, "expectation")
    plan = stack.plan([replace(task.experiment, shots=shots)])
    found = []
    for _ in range(draws):
        (value,) = stack.combine(plan, stack.execute(plan.experiments))
        assert isinstance(value, ExpectationValues)
        found.append(float(value.values[0, 0]) - task.ideal)
    return math.sqrt(np.mean(np.square(found)))


class Runner(ExecutionBackend):
    """Simulates each circuit once without shot noise, and draws shots from what it found."""

    def __init__(self, twin: TwinAdapter, rng: np.random.Generator) -> None:
        self._twin = twin
        self._rng = rng
        self._exact: dict[str, Counts] = {}

    def plan(self, experiments: Sequence[Experiment]) -> Plan:
        return Plan(tuple(experiments))

    def combine(self, plan: Plan, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        return tuple(outcomes)

    def execute(self, experiments: Sequence[Experiment]) -> tuple[Counts, ...]:
        keys = [circuit_key(experiment.circuit) for experiment in experiments]
        new = {k: e for k, e in zip(keys, experiments, strict=True) if k not in self._exact}
        if new:
            asked = tuple(replace(experiment, shots=None) for experiment in new.values())
            handle = self._twin.submit(Submission(experiments=asked, seed=0), "")
            self._exact |= dict(zip(new, self._twin.result(handle).counts, strict=True))
        return tuple(
            self._drawn(self._exact[key], experiment.shots)
            for key, experiment in zip(keys, experiments, strict=True)
        )

    def _drawn(self, exact: Counts, shots: int | None) -> Counts:
        (point,) = exact.points
        assert shots is not None
        chances = point.weights / point.weights.sum()
        weights = self._rng.multinomial(shots, chances).astype(np.float64)
        return replace(exact, points=(replace(point, weights=weights, shots=shots),))


def tasks_on(snapshot: Snapshot, widths: Sequence[int], rng: np.random.Generator) -> Iterator[Task]:
    """Energies after Trotter steps and ansatz layers, and GHZ states, from shallow to deep."""
    target, placer = build_target(snapshot), Placer()
    for width in widths:
        energy = _ising(width)
        parity = SparsePauliOp(
            ["X" * width, *("I" * n + "ZZ" + "I" * (width - 2 - n) for n in range(width - 1))]
        )
        circuits = [
            *((f"TFIM {width}, {n} steps", _trotter(width, n), energy) for n in (1, 4, 8, 16)),
            *((f"ansatz {width}, {n} layers", _layers(width, n, rng), energy) for n in (2, 5, 12)),
            *((f"GHZ {width}, {n} times", _ghz(width, n), parity) for n in (1, 4, 9)),
        ]
        for name, circuit, observable in circuits:
            chain = random_chain(snapshot, width, rng)
            compiled = transpile(
                circuit,
                target=restrict(target, chain),
                optimization_level=1,
                initial_layout=list(range(width)),
                seed_transpiler=1,
            )
            fidelity = placer.value(Template.in_place(compiled, chain), chain, snapshot)
            binding = Binding(
                physical_qubits=chain,
                snapshot_id=snapshot.content_id,
                readout_errors=np.array([snapshot.readout_error(qubit) for qubit in chain]),
                basis_gates=tuple(snapshot.gates),
                log_fidelity=fidelity,
            )
            asked = observable.apply_layout(compiled.layout)
            ideal = Statevector(without_waiting(compiled)).expectation_value(asked)
            experiment = Experiment(compiled, np.zeros((1, 0)), (asked,), binding=binding)
            yield Task(name, experiment, float(np.real(ideal)), fidelity)


def _ising(width: int) -> SparsePauliOp:
    bonds = [("ZZ", [n, n + 1], -1.0) for n in range(width - 1)]
    return SparsePauliOp.from_sparse_list(
        [*bonds, *(("X", [n], -1.0) for n in range(width))], width
    )


def _trotter(width: int, steps: int) -> QuantumCircuit:
    circuit = QuantumCircuit(width)
    for _ in range(steps):
        for first in (*range(0, width - 1, 2), *range(1, width - 1, 2)):
            circuit.rzz(-0.5, first, first + 1)
        circuit.rx(-0.5, range(width))
    return circuit


def _layers(width: int, layers: int, rng: np.random.Generator) -> QuantumCircuit:
    circuit = QuantumCircuit(width)
    for _ in range(layers):
        for qubit in range(width):
            circuit.ry(rng.uniform(-0.6, 0.6), qubit)
        for qubit in range(width - 1):
            circuit.cx(qubit, qubit + 1)
    return circuit


def _ghz(width: int, times: int) -> QuantumCircuit:
    """Made, and taken back and made again."""
    circuit = QuantumCircuit(width)
    circuit.h(0)
    for number in range(2 * times - 1):
        qubits = range(width - 1)
        for qubit in reversed(qubits) if number % 2 else qubits:
            circuit.cx(qubit, qubit + 1)
        circuit.barrier()
    return circuit
