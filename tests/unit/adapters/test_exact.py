import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import iSwapGate
from qiskit.quantum_info import SparsePauliOp, StabilizerState, Statevector, random_clifford

from adapters import exact
from adapters.exact import exact_values, exact_values_at
from adapters.pauli_paths import TooManyPaths, carry_back, is_clifford
from qcpaas.errors import MitigationError

OBSERVABLES = (SparsePauliOp(["ZZII", "IXYI", "IIII"], [0.5, -1.2, 0.3]), SparsePauliOp("YIXZ"))


def scrambled(seed, qubits=4):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for _ in range(3):
        for qubit in range(qubits):
            circuit.rz(rng.uniform(-4, 4), qubit)
            circuit.sx(qubit)
            circuit.rx(rng.uniform(-4, 4), qubit)
        for low in range(qubits - 1):
            getattr(circuit, rng.choice(["cx", "ecr", "cz", "iswap"]))(low, low + 1)
        circuit.ccx(0, 2, 1)
        circuit.rzz(rng.uniform(0, 1), 0, qubits - 1)
    return circuit


def truth(circuit, observables):
    return [Statevector(circuit).expectation_value(one).real for one in observables]


@pytest.mark.parametrize("seed", range(3))
def test_both_methods_agree_with_the_state_vector(seed):
    circuit = scrambled(seed)
    wanted = truth(circuit, OBSERVABLES)
    assert exact_values([circuit], [OBSERVABLES])[0] == pytest.approx(wanted, abs=1e-9)
    assert carry_back(circuit, OBSERVABLES, 4**4) == pytest.approx(wanted, abs=1e-9)


def test_a_circuits_points_are_simulated_in_their_own_columns():
    theta = ParameterVector("theta", 11)
    circuit = QuantumCircuit(5, 1)  # two qubits stay idle
    for index in (10, 2, 0, 1, 3, 4, 5, 6, 7, 8, 9):
        circuit.ry(2 * theta[index] + 0.1, 1)
        circuit.cx(1, 3)
    circuit.rx(theta[3], 4)
    circuit.barrier()
    circuit.measure(1, 0)
    observables = [SparsePauliOp(["IIIZI", "XIIII"], [1, 2]), SparsePauliOp("ZZIXZ")]
    points = np.random.default_rng(1).uniform(-2, 2, (5, 11))
    found = exact_values_at(circuit, points, observables)
    plain = circuit.remove_final_measurements(inplace=False)
    wanted = [truth(plain.assign_parameters(point), observables) for point in points]
    assert found == pytest.approx(np.array(wanted), abs=1e-9)


def test_wide_clifford_circuits_are_exact():
    circuit = random_clifford(30, seed=4).to_circuit()
    circuit.rz(3 * np.pi / 2, 7)  # Clifford as well
    state = StabilizerState(circuit)
    singles = [SparsePauliOp("I" * (29 - q) + "Z" + "I" * q) for q in range(30)]
    wanted = [float(state.expectation_value(one.paulis[0])) for one in singles]
    stabilisers = state.clifford.to_labels(mode="S")
    observables = singles + [SparsePauliOp(label[1:]) for label in stabilisers]
    wanted += [1.0 if label[0] == "+" else -1.0 for label in stabilisers]
    (found,) = exact_values([circuit], [observables])
    assert found == pytest.approx(wanted, abs=1e-12)


def test_a_wide_circuit_with_few_other_gates_is_exact():
    circuit = QuantumCircuit(40)
    circuit.h(0)
    for qubit in range(39):
        circuit.cx(qubit, qubit + 1)
    circuit.rz(0.3, 0)
    circuit.t(5)
    (found,) = exact_values([circuit], [[SparsePauliOp("X" * 40), SparsePauliOp("Z" * 40)]])
    assert found == pytest.approx([np.cos(0.3 + np.pi / 4), 1.0])


def test_a_circuit_without_gates_leaves_the_ground_state():
    (found,) = exact_values([QuantumCircuit(2)], [[SparsePauliOp(["ZZ", "XI"], [0.5, 1])]])
    assert found == pytest.approx([0.5])


def test_a_circuit_too_wide_and_too_far_from_clifford_is_refused(monkeypatch):
    monkeypatch.setattr(exact, "MAX_STRINGS", 100)
    circuit = scrambled(1, qubits=26)
    everywhere = SparsePauliOp("Z" * 26)
    with pytest.raises(MitigationError, match=r"26 qubits .* not Clifford .*3 ccx.* keep fewer"):
        exact_values([circuit], [[everywhere]])
    with pytest.raises(TooManyPaths):
        carry_back(circuit, [everywhere], 100)


@pytest.mark.parametrize("wrong", ["reset", "measured twice"])
def test_what_is_not_unitary_is_refused_by_name(wrong):
    circuit = QuantumCircuit(1, 1)
    if wrong == "reset":
        circuit.reset(0)
    else:
        circuit.measure(0, 0)
        circuit.x(0)
    with pytest.raises(MitigationError, match=r"has reset|after measuring"):
        exact_values([circuit], [[SparsePauliOp("Z")]])


def test_rotations_by_right_angles_are_clifford_and_others_are_not():
    circuit = QuantumCircuit(2)
    circuit.rz(np.pi / 2, 0)
    circuit.rzz(3 * np.pi / 2, 0, 1)
    circuit.append(iSwapGate(), [0, 1])
    circuit.rz(np.pi / 4, 0)
    assert [is_clifford(step.operation) for step in circuit.data] == [True, True, True, False]
