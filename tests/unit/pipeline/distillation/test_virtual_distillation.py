from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import DensityMatrix, SparsePauliOp, Statevector
from qiskit_aer.noise import NoiseModel, amplitude_damping_error, depolarizing_error

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from pipeline.distillation.circuits import share_circuits
from pipeline.distillation.option import VirtualDistillation
from qcpaas.errors import CircuitError, MitigationError
from qcpaas.execution import Counts, Distribution, Experiment

DAMPED = amplitude_damping_error(0.04)
DEPOLARISED = depolarizing_error(0.08, 2)
OBSERVABLES = (
    SparsePauliOp(["ZZI", "XYZ", "III"], [0.7, -0.5, 0.3]),
    SparsePauliOp("YYY"),
    SparsePauliOp(["ZII", "IZI", "ZZI", "IIX"], [1.0, -1.0, 0.5, 0.25]),
    SparsePauliOp("III", 2.0),
)


def prepared(seed=5, qubits=3):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits, name="prepared")
    for _ in range(2):
        for qubit in range(qubits):
            circuit.ry(rng.uniform(0, 3), qubit)
            circuit.rx(rng.uniform(0, 3), qubit)
        for qubit in range(qubits - 1):
            circuit.rzz(rng.uniform(0, 2), qubit, qubit + 1)
    return circuit


def noise():
    """Of gates that only the circuit itself has, not its measurement."""
    model = NoiseModel()
    model.add_all_qubit_quantum_error(DAMPED, "rx")
    model.add_all_qubit_quantum_error(DEPOLARISED, "rzz")
    return model.to_dict(serializable=True)


def noisy_state(circuit):
    state = DensityMatrix.from_label("0" * circuit.num_qubits)
    for step in circuit.data:
        qubits = [circuit.find_bit(qubit).index for qubit in step.qubits]
        state = state.evolve(step.operation, qubits)
        error = {"rx": DAMPED, "rzz": DEPOLARISED}.get(step.name)
        state = state if error is None else state.evolve(error, qubits)
    return state.data


def distilled(circuit, observables):
    """The definition, from the density matrix."""
    squared = noisy_state(circuit) @ noisy_state(circuit)
    values = [np.trace(squared @ each.to_matrix()).real for each in observables]
    return np.array(values) / np.trace(squared).real


def option(noise_model=None):
    return VirtualDistillation(DeviceBackend(open_device("aer"), lambda: 11, noise_model))


def exact_outcomes(vd, experiment):
    planned, context = vd.expand([replace(experiment, shots=None)])
    return context, vd.inner.execute(planned)


def sampled(outcome, shots, rng):
    points = []
    for point in outcome.points:
        counts = rng.multinomial(shots, point.weights / point.weights.sum())
        points.append(replace(point, weights=counts.astype(float), shots=shots))
    return replace(outcome, points=tuple(points))


def test_the_values_are_those_of_the_squared_state():
    circuit = prepared()
    vd = option(noise())
    (outcome,) = vd.run([Experiment(circuit, np.zeros((1, 0)), OBSERVABLES, None)])
    assert outcome.values[0] == pytest.approx(distilled(circuit, OBSERVABLES), abs=1e-9)
    state = noisy_state(circuit)
    plain = [np.trace(state @ each.to_matrix()).real for each in OBSERVABLES]
    assert outcome.raw_values[0] == pytest.approx(plain, abs=1e-9)
    purity = outcome.diagnostics[-1].figures["purity"]
    assert purity == pytest.approx(np.trace(state @ state).real, abs=1e-9)
    ideal = [Statevector(circuit).expectation_value(each).real for each in OBSERVABLES]
    errors = np.abs(outcome.values[0] - ideal).max(), np.abs(np.array(plain) - ideal).max()
    assert errors[0] < errors[1]


