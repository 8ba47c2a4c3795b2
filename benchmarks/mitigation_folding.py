"""Folding on the device's own gates beside Mitiq's, time and correctness."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator

from adapters.fake_backends import read_snapshot
from adapters.target import topology_target
from benchmarks.binding_circuits import chain
from benchmarks.report import Report, ratio_of_sums
from calibration.portfolio import compile_portfolio
from pipeline.extrapolation.folding import fold
from pipeline.mitiq_plugin.loading import load_mitiq

PEER = "mitiq 1.1.0, zne.construct_circuits"
FACTORS = (1.0, 3.0, 5.0)


def measure_folding(
    report: Report, *, quick: bool, seed: int, qubits: int = 20, small: int = 4
) -> None:
    """Interleaved on one compiled circuit; whether what comes out is right, on a small one."""
    circuit = compiled(chain(qubits), "FakeKolkata", seed)
    fold_by_mitiq(circuit)  # what it imports is loaded
    ours_s, theirs_s = [], []
    for _ in range(2 if quick else 7):
        ours_s.append(_seconds(lambda: fold_natively(circuit)))
        theirs_s.append(_seconds(lambda: fold_by_mitiq(circuit)))
    ratio = ratio_of_sums(theirs_s, ours_s, seed)
    report.add(
        "fold_speedup_vs_mitiq",
        ratio.value,
        "ratio of wall time",
        aim=8.0,
        better="higher",
        peer=PEER,
        note=f"{ratio}; {qubits} qubits, {circuit.size()} gates, factors 1, 3 and 5, all gates; "
        f"ours {1e3 * np.mean(ours_s):.1f} ms, theirs {1e3 * np.mean(theirs_s):.0f} ms",
    )
    _add_correctness(report, small, seed)


def _add_correctness(report: Report, qubits: int, seed: int) -> None:
    for device in ("FakeKolkata", "FakeSherbrooke"):
        circuit = compiled(chain(qubits), device, seed)
        ours, theirs = fold_natively(circuit), fold_by_mitiq(circuit)
        gates = set(read_snapshot(device).gates)
        wrong = sum(not Operator(one).equiv(Operator(circuit)) for one in ours)
        report.add(
            f"fold_wrong_{device}", wrong, "circuits", aim=0, better="equal", note="unitaries"
        )
        report.add(
            f"fold_outside_isa_{device}",
            _outside(ours, gates),
            "gates",
            aim=0,
            better="equal",
            peer=PEER,
            note=f"theirs {_outside(theirs, gates)}; two-qubit gates of the plain circuit "
            f"{_two_qubit(circuit)}, ours {_two_qubit(ours[0])}, theirs {_two_qubit(theirs[0])}",
        )


def compiled(circuit: QuantumCircuit, device: str, seed: int) -> QuantumCircuit:
    """In the device's gates, bound, without its measurements."""
    bare = circuit.remove_final_measurements(inplace=False)
    target = topology_target(read_snapshot(device))
    (template, *_) = compile_portfolio(bare, target).templates
    angles = np.random.default_rng(seed).uniform(-np.pi, np.pi, template.circuit.num_parameters)
    return template.circuit.assign_parameters(angles)


def fold_natively(circuit: QuantumCircuit) -> list[QuantumCircuit]:
    return [fold(circuit, factor, "all")[0] for factor in FACTORS]


def fold_by_mitiq(circuit: QuantumCircuit) -> list[QuantumCircuit]:
    load_mitiq()
    from mitiq import zne

    folded: list[QuantumCircuit] = zne.construct_circuits(circuit, list(FACTORS))
    return folded


def _outside(circuits: list[QuantumCircuit], gates: set[str]) -> int:
    """Instructions that the device does not have."""
    passive = {"barrier", "measure"}
    return sum(
        step.operation.name not in gates | passive for circuit in circuits for step in circuit.data
    )


def _two_qubit(circuit: QuantumCircuit) -> int:
    return sum(step.operation.num_qubits == 2 for step in circuit.data)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
