"""PennyLane's tapes and QNodes against PennyLane's own answers."""

import contextlib
import functools
import json
import random

import numpy as np
import pennylane as qml
import pytest
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector

from adapters.frontends import pennylane as reader
from qcpaas.circuit_items import circuit_items
from qcpaas.circuits import from_payload
from qcpaas.errors import CircuitError
from qcpaas.frontends import asked_observables, native_result, written
from qcpaas.frontends.tape_operations import KEPT
from qcpaas.observables import to_operator
from qcpaas.schemas import CircuitPayload

TAPE = '{"version": 1, "wires": [0], "operations": [%s], "measurements": []}'
DEVICE = qml.device("default.qubit", wires=["a", "b", 3])


@qml.qnode(DEVICE)
def observed(x):
    qml.RX(x, wires="a")
    qml.CNOT(["a", 3])
    qml.StronglyEntanglingLayers(np.full((1, 3, 3), 0.3), wires=["a", "b", 3])
    return (
        qml.expval(2 * qml.Z("a") @ qml.X("b") + qml.Y(3) - 0.5 * qml.Identity("a")),
        qml.var(qml.Z("a") + qml.X(3)),
        qml.expval(qml.Hermitian(np.array([[1, 1j], [-1j, 0]]), wires="b")),
    )


def read(tape, **given):
    return from_payload(written(tape, **given))


def tape_of(*operations, measured=()):
    return qml.tape.QuantumScript(list(operations), list(measured))


def test_every_kept_operation_can_be_read():
    known = {*reader._PLAIN, *reader._ANGLED, *reader._IGNORED}
    assert known == KEPT


def test_expectation_values_of_a_qnode_become_observables():
    (item,) = circuit_items(functools.partial(observed, 0.4))
    circuit = from_payload(item.circuit)
    state = Statevector(circuit)
    row = [
        float(np.real(state.expectation_value(to_operator(each, 3)))) for each in item.observables
    ]
    answer = {"expectation_values": [row], "circuit": "x", "shots": None}
    assert native_result(item, answer) == pytest.approx(observed(0.4), abs=1e-9)


def test_observables_given_apart_leave_the_tapes_own_out():
    tape = tape_of(qml.Hadamard(0), measured=[qml.counts(qml.X(0))])
    (item,) = circuit_items(tape, SparsePauliOp("Z"))
    assert from_payload(item.circuit).count_ops() == {"h": 1}


def test_trainable_parameters_are_symbols_where_values_are_given():
    tape = tape_of(*(qml.RX(0.1 * k, 0) for k in range(12)), measured=[qml.probs(wires=0)])
    (item,) = circuit_items(tape, None, [list(range(12))])
    names = [p.name for p in from_payload(item.circuit).parameters]
    assert names == [f"p[{k}]" for k in range(12)]
    assert read(tape).num_parameters == 0
    layers = qml.StronglyEntanglingLayers(np.ones((1, 1, 3)), wires=[0])
    with pytest.raises(CircuitError, match="trainable parameter is in StronglyEntanglingLayers"):
        read(tape_of(layers), symbolic=True)


def test_wires_without_a_device_are_in_pennylanes_order():
    tape = tape_of(qml.RX(0.3, "z"), qml.CNOT(["z", "a"]), qml.QubitUnitary(np.diag([1, 1j]), "a"))
    ours = Operator(read(tape).reverse_bits()).data
    assert abs(np.vdot(ours, qml.matrix(tape, wire_order=["z", "a"]))) == pytest.approx(4)
    assert read(tape_of(qml.X(1), qml.Y(0))).data[0].operation.name == "x"


def test_bases_are_turned_before_measurement():
    tape = tape_of(qml.Hadamard(0), qml.X(1), measured=[qml.counts(qml.X(0)), qml.sample(wires=1)])
    circuit = read(tape)
    circuit.remove_final_measurements()
    assert Statevector(circuit).probabilities() == pytest.approx([0, 0, 1, 0])


def test_mid_circuit_measurements_and_conditions_are_kept():
    with qml.tape.QuantumTape() as tape:
        qml.Hadamard(0)
        first = qml.measure(0, reset=True)
        second = qml.measure(1)
        qml.cond(first, qml.X)(1)
        qml.cond(first & ~second, qml.RY)(0.3, 1)
        qml.probs(wires=1)
    circuit = read(tape)
    assert [register.name for register in circuit.cregs] == ["mcm0", "mcm1", "wires"]
    assert circuit.count_ops()["if_else"] == 2
    assert circuit.count_ops()["reset"] == 1


@pytest.mark.parametrize(
    ("tape", "message"),
    [
        (tape_of(qml.X(0), measured=[qml.state()]), "no device gives"),
        (tape_of(qml.X(0), measured=[qml.expval(qml.Z(0)), qml.counts(wires=0)]), "at once"),
        (tape_of(qml.X(0), measured=[qml.counts(qml.X(0)), qml.probs(wires=0)]), "two bases"),
        (tape_of(qml.DepolarizingChannel(0.1, 0)), "noise channel"),
        (tape_of(qml.RX(np.array([0.1, 0.2]), 0)), "batch"),
        (tape_of(qml.RX(np.nan, 0)), "finite"),
        (observed, "functools.partial"),
    ],
)
def test_what_no_circuit_has_is_refused(tape, message):
    with pytest.raises(CircuitError, match=message):
        read(tape)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"version": 2}',
        '{"version": 1, "wires": [0]}',
        TAPE % '{"name": "RX", "wires": [0], "parameters": [NaN]}',
        TAPE % '{"name": "Warp", "wires": [0]}',
        TAPE % '{"name": "PauliX", "wires": [7]}',
    ],
)
def test_broken_text_is_refused(text):
    with pytest.raises(CircuitError):
        from_payload(CircuitPayload(format="pennylane", text=text))


def test_garbled_text_is_read_or_refused():
    drawn = random.Random(3)
    text = written(functools.partial(observed, 0.4)).text
    assert json.loads(text)["wires"] == ["a", "b", 3]
    for _ in range(100):
        place = drawn.randrange(len(text))
        garbled = text[:place] + drawn.choice('{}[]",:0x') + text[place + 1 :]
        payload = CircuitPayload(format="pennylane", text=garbled)
        with contextlib.suppress(CircuitError):
            from_payload(payload)
            asked_observables(payload)
