"""Cirq's JSON against Cirq's own unitaries, and what is refused."""

import contextlib
import json
import random

import cirq
import numpy as np
import pytest
import sympy
from qiskit.quantum_info import Operator

from qcpaas.circuits import from_payload
from qcpaas.errors import CircuitError
from qcpaas.frontends import written
from qcpaas.pubs import ObservablesCache, read_estimator_pub, read_sampler_pub
from qcpaas.schemas import CircuitPayload

A, B, C = cirq.LineQubit.range(3)
S, T = sympy.symbols("s t")


def read(circuit):
    return from_payload(written(circuit))


def read_text(content):
    text = content if isinstance(content, str) else json.dumps(content)
    return from_payload(CircuitPayload(format="cirq", text=text))


def assert_same(circuit, **values):
    found = read(circuit)
    assert {p.name for p in found.parameters} == set(values)
    found = found.assign_parameters({p: values[p.name] for p in found.parameters})
    exact = cirq.unitary(cirq.resolve_parameters(circuit, values))
    ours = Operator(found.reverse_bits()).data
    assert abs(np.vdot(ours, exact)) == pytest.approx(len(exact), abs=1e-9)


def test_symbols_in_expressions_are_kept():
    circuit = cirq.Circuit(
        cirq.H.on_each(A, B, C),
        cirq.rx(2 * S + T / 3).on(A),
        cirq.X(B) ** (S**2 - sympy.pi),
        cirq.CZ(A, C) ** (S * T),
        cirq.ControlledGate(cirq.Y**T)(C, A),
        cirq.PhasedXZGate(x_exponent=S, z_exponent=0.2, axis_phase_exponent=T)(B),
        cirq.PhasedISwapPowGate(phase_exponent=0.3, exponent=S)(A, B),
    )
    assert_same(circuit, s=0.7, t=-0.4)


def test_qubits_are_in_cirqs_order():
    qubits = [
        cirq.NamedQubit("q10"),
        cirq.NamedQubit("q9"),
        cirq.LineQubit(7),
        cirq.GridQubit(2, 1),
    ]
    circuit = cirq.Circuit(cirq.rx(0.1 * k).on(q) for k, q in enumerate(qubits, 1))
    assert_same(circuit)


def test_circuit_operations_are_unrolled():
    inner = cirq.FrozenCircuit(cirq.X(A) ** 0.3, cirq.CX(A, B))
    assert_same(cirq.Circuit(cirq.CircuitOperation(inner, repetitions=3), cirq.H(B)))


def test_gate_without_a_table_entry_is_decomposed_by_cirq():
    circuit = cirq.Circuit(
        cirq.QuantumFourierTransformGate(3)(A, B, C),
        cirq.PauliString({A: cirq.X, C: cirq.Y}),
        cirq.TwoQubitDiagonalGate([0.1, 0.2, 0.3, 0.4])(A, B),
        cirq.X(C).controlled_by(A, B, control_values=[0, 1]),
    )
    assert_same(circuit)


def test_keys_are_registers_and_inverted_bits_are_inverted():
    circuit = cirq.Circuit(
        cirq.measure(B, A, key="z", invert_mask=(True,)), cirq.measure(C, key="y"), cirq.H(B)
    )
    found = read(circuit)
    assert [(r.name, len(r)) for r in found.cregs] == [("z", 2), ("y", 1)]
    assert found.count_ops()["x"] == 2  # before and after, since B goes on
    first = next(step for step in found.data if step.name == "measure")
    assert found.find_bit(first.qubits[0]).index == 1
    assert found.find_bit(first.clbits[0]).index == 0


def test_classical_control_is_kept():
    circuit = cirq.Circuit(
        cirq.H(A), cirq.measure(A, key="m"), cirq.X(B).with_classical_controls("m"),
        cirq.measure(A, B, key="both"), cirq.Z(C).with_classical_controls("both", "m"),
    )  # fmt: skip
    found = read(circuit)
    conditional = [step for step in found.data if step.name == "if_else"]
    assert [len(step.qubits) for step in conditional] == [1, 1]


def test_primitives_take_cirqs_circuits():
    circuit = cirq.Circuit(cirq.X(A) ** S, cirq.CX(A, B), cirq.measure(A, B, key="z"))
    sampled = read_sampler_pub((circuit, [[0.1], [0.2]]))
    assert sampled.circuit.cregs[0].name == "z"
    assert sampled.points.tolist() == [[0.1], [0.2]]
    estimated = read_estimator_pub((circuit, "ZZ", [0.1]), ObservablesCache())
    assert estimated.circuit.num_qubits == 2


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ([cirq.depolarize(0.1)(A)], "DepolarizingChannel is a noise channel"),
        ([cirq.measure(A, key="k"), cirq.measure(A, key="k")], "measured twice"),
        ([cirq.measure(A, key="k", confusion_map={(0,): np.eye(2)})], "confusion map"),
        ([cirq.rx(sympy.sin(S)).on(A)], "cirq.resolve_parameters|cannot write"),
        ([cirq.IdentityGate(1, (3,))(cirq.LineQid(0, 3))],
         "3 levels"),
        ([cirq.measure(A, key="k"),
          cirq.X(B).with_classical_controls(sympy.Symbol("k") > 0)], "SympyCondition"),
    ],
)  # fmt: skip
def test_what_no_circuit_has_is_refused(operations, message):
    with pytest.raises(CircuitError, match=message):
        read(cirq.Circuit(operations))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("{", "line 1, column 2"),
        ("[1]", "holds a list"),
        ('{"cirq_type": "Moment"}', "'Moment'"),
        ('{"cirq_type": "Circuit"}', "broken Cirq JSON"),
        ("[" * 100_000, "nested"),
        ('{"cirq_type": "Circuit", "moments": [{"operations": [{"cirq_type": "X"}]}]}', "X"),
        (cirq.to_json(cirq.Circuit(cirq.rx(0.5).on(A))).replace("0.5", "NaN"), "finite"),
        (cirq.to_json(cirq.Circuit(cirq.rx(0.5).on(A))).replace("0.5", '"__import__"'), "number"),
        (cirq.to_json(cirq.Circuit(
            cirq.CircuitOperation(cirq.FrozenCircuit(cirq.X(A)), repetitions=10**7))), "repeated"),
    ],
)  # fmt: skip
def test_broken_text_is_refused(text, message):
    with pytest.raises(CircuitError, match=message):
        read_text(text)


def test_garbled_json_is_read_or_refused():
    drawn = random.Random(3)
    circuit = cirq.Circuit(cirq.H(A), cirq.CX(A, B) ** S, cirq.measure(A, B, key="z"))
    text = cirq.to_json(circuit)
    content = json.loads(text)
    for number in range(150):
        place = drawn.randrange(len(text))
        garbled = text[:place] + drawn.choice('{}[]",:0x') + text[place + 1 :]
        with contextlib.suppress(CircuitError):
            read_text(garbled if number % 2 else _without(content, drawn))


def _without(content, drawn):
    """The content with one value somewhere inside replaced by something else."""
    copy = json.loads(json.dumps(content))
    where = copy
    while True:
        keys = list(where) if isinstance(where, dict) else range(len(where))
        key = drawn.choice(list(keys))
        if not isinstance(where[key], dict | list) or not where[key] or drawn.random() < 0.2:
            where[key] = drawn.choice([None, -1, "x", [], {}, 1e300, True])
            return copy
        where = where[key]
