import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.circuit.library import efficient_su2
from qiskit.transpiler import PassManager
from qiskit.transpiler.passes import ALAPScheduleAnalysis, PadDelay, TimeUnitConversion

from adapters.fake_backends import read_snapshot
from adapters.schedule import schedule_alap, snapshot_durations
from adapters.target import build_target
from qcpaas.errors import CircuitError


def isa_circuits():
    snapshot = read_snapshot("FakeKolkata")
    rng = np.random.default_rng(1)
    ansatz = efficient_su2(5, reps=2)
    sources = [ansatz.assign_parameters(rng.normal(size=ansatz.num_parameters)), fanout()]
    for source in sources:
        source.measure_all()
        yield (
            snapshot,
            transpile(
                source, target=build_target(snapshot), optimization_level=1, seed_transpiler=1
            ),
        )


def fanout():
    circuit = QuantumCircuit(4)
    circuit.h(0)
    for qubit in (1, 2, 3):
        circuit.cx(0, qubit)
        circuit.barrier(0, qubit)
    circuit.delay(4000, 1, unit="dt")
    circuit.x(1)
    return circuit


def test_durations_are_qiskits_own():
    for snapshot, circuit in isa_circuits():
        places = tuple(range(circuit.num_qubits))
        schedule = schedule_alap(circuit, snapshot_durations(snapshot, places), snapshot.dt_s)
        expected = circuit.estimate_duration(build_target(snapshot), "s")
        assert schedule.duration_s == pytest.approx(expected, abs=1e-9)


def waiting_s(circuit, idle_s, dt_s):
    """Seconds that each qubit waits after its first gate, delays included."""
    total = {}
    for instruction, idle in zip(circuit.data, idle_s, strict=True):
        for bit, seconds in zip(instruction.qubits, idle, strict=True):
            qubit = circuit.find_bit(bit).index
            length = instruction.operation.duration * dt_s if instruction.name == "delay" else 0.0
            if instruction.name not in {"delay", "barrier"}:
                total.setdefault(qubit, 0.0)
            if qubit in total:
                total[qubit] += seconds + length
    return total


def test_idle_times_are_those_of_qiskits_scheduler():
    for snapshot, circuit in isa_circuits():
        target = build_target(snapshot)
        passes = [TimeUnitConversion(target=target), ALAPScheduleAnalysis(target=target)]
        padded = PassManager([*passes, PadDelay(target=target)]).run(circuit)
        no_idle = [(0.0,) * len(instruction.qubits) for instruction in padded.data]
        places = tuple(range(circuit.num_qubits))
        schedule = schedule_alap(circuit, snapshot_durations(snapshot, places), snapshot.dt_s)
        expected = waiting_s(padded, no_idle, snapshot.dt_s)
        found = waiting_s(circuit, schedule.idle_s, snapshot.dt_s)
        assert found == pytest.approx(expected, abs=1e-9)
        assert max(found.values()) > 5e-7


def test_a_delay_without_a_length_is_refused():
    circuit = QuantumCircuit(1)
    circuit.delay(Parameter("t"), 0, unit="s")
    with pytest.raises(CircuitError, match="Assign its parameters"):
        schedule_alap(circuit, lambda name, qubits: 0.0, None)
    circuit = QuantumCircuit(1)
    circuit.delay(16, 0, unit="dt")
    with pytest.raises(CircuitError, match="Give it in seconds"):
        schedule_alap(circuit, lambda name, qubits: 0.0, None)
