"""Running compact circuits: what is simulated, with which seeds, and how exactly."""

import json
import subprocess
import sys

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import Statevector

from adapters.aer import AerRunner
from adapters.backend import DeviceBackend
from adapters.contract import Submission
from adapters.fake_backends import read_snapshot
from adapters.registry import open_device
from qcpaas.calibration import Quantity
from qcpaas.errors import SubmissionRefused
from qcpaas.execution import Binding, Experiment


def experiment(circuit, points=None, shots=2000, qubits=None):
    values = np.zeros((1, 0)) if points is None else np.asarray(points, dtype=float)
    binding = None if qubits is None else Binding(tuple(qubits), "", None, ())
    return Experiment(circuit, values, shots=shots, binding=binding)


def run(adapter, *experiments, seed=7, noise_model=None):
    handle = adapter.submit(Submission(experiments, seed, noise_model), token="t")
    return adapter.result(handle)


def exact(adapter, circuit, points=None, qubits=None, noise_model=None):
    asked = experiment(circuit, points, None, qubits)
    (counts,) = run(adapter, asked, noise_model=noise_model).counts
    return [point.to_dict() for point in counts.points]


def flips(width=1):
    circuit = QuantumCircuit(width, width)
    circuit.x(range(width))
    circuit.measure(range(width), range(width))
    return circuit


def test_six_qubits_of_127_are_simulated_as_six():
    circuit = QuantumCircuit(127, 6)
    line = [37, 38, 39, 40, 41, 42]
    circuit.sx(line)
    circuit.barrier()
    for qubit, clbit in zip(line, range(6), strict=True):
        circuit.measure(qubit, clbit)
    twin = open_device("FakeSherbrooke")
    assert twin._runner.width(experiment(circuit)) == 6
    (counts,) = run(twin, experiment(circuit, shots=None)).counts
    assert len(counts.points[0].weights) == 2**6


def test_twins_repeat_bit_for_bit_in_a_fresh_process():
    program = """
import json
import numpy as np
from qiskit import QuantumCircuit
from adapters.contract import Submission
from adapters.registry import open_device
from qcpaas.execution import Experiment
c = QuantumCircuit(2, 2)
c.sx([0, 1]); c.cx(0, 1); c.measure([0, 1], [0, 1])
e = [Experiment(c, np.zeros((1, 0)), shots=s) for s in (500, None, 500)]
for name in ("FakeAthens", "statevector"):
    a = open_device(name)
    r = a.result(a.submit(Submission(tuple(e), 12345), token="t"))
    print(json.dumps([p.to_dict() for k in r.counts for p in k.points]))
"""
    command = [sys.executable, "-c", program]
    first, again = (
        subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in "ab"
    )
    assert first == again
    sampled, exact_, resampled = json.loads(first.splitlines()[0])
    assert sampled != resampled
    assert sum(exact_.values()) == pytest.approx(1)


def test_points_and_circuits_are_independent_samples():
    theta = Parameter("t")
    circuit = QuantumCircuit(3, 3)
    circuit.rx(theta, range(3))
    circuit.measure(range(3), range(3))
    points = np.full((40, 1), np.pi / 2)
    for name in ("aer", "statevector"):
        asked = experiment(circuit, points, 400)
        found = run(open_device(name), asked, asked).counts
        weights = [
            [p.to_dict().get(f"{k:03b}", 0) for k in range(8)] for c in found for p in c.points
        ]
        assert len({tuple(w) for w in weights}) == 80
        # Chi-squared of 80 multinomial samples with 7 degrees of freedom each: 560 +- 33.5.
        chi2 = ((np.array(weights) - 50) ** 2 / 50).sum()
        assert abs(chi2 - 560) < 5 * 33.5


def test_t1_decay_over_a_delay_is_the_analytic_one():
    snapshot = read_snapshot("FakeAthens")
    t1 = snapshot.get(Quantity.T1_S, 2)
    p10, p01 = snapshot.get(Quantity.READOUT_P10, 2), snapshot.get(Quantity.READOUT_P01, 2)
    twin = open_device("FakeAthens")
    ones = {}
    for delay_us in (0, 50):
        circuit = QuantumCircuit(1, 1)
        circuit.x(0)
        circuit.delay(delay_us, 0, unit="us")
        circuit.measure(0, 0)
        (found,) = exact(twin, circuit, qubits=[2])
        ones[delay_us] = (found["1"] - p10) / (1 - p01 - p10)  # readout undone
    assert ones[50] / ones[0] == pytest.approx(np.exp(-50e-6 / t1), abs=1e-6)


def test_a_waiting_qubit_decays_and_one_in_its_ground_state_does_not():
    twin = open_device("FakeAthens")
    excited, ground = QuantumCircuit(1, 1), QuantumCircuit(1, 1)
    excited.x(0)
    for circuit in (excited, ground):
        circuit.delay(200, 0, unit="us")
        circuit.measure(0, 0)
    assert exact(twin, excited)[0]["1"] < 0.2
    readout = read_snapshot("FakeAthens").get(Quantity.READOUT_P10, 0)
    assert exact(twin, ground)[0]["1"] == pytest.approx(readout)


