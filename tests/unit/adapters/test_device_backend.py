import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from adapters.backend import DeviceBackend
from adapters.contract import Capabilities
from adapters.registry import open_device
from adapters.simulators import SimulatorAdapter
from qcpaas.errors import CircuitError, ShotsError, SubmissionRefused
from qcpaas.execution import Experiment


def rotation(width=1):
    circuit = QuantumCircuit(width, width, name="rotation")
    circuit.rx(Parameter("t"), 0)
    circuit.measure(range(width), range(width))
    return circuit


def backend(name="statevector", seeds=range(100)):
    stream = iter(seeds)
    return DeviceBackend(open_device(name), lambda: next(stream))


def asked(circuit=None, points=((0.1,),), shots=100):
    return Experiment(rotation() if circuit is None else circuit, np.array(points), shots=shots)


@pytest.mark.parametrize("shots", [0, -1, 1_000_001, 10**12])
def test_absurd_shots_are_refused_with_the_range(shots):
    with pytest.raises(ShotsError, match=f"{shots} shots.*rotation.*1 to 1000000"):
        backend().execute([asked(shots=shots)])


def test_a_circuit_without_a_measurement_is_refused_by_name():
    circuit = QuantumCircuit(1, 1, name="silent")
    circuit.x(0)
    with pytest.raises(CircuitError, match="silent has no measurement"):
        backend().execute([asked(), asked(circuit, np.zeros((1, 0)))])


def test_a_measurement_inside_control_flow_counts():
    circuit = QuantumCircuit(1, 2)
    with circuit.if_test((circuit.clbits[0], 0)):
        circuit.measure(0, 1)
    (counts,) = backend().execute([asked(circuit, np.zeros((1, 0)))])
    assert counts.points[0].to_dict() == {"00": 100}


@pytest.mark.parametrize("points", [np.zeros((1, 0)), np.zeros((2, 2)), np.zeros(1)])
def test_points_of_the_wrong_width_are_refused(points):
    with pytest.raises(CircuitError, match="rotation has 1 parameters"):
        backend().execute([asked(points=points)])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameter_values_that_are_no_numbers_are_refused(value):
    with pytest.raises(CircuitError, match="not finite"):
        backend().execute([asked(points=[[value]])])


def test_too_wide_a_circuit_is_refused_with_both_widths():
    with pytest.raises(CircuitError, match="needs 30 qubits; statevector has 28"):
        backend().execute([asked(rotation(30))])
    with pytest.raises(CircuitError, match="needs 6 qubits; FakeAthens has 5"):
        backend("FakeAthens").execute([asked(rotation(6))])


class Sampling(SimulatorAdapter):
    """A device that takes neither exact requests nor noise models, such as a QPU."""

    def capabilities(self):
        return Capabilities(num_qubits=3, max_circuits=2)


def test_a_device_that_only_samples_refuses_exact_values_and_noise():
    device = Sampling("qpu", "statevector")
    run = DeviceBackend(device, lambda: 1)
    with pytest.raises(ShotsError, match="asked of qpu, which samples"):
        run.execute([asked(shots=None)])
    with pytest.raises(SubmissionRefused, match="takes no noise model"):
        DeviceBackend(device, lambda: 1, noise_model={"errors": []})


def test_every_submission_has_a_fresh_seed():
    run = backend(seeds=[1, 2, 1])
    first, second, third = (
        run.execute([asked(points=[[1.5]], shots=10_000)])[0].points[0].to_dict() for _ in range(3)
    )
    assert first == third != second


def test_the_plan_is_the_experiments_and_moves_to_other_points():
    run = backend()
    plan = run.plan([asked(points=[[0.0]])])
    moved = plan.at([asked(points=[[np.pi], [0.0]])])
    (outcome,) = run.combine(moved, run.execute(moved.experiments))
    assert [point.to_dict() for point in outcome.points] == [{"1": 100}, {"0": 100}]
