"""Readout mitigation of wide circuits: time, and what is left of the errors.

No simulator reaches 100 noisy qubits, so the shots of a GHZ state are drawn here, each bit flipped
with the calibrated probabilities of its qubit: readout errors and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from adapters.fake_backends import read_snapshot
from benchmarks.report import Report, median
from calibration.binding import readout_errors
from pipeline.stack import build_stack
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

DEVICE = "FakeSherbrooke"
WIDTHS = (20, 50, 100)
SHOTS = 10_000
MITIGATED = (OptionSpec(name="ReadoutMitigation"),)


class ReadGhz(ExecutionBackend):
    """Reads a GHZ state of as many qubits as are measured, with the bound readout errors."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def plan(self, experiments: Sequence[Experiment]) -> Plan:
        return Plan(tuple(experiments))

    def combine(self, plan: Plan, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        return tuple(outcomes)

    def execute(self, experiments: Sequence[Experiment]) -> tuple[Outcome, ...]:
        return tuple(map(self._read, experiments))

    def _read(self, experiment: Experiment) -> Counts:
        circuit, binding = experiment.circuit, experiment.binding
        assert binding is not None
        assert binding.readout_errors is not None
        assert experiment.shots is not None
        qubits = [
            circuit.find_bit(step.qubits[0]).index
            for step in circuit.data
            if step.operation.name == "measure"
        ]
        bits = self._rng.integers(2, size=(experiment.shots, 1)).repeat(len(qubits), axis=1)
        flips = binding.readout_errors[qubits][np.arange(len(qubits)), bits]
        read = bits ^ (self._rng.random(bits.shape) < flips)
        registers = tuple((register.name, register.size) for register in circuit.cregs)
        return Counts((distribution_of(read),), registers)


def distribution_of(bits: NDArray[np.integer]) -> Distribution:
    """Shots, shape ``(shots, clbits)`` with clbit 0 first, as distinct outcomes."""
    shots, width = bits.shape
    padded = np.zeros((shots, 8 * -(-width // 8)), dtype=np.uint8)
    padded[:, -width:] = bits[:, ::-1]
    outcomes, weights = np.unique(np.packbits(padded, axis=1), axis=0, return_counts=True)
    return Distribution(outcomes, weights.astype(np.float64), width, shots)


def measure_wide(report: Report, *, quick: bool, seed: int, widths: Sequence[int] = WIDTHS) -> None:
    """Correlations of all pairs and of strings of ten, and whole counts by M3."""
    for width in widths:
        experiment = asked(width, 2000 if quick else SHOTS)
        times, before, after, covered = [], [], [], []
        for repeat in range(2 if quick else 20):
            stack = build_stack(MITIGATED, ReadGhz(seed + repeat), "expectation")
            plan = stack.plan([experiment])
            counts = stack.execute(plan.experiments)
            began = time.perf_counter()
            (outcome,) = stack.combine(plan, counts)
            times.append(time.perf_counter() - began)
            assert isinstance(outcome, ExpectationValues)
            assert outcome.raw_values is not None
            before.append(np.abs(outcome.raw_values[0] - 1).max())
            after.append(np.abs(outcome.values[0] - 1))
            covered.append(after[-1] <= np.sqrt(outcome.variances[0]))
        typical = median(times, seed)
        report.add(
            f"readout_{width}q",
            1e3 * typical.value,
            "ms",
            note=f"{1e3 * typical.low:.3g} to {1e3 * typical.high:.3g}; all pairs along a chain "
            f"and strings of ten, {experiment.shots} shots; largest error raw "
            f"{np.mean(before):.3f}, mitigated {np.mean([one.max() for one in after]):.3f}; "
            f"coverage {np.mean(covered):.2f}",
        )
        _add_counts(report, experiment, seed)


def _add_counts(report: Report, experiment: Experiment, seed: int) -> None:
    """Share of the two outcomes that a GHZ state has, in counts as they come and mitigated."""
    width = experiment.circuit.num_qubits
    measured = experiment.circuit.copy()
    measured.measure_all()
    whole = replace(experiment, circuit=measured, observables=None)
    stack = build_stack(MITIGATED, ReadGhz(seed), "counts")
    plan = stack.plan([whole])
    stack.combine(plan, stack.execute(plan.experiments))  # what it imports is loaded
    counts = stack.execute(plan.experiments)
    began = time.perf_counter()
    (outcome,) = stack.combine(plan, counts)
    seconds = time.perf_counter() - began
    raw = counts[0]
    assert isinstance(outcome, Counts)
    assert isinstance(raw, Counts)
    report.add(
        f"readout_counts_{width}q",
        1e3 * seconds,
        "ms",
        note=f"M3, {len(raw.points[0].weights)} outcomes of {experiment.shots} shots; the GHZ "
        f"state's two have {share(raw.points[0]):.3f} raw, "
        f"{share(outcome.points[0]):.3f} mitigated",
    )


def share(distribution: Distribution) -> float:
    """Weight of all zeros and all ones."""
    width = distribution.num_bits
    ends = (np.zeros((1, width), dtype=np.uint8), np.ones((1, width), dtype=np.uint8))
    wanted = [distribution_of(bits).outcomes[0] for bits in ends]
    kept = sum(
        float(distribution.weights[(distribution.outcomes == one).all(axis=1)].sum())
        for one in wanted
    )
    return kept / float(distribution.weights.sum())


def asked(width: int, shots: int) -> Experiment:
    """On the best read qubits: pairs, and strings of ten, which are all 1 in a GHZ state."""
    snapshot = read_snapshot(DEVICE)
    circuit = QuantumCircuit(width)
    best = tuple(np.argsort(snapshot.readout_per_qubit())[:width].tolist())
    binding = Binding(best, snapshot.content_id, readout_errors(snapshot, best), ())
    pairs = [("ZZ", [q, q + 1]) for q in range(width - 1)]
    tens = [("Z" * 10, list(range(q, q + 10))) for q in range(0, width - 9, 10)]
    observables = tuple(
        SparsePauliOp.from_sparse_list([(*string, 1.0)], width) for string in (*pairs, *tens)
    )
    return Experiment(circuit, np.empty((1, 0)), observables, shots, binding)