def test_exact_values_are_the_analytic_ones_and_samples_agree():
    theta = Parameter("t")
    circuit = QuantumCircuit(2, 2)
    circuit.ry(theta / 2, 0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [1, 0])
    angles = np.array([[0.3], [1.1]])
    adapter = open_device("statevector")
    for found, (angle,) in zip(exact(adapter, circuit, angles), angles, strict=True):
        one = np.sin(angle / 4) ** 2
        assert found == pytest.approx({"00": 1 - one, "11": one}, abs=1e-12)
    (counts,) = run(adapter, experiment(circuit, angles, 10_000)).counts
    for point, (angle,) in zip(counts.points, angles, strict=True):
        one = np.sin(angle / 4) ** 2
        sigma = np.sqrt(one * (1 - one) / 10_000)
        assert point.to_dict()["11"] / 10_000 == pytest.approx(one, abs=5 * sigma)


def test_a_twins_samples_follow_its_exact_probabilities():
    twin = open_device("FakeAthens")
    circuit = QuantumCircuit(3, 3)
    circuit.sx([0, 1])
    circuit.cx(1, 2)
    circuit.measure([2, 0, 1], [0, 1, 2])
    (probabilities,) = exact(twin, circuit)
    (counts,) = run(twin, experiment(circuit, shots=100_000)).counts
    found = counts.points[0].to_dict()
    for bits, probability in probabilities.items():
        sigma = np.sqrt(probability * (1 - probability) / 100_000)
        assert found.get(bits, 0) / 100_000 == pytest.approx(probability, abs=5 * sigma + 1e-5)


def test_a_users_noise_model_replaces_the_twins_and_counts_physical_qubits():
    from qiskit_aer.noise import NoiseModel, depolarizing_error, thermal_relaxation_error

    model = NoiseModel()
    model.add_quantum_error(thermal_relaxation_error(50e-6, 70e-6, 20e-6), "x", [3])
    model.add_quantum_error(depolarizing_error(0.2, 1), "x", [1])
    model.add_readout_error([[0.9, 0.1], [0.25, 0.75]], [3])
    given = json.loads(json.dumps(model.to_dict(serializable=True)))
    twin = open_device("FakeAthens")
    decayed = np.exp(-20 / 50)
    (on_three,) = exact(twin, flips(), qubits=[3], noise_model=given)
    assert on_three["1"] == pytest.approx(decayed * 0.75 + (1 - decayed) * 0.1)
    (on_one,) = exact(twin, flips(), qubits=[1], noise_model=given)
    assert on_one["1"] == pytest.approx(0.9)
    (on_zero,) = exact(twin, flips(), qubits=[0], noise_model=given)
    assert on_zero == {"1": pytest.approx(1.0)}
    (both,) = exact(twin, flips(2), qubits=[3, 1], noise_model=given)
    assert both["11"] == pytest.approx(on_three["1"] * on_one["1"])
    (ideal,) = exact(open_device("statevector"), flips(4), noise_model=given)
    assert ideal["1111"] == pytest.approx(on_three["1"] * on_one["1"])


def test_a_users_noise_model_lets_any_gate_run_on_a_twin():
    from qiskit_aer.noise import NoiseModel, pauli_error

    model = NoiseModel()
    model.add_all_qubit_quantum_error(pauli_error([("X", 0.25), ("I", 0.75)]), "h")
    circuit = QuantumCircuit(1, 1)
    circuit.h(0)
    circuit.s(0)
    circuit.sdg(0)
    circuit.z(0)
    circuit.h(0)
    circuit.measure(0, 0)
    given = model.to_dict(serializable=True)
    (found,) = exact(open_device("FakeKolkata"), circuit, qubits=[9], noise_model=given)
    assert found["1"] == pytest.approx(0.75)  # X after the first h does nothing to |+>
    with pytest.raises(SubmissionRefused, match="has h on qubit 9; FakeKolkata executes cx"):
        run(open_device("FakeKolkata"), experiment(circuit, qubits=[9]))


def test_readout_errors_that_join_qubits_are_sampled_and_not_exact():
    from qiskit_aer.noise import NoiseModel

    model = NoiseModel()
    joint = np.eye(4)[[0, 1, 3, 2]]  # reads 10 as 11, and 11 as 10
    model.add_readout_error(joint, [0, 1])
    circuit = QuantumCircuit(2, 2)
    circuit.x([0, 1])
    circuit.measure([0, 1], [0, 1])
    given = model.to_dict(serializable=True)
    with pytest.raises(SubmissionRefused, match="Ask for shots"):
        exact(open_device("aer"), circuit, noise_model=given)
    (counts,) = run(open_device("aer"), experiment(circuit), noise_model=given).counts
    assert counts.points[0].weights.sum() == 2000


