import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Gate, Parameter, ParameterVector
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Operator

from adapters.open_hardware.circuits import definitions, read, write
from adapters.own_gates import own_gate, teach
from qcpaas.errors import CircuitError, InputError

HEAD = 'OPENQASM 3.0; include "stdgates.inc"; '


def there_and_back(circuit, own_gates=()):
    written = write(circuit, own_gates)
    return read(written.text, 100, 100, own_gates), written


@pytest.mark.parametrize("seed", range(12))
def test_a_random_circuit_keeps_its_unitary(seed):
    circuit = random_circuit(4, 5, max_operands=4, seed=seed)
    names = {item.name for item in circuit.data}
    for own_gates in ((), names):
        again, _ = there_and_back(circuit, own_gates)
        assert Operator(again).equiv(Operator(circuit))


def test_gates_of_the_devices_own_keep_their_names_and_numbers():
    angle = Parameter("angle")
    circuit = QuantumCircuit(2, 1)
    circuit.append(Gate("siswap", 2, []), [1, 0])
    circuit.append(Gate("twist", 1, [angle, 0.1 + 0.2]), [1])
    circuit.measure(0, 0)
    again, written = there_and_back(circuit, {"siswap", "twist"})
    assert "gate siswap _qubit_0, _qubit_1 {}" in written.text
    assert [item.name for item in again.data] == ["siswap", "twist", "measure"]
    assert [again.find_bit(qubit).index for qubit in again.data[0].qubits] == [1, 0]
    assert again.data[1].operation.params[1] == 0.1 + 0.2
    assert again.data[0].operation.definition is None


def test_a_gate_that_nobody_defines_is_named():
    circuit = QuantumCircuit(1)
    circuit.append(Gate("mystery", 1, []), [0])
    with pytest.raises(CircuitError, match="mystery"):
        write(circuit)


def test_numbers_keep_all_their_digits():
    circuit = QuantumCircuit(1)
    angles = [*np.random.default_rng(5).normal(size=50).tolist(), np.pi / 2 + 1e-12, 1e-300]
    for angle in angles:
        circuit.rz(angle, 0)
    again, _ = there_and_back(circuit)
    assert [item.params[0] for item in again.data] == angles


def test_plain_parameters_keep_their_names():
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("theta"), 0)
    circuit.rz(Parameter("alpha"), 0)
    again, written = there_and_back(circuit)
    assert written.parameters == ("alpha", "theta")
    assert [parameter.name for parameter in again.parameters] == ["alpha", "theta"]


def test_an_expression_is_a_parameter_of_its_own_whose_value_the_sender_knows():
    a, v, constant = Parameter("a"), ParameterVector("v", 11), Parameter("pi")
    circuit = QuantumCircuit(1)
    for value in (1 - 2 * a, v[10] + v[2] / 3, constant, a.sin()):
        circuit.rx(value, 0)
    points = np.random.default_rng(3).normal(size=(4, circuit.num_parameters))
    again, written = there_and_back(circuit)
    sent = written.columns(points)
    order = [written.parameters.index(parameter.name) for parameter in again.parameters]
    for point, values in zip(points, sent[:, order], strict=True):
        expected = circuit.assign_parameters(point)
        found = again.assign_parameters(values)
        for one, other in zip(expected.data, found.data, strict=True):
            assert float(one.params[0]) == pytest.approx(float(other.params[0]), abs=1e-14)


def test_bits_registers_delays_and_branches_are_kept():
    low, high = ClassicalRegister(2, "low"), ClassicalRegister(1, "if")
    circuit = QuantumCircuit(QuantumRegister(2, "my q"), low, high)
    circuit.h(0)
    circuit.delay(100, 0, "ns")
    circuit.measure(0, low[1])
    with circuit.if_test((low, 2)) as otherwise:
        circuit.x(1)
    with otherwise:
        circuit.ecr(0, 1)
    circuit.measure(1, high[0])
    again, _ = there_and_back(circuit)
    assert [register.size for register in again.cregs] == [2, 1]
    names = [item.name for item in again.data]
    assert names == ["h", "delay", "measure", "if_else", "measure"]
    assert again.data[1].operation.unit == "ns"
    assert again.find_bit(again.data[2].clbits[0]).index == 1
    assert [block.data[0].name for block in again.data[3].operation.blocks] == ["x", "ecr"]


def test_arguments_of_a_defined_gate_are_taken_in_their_order():
    text = HEAD + "gate g(b, a) q { rx(a) q; rz(b) q; } qubit[1] q; g(1.0, 2.0) q[0];"
    expected = QuantumCircuit(1)
    expected.rx(2.0, 0)
    expected.rz(1.0, 0)
    assert Operator(read(text, 5, 5)).equiv(Operator(expected))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "broken"),
        ("nonsense", "broken"),
        (HEAD + "qubit[1000000000] q;", "1000000000 qubits; 5 are taken"),
        (HEAD + "qubit[2] q; bit[99] c;", "99 classical bits; 7"),
        (HEAD + "const int n = 9; qubit[n] q;", "no plain number"),
        (HEAD + "qubit q; unknown q;", "unknown"),
        ('include "/etc/passwd"; qubit q;', "broken"),
        (HEAD + "qubit q; rx(1/0) q;", "broken"),
        (HEAD + "qubit q; " + "(" * 3000, "broken"),
    ],
)
def test_a_text_that_is_no_circuit_is_refused(text, told):
    with pytest.raises(CircuitError, match=told):
        read(text, 5, 7)


def test_a_register_without_bits_in_order_is_made_one():
    circuit = QuantumCircuit(2, 2)
    circuit.add_register(ClassicalRegister(bits=[circuit.clbits[1]], name="again"))
    circuit.x(0)
    circuit.measure([0, 1], [1, 0])
    again, _ = there_and_back(circuit)
    measured = [again.find_bit(item.clbits[0]).index for item in again.data[1:]]
    assert measured == [1, 0]


# --- definitions --------------------------------------------------------------------------------


def test_a_recipe_that_makes_another_gate_is_refused():
    with pytest.raises(InputError, match="lab says that cx"):
        teach("gate odd_a a, b { cz a, b; } gate cx a, b { odd_a a, b; }", "lab")


def test_one_name_cannot_stand_for_two_gates_in_a_process():
    teach("gate odd_b a { x a; }", "one")
    teach("gate odd_b a { x a; }", "one again")
    with pytest.raises(InputError, match="another one by that name"):
        teach("gate odd_b a { y a; }", "two")


def test_a_taught_gate_has_its_parameters():
    teach("gate odd_c(z, y) a { rx(z) a; ry(y) a; }", "lab")
    assert len(own_gate("odd_c", 1).params) == 2
    assert own_gate("odd_c", 2) is None


@pytest.mark.parametrize("text", ["qubit q;", "gate", "gate a b { c b; }"])
def test_definitions_that_are_none_are_refused(text):
    with pytest.raises(CircuitError):
        definitions(text)
