from qiskit import QuantumCircuit

from pipeline.pauli.layers import layers_of
from qcpaas.noise import GateLayer, LayerGate


def gates(*found):
    return GateLayer(gates=tuple(LayerGate(name=name, qubits=qubits) for name, *qubits in found))


def test_gates_join_the_first_layer_that_leaves_their_qubits_free():
    circuit = QuantumCircuit(4)
    circuit.h(0)
    circuit.cx(2, 3)
    circuit.rz(0.3, 2)
    circuit.cx(0, 1)
    circuit.cz(1, 2)
    circuit.cx(3, 0)
    layers = layers_of(circuit, (7, 5, 1, 3))
    assert [layer.gate_layer for layer in layers] == [
        gates(("cx", 1, 3), ("cx", 7, 5)),
        gates(("cx", 3, 7), ("cz", 5, 1)),
    ]
    assert [layer.instructions for layer in layers] == [(1, 3), (5, 4)]


def test_barriers_and_what_is_measured_keep_layers_apart():
    circuit = QuantumCircuit(4, 1)
    circuit.cx(0, 1)
    circuit.barrier(1, 2)
    circuit.cx(2, 3)
    assert len(layers_of(circuit, range(4))) == 2
    conditional = QuantumCircuit(4, 1)
    conditional.cx(0, 1)
    conditional.measure(1, 0)
    with conditional.if_test((0, 1)):
        conditional.cx(2, 3)
    conditional.cx(2, 3)
    layers = layers_of(conditional, range(4))
    assert [layer.instructions for layer in layers] == [(0,), (3,)]


def test_a_circuit_without_joint_gates_has_no_layers():
    circuit = QuantumCircuit(2)
    circuit.h([0, 1])
    assert layers_of(circuit, (0, 1)) == []
