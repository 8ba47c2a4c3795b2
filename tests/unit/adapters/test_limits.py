import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from adapters.backend import check_experiments
from adapters.contract import Capabilities, Submission
from adapters.limits import check_limits
from qcpaas.errors import SubmissionRefused
from qcpaas.execution import Experiment

CAPABILITIES = Capabilities(
    num_qubits=2, max_shots=1000, max_circuits=3, max_points=4, equal_shots=True
)


def experiment(points=1, shots=100, width=1, observables=None):
    circuit = QuantumCircuit(width, 1, name="turn")
    circuit.rx(Parameter("a"), 0)
    circuit.measure(0, 0)
    return Experiment(circuit, np.zeros((points, 1)), observables, shots)


def check(*experiments, noise_model=None, capabilities=CAPABILITIES):
    check_limits(Submission(experiments, 1, noise_model), "lab", capabilities)


def test_what_reaches_every_limit_is_taken():
    check(experiment(2, 1000, 2), experiment(1, 1000, 2), experiment(1, 1000, 2))


@pytest.mark.parametrize(
    ("experiments", "message"),
    [
        ([], "0 circuits were given"),
        ([experiment()] * 4, "4 circuits were given for one device job; lab takes 1 to 3"),
        ([experiment(3), experiment(2)], "5 parameter points .* lab takes 1 to 4"),
        ([experiment(0)], "0 parameter points"),
        ([experiment(shots=1001)], "1001 shots .* lab takes 1 to 1000"),
        ([experiment(shots=0)], "0 shots"),
        ([experiment(shots=None)], "exact probabilities were asked of lab"),
        ([experiment(shots=10), experiment(shots=20)], "10 and 20 shots"),
        ([experiment(width=3)], "needs 3 qubits; lab has 2"),
        ([experiment(observables=(SparsePauliOp("Z"),))], "expectation values were asked of lab"),
    ],
)
def test_what_is_beyond_a_limit_is_refused_with_both_numbers(experiments, message):
    with pytest.raises(SubmissionRefused, match=message):
        check(*experiments)


def test_counts_and_values_do_not_share_a_job():
    estimating = Capabilities(num_qubits=2, estimates=True)
    asked = experiment(observables=(SparsePauliOp("Z"),))
    check(asked, capabilities=estimating)
    with pytest.raises(SubmissionRefused, match="Submit them apart"):
        check(asked, experiment(), capabilities=estimating)


def test_a_noise_model_is_for_devices_that_take_one():
    with pytest.raises(SubmissionRefused, match="takes no noise model"):
        check(experiment(), noise_model={})
    check(experiment(), noise_model={}, capabilities=Capabilities(2, noise_models=True))


def test_the_shots_of_all_points_together_have_a_limit():
    few = Capabilities(num_qubits=2, max_total_shots=500)
    check(experiment(3, 100), experiment(2, 100), capabilities=few)
    with pytest.raises(SubmissionRefused, match=r"600 shots .* one job takes 500"):
        check(experiment(6, 100), capabilities=few)


def test_an_angle_outside_its_gates_range_is_refused_at_the_point_where_it_is():
    narrow = Capabilities(num_qubits=2, angle_ranges={"rx": (0.0, 1.5)})
    inside = Experiment(experiment().circuit, np.array([[0.0], [1.5]]), None, 10)
    check(inside, capabilities=narrow)
    outside = Experiment(experiment().circuit, np.array([[0.0], [1.75]]), None, 10)
    with pytest.raises(SubmissionRefused, match=r"rx by 1\.75 rad; lab takes 0 to 1\.5"):
        check(outside, capabilities=narrow)
    with pytest.raises(SubmissionRefused, match=r"rx by 1\.75 rad"):
        check_experiments([outside], "lab", narrow)
