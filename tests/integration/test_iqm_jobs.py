"""A job on an IQM quantum computer, from the platform's side to IQM's protocol and back."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector
from vendors.iqm_subject import subjects

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

SHOTS = 4000


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    with (
        subjects(tmp_path_factory.mktemp("iqm")) as (five_qubits, _),
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in five_qubits.environment.items():
            patch.setenv(name, value)
        yield five_qubits


def test_expectation_values_of_late_bound_circuits_are_those_of_the_exact_state(platform, subject):
    angle = Parameter("angle")
    circuit = QuantumCircuit(3, name="rotation")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.ry(angle, 2)
    circuit.rz(0.3 + angle, 1)
    circuit.cx(1, 2)
    circuit.rx(0.4, 0)
    observables = ["ZZI", "XYZ", "IXX"]
    points = [[0.3], [1.2], [2.9]]
    job = platform.run_circuits(
        circuit,
        observables=observables,
        parameter_values=points,
        backend=subject.name,
        shots=SHOTS,
        seed=5,
    )
    (answer,) = job.result(timeout=200)
    exact = np.array(
        [
            [
                Statevector(circuit.assign_parameters(point)).expectation_value(SparsePauliOp(o))
                for o in observables
            ]
            for point in points
        ]
    ).real
    assert np.abs(np.array(answer["expectation_values"]) - exact).max() < 5 / np.sqrt(SHOTS)
    jobs = subject.server.jobs()
    assert {job["state"] for job in jobs} == {"completed"}
    sent = {
        step["name"]
        for job in jobs
        for c in job["request"]["definition"]["circuits"]
        for step in c["instructions"]
    }
    assert sent - {"barrier"} == {"prx", "cz", "measure"}
