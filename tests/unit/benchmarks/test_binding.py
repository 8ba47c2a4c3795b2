"""The benchmark of late binding: its judge, its drift, its peers and its faults."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Delay
from qiskit.quantum_info import Statevector
from qiskit.transpiler import PassManager
from qiskit.transpiler.passes import ALAPScheduleAnalysis, PadDelay

from adapters.fake_backends import read_snapshot
from adapters.target import topology_target
from benchmarks.binding_circuits import FAMILIES, chain, ghz, regular_graph
from benchmarks.binding_drift import DriftingDevice, with_values
from benchmarks.binding_faults import KINDS, Scene, fault
from benchmarks.binding_history import snapshots_of
from benchmarks.binding_latency import binder_of
from benchmarks.binding_maps import device_of, heavy_hex, square
from benchmarks.binding_peers import level3, mapomatic, target_of, vf2_post_layout
from benchmarks.binding_product import idle_times, judge
from benchmarks.drift_records import read_record
from calibration.portfolio import compile_portfolio
from qcpaas.calibration import Quantity
from store.snapshot import Reading, Snapshot

AT = datetime(2026, 1, 1, tzinfo=UTC)
DEVICE = read_snapshot("FakeAthens")


def test_a_product_has_every_instruction_in_its_direction_and_every_wait() -> None:
    known = [
        (Quantity.GATE_ERROR, (0, 1), 0.02, "cx"),
        (Quantity.GATE_ERROR, (1, 0), 0.03, "cx"),
        (Quantity.GATE_ERROR, (0,), 0.001, "sx"),
        (Quantity.GATE_DURATION_S, (1, 0), 3e-7, "cx"),
        (Quantity.GATE_DURATION_S, (0,), 4e-8, "sx"),
        (Quantity.READOUT_P10, (0,), 0.01, ""),
        (Quantity.READOUT_P01, (0,), 0.03, ""),
        (Quantity.T1_S, (1,), 1e-4, ""),
        (Quantity.T2_S, (1,), 5e-5, ""),
    ]
    snapshot = Snapshot.of(
        "two qubits", 2, [Reading(q, place, v, AT, gate) for q, place, v, gate in known], AT
    )
    circuit = QuantumCircuit(2, 1)
    circuit.cx(1, 0)
    circuit.sx(0)
    circuit.sx(0)
    circuit.cx(1, 0)
    circuit.measure(0, 0)
    found = judge(circuit, (0, 1), snapshot)
    errors = 2 * math.log(0.97) + 2 * math.log(0.999) + math.log(0.98)
    assert found.errors == pytest.approx(errors)
    wait = 8e-8  # of qubit 1, during the two gates of the other
    kept = 0.5 + math.exp(-wait / 1e-4) / 6 + math.exp(-wait / 5e-5) / 3
    assert found.with_idle == pytest.approx(errors + math.log(kept))


@pytest.mark.parametrize("family", FAMILIES)
def test_waits_are_those_of_qiskits_own_schedule(family: str) -> None:
    target = target_of(DEVICE)
    circuit = transpile(FAMILIES[family](4), target=target, seed_transpiler=1)
    passes = [ALAPScheduleAnalysis(target=target), PadDelay(target=target)]
    padded = PassManager(passes).run(circuit)
    number = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    steps = [
        (step.operation.name, tuple(number[qubit] for qubit in step.qubits))
        for step in circuit.data
    ]
    ours = np.zeros(5)
    for qubit, seconds in idle_times(steps, DEVICE):
        ours[qubit] += seconds
    theirs = np.zeros(5)
    for index, qubit in enumerate(padded.qubits):
        own = [s.operation for s in padded.data if qubit in s.qubits and s.name != "barrier"]
        begun = list(itertools.dropwhile(lambda step: isinstance(step, Delay), own))[::-1]
        inner = itertools.dropwhile(lambda step: isinstance(step, Delay), begun)
        waits = [step.duration for step in inner if isinstance(step, Delay)]
        theirs[index] = sum(waits) * target.dt
    # Qiskit rounds every duration to a multiple of dt.
    assert ours == pytest.approx(theirs, abs=len(steps) * target.dt)


@pytest.mark.filterwarnings("ignore:Treating CircuitInstruction")  # mapomatic's own
def test_mapomatic_finds_what_qiskits_pass_finds() -> None:
    target = target_of(DEVICE)
    (placed, *_) = level3(chain(4), target)
    found, moved = mapomatic(placed, target), vf2_post_layout(placed, target)
    # Of few layouts, by the same errors but for those of the virtual rotations.
    assert found.judged(DEVICE).errors == pytest.approx(moved.judged(DEVICE).errors, abs=2e-3)
    assert found.judged(DEVICE).errors >= placed.judged(DEVICE).errors - 2e-3


def test_drift_is_log_normal_about_the_devices_own_values_and_stays_physical() -> None:
    first = read_snapshot("FakeKolkata")
    days = DriftingDevice(first, 3).days(60)
    rows = [row for key, row in first.index.items() if key[0] == Quantity.T1_S]
    logs = np.log([day.values[rows] / first.values[rows] for day in days])
    assert abs(logs.mean()) < 4 * 0.35 / math.sqrt(logs.size) * math.sqrt(1.2 / 0.8)
    assert logs.std() == pytest.approx(0.35, rel=0.05)
    assert np.corrcoef(logs[:-1].ravel(), logs[1:].ravel())[0, 1] == pytest.approx(0.2, abs=0.08)
    last = days[-1]
    assert last.get(Quantity.GATE_ERROR, 0, 1, gate="cx") == last.get(
        Quantity.GATE_ERROR, 1, 0, gate="cx"
    )
    for qubit in range(27):
        t1, t2 = last.get(Quantity.T1_S, qubit), last.get(Quantity.T2_S, qubit)
        assert t1 is not None
        assert t2 is not None
        assert t2 <= 2 * t1
    assert last.topology_id == first.topology_id
    assert DriftingDevice(first, 3).days(2)[1].content_id == days[1].content_id


def test_circuits_are_what_they_are_called() -> None:
    for qubits in (4, 8, 20):
        pairs = regular_graph(qubits, 3, seed=qubits)
        degrees = np.bincount(np.array(pairs).ravel())
        assert degrees.tolist() == [3] * qubits
    state = Statevector(ghz(5).remove_final_measurements(inplace=False)).probabilities()
    assert state[[0, -1]] == pytest.approx([0.5, 0.5])


def test_faults_lie_where_they_are_said_to_lie() -> None:
    first, rng = read_snapshot("FakeKolkata"), np.random.default_rng(0)
    portfolio = compile_portfolio(chain(4), topology_target(first, control_flow=()))
    scene = Scene.of(portfolio, binder_of(first), first)
    for kind in KINDS:
        harmless = with_values(first, fault(scene, kind, rng, used=False))
        assert harmless.content_id != first.content_id
        assert scene.worth(harmless) == scene.worth(first)
        if not kind.startswith("T1"):  # whose effect depends on how long a qubit waits
            harmful = with_values(first, fault(scene, kind, rng, used=True))
            assert scene.worth(harmful) < scene.worth(first) - 0.005


def test_maps_have_the_stated_sizes() -> None:
    assert device_of(square(4), "square", 1).num_qubits == 16
    made = device_of(heavy_hex(3), "heavy hex", 1)
    assert made.num_qubits == 19
    assert target_of(made).build_coupling_map().size() == 19


def test_a_record_becomes_days_of_a_device(tmp_path) -> None:
    (tmp_path / "readout.csv").write_text(
        "Readout error\ndate,q0,q1,q2,q3,q4\n2020-10-09,0.1,0.2,0.3,0.4,0.5\n"
        "2020-10-08,no data,no data,no data,no data,no data\n"
    )
    (tmp_path / "cx.csv").write_text(
        "CNOT error rate\ndate,(0,1),(1,0),(1,2),(1,3),(2,1),(3,1),(3,4),(4,3)\n"
        "2020-10-09,0.01,0.01,0.02,0.02,0.03,0.03,0.04,0.04\n"
        "2020-10-08,0.01,0.01,0.02,0.02,0.03,0.03,0.04,0.04\n"
    )
    (day,) = snapshots_of(read_record(sorted(tmp_path.glob("*.csv"))), DEVICE)
    assert day.readout_error(2) == (0.3, 0.3)
    assert day.get(Quantity.GATE_ERROR, 3, 2, gate="cx") == 0.03
    assert day.get(Quantity.T1_S, 0) == DEVICE.get(Quantity.T1_S, 0)
