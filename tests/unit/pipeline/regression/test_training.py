import itertools

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Clifford, Operator, SparsePauliOp, Statevector

from adapters.pauli_paths import is_clifford
from pipeline.regression.training import CLIFFORD_STEPS, TrainingTemplate, near_clifford, spread
from pipeline.regression.training_data import Trainer, TrainingSettings
from qcpaas.errors import MitigationError
from qcpaas.execution import Experiment


def ising(qubits=4, steps=2):
    theta = ParameterVector("theta", 12)
    circuit = QuantumCircuit(qubits)
    for step in range(steps):
        for qubit in range(qubits):
            circuit.rz(np.pi / 2, qubit)
            circuit.sx(qubit)
            circuit.rz(2 * theta[10 - step] + np.pi, qubit)
            circuit.sx(qubit)
        for qubit in range(qubits - 1):
            circuit.cx(qubit, qubit + 1)
            circuit.rz(theta[2] * theta[3], qubit + 1)
            circuit.rzz(theta[11] + 0.1, qubit, qubit + 1)
    return circuit


def not_clifford(circuit):
    return sum(not is_clifford(step.operation) for step in circuit.data)


@pytest.mark.parametrize("name", CLIFFORD_STEPS)
def test_every_rotation_is_clifford_at_its_angles(name):
    gate = get_standard_gate_name_mapping()[name]
    for places in itertools.product(range(4), repeat=len(CLIFFORD_STEPS[name])):
        angles = [k * step for k, step in zip(places, CLIFFORD_STEPS[name], strict=True)]
        Clifford.from_operator(Operator(gate.base_class(*angles)))  # raises where it is not one


def test_angles_of_the_original_circuit_give_the_original_circuit():
    circuit = ising()
    template = TrainingTemplate.of(circuit)
    point = np.random.default_rng(0).uniform(-2, 2, circuit.num_parameters)
    again = template.circuit.assign_parameters(template.angles(point))
    assert Operator(again).equiv(Operator(circuit.assign_parameters(point)))


@pytest.mark.parametrize("kept", [0, 3, 5])
def test_all_rotations_but_the_kept_ones_become_clifford_and_nothing_else_changes(kept):
    circuit = ising()
    template = TrainingTemplate.of(circuit)
    point = np.random.default_rng(0).uniform(0.1, 0.6, circuit.num_parameters)
    angles = template.angles(point)
    rows = template.near_clifford(angles, 8, kept, np.random.default_rng(1))
    for row in rows:
        trained = template.circuit.assign_parameters(row)
        assert not_clifford(trained) == kept
        assert [s.name for s in trained.data] == [s.name for s in circuit.data]
        assert [s.qubits for s in trained.data] == [s.qubits for s in circuit.data]
        assert (np.isclose(row, angles)).sum() == kept
    assert len(np.unique(rows, axis=0)) > 1


def test_angles_of_two_qubit_rotations_stay_between_their_neighbours():
    circuit = QuantumCircuit(2)
    for _ in range(30):
        circuit.rzz(0.7, 0, 1)
    template = TrainingTemplate.of(circuit)
    rows = template.near_clifford(np.full(30, 0.7), 20, 0, np.random.default_rng(1))
    assert set(np.unique(rows)) == {0.0, np.pi / 2}


def test_near_angles_are_taken_more_often():
    circuit = QuantumCircuit(1)
    circuit.rz(Parameter("a"), 0)
    template = TrainingTemplate.of(circuit)
    rows = template.near_clifford(np.array([0.3]), 4000, 0, np.random.default_rng(1))
    usual = rows[::4]  # of the usual width
    weights = np.exp(-(4 - 4 * np.cos((np.arange(-1, 3) * np.pi / 2 - 0.3) / 2)) / 0.5**2)
    share = weights / weights.sum()
    assert (usual == 0).mean() == pytest.approx(share[1], abs=3 * np.sqrt(share[1] / 1000))


