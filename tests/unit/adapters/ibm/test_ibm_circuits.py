import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, Parameter, Qubit
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector

from adapters.ibm.circuits import (
    REGISTERS,
    estimator_pub,
    folded,
    registers,
    sampler_pub,
    widened,
)
from adapters.ibm.results import distribution, joined
from qcpaas.errors import SubmissionRefused
from qcpaas.execution import Binding, Experiment


def bound(circuit, physical, **settings):
    binding = Binding(tuple(physical), "", None, ())
    values = settings.pop("values", np.zeros((1, 0)))
    return Experiment(circuit, values, binding=binding, **settings)


def test_a_circuit_stands_on_its_physical_qubits():
    circuit = QuantumCircuit(2)
    circuit.x(0)
    circuit.cx(0, 1)
    wide = widened(bound(circuit, (3, 1)), 4)
    assert wide.num_qubits == 4
    assert [[wide.find_bit(q).index for q in each.qubits] for each in wide.data] == [[3], [3, 1]]
    assert Statevector(wide).to_dict() == {"1010": 1}


def test_a_circuit_without_a_binding_keeps_its_qubits():
    circuit = QuantumCircuit(2)
    circuit.ecr(1, 0)
    wide = widened(Experiment(circuit, np.zeros((1, 0))), 3)
    expected = QuantumCircuit(3)
    expected.ecr(1, 0)
    assert Operator(wide) == Operator(expected)


@pytest.mark.parametrize("name", ["in", "a b", "evs", "items", "_hidden", "größe-1"])
def test_names_that_ibm_refuses_are_sent_as_others_and_told_in_the_metadata(name):
    circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(1, name))
    circuit.add_register(ClassicalRegister(1, "fine"))
    circuit.metadata = {"mine": object()}
    wide = widened(Experiment(circuit, np.zeros((1, 0))), 2)
    sent = [register.name for register in wide.cregs]
    assert sent == ["register_0", "fine"]
    assert wide.metadata == {REGISTERS: [[name, 1], ["fine", 1]]}


def test_loose_and_shared_clbits_are_one_register():
    loose = QuantumCircuit([Qubit()], [Clbit(), Clbit()])
    loose.measure(0, 1)
    assert registers(loose) == (("c", 2),)
    shared = QuantumCircuit(QuantumRegister(1), ClassicalRegister(2, "a"))
    shared.add_register(ClassicalRegister(name="b", bits=[shared.clbits[0]]))
    assert registers(shared) == (("c", 2),)
    assert [register.size for register in widened(bound(shared, [0]), 1).cregs] == [2]


def test_an_empty_register_is_not_sent_and_not_forgotten():
    circuit = QuantumCircuit(QuantumRegister(1), ClassicalRegister(0, "none"))
    circuit.add_register(ClassicalRegister(1, "one"))
    wide = widened(Experiment(circuit, np.zeros((1, 0))), 1)
    assert [register.name for register in wide.cregs] == ["one"]
    assert wide.metadata[REGISTERS] == [["none", 0], ["one", 1]]


def test_conditions_follow_their_register():
    circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(2, "not-sendable"))
    circuit.measure([0, 1], [0, 1])
    with circuit.if_test((circuit.cregs[0], 2)):
        circuit.x(0)
    wide = widened(bound(circuit, (2, 0)), 3)
    condition = wide.data[-1].operation.condition
    assert condition == (wide.cregs[0], 2)


def test_a_pub_keeps_parameters_symbolic_and_points_in_order():
    theta, alpha = Parameter("theta"), Parameter("alpha")
    circuit = QuantumCircuit(1, 1)
    circuit.rz(theta, 0)
    circuit.rx(2 * alpha + theta, 0)
    circuit.measure(0, 0)
    points = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])  # alpha, theta
    wide, values, shots = sampler_pub(bound(circuit, [4], values=points, shots=77), 5)
    assert shots == 77
    assert wide.num_parameters == 2
    assert np.array_equal(values.as_array(wide.parameters), points)


def test_observables_meet_every_point_on_the_devices_qubits():
    circuit = QuantumCircuit(2)
    circuit.rx(Parameter("x"), 0)
    observables = (SparsePauliOp("ZX"), SparsePauliOp(["YI", "YI", "IZ"], [1, 2, 0.5]))
    experiment = bound(circuit, (2, 0), values=np.zeros((3, 1)), observables=observables, shots=400)
    _, sent, values, precision = estimator_pub(experiment, 3)
    assert values.shape == (3, 1)
    assert precision == pytest.approx(0.05)
    assert sent[0] == SparsePauliOp("XIZ")
    assert dict(sent[1].label_iter()) == {"IIY": 3, "ZII": 0.5}


def test_what_is_no_observable_is_refused():
    circuit = QuantumCircuit(1)
    operator = SparsePauliOp("Z", [1j])
    with pytest.raises(SubmissionRefused, match="Hermitian"):
        estimator_pub(bound(circuit, [0], observables=(operator,), shots=10), 1)


@pytest.mark.parametrize("widths", [(3,), (8,), (2, 3), (7, 1, 9), (1, 63, 5)])
def test_registers_are_joined_as_qiskit_joins_them(widths):
    """Against Qiskit's own `BitArray.concatenate_bits` and its counts."""
    from qiskit.primitives import BitArray

    rng = np.random.default_rng(5)
    arrays = [
        BitArray.from_bool_array(rng.random((2, 40, width)) < 0.3, order="little")
        for width in widths
    ]
    packed = joined([(array.array, array.num_bits) for array in arrays])
    whole = BitArray.concatenate_bits(arrays)
    for point in range(2):
        found = distribution(packed[point], sum(widths))
        assert found.to_dict() == whole.get_counts(point)
        keys = [int.from_bytes(row.tobytes(), "big") for row in found.outcomes]
        assert keys == sorted(set(keys))
        assert found.shots == 40


@pytest.fixture(scope="module")
def sampler():
    """A client's primitive, of a simulator here."""
    from qiskit_aer import AerSimulator
    from qiskit_ibm_runtime import SamplerV2

    return SamplerV2(AerSimulator())


def test_angles_of_fractional_gates_are_folded_and_mean_the_same(sampler):
    theta, phi = Parameter("theta"), Parameter("phi")
    circuit = QuantumCircuit(3)
    circuit.rzz(2.5, 0, 1)
    circuit.rzz(2 * theta - phi, 1, 2)
    circuit.rx(theta, 0)
    values = np.random.default_rng(5).uniform(-7, 7, (40, 2))
    pub = SamplerPub.coerce(
        folded(sampler_pub(bound(circuit, (0, 1, 2), values=values, shots=1), 3), sampler)
    )
    sent = pub.parameter_values.bind_all(pub.circuit)
    for point, row in zip(sent.tolist(), values, strict=True):
        angles = [float(i.operation.params[0]) for i in point.data if i.operation.name == "rzz"]
        assert all(-1e-12 <= angle <= np.pi / 2 + 1e-12 for angle in angles)
        wanted = circuit.assign_parameters(dict(zip(circuit.parameters, row, strict=True)))
        assert Operator(point).equiv(Operator(wanted))


def test_angles_within_the_range_stay_as_they_are(sampler):
    circuit = QuantumCircuit(2)
    circuit.rzz(1.2, 0, 1)
    pub = sampler_pub(bound(circuit, (0, 1), shots=1), 2)
    assert folded(pub, sampler)[0] == pub[0]


def test_exact_values_are_refused():
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with pytest.raises(SubmissionRefused, match="samples"):
        sampler_pub(bound(circuit, [0], shots=None), 1)
