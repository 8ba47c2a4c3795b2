"""What late placements change in the results: simulated with the true noise of the day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector

from adapters.contract import Submission
from adapters.fake_backends import read_snapshot
from adapters.target import topology_target
from adapters.twins import TwinAdapter
from benchmarks.binding_circuits import brickwork, chain, ghz, qaoa
from benchmarks.binding_drift import DriftingDevice, with_values
from benchmarks.binding_faults import Scene, fault
from benchmarks.binding_latency import binder_of
from benchmarks.binding_peers import SEEDS, Placed, level3, target_of
from benchmarks.binding_quality import paired_mean
from benchmarks.report import Report
from calibration.binding import Bound
from calibration.portfolio import compile_portfolio
from qcpaas.execution import Binding, Experiment
from store.snapshot import Snapshot

Array = NDArray[np.float64]

DEVICE = "FakeKolkata"
CIRCUITS = (
    partial(chain, 4),
    partial(chain, 8),
    partial(brickwork, 6),
    partial(qaoa, 4),
    partial(qaoa, 6),
    partial(ghz, 8),
)
FAULTS = ("coupler x10", "readout 0.3")


@dataclass(frozen=True)
class Seen:
    """One circuit's exact output under a day's noise, readout errors included.

    Attributes:
        hellinger: Fidelity with the ideal distribution.
        energy_error: Of a chain of ZZ terms and a field along Z, absolute.
    """

    hellinger: float
    energy_error: float


@dataclass(frozen=True, eq=False)
class Tried:
    """A circuit with values, and what it gives without noise."""

    circuit: QuantumCircuit
    values: Array
    ideal: Array

    @classmethod
    def of(cls, circuit: QuantumCircuit, seed: int) -> Tried:
        values = np.random.default_rng(seed).uniform(-3, 3, circuit.num_parameters)
        given = dict(zip(circuit.parameters, values, strict=True))
        assigned = circuit.assign_parameters(given).remove_final_measurements(inplace=False)
        return cls(circuit, values, Statevector(assigned).probabilities())

    def seen(self, placed: Placed, truth: Snapshot) -> Seen:
        """Simulate where it was placed, with the noise that the device truly has."""
        given = zip(self.circuit.parameters, self.values, strict=True)
        names = {parameter.name: value for parameter, value in given}
        row = [names[parameter.name] for parameter in placed.circuit.parameters]
        binding = Binding(placed.physical_qubits, truth.content_id, None, tuple(truth.gates))
        experiment = Experiment(placed.circuit, np.array([row]), shots=None, binding=binding)
        twin = TwinAdapter(truth.device, truth)
        handle = twin.submit(Submission((experiment,), seed=1), token="only")  # noqa: S106
        found = twin.result(handle).counts[0].points[0].to_dict()
        probabilities = np.zeros_like(self.ideal)
        for bits, weight in found.items():
            probabilities[int(bits, 2)] += weight
        overlap = float(np.sqrt(self.ideal * probabilities).sum())
        diagonal = _energies(self.circuit.num_qubits)
        return Seen(overlap**2, abs(float(diagonal @ (probabilities - self.ideal))))


def _energies(qubits: int) -> Array:
    """Diagonal of ``-sum Z_i Z_(i+1) - 0.5 sum Z_i``."""
    outcomes = np.arange(2**qubits)
    signs = 1.0 - 2.0 * ((outcomes[:, None] >> np.arange(qubits)) & 1)
    diagonal: Array = -(signs[:, 1:] * signs[:, :-1]).sum(axis=1) - 0.5 * signs.sum(axis=1)
    return diagonal


def measure_effect(report: Report, *, quick: bool, seed: int) -> None:
    """A fault on a used element, and drift alone; 4 to 8 qubits of a twin."""
    first = read_snapshot(DEVICE)
    target, binder = topology_target(first, control_flow=()), binder_of(first)
    circuits = CIRCUITS[:3] if quick else CIRCUITS
    tried = [Tried.of(make(), seed + number) for number, make in enumerate(circuits)]
    portfolios = [compile_portfolio(one.circuit, target, seeds=SEEDS) for one in tried]
    days = DriftingDevice(first, seed).days(3 if quick else 11)
    rng = np.random.default_rng(seed)
    for kind in FAULTS:
        pairs = []
        for one, portfolio in zip(tried, portfolios, strict=True):
            for yesterday in days[:-1] if not quick else days[:2]:
                scene = Scene.of(portfolio, binder, yesterday)
                today = with_values(yesterday, fault(scene, kind, rng, used=True))
                fresh = binder.bind(portfolio, today)
                pairs.append((_seen(one, fresh, today), _seen(one, scene.bound, today)))
        _add(report, f"with {kind} on a used element", pairs, seed, peer="yesterday's placement")
    against_yesterday, against_level3 = [], []
    for one, portfolio in zip(tried, portfolios, strict=True):
        for yesterday, today in pairwise(days):
            new = _seen(one, binder.bind(portfolio, today), today)
            old = _seen(one, binder.bind(portfolio, yesterday), today)
            against_yesterday.append((new, old))
            anew = max(level3(one.circuit, target_of(today)), key=lambda p: p.judged(today).errors)
            against_level3.append((new, one.seen(anew, today)))
    note = "small circuits lose little: expect about nothing"
    _add(
        report,
        "under drift alone",
        against_yesterday,
        seed,
        peer="yesterday's placement",
        note=note,
    )
    _add(
        report, "under drift alone, against level 3", against_level3, seed, peer="level 3, 8 seeds"
    )


def _seen(one: Tried, bound: Bound, truth: Snapshot) -> Seen:
    return one.seen(Placed(bound.circuit, bound.binding.physical_qubits), truth)


def _add(
    report: Report,
    name: str,
    pairs: Sequence[tuple[Seen, Seen]],
    seed: int,
    *,
    peer: str,
    note: str = "",
) -> None:
    ours, theirs = zip(*pairs, strict=True)
    gain = paired_mean([a.hellinger - b.hellinger for a, b in pairs], seed)
    old, new = (float(np.mean([one.hellinger for one in side])) for side in (theirs, ours))
    told = f"{old:.4f} to {new:.4f}; {gain}, {len(pairs)} pairs"
    report.add(
        f"hellinger_fidelity_gain {name}",
        gain.value,
        "fidelity",
        better="higher",
        peer=peer,
        note=f"{told}; {note}" if note else told,
    )
    saved = paired_mean([b.energy_error - a.energy_error for a, b in pairs], seed)
    old, new = (float(np.mean([one.energy_error for one in side])) for side in (theirs, ours))
    report.add(
        f"energy_error_saved {name}",
        saved.value,
        "energy",
        better="higher",
        peer=peer,
        note=f"{old:.4f} to {new:.4f}; {saved}",
    )
