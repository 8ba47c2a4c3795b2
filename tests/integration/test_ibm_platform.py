"""A job of the embedded platform on an IBM backend, by its address and the environment's key."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]


@pytest.fixture
def ibm(tmp_path):
    from vendors import ibm_subject
    from vendors.process import VendorServer

    with VendorServer("ibm", tmp_path / "ibm.db") as server, pytest.MonkeyPatch.context() as patch:
        for name, value in ibm_subject.environment(server).items():
            patch.setenv(name, value)
        yield server


def test_expectation_values_of_a_parametrised_circuit_come_from_ibm(platform, ibm):
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("angle"), 0)
    circuit.cx(0, 1)
    angles, shots = np.array([0.3, 1.2, 2.5]), 8000
    job = platform.run_circuits(
        circuit,
        observables=["ZZ", "IZ", "XX"],
        parameter_values=angles[:, None].tolist(),
        backend="ibm:ibm_fractional",
        shots=shots,
        seed=5,
    )
    (answer,) = job.result(timeout=300)
    exact = np.stack([np.ones(3), np.cos(angles), np.sin(angles)], axis=1)
    found = np.array(answer["expectation_values"])
    assert np.abs(found - exact).max() < 5 / np.sqrt(shots)
    accepted = ibm.jobs()
    assert accepted
    assert all(sent["request"]["backend"] == "ibm_fractional" for sent in accepted)
    assert len({sent["token"] for sent in accepted}) == len(accepted)
