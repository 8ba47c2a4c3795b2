from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import SparsePauliOp, Statevector, random_pauli_list

from adapters.fake_backends import read_snapshot
from adapters.target import build_target
from calibration.binding import bind_experiment, bind_in_place, bind_template
from calibration.placement import Placer
from calibration.portfolio import compile_portfolio
from qcpaas.calibration import Quantity
from qcpaas.execution import Experiment
from store.snapshot import Reading, Snapshot

DEVICES = ("FakeKolkata", "FakeSherbrooke", "FakeTorino")  # CX; ECR, one way; CZ


@pytest.fixture(scope="module", params=DEVICES)
def device(request):
    snapshot = read_snapshot(request.param)
    return snapshot, build_target(snapshot), Placer()


@pytest.fixture(scope="module")
def sherbrooke():
    snapshot = read_snapshot("FakeSherbrooke")
    return snapshot, build_target(snapshot), Placer()


def bind(experiment, device):
    snapshot, target, placer = device
    template = compile_portfolio(experiment.circuit, target).templates[0]
    circuit, binding = bind_template(template, snapshot, tuple(snapshot.gates), placer)
    return bind_experiment(experiment, template, circuit, binding)


def random_parametrised(seed):
    circuit = random_circuit(4, 3, max_operands=2, seed=seed)
    theta = ParameterVector("theta", 12)
    for index in (11, 2, 10, 0):
        circuit.rx(theta[index], index % 4)
        circuit.cx(index % 4, (index + 1) % 4)
    circuit.rz(Parameter("alpha") + theta[2], 1)
    circuit.rx(0.3, 1)
    return circuit


def values_of(circuit, observables, row):
    bound = circuit.assign_parameters(row)
    state = Statevector.from_label("0" * circuit.num_qubits).evolve(bound)
    return [state.expectation_value(observable).real for observable in observables]


@pytest.mark.parametrize("seed", range(3))
def test_a_bound_circuit_has_the_originals_expectation_values(device, seed):
    circuit = random_parametrised(seed)
    rng = np.random.default_rng(seed)
    observables = tuple(
        SparsePauliOp(random_pauli_list(4, 4, seed=seed + n, phase=False), rng.normal(size=4))
        for n in range(2)
    )
    rows = rng.uniform(-3, 3, (2, circuit.num_parameters))
    bound = bind(Experiment(circuit, rows, observables), device)
    for row, bound_row in zip(rows, bound.parameter_values, strict=True):
        expected = values_of(circuit, observables, row)
        found = values_of(bound.circuit, bound.observables, bound_row)
        assert found == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_every_instruction_exists_on_its_qubits_in_its_direction(device, seed):
    target = device[1]
    circuit = random_parametrised(seed)
    row = np.zeros((1, circuit.num_parameters))
    bound = bind(Experiment(circuit, row, (SparsePauliOp("ZZZZ"),)), device)
    physical = bound.binding.physical_qubits
    assert len(set(physical)) == len(physical)
    for step in bound.circuit.data:
        qubits = tuple(physical[bound.circuit.find_bit(q).index] for q in step.qubits)
        assert target.instruction_supported(step.operation.name, qubits)


def test_gates_turned_round_stay_in_the_devices_gates_and_mean_the_same(sherbrooke):
    snapshot, target, _ = sherbrooke
    circuit = QuantumCircuit(3)
    circuit.ry(0.4, 0)
    circuit.cx(0, 1)
    circuit.rx(Parameter("a"), 1)
    circuit.cx(1, 2)
    template = compile_portfolio(circuit, target).templates[0]
    backwards = replace(template, home=template.home[::-1])  # the same couplers, the other way
    bound, binding = bind_template(backwards, snapshot, tuple(snapshot.gates), Placer())
    for step in bound.data:
        qubits = tuple(binding.physical_qubits[bound.find_bit(q).index] for q in step.qubits)
        assert target.instruction_supported(step.operation.name, qubits)
    experiment = Experiment(
        circuit, np.array([[0.9]]), (SparsePauliOp("ZXY"), SparsePauliOp("IZZ"))
    )
    moved = bind_experiment(experiment, template, bound, binding)
    assert values_of(moved.circuit, moved.observables, [0.9]) == pytest.approx(
        values_of(circuit, experiment.observables, [0.9]), abs=1e-8
    )


def test_columns_follow_names_also_where_the_compiler_drops_a_parameter(device):
    snapshot, target, placer = device
    theta = ParameterVector("theta", 12)
    circuit = QuantumCircuit(2)
    for index in (10, 2, 5, 3):
        circuit.ry(theta[index], 0)
        circuit.cx(0, 1)
    rows = np.array([[0.1, 0.2, 99.0, 0.3]])  # theta 2, 3, 5, 10
    template = compile_portfolio(circuit, target).templates[0]
    bound, binding = bind_template(template, snapshot, tuple(snapshot.gates), placer)
    dropped = bound.assign_parameters({theta[5]: 0.0})
    experiment = bind_experiment(Experiment(circuit, rows), template, dropped, binding)
    names = [parameter.name for parameter in dropped.parameters]
    named = dict(zip(names, experiment.parameter_values[0], strict=True))
    assert named == {"theta[2]": 0.1, "theta[3]": 0.2, "theta[10]": 0.3}


def test_the_readout_model_is_that_of_the_chosen_qubits(sherbrooke):
    snapshot = sherbrooke[0]
    bound = bind(
        Experiment(QuantumCircuit(2), np.zeros((1, 0)), (SparsePauliOp("ZZ"),)), sherbrooke
    )
    expected = [
        [snapshot.get(Quantity.READOUT_P10, q), snapshot.get(Quantity.READOUT_P01, q)]
        for q in bound.binding.physical_qubits
    ]
    assert bound.binding.readout_errors.tolist() == expected
    assert bound.binding.snapshot_id == snapshot.content_id


def test_a_readout_error_that_was_not_reported_is_nan(sherbrooke):
    snapshot = sherbrooke[0]
    silent = Snapshot.of(snapshot.device, snapshot.num_qubits, [], snapshot.taken_at)
    binding = bind_in_place(QuantumCircuit(2), silent, ())
    assert np.isnan(binding.readout_errors).all()


def test_a_readout_error_known_as_one_number_counts_for_both(sherbrooke):
    now = sherbrooke[0].taken_at
    known = Reading(Quantity.READOUT_ERROR, (0,), 0.03, now)
    binding = bind_in_place(QuantumCircuit(2), Snapshot.of("device", 2, [known], now), ())
    np.testing.assert_array_equal(binding.readout_errors, [[0.03, 0.03], [np.nan, np.nan]])


def test_unused_classical_bits_do_not_shorten_the_duration(sherbrooke):
    plain, with_bits = QuantumCircuit(1), QuantumCircuit(1, 1)
    durations = [
        bind(Experiment(c, np.zeros((1, 0)), (SparsePauliOp("Z"),)), sherbrooke).binding.duration_s
        for c in (plain, with_bits)
    ]
    assert durations[0] == durations[1] > 0
