from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from adapters.schedule import schedule_alap, snapshot_durations
from calibration.durations import Durations
from calibration.template import Template
from calibration.workload import Demand, has_measurement, measurement_s, workload_of
from qcpaas.calibration import Quantity
from store.snapshot import Reading, Snapshot

NOW = datetime(2026, 11, 1, tzinfo=UTC)
N = 6
SX_S, CZ_S, READ_S, DT_S = 40e-9, 200e-9, 1e-6, 2e-9


def device(seed=None):
    """Six qubits, each coupled to each; durations alike, or each of its own."""
    rng = np.random.default_rng(seed)

    def around(seconds):
        return seconds if seed is None else seconds * rng.uniform(0.5, 2)

    values = {
        (Quantity.GATE_DURATION_S, "cz", (a, b)): around(CZ_S) for a in range(N) for b in range(a)
    }
    for q in range(N):
        values[Quantity.GATE_DURATION_S, "sx", (q,)] = around(SX_S)
        values[Quantity.GATE_DURATION_S, "rz", (q,)] = 0.0
        values[Quantity.GATE_DURATION_S, "reset", (q,)] = around(READ_S)
        values[Quantity.READOUT_DURATION_S, "", (q,)] = READ_S
    readings = [
        Reading(name, place, value, NOW, gate) for (name, gate, place), value in values.items()
    ]
    return Snapshot.of("Device", N, readings, NOW, dt_s=DT_S)


def in_place(circuit):
    return Template.in_place(circuit, tuple(range(circuit.num_qubits)))


def test_the_duration_is_that_of_the_longest_path():
    circuit = QuantumCircuit(3, 3)
    circuit.sx(0)
    circuit.cz(0, 1)
    circuit.delay(500, 1, "ns")
    circuit.cz(1, 2)
    circuit.measure(range(3), range(3))
    workload = workload_of(in_place(circuit), device())
    assert workload.duration_s == pytest.approx(SX_S + 2 * CZ_S + 500e-9 + READ_S)
    assert workload.measured.tolist() == [1, 1, 1]
    assert workload.one_qubit_gates.tolist() == [1, 0, 0]
    np.testing.assert_allclose(workload.idle_s, [500e-9 + CZ_S, 500e-9, 0], atol=1e-15)


def test_waiting_counts_between_the_first_and_the_last_instruction_only():
    circuit = QuantumCircuit(3, 1)
    circuit.cz(0, 1)
    circuit.cz(1, 2)
    circuit.delay(3, 2, "us")  # before anything reads it: counted
    circuit.barrier()
    circuit.measure(2, 0)
    circuit.delay(9, 2, "us")  # after: not
    workload = workload_of(in_place(circuit), device())
    np.testing.assert_allclose(workload.idle_s, [0, 0, 3e-6], atol=1e-15)


def test_a_circuit_without_a_measurement_waits_for_the_one_to_come():
    circuit = QuantumCircuit(3)
    circuit.cz(0, 1)
    circuit.cz(1, 2)
    template = Template(circuit, (0, 2), (0, 1, 2))
    workload = workload_of(template, device())
    np.testing.assert_allclose(workload.idle_s, [CZ_S, 0, 0], atol=1e-15)
    assert workload.measured.tolist() == [1, 0, 1]
    assert workload.duration_s == pytest.approx(2 * CZ_S)


def test_control_flow_lasts_as_long_as_its_longest_block():
    circuit = QuantumCircuit(3, 1)
    circuit.sx(2)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], True)) as otherwise:
        circuit.cz(1, 2)
        circuit.sx(1)
    with otherwise:
        circuit.sx(2)
    circuit.sx(1)
    circuit.sx(2)
    workload = workload_of(in_place(circuit), device())
    assert workload.duration_s == pytest.approx(READ_S + CZ_S + 2 * SX_S)
    np.testing.assert_allclose(workload.idle_s, [0, 0, 0], atol=1e-15)
    assert workload.one_qubit_gates.tolist() == [0, 2, 3]


