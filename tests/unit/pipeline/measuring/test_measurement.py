from itertools import count

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit.library import efficient_su2
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector, random_pauli_list

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from pipeline.measuring.bases import choose_bases, measure_in_basis
from pipeline.measuring.measurement import MeasurementBasis
from pipeline.stack import build_stack
from qcpaas.errors import MitigationError, ObservableError
from qcpaas.execution import Binding, ExpectationValues, Experiment

BASES = {
    "ibm_cx": ("cx", "rz", "sx", "x", "measure", "delay", "reset"),
    "ibm_ecr": ("ecr", "rz", "sx", "x", "measure", "delay"),
    "ibm_cz": ("cz", "rz", "sx", "x", "measure"),
    "iqm": ("r", "cz", "measure"),
    "ideal": (),
}


@pytest.fixture(scope="module")
def stack():
    seeds = count(1000)
    return build_stack([], DeviceBackend(open_device("statevector"), lambda: next(seeds)), "counts")


def random_observable(num_qubits, terms, seed):
    rng = np.random.default_rng(seed)
    paulis = random_pauli_list(num_qubits, terms, seed=seed, phase=False)
    return SparsePauliOp(paulis, rng.normal(size=terms))


def exact(circuit, observables, rows=((),), shots=None):
    return Experiment(circuit, np.array(rows, dtype=float), tuple(observables), shots)


@pytest.mark.parametrize("seed", range(6))
def test_exact_expectation_values_equal_the_state_vectors(stack, seed):
    circuit = random_circuit(4, 4, max_operands=2, seed=seed)
    observables = [random_observable(4, 6, seed), random_observable(4, 3, seed + 100)]
    (outcome,) = stack.run([exact(circuit, observables)])
    state = Statevector(circuit)
    truth = [state.expectation_value(observable).real for observable in observables]
    assert outcome.values[0] == pytest.approx(truth, abs=1e-9)
    assert np.all(outcome.variances == 0)


def test_every_point_of_a_parametrised_circuit_is_evaluated(stack):
    circuit = efficient_su2(3, reps=1)
    rows = np.random.default_rng(2).uniform(-3, 3, (5, circuit.num_parameters))
    observables = [random_observable(3, 5, 7), SparsePauliOp("ZXI")]
    (outcome,) = stack.run([exact(circuit, observables, rows)])
    truth = [
        [Statevector(circuit.assign_parameters(row)).expectation_value(o).real for o in observables]
        for row in rows
    ]
    assert outcome.values == pytest.approx(np.array(truth), abs=1e-9)


def test_variances_are_those_of_many_repetitions_also_for_correlated_strings(stack):
    circuit = QuantumCircuit(2)
    circuit.ry(0.9, 0)
    circuit.cx(0, 1)  # ZI and IZ are read from one circuit, and always equal
    circuit.ry(0.2, 1)
    observables = [
        SparsePauliOp(["ZI", "IZ", "ZZ"], [1.0, 1.0, -0.5]),
        SparsePauliOp(["XX", "IZ", "YY"], [0.4, 0.8, 0.3]),
    ]
    repeats, shots = 1500, 200
    outcomes = stack.run([exact(circuit, observables, shots=shots)] * repeats)
    values = np.array([outcome.values[0] for outcome in outcomes])
    predicted = np.mean([outcome.variances[0] for outcome in outcomes], axis=0)
    # Relative standard error of a variance: sqrt(2 / 1500) = 3.7 %.
    assert values.var(axis=0, ddof=1) == pytest.approx(predicted, rel=0.15)
    truth = [Statevector(circuit).expectation_value(o).real for o in observables]
    assert np.all(np.abs(values.mean(axis=0) - truth) < 4 * np.sqrt(predicted / repeats))


def test_one_shot_has_the_largest_variance_that_its_observable_allows(stack):
    observable = SparsePauliOp(["ZI", "IX", "II"], [2.0, -0.5, 7.0])
    (outcome,) = stack.run([exact(QuantumCircuit(2), [observable], shots=1)])
    assert outcome.variances[0, 0] == pytest.approx(2.5**2)  # both are read from one circuit


