"""A job on the embedded platform, run by a QVM and by a processor at QCS."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from vendors.rigetti_subject import subjects

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]
SHOTS = 4000


@pytest.fixture(scope="module")
def rigetti(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rigetti")
    with subjects(folder) as found, pytest.MonkeyPatch.context() as patch:
        for subject in found:
            for name, value in subject.environment.items():
                patch.setenv(name, value)
        yield found


@pytest.mark.parametrize("backend", ["rigetti:qvm:9q", "rigetti:Ankaa-9"])
def test_expectation_values_of_all_points_are_the_exact_ones(platform, rigetti, backend):
    t = Parameter("t")
    circuit = QuantumCircuit(2, name="pair")
    circuit.ry(t, 0)
    circuit.cx(0, 1)
    angles = np.array([0.4, 2.1])
    job = platform.run_circuits(
        circuit,
        observables=["ZZ", "XX", "IZ"],
        parameter_values=angles[:, None].tolist(),
        backend=backend,
        shots=SHOTS,
        seed=4,
    )
    (answer,) = job.result(timeout=500)
    exact = np.stack([np.ones(2), np.sin(angles), np.cos(angles)], axis=1)
    found = np.array(answer["expectation_values"])
    assert np.abs(found - exact).max() < 5 / np.sqrt(SHOTS)
    assert np.all(np.array(answer["std_errors"]) < 1.1 / np.sqrt(SHOTS))