def test_error_bars_cover_what_sampling_does():
    circuit, rng = prepared(qubits=2), np.random.default_rng(3)
    observables = (SparsePauliOp(["ZZ", "XI", "IY"], [1.0, -0.5, 0.5]), SparsePauliOp("YX"))
    vd = option(noise())
    context, exact = exact_outcomes(vd, Experiment(circuit, np.zeros((1, 0)), observables))
    truth = distilled(circuit, observables)
    deviations = []
    for _ in range(200):
        (found,) = vd.reduce(context, [sampled(outcome, 2000, rng) for outcome in exact])
        deviations.append((found.values[0] - truth) / np.sqrt(found.variances[0]))
    # 200 draws know a standard deviation to 5 %.
    assert np.std(deviations, axis=0) == pytest.approx(1.0, abs=0.2)
    assert np.mean(deviations, axis=0) == pytest.approx(0.0, abs=0.3)


def test_readout_errors_are_corrected_bit_by_bit():
    circuit = prepared(qubits=2)
    observables = (SparsePauliOp(["ZZ", "XI"], [0.5, 1.0]),)
    vd = option()
    context, exact = exact_outcomes(vd, Experiment(circuit, np.zeros((1, 0)), observables))
    errors = [(0.03, 0.08), (0.1, 0.02), (0.05, 0.05), (0.0, 0.12)]
    read = [_misread(outcome, errors) for outcome in exact]
    (found,) = vd.reduce(context, read)
    ideal = Statevector(circuit).expectation_value(observables[0]).real
    assert found.values[0, 0] == pytest.approx(ideal, abs=1e-9)
    assert abs(found.raw_values[0, 0] - ideal) > 0.01


def _misread(outcome, errors):
    probabilities = np.zeros(2 ** len(errors))
    for bits, weight in outcome.points[0].to_dict().items():
        probabilities[int(bits, 2)] = weight
    assignments = np.array([[[1 - p10, p01], [p10, 1 - p01]] for p10, p01 in errors])
    matrix = np.ones((1, 1))
    for assignment in assignments:
        matrix = np.kron(assignment, matrix)
    weights = {f"{i:0{len(errors)}b}": p for i, p in enumerate(matrix @ probabilities)}
    point = Distribution.from_dict(weights, len(errors), None)
    return Counts((point,), outcome.registers, readout=np.linalg.inv(assignments))


def test_parameters_stay_symbolic_and_points_apart():
    angle = Parameter("angle")
    circuit = QuantumCircuit(2)
    circuit.ry(angle, 0)
    circuit.cx(0, 1)
    points = np.array([[0.3], [1.1]])
    experiment = Experiment(circuit, points, (SparsePauliOp("IZ"), SparsePauliOp("XX")), None)
    planned, _ = option().expand([experiment])
    assert all(each.circuit.parameters == circuit.parameters for each in planned)
    (outcome,) = option().run([experiment])
    assert outcome.values == pytest.approx(np.c_[np.cos(points), np.sin(points)], abs=1e-9)


def test_strings_share_a_circuit_unless_one_is_a_product_of_others():
    shared = share_circuits(["IZ", "ZI", "ZZ", "XX"])
    assert sorted(len(each.strings) for each in shared) == [1, 1, 2]
    vd = option()
    experiment = Experiment(prepared(qubits=2), np.zeros((1, 0)), (SparsePauliOp("ZZ"),), 100)
    assert vd.cost(experiment) == (len(vd.expand([experiment])[0]),) * 2 == (1, 1)


def test_a_state_that_is_too_mixed_is_warned_of():
    vd = option()
    experiment = Experiment(prepared(qubits=2), np.zeros((1, 0)), (SparsePauliOp("ZZ"),), 400)
    _, context = vd.expand([experiment])
    (found,) = vd.reduce(context, [_counted({"0101": 49.0, "0000": 51.0})])
    assert found.diagnostics[-1].figures["purity"] == pytest.approx(0.02)
    assert "too small" in found.diagnostics[-1].warning
    with pytest.raises(MitigationError, match="more shots, or a shorter circuit"):
        vd.reduce(context, [_counted({"0101": 50.0, "0000": 50.0})])


def _counted(weights):
    shots = int(sum(weights.values()))
    return Counts((Distribution.from_dict(weights, 4, shots),), (("copies", 4),))


def test_a_circuit_with_measurements_is_refused():
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with pytest.raises(CircuitError, match="has measure"):
        option().expand([Experiment(circuit, np.zeros((1, 0)), (SparsePauliOp("Z"),))])