def test_control_flow_runs_on_simulators_and_with_noise_on_twins():
    theta = Parameter("t")
    circuit = QuantumCircuit(2, 2)
    circuit.rz(theta, 0)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    asked = experiment(circuit, [[0.1], [0.2]])
    for point in run(open_device("statevector"), asked).counts[0].points:
        assert point.to_dict() == {"11": 2000}
    for point in run(open_device("FakeAthens"), asked).counts[0].points:
        found = point.to_dict()
        assert 0.9 < found["11"] / 2000 < 1.0
        assert len(found) > 1
    with pytest.raises(SubmissionRefused, match="control flow"):
        exact(open_device("statevector"), circuit, [[0.1]])


def test_measuring_in_the_middle_and_again_keeps_both_bits():
    circuit = QuantumCircuit(1, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.measure(0, 1)
    (counts,) = run(open_device("aer"), experiment(circuit)).counts
    assert counts.points[0].to_dict() == {"01": 2000}
    (counts,) = run(open_device("FakeAthens"), experiment(circuit)).counts
    assert counts.points[0].to_dict()["01"] > 1800


def test_a_coupling_or_gate_that_the_device_lacks_is_refused():
    circuit = QuantumCircuit(2, 2)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    with pytest.raises(SubmissionRefused, match=r"cx on qubits 0, 26; FakeKolkata executes"):
        run(open_device("FakeKolkata"), experiment(circuit, qubits=[0, 26]))
    reversed_ecr = QuantumCircuit(2, 2)
    reversed_ecr.ecr(0, 1)
    reversed_ecr.measure([0, 1], [0, 1])
    target = read_snapshot("FakeSherbrooke").gates["ecr"]
    a, b = target[0]
    run(open_device("FakeSherbrooke"), experiment(reversed_ecr, qubits=[a, b]))
    with pytest.raises(SubmissionRefused, match=f"ecr on qubits {b}, {a}"):
        run(open_device("FakeSherbrooke"), experiment(reversed_ecr, qubits=[b, a]))


def test_too_wide_a_circuit_is_refused_with_numbers():
    circuit = QuantumCircuit(35, 35)
    circuit.sx(range(35))
    circuit.measure(range(35), range(35))
    with pytest.raises(SubmissionRefused, match=r"uses 35 qubits.*at most 13.*density matrix"):
        exact(open_device("FakeSherbrooke"), circuit)
    with pytest.raises(SubmissionRefused, match=r"uses 35 qubits.*at most 28.*statevector"):
        run(open_device("FakeSherbrooke"), experiment(circuit))


def test_fourteen_noisy_qubits_are_sampled_by_trajectories():
    circuit = flips(14)
    (counts,) = run(open_device("FakeKolkata"), experiment(circuit, shots=50)).counts
    assert counts.points[0].weights.sum() == 50


def test_composite_gates_are_unrolled_on_simulators():
    from qiskit.circuit.library import QFTGate, efficient_su2

    circuit = efficient_su2(3, reps=1)
    circuit.append(QFTGate(3), range(3))
    circuit.append(QFTGate(3).inverse(), range(3))
    circuit.measure_all()
    for name in ("statevector", "aer"):
        (found,) = exact(open_device(name), circuit, np.zeros((1, circuit.num_parameters)))
        assert found == pytest.approx({"000": 1.0})


@pytest.mark.parametrize("gate", ["cp", "crx", "cry", "crz", "rzz"])
def test_controlled_rotations_take_many_points(gate):
    circuit = QuantumCircuit(2)
    circuit.h([0, 1])
    getattr(circuit, gate)(Parameter("a"), 0, 1)
    circuit.h([0, 1])
    points = np.array([[0.3], [1.7]])
    measured = circuit.measure_all(inplace=False)
    (counts,) = DeviceBackend(open_device("aer"), lambda: 1).execute(
        [Experiment(measured, points, shots=None)]
    )
    for found, values in zip(counts.points, points, strict=True):
        exact = Statevector(circuit.assign_parameters(values)).probabilities_dict()
        assert found.to_dict() == pytest.approx({k: v for k, v in exact.items() if v > 1e-12})


def test_qpu_time_is_what_the_real_device_would_take():
    twin = open_device("FakeAthens")
    snapshot = read_snapshot("FakeAthens")
    duration = snapshot.get(Quantity.GATE_DURATION_S, 1, gate="x")
    duration += snapshot.get(Quantity.READOUT_DURATION_S, 1)
    asked = experiment(flips(), np.zeros((3, 0)), shots=100, qubits=[1])
    assert run(twin, asked).qpu_s == pytest.approx(3 * 100 * (duration + 250e-6))
    assert run(open_device("aer"), asked).qpu_s == 0.0


def test_a_second_circuit_of_the_same_content_is_prepared_once():
    runner = AerRunner("statevector")
    for _ in range(3):
        runner.run(Submission((experiment(flips(2)),), 1))
    assert len(runner._by_content) == 1
    assert len(runner._batches) == 1