def test_a_loop_counts_as_often_as_it_says():
    circuit = QuantumCircuit(2)
    circuit.sx(0)
    with circuit.for_loop(range(4)):
        circuit.sx(0)
        circuit.cz(0, 1)
    workload = workload_of(in_place(circuit), device())
    assert workload.duration_s == pytest.approx(SX_S + 4 * (SX_S + CZ_S))
    assert workload.one_qubit_gates.tolist() == [5, 0]


def test_delays_known_only_when_they_run_count_as_none():
    circuit = QuantumCircuit(1)
    circuit.sx(0)
    circuit.delay(Parameter("t"), 0, "us")
    circuit.delay(50, 0, "dt")
    circuit.sx(0)
    workload = workload_of(in_place(circuit), device())
    assert workload.duration_s == pytest.approx(2 * SX_S + 50 * DT_S)
    assert workload.idle_s[0] == pytest.approx(50 * DT_S)


def test_a_measurement_waits_for_an_earlier_one_on_its_clbit():
    apart, together = QuantumCircuit(2, 2), QuantumCircuit(2, 1)
    for circuit in (apart, together):
        circuit.measure(0, 0)
        circuit.measure(1, circuit.num_clbits - 1)
    durations = [workload_of(in_place(each), device()).duration_s for each in (apart, together)]
    assert durations == pytest.approx([READ_S, 2 * READ_S])


def random_circuit(seed):
    """Of everything that takes time, in any order."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(4, 2)
    for _ in range(25):
        a, b = (int(q) for q in rng.choice(4, 2, replace=False))
        match rng.integers(6):
            case 0 | 1:
                circuit.cz(a, b)
            case 2:
                circuit.sx(a)
            case 3:
                circuit.delay(int(rng.integers(1, 900)), a, "ns")
            case 4:
                circuit.barrier(a, b)
            case 5:
                circuit.measure(a, int(rng.integers(2)))
    return circuit


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_many_placements_at_once_have_the_waits_of_each_by_itself(seed):
    """Against the schedule of the whole circuit, instruction by instruction, at each place."""
    snapshot, circuit = device(seed=1), random_circuit(seed)
    rng = np.random.default_rng(seed)
    rows = np.array([rng.permutation(N)[:4] for _ in range(3)]).T
    timeline = Demand.of(in_place(circuit)).timeline
    idle_s, duration_s = timeline.idle(rows, Durations.of(snapshot))
    for column, place in enumerate(rows.T.tolist()):
        asked = snapshot_durations(snapshot, tuple(place))

        def duration(name, qubits, asked=asked):
            return asked(name, qubits) or asked(name, qubits[::-1])

        schedule = schedule_alap(circuit, duration, snapshot.dt_s)
        waiting, since = np.zeros(4), {}
        for step, waits in zip(circuit.data, schedule.idle_s, strict=True):
            qubits = [circuit.find_bit(qubit).index for qubit in step.qubits]
            for qubit, wait in zip(qubits, waits, strict=True):
                if step.name not in {"barrier", "delay"}:
                    waiting[qubit] += since.get(qubit, 0.0)
                    since[qubit] = wait
                elif qubit in since:
                    length = step.operation.duration * 1e-9 if step.name == "delay" else 0.0
                    since[qubit] += length + wait
        if not has_measurement(circuit):
            waiting += [since.get(qubit, 0.0) for qubit in range(4)]
        np.testing.assert_allclose(idle_s[:, column], waiting, atol=1e-15)
        assert duration_s[column] == pytest.approx(schedule.duration_s)


def test_the_longest_readout_is_what_a_measurement_takes():
    assert measurement_s(device(), (0, 3)) == READ_S
    empty = Snapshot.of("Silent", 2, [], NOW)
    assert measurement_s(empty, (0, 1)) == 0.0


def test_what_is_read_inside_control_flow_is_a_measurement():
    circuit = QuantumCircuit(1, 1)
    with circuit.for_loop(range(2)):
        circuit.measure(0, 0)
    assert has_measurement(circuit)
    assert workload_of(in_place(circuit), device()).measured.tolist() == [2]
