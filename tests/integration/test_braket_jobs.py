"""A job on a QPU of Amazon Braket, from the platform's side to Braket's protocol and back."""

import json

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector
from vendors.braket_devices import ANKAA
from vendors.braket_subject import subjects

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

SHOTS = 4000


@pytest.fixture(scope="module")
def qpus(tmp_path_factory):
    with (
        subjects(tmp_path_factory.mktemp("braket")) as found,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in found[0].environment.items():
            patch.setenv(name, value)
        yield found


def rotation():
    angle = Parameter("angle")
    circuit = QuantumCircuit(3, name="rotation")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.ry(angle, 2)
    circuit.rz(0.3 + angle, 1)
    circuit.cx(1, 2)
    circuit.rx(0.4, 0)
    return circuit


@pytest.mark.parametrize(
    "which",
    [pytest.param(0, id="iqm"), pytest.param(1, id="rigetti", marks=pytest.mark.slow)],
)
def test_values_of_late_bound_circuits_are_those_of_the_exact_state(platform, qpus, which):
    subject = qpus[which]
    before = len(subject.server.jobs())
    observables = ["ZZI", "XYZ"]
    points = [[0.3], [2.9]]
    job = platform.run_circuits(
        rotation(),
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
                Statevector(rotation().assign_parameters(point)).expectation_value(SparsePauliOp(o))
                for o in observables
            ]
            for point in points
        ]
    ).real
    assert np.abs(np.array(answer["expectation_values"]) - exact).max() < 5 / np.sqrt(SHOTS)
    jobs = subject.server.jobs()[before:]
    assert {each["state"] for each in jobs} == {"completed"}
    actions = [json.loads(each["request"]["asked"]["action"]) for each in jobs]
    assert all("#pragma braket verbatim" in str(action) for action in actions)
    # Two bases at two points: one program set, or where there are none a task for each.
    assert len(jobs) == (4 if ANKAA.arn in subject.name else 1)
