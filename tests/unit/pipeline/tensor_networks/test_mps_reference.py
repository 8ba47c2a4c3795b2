import importlib

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector, random_pauli_list

from pipeline.regression.training_data import Trainer, TrainingSettings
from pipeline.tensor_networks.mps_reference import MpsReference, mps_values
from qcpaas.errors import MitigationError
from qcpaas.execution import Binding, Experiment


@pytest.fixture(autouse=True, scope="module")
def _interpreted():
    """quimb without its compiled kernels: in a new environment they take 35 s, these tests 4."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("numba").config, "DISABLE_JIT", True)
        importlib.import_module("quimb.tensor")
        yield


def layered(num_qubits, depth, seed):
    """Rotations and joint gates, also between distant qubits and in both directions."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(num_qubits)
    for _ in range(depth):
        for qubit in range(num_qubits):
            circuit.rz(rng.uniform(-3, 3), qubit)
            circuit.sx(qubit)
        for _ in range(num_qubits // 2):
            first, second = rng.choice(num_qubits, 2, replace=False).tolist()
            getattr(circuit, rng.choice(["cx", "ecr", "cz"]))(first, second)
    return circuit


def test_values_are_those_of_the_state_vector():
    circuit = layered(6, 3, 4)
    paulis = random_pauli_list(6, 6, seed=1, phase=False)
    observables = [SparsePauliOp(paulis, np.arange(1.0, 7.0)), SparsePauliOp("ZIIIIZ")]
    values, infidelity = mps_values(circuit, observables)
    state = Statevector(circuit)
    truth = [state.expectation_value(observable).real for observable in observables]
    assert values == pytest.approx(truth, abs=1e-6)
    assert infidelity < 1e-8


def test_cut_bonds_cost_about_the_infidelity_that_they_say():
    circuit = layered(8, 5, 2)
    observable = SparsePauliOp("IIIZZIII")
    values, infidelity = mps_values(circuit, [observable], max_bond=6)
    truth = Statevector(circuit).expectation_value(observable).real
    assert 0.01 < infidelity < 1
    assert abs(values[0] - truth) < 2 * np.sqrt(infidelity)


def test_a_wide_ghz_state_is_exact_with_a_bond_of_two():
    circuit = QuantumCircuit(40)
    circuit.h(0)
    for qubit in range(39):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    observables = [SparsePauliOp("X" * 40), SparsePauliOp("Z" + "I" * 38 + "Z")]
    values, infidelity = mps_values(circuit, observables, max_bond=2)
    assert values == pytest.approx([1.0, 1.0], abs=1e-9)
    assert infidelity == pytest.approx(0.0, abs=1e-9)


def test_what_is_no_gate_and_what_is_not_bound_is_refused():
    circuit = QuantumCircuit(3)
    circuit.reset(0)
    with pytest.raises(MitigationError, match="has reset on 1 qubits"):
        mps_values(circuit, [SparsePauliOp("ZZZ")])
    circuit = QuantumCircuit(1)
    circuit.rz(Parameter("a"), 0)
    with pytest.raises(MitigationError, match="1 unbound parameters"):
        mps_values(circuit, [SparsePauliOp("Z")])


def test_training_circuits_may_take_their_exact_values_from_matrix_product_states():
    circuit = layered(4, 2, 7)
    observables = (SparsePauliOp("IIZZ"), SparsePauliOp("XIIX"))
    binding = Binding((0, 1, 2, 3), "", None, ())
    asked = Experiment(circuit, np.empty((1, 0)), observables, 1000, binding)
    settings = TrainingSettings(training=4, reference="mps")
    drawn = Trainer(settings).draw(asked, 4, np.random.default_rng(3))
    for values, point in zip(drawn.exact[0], drawn.experiment.parameter_values, strict=True):
        state = Statevector(drawn.experiment.circuit.assign_parameters(point))
        truth = [state.expectation_value(observable).real for observable in observables]
        assert values == pytest.approx(truth, abs=1e-6)


def test_a_reference_that_lost_too_much_is_refused():
    circuit = layered(8, 5, 2)
    with pytest.raises(MitigationError, match="Raise max_bond"):
        MpsReference(circuit, [SparsePauliOp("IIIZZIII")], 6).at(np.empty((1, 0)))