def test_strings_that_commute_qubit_by_qubit_share_a_circuit():
    entry, labels = choose_bases([SparsePauliOp(["ZZI", "IZZ", "XXX", "IXI"])])
    assert sorted(labels) == ["XXX", "ZZZ"]
    assert sum(len(basis.supports) for basis in entry.bases) == 4


def test_a_multiple_of_the_identity_runs_one_circuit_and_is_exact(stack):
    plan = stack.plan([exact(QuantumCircuit(2), [SparsePauliOp("II", 2.5)], shots=10)])
    assert len(plan.experiments) == 1
    (outcome,) = stack.run([exact(QuantumCircuit(2), [SparsePauliOp("II", 2.5)], shots=10)])
    assert (outcome.values.tolist(), outcome.variances.tolist()) == ([[2.5]], [[0.0]])


def test_strings_that_cancel_leave_nothing(stack):
    circuit = QuantumCircuit(1)
    circuit.ry(0.4, 0)
    (outcome,) = stack.run([exact(circuit, [SparsePauliOp(["Z", "Z"], [1, -1])])])
    assert outcome.values[0, 0] == 0.0


@pytest.mark.parametrize(
    "registers", [[ClassicalRegister(2, "c")], [ClassicalRegister(3, "meas")], []]
)
def test_classical_bits_that_the_circuit_has_already_do_not_disturb(stack, registers):
    circuit = QuantumCircuit(QuantumRegister(2, "q"), *registers)
    circuit.ry(0.7, 0)
    circuit.x(1)
    observables = [SparsePauliOp(["IZ", "ZI", "IX"], [1.0, 2.0, 3.0])]
    (outcome,) = stack.run([exact(circuit, observables)])
    truth = Statevector(circuit).expectation_value(observables[0]).real
    assert outcome.values[0, 0] == pytest.approx(truth, abs=1e-9)


@pytest.mark.parametrize("device", BASES)
@pytest.mark.parametrize("letter", "XYZ")
def test_basis_rotations_use_the_devices_gates_and_turn_the_letter_into_z(device, letter):
    binding = Binding((0,), "s", None, BASES[device])
    experiment = Experiment(QuantumCircuit(1), np.zeros((1, 0)), binding=binding)
    circuit = measure_in_basis(experiment, letter, (0,))
    if BASES[device]:
        assert set(circuit.count_ops()) <= set(BASES[device])
    rotation = Operator(circuit.remove_final_measurements(inplace=False)).data
    measured = rotation.conj().T @ Operator.from_label("Z").data @ rotation
    assert np.allclose(measured, Operator.from_label(letter).data, atol=1e-9)


def test_only_the_qubits_that_count_are_measured():
    circuit = measure_in_basis(Experiment(QuantumCircuit(4), np.zeros((1, 0))), "IZIX", (0, 2))
    measured = [circuit.find_bit(s.qubits[0]).index for s in circuit.data if s.name == "measure"]
    assert measured == [0, 2]


def test_counts_pass_through_untouched(stack):
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    counts, values = stack.run(
        [
            Experiment(circuit, np.zeros((1, 0)), shots=50),
            exact(QuantumCircuit(1), [SparsePauliOp("Z")]),
        ]
    )
    assert counts.points[0].to_dict() == {"1": 50.0}
    assert values.values[0, 0] == pytest.approx(1.0)


def test_complex_coefficients_are_refused():
    with pytest.raises(ObservableError, match="complex"):
        choose_bases([SparsePauliOp(["Z"], [1j])])


def test_expectation_values_from_below_the_measurement_are_refused():
    option = MeasurementBasis(DeviceBackend(open_device("statevector"), lambda: 1))
    _, context = option.expand([exact(QuantumCircuit(1), [SparsePauliOp("Z")])])
    with pytest.raises(MitigationError, match="rank must be below 50"):
        option.reduce(context, [ExpectationValues(np.zeros((1, 1)), np.zeros((1, 1)))])
