import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.classical import expr, types
from qiskit.circuit.library import CCXGate
from qiskit.quantum_info import Operator, Statevector
from qiskit_aer import AerSimulator

from adapters.fake_backends import read_snapshot
from adapters.target import topology_target
from calibration.portfolio import route
from calibration.template import Template, leaves


@pytest.fixture(scope="module")
def target():
    return topology_target(read_snapshot("FakeKolkata"))


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


def controlled():
    """Nested control flow on three qubits that must be routed, with loops of two kinds."""
    circuit = QuantumCircuit(3, 3)
    turn = Parameter("turn")
    circuit.ry(1.1, 0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.x(1)
        with circuit.for_loop(range(3), turn):
            circuit.rx(turn * 0.4, 2)
            circuit.cx(1, 2)
    with otherwise:
        circuit.cx(0, 2)
        circuit.ry(0.7, 1)
    with circuit.switch(circuit.cregs[0]) as case:
        with case(1):
            circuit.cx(0, 2)
        with case(case.DEFAULT):
            circuit.cx(2, 1)
    with circuit.while_loop((circuit.clbits[1], 0)):
        circuit.ry(1.3, 1)
        circuit.measure(1, 1)
    circuit.measure([0, 2], [0, 2])
    return circuit


def test_clbits_keep_their_meaning(target):
    circuit = measured_in_order(4)
    template = route(circuit, target, 11).template
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
    template = route(ansatz(), target, 11).template
    again = Template.from_bytes(template.to_bytes())
    assert (again.positions, again.home) == (template.positions, template.home)
    assert again.interactions == template.interactions
    values = np.linspace(0.1, 1, 4)
    assert Operator(again.circuit.assign_parameters(values)) == Operator(
        template.circuit.assign_parameters(values)
    )


def test_qubits_that_nothing_acts_on_keep_a_place(target):
    circuit = QuantumCircuit(4)
    circuit.cx(0, 1)
    template = route(circuit, target, 11).template
    assert len(set(template.positions)) == 4
    assert template.circuit.num_qubits == 4


@pytest.mark.parametrize("seed", [11, 12])
def test_nested_control_flow_does_what_it_did_before_on_whatever_qubits(target, seed):
    circuit, shots = controlled(), 20_000
    template = route(circuit, target, seed).template
    assert template.movable
    simulator = AerSimulator(seed_simulator=5)
    expected = simulator.run(circuit, shots=shots).result().get_counts()
    for found in (template, Template.from_bytes(template.to_bytes())):
        counts = simulator.run(found.circuit, shots=shots).result().get_counts()
        for outcome in set(expected) | set(counts):
            difference = abs(expected.get(outcome, 0) - counts.get(outcome, 0))
            # Five standard errors of the difference of two multinomial counts.
            assert difference < 5 * np.sqrt(2 * shots * 0.25)
        assert sum(abs(expected.get(o, 0) - counts.get(o, 0)) for o in expected) < 0.03 * shots


def test_classical_variables_are_kept(target):
    circuit = QuantumCircuit(3, 3)
    seen = circuit.add_var("seen", expr.lift(0, types.Uint(3)))
    circuit.h(0)
    circuit.measure(0, 0)
    circuit.store(seen, circuit.cregs[0])
    with circuit.if_test(expr.equal(seen, 1)):
        circuit.cx(0, 2)
    template = route(circuit, target, 11).template
    assert [variable.name for variable in template.circuit.iter_declared_vars()] == ["seen"]
    (branch,) = [step.operation for step in template.circuit.data if step.name == "if_else"]
    assert branch.condition == expr.equal(seen, 1)


def test_control_flow_is_opened_where_gates_are_counted():
    circuit = QuantumCircuit(3, 1)
    with circuit.for_loop(range(4)):
        circuit.cx(2, 0)
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.cx(0, 1)
    circuit.cx(2, 0)
    template = Template.in_place(circuit, (4, 5, 6))
    assert template.interactions == {(2, 0, "cx"): 5, (0, 1, "cx"): 4}
    assert template.movable
    assert sum(times for _, _, times in leaves(circuit)) == 9


def test_gates_on_three_qubits_hold_a_circuit_where_it_is():
    circuit = QuantumCircuit(3, 1)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.append(CCXGate(), [0, 1, 2])
    assert not Template.in_place(circuit, (0, 1, 2)).movable


def test_resets_delays_and_mid_circuit_measurements_are_kept(target):
    circuit = QuantumCircuit(2, 3)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.delay(1600, 0, "dt")
    circuit.cx(0, 1)
    circuit.measure([0, 1], [1, 2])
    template = route(circuit, target, 11).template
    operations = template.circuit.count_ops()
    assert (operations["measure"], operations["reset"], operations["delay"]) == (3, 1, 1)
    assert template.movable