def test_a_clifford_circuit_is_trained_on_other_clifford_circuits():
    circuit = QuantumCircuit(2)
    circuit.rz(np.pi / 2, 0)
    circuit.sx(0)
    circuit.rz(np.pi / 2, 0)
    circuit.cx(0, 1)
    template = TrainingTemplate.of(circuit)
    angles = template.angles(np.empty(0))
    rows = template.near_clifford(angles, 40, 3, np.random.default_rng(1))
    assert len(np.unique(rows, axis=0)) > 2
    assert all(not_clifford(template.circuit.assign_parameters(row)) == 0 for row in rows)


def test_a_bound_circuit_has_a_likeness_near_clifford():
    circuit = ising().assign_parameters(np.linspace(0.1, 0.6, 5))
    likeness = near_clifford(circuit, np.random.default_rng(3), fraction=0.25)
    assert not likeness.num_parameters
    assert not_clifford(likeness) == round(0.25 * not_clifford(circuit))


@pytest.mark.parametrize("wrong", ["reset", "measure", "if_else"])
def test_what_cannot_be_made_clifford_is_named(wrong):
    circuit = QuantumCircuit(1, 1)
    circuit.rz(0.3, 0)
    if wrong == "if_else":
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.x(0)
    elif wrong == "measure":
        circuit.measure(0, 0)
    else:
        circuit.reset(0)
    with pytest.raises(MitigationError, match=f"has {wrong}, which cannot be made a Clifford"):
        TrainingTemplate.of(circuit)


def test_a_circuit_without_rotations_is_refused_by_what_it_has():
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.t(0)
    circuit.cx(0, 1)
    with pytest.raises(MitigationError, match=r"bell has no rotation.*it has cx, h, t"):
        TrainingTemplate.of(circuit)


def test_chosen_rows_span_the_values():
    values = np.array([[0.0], [0.0], [0.01], [1.0], [-1.0], [0.5], [0.0]])
    assert set(values[spread(values, 4)].ravel()) >= {1.0, -1.0, 0.5}
    assert len(set(spread(np.zeros((5, 2)), 5))) == 5


def test_training_circuits_of_all_points_come_with_their_exact_values():
    circuit = ising()
    points = np.random.default_rng(0).uniform(0.1, 1.4, (3, circuit.num_parameters))
    wanted = (SparsePauliOp(["ZZII", "IIXI"], [0.5, 1]), SparsePauliOp("IIIZ"))
    asked = Experiment(circuit, points, wanted, 1000)
    trainer = Trainer(TrainingSettings(training=6, training_shots=300))
    found = trainer.draw(asked, 6, np.random.default_rng(2))
    assert found.experiment.parameter_values.shape[0] == 18
    assert found.experiment.shots == 300
    states = [
        Statevector(found.experiment.circuit.assign_parameters(row))
        for row in found.experiment.parameter_values
    ]
    exact = [[state.expectation_value(one).real for one in wanted] for state in states]
    assert found.exact.reshape(18, 2) == pytest.approx(np.array(exact), abs=1e-9)
    again = trainer.draw(asked, 6, np.random.default_rng(2))
    assert np.array_equal(again.experiment.parameter_values, found.experiment.parameter_values)
    assert (np.ptp(found.exact, axis=1) > 0.3).all()  # not all alike


def test_a_wide_circuit_is_trained_on_with_few_kept_rotations():
    qubits = 30
    circuit = ising(qubits, steps=1).assign_parameters(np.linspace(0.2, 0.7, 4))
    wanted = (SparsePauliOp("I" * (qubits - 2) + "ZZ"), SparsePauliOp("X" * qubits))
    asked = Experiment(circuit, np.empty((1, 0)), wanted, 100)
    found = Trainer(TrainingSettings()).draw(asked, 4, np.random.default_rng(2))
    row = found.experiment.parameter_values[0]
    assert not_clifford(found.experiment.circuit.assign_parameters(row)) == 8
    assert np.isfinite(found.exact).all()
