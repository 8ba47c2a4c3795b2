"""Circuits, observables and values in the shapes that users hold them."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qcpaas.circuit_items import circuit_items
from qcpaas.errors import InputError
from qcpaas.schemas import CircuitItem, CircuitPayload


def rotation():
    circuit = QuantumCircuit(1, name="rotation")
    circuit.rx(Parameter("a"), 0)
    return circuit


def paulis(item):
    return [[term.pauli for term in observable.terms] for observable in item.observables]


def test_one_circuit_one_observable_one_point():
    (item,) = circuit_items(rotation(), SparsePauliOp("Z"), [0.5])
    assert item.circuit.name == "rotation"
    assert paulis(item) == [["Z"]]
    assert item.parameter_values == ((0.5,),)


def test_observables_of_a_flat_list_go_to_every_circuit():
    items = circuit_items([rotation(), rotation()], ["Z", "X"], [np.zeros((3, 1)), [0.5]])
    assert [paulis(item) for item in items] == [[["Z"], ["X"]]] * 2
    assert [len(item.parameter_values) for item in items] == [3, 1]


def test_nested_observables_and_options_go_to_their_own_circuit():
    items = circuit_items(
        [rotation(), rotation()],
        [["Z"], "X"],
        circuit_options=[["Zne(order=2)"], None],
        circuit_shots=[None, 7],
    )
    assert [paulis(item) for item in items] == [[["Z"]], [["X"]]]
    assert items[0].options[0].settings == {"order": 2}
    assert items[1].options is None
    assert [item.shots for item in items] == [None, 7]


def test_file_and_finished_item_stand_as_they_are(tmp_path):
    text = "OPENQASM 2.0; qreg q[1]; creg c[1]; measure q -> c;\n"
    (tmp_path / "one.qasm").write_text(text)
    item = CircuitItem(circuit=CircuitPayload(format="qasm2", text=text), shots=3)
    read, same = circuit_items([tmp_path / "one.qasm", item])
    assert same is item
    assert read.circuit.name == "one"
    assert read.observables is None


@pytest.mark.parametrize(
    "arguments",
    [
        ([],),
        ([rotation(), rotation()], None, [[0.1]]),
        ([rotation(), rotation()], [["Z"]]),
        (rotation(), "Z", np.zeros((2, 2, 2))),
    ],
)
def test_lists_of_the_wrong_length_or_shape_are_refused(arguments):
    with pytest.raises(InputError):
        circuit_items(*arguments)


def test_one_circuit_of_a_batch_can_ask_for_counts(tmp_path):
    path = tmp_path / "one.qasm"
    path.write_text('OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit q;\nbit c;\nc = measure q;\n')
    first, second = circuit_items([str(path), path], [["Z", "X"], None])
    assert [len(first.observables), second.observables] == [2, None]


@pytest.mark.parametrize(("circuit", "observable"), [(3, "Z"), (None, "Z"), (QuantumCircuit(1), 3)])
def test_things_of_another_kind_are_named(circuit, observable):
    with pytest.raises(InputError, match=r"is a (int|NoneType); give"):
        circuit_items(circuit, observable)
