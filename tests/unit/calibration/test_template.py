import subprocess
import sys

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Operator, Statevector

from adapters.fake_backends import read_snapshot
from adapters.target import build_target
from calibration.template import Template, compile_template, template_key
from qcpaas.errors import CircuitError


@pytest.fixture(scope="module")
def target():
    return build_target(read_snapshot("FakeKolkata"))


def ansatz():
    circuit = QuantumCircuit(3)
    for qubit in range(3):
        circuit.ry(Parameter(f"angle_{qubit}"), qubit)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.cx(0, 2)
    circuit.rz(Parameter("last"), 2)
    return circuit


def measured_in_order(num_qubits):
    circuit = QuantumCircuit(num_qubits, num_qubits)
    circuit.x(0)
    circuit.cx(0, 2)
    circuit.cx(1, 3)
    circuit.measure(range(num_qubits), [2, 0, 3, 1])
    return circuit


def embedded(state, positions, width):
    """A state on the original qubits as a state on the compact ones, ancillas in 0."""
    tensor = np.zeros(2**width, complex)
    for index, amplitude in enumerate(state.data):
        place = sum((index >> q & 1) << positions[q] for q in range(state.num_qubits))
        tensor[place] = amplitude
    return tensor


@pytest.mark.parametrize("seed", range(6))
def test_the_compact_circuit_does_what_the_original_does_at_its_positions(target, seed):
    circuit = random_circuit(4, 4, max_operands=2, seed=seed)
    template = compile_template(circuit, target)
    width = template.circuit.num_qubits
    assert width <= 6
    found = Statevector.from_label("0" * width).evolve(Operator(template.circuit))
    expected = embedded(Statevector(circuit), template.positions, width)
    assert abs(np.vdot(expected, found.data)) == pytest.approx(1.0, abs=1e-8)


def test_only_the_devices_gates_remain_and_parameters_stay_symbolic(target):
    template = compile_template(ansatz(), target)
    assert set(template.circuit.count_ops()) <= {"cx", "rz", "sx", "x"}
    assert {p.name for p in template.circuit.parameters} == {
        "angle_0",
        "angle_1",
        "angle_2",
        "last",
    }


def test_the_routed_place_is_a_valid_one(target):
    template = compile_template(ansatz(), target)
    coupled = {frozenset(pair) for pair in target["cx"]}
    for first, second, gate in template.interactions:
        assert gate == "cx"
        assert frozenset((template.home[first], template.home[second])) in coupled


def test_clbits_keep_their_meaning(target):
    circuit = measured_in_order(4)
    template = compile_template(circuit, target)
    assert template.circuit.cregs == circuit.cregs
    unmeasured = template.circuit.remove_final_measurements(inplace=False)
    probabilities = Statevector(unmeasured).probabilities_dict()
    (bits,) = [bits for bits, chance in probabilities.items() if chance > 0.5]
    read = {}
    for step in template.circuit.data:
        if step.name == "measure":
            qubit = template.circuit.find_bit(step.qubits[0]).index
            read[template.circuit.find_bit(step.clbits[0]).index] = bits[::-1][qubit]
    # Qubits 0 and 2 end in 1; they are read into clbits 2 and 3.
    assert read == {0: "0", 1: "0", 2: "1", 3: "1"}


def test_a_template_survives_bytes(target):
    template = compile_template(ansatz(), target)
    again = Template.from_bytes(template.to_bytes())
    assert (again.positions, again.home) == (template.positions, template.home)
    assert again.interactions == template.interactions
    values = np.linspace(0.1, 1, 4)
    assert Operator(again.circuit.assign_parameters(values)) == Operator(
        template.circuit.assign_parameters(values)
    )


def test_equal_circuits_with_other_parameter_objects_share_a_key():
    assert template_key(ansatz(), "t") == template_key(ansatz(), "t")


def test_the_key_changes_with_the_circuit_and_the_topology():
    other = ansatz()
    other.x(0)
    keys = {template_key(ansatz(), "t"), template_key(ansatz(), "u"), template_key(other, "t")}
    assert len(keys) == 3


def test_another_process_computes_the_same_key():
    program = (
        "from qiskit import QuantumCircuit\n"
        "from qiskit.circuit import Parameter\n"
        "from calibration.template import template_key\n"
        "c = QuantumCircuit(2); c.ry(Parameter('a'), 0); c.cx(0, 1)\n"
        "print(template_key(c, 't'))"
    )
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == template_key(circuit, "t")


def test_a_circuit_wider_than_the_device_is_refused_with_both_numbers(target):
    with pytest.raises(CircuitError, match="needs 28 qubits; the device has 27"):
        compile_template(QuantumCircuit(28), target)


def test_qubits_that_nothing_acts_on_keep_a_place(target):
    circuit = QuantumCircuit(4)
    circuit.cx(0, 1)
    template = compile_template(circuit, target)
    assert len(set(template.positions)) == 4
    assert template.circuit.num_qubits == 4


def test_control_flow_and_classical_variables_are_kept_and_stay_where_they_were_routed(target):
    circuit = QuantumCircuit(2, 2)
    flag = circuit.add_var("flag", False)
    circuit.h(0)
    circuit.measure(0, 0)
    circuit.store(flag, circuit.clbits[0])
    with circuit.if_test(flag):
        circuit.x(1)
    circuit.measure(1, 1)
    template = compile_template(circuit, target)
    assert not template.movable
    assert template.circuit.num_vars == 1
    assert template.circuit.count_ops()["if_else"] == 1


def test_resets_delays_and_mid_circuit_measurements_are_kept(target):
    circuit = QuantumCircuit(2, 3)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.delay(1600, 0, "dt")
    circuit.cx(0, 1)
    circuit.measure([0, 1], [1, 2])
    template = compile_template(circuit, target)
    operations = template.circuit.count_ops()
    assert (operations["measure"], operations["reset"], operations["delay"]) == (3, 1, 1)
    assert template.movable
