"""Circuits on the wire, from files, and checked."""

import base64
import contextlib
import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit, qasm2, qpy
from qiskit.circuit import Parameter
from qiskit.quantum_info import Operator

from qcpaas.circuits import check_runnable, circuit_key, from_payload, load_circuit, to_payload
from qcpaas.errors import CircuitError, InputError
from qcpaas.schemas import CircuitPayload

QASM2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\nh q[0];\ncx q[0],q[1];\n'
QASM3 = (
    '// a comment\nOPENQASM 3.0;\ninclude "stdgates.inc";\ninput float theta;\n'
    "qubit[2] q;\nbit[2] c;\nrx(theta) q[0];\nc[0] = measure q[0];\nif (c[0]) { x q[1]; }\n"
)


def bell():
    circuit = QuantumCircuit(2, 2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit


def test_a_circuit_comes_back_from_its_payload():
    circuit = bell()
    payload = to_payload(circuit)
    assert (payload.format, payload.name) == ("qpy", "bell")
    found = from_payload(payload)
    assert found == circuit
    assert found.name == "bell"


# Each form is a plain function, so that Python's own arithmetic is the independent answer.
FORMS = {
    "a - 2*b": lambda a, b: a - 2 * b,
    "a / (b + 1)": lambda a, b: a / (b + 1),
    "a ** (b + 1)": lambda a, b: a ** (b + 1),
    "a - (b - a)": lambda a, b: a - (b - a),
    "b - (a - (b - 2*a))": lambda a, b: b - (a - (b - 2 * a)),
    "2*a - b": lambda a, b: 2 * a - b,
    "1 - a/b": lambda a, b: 1 - a / b,
    "a*(b - 1)": lambda a, b: a * (b - 1),
}


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=10)
@given(a=st.floats(0.1, 2), b=st.floats(0.1, 2))
def test_parameter_expressions_keep_their_value(form, a, b):
    names = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(1)
    circuit.rz(FORMS[form](*names), 0)
    for _ in range(2):  # what was received can be sent on
        circuit = from_payload(to_payload(circuit))
    bound = circuit.assign_parameters({"a": a, "b": b})
    assert bound.data[0].params[0] == pytest.approx(FORMS[form](a, b))


@pytest.mark.parametrize(
    ("duration", "unit"), [(100, "ns"), (1e-7, "s"), (2.5, "us"), (7, "dt"), (Parameter("d"), "ns")]
)
def test_delays_keep_their_unit(duration, unit):
    circuit = QuantumCircuit(1, 1)
    circuit.delay(duration, 0, unit=unit)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.delay(duration, 0, unit=unit)
    found = from_payload(to_payload(circuit))
    inner = found.data[1].operation.blocks[0].data[0].operation
    for delay in (found.data[0].operation, inner):
        assert (delay.name, delay.duration, delay.unit) == ("delay", duration, unit)
    assert circuit_key(found) == circuit_key(circuit)


def test_openqasm_2_is_read_with_qiskits_legacy_gates():
    text = QASM2 + "rzz(pi/2) q[0],q[1];\n"
    found = from_payload(CircuitPayload(format="qasm2", text=text, name="mine"))
    expected = bell()
    expected.rzz(np.pi / 2, 0, 1)
    assert Operator(found) == Operator(expected)
    assert found.name == "mine"


def test_openqasm_3_keeps_inputs_and_conditions():
    found = from_payload(CircuitPayload(format="qasm3", text=QASM3))
    assert [parameter.name for parameter in found.parameters] == ["theta"]
    assert found.has_control_flow_op()


@pytest.mark.parametrize(
    ("format_", "text", "words"),
    [
        ("qasm2", QASM2 + "hh q[0];", r"line 7, column 1: 'hh' is not defined .* in 'hh q\[0\];'"),
        ("qasm2", "OPENQASM 2.0;\nqreg q[2]", "line 2.*unexpected end-of-file"),
        ("qasm2", 'OPENQASM 2.0;\ninclude "/etc/passwd";', "unable to find"),
        ("qasm2", "OPENQASM 3.0;\nqubit q;", "sent as qasm2, and its header says OPENQASM 3.0"),
        ("qasm2", " ", "empty"),
        ("qasm3", "OPENQASM 3.0;\nqubit q;\nhh q;", "line 3, column 1: gate 'hh' is not defined"),
        ("qasm3", "OPENQASM 3.0;\nqubit[2] q", "line 2.*the end of the text"),
        ("qasm3", "OPENQASM 3.0;\nqubit q;\nh q}", r"line 3, column 4: unexpected '}' in 'h q}'"),
        ("qasm3", "OPENQASM 3.0;\nqubit q;\n`", "line 3, column 1: token recognition error"),
        ("qasm3", QASM3 + "rx(1/0) q[0];", "line .*division.* in 'rx"),
        ("qasm3", "OPENQASM 3.0;\nqubit[2] q;\nreset q[5];", "line 3, .*out of range in 'reset"),
        ("qasm3", "OPENQASM 3.0;\nint[8] i = 3;", "type 'int' are not supported"),
        ("qasm3", QASM2, "sent as qasm3, and its header says OPENQASM 2.0"),
        ("qpy", "no base64!", "not base64"),
        ("qpy", base64.b64encode(b"hello").decode(), "not base64 of compressed QPY"),
        ("qpy", base64.b64encode(b"QISKIT\x0f").decode(), "not QPY"),
        ("qpy", base64.b64encode(zlib.compress(b"hello world")).decode(), "not QPY"),
    ],
)
def test_what_is_broken_is_refused_with_its_place(format_, text, words, capfd):
    with pytest.raises(CircuitError, match=words):
        from_payload(CircuitPayload(format=format_, text=text))
    assert capfd.readouterr().err == ""


@settings(deadline=None, max_examples=60)
@given(cut=st.integers(0, 10**6), flip=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_damaged_qpy_is_refused_or_read_but_never_breaks(cut, flip, byte):
    data = bytearray(zlib.decompress(base64.b64decode(to_payload(bell()).text)))
    data[flip % len(data)] = byte
    data = data[: 1 + cut % len(data)]
    payload = CircuitPayload(format="qpy", text=base64.b64encode(data).decode())
    with contextlib.suppress(CircuitError):
        from_payload(payload)


@pytest.mark.parametrize("version", [13, 14, 15])
def test_a_header_that_asks_for_billions_of_qubits_is_refused(version):
    file = io.BytesIO()
    qpy.dump(QuantumCircuit(0x0A0B0C0D % 997), file, version=version)
    data = file.getvalue()
    size = (0x0A0B0C0D % 997).to_bytes(4, "big")
    damaged = data.replace(size, (4_000_000_000).to_bytes(4, "big"), 1)
    payload = CircuitPayload(format="qpy", text=base64.b64encode(damaged).decode())
    with pytest.raises(CircuitError, match="asks for 4000000000 qubits"):
        from_payload(payload)


def test_a_payload_that_unpacks_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr("qcpaas.circuits.MAX_QPY_BYTES", 2**20)
    bomb = base64.b64encode(zlib.compress(bytes(2**22))).decode()
    with pytest.raises(CircuitError, match="more than 1 MiB"):
        from_payload(CircuitPayload(format="qpy", text=bomb))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.qasm", QASM2, "qasm2"),
        ("a.qasm", QASM3, "qasm3"),
        ("a.inc", "/* two\nlines */ " + QASM3, "qasm3"),
        ("a.qasm2", QASM3, "qasm3"),
        ("a.qasm3", "qubit q;", "qasm3"),
        ("bom.qasm", "\ufeff" + QASM2, "qasm2"),
    ],
)
def test_the_version_of_a_file_is_in_its_header(tmp_path, name, text, expected):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    payload = load_circuit(path)
    assert payload.format == expected
    assert payload.name == path.stem
    assert from_payload(payload).num_qubits in {1, 2}


def test_a_qpy_file_is_read(tmp_path):
    path = tmp_path / "bell.qpy"
    with path.open("wb") as file:
        qpy.dump(bell(), file)
    assert from_payload(load_circuit(str(path))) == bell()


def test_a_file_that_includes_another_travels_whole(tmp_path):
    (tmp_path / "mine.inc").write_text("gate twice a { h a; h a; }\n")
    path = tmp_path / "main.qasm"
    path.write_text(
        'OPENQASM 2.0;\ninclude "qelib1.inc";\ninclude "mine.inc";\nqreg q[1];\ntwice q[0];\n'
    )
    payload = load_circuit(path)
    (tmp_path / "mine.inc").unlink()
    assert Operator(from_payload(payload)).equiv(Operator(np.eye(2)))
    assert payload.name == "main"


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (None, InputError, "there is no file"),
        (b"", CircuitError, "is empty"),
        (b" \n", CircuitError, "is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", CircuitError, "neither text nor QPY"),
        (b"QISKIT junk", CircuitError, "not QPY"),
        (b"hello there", CircuitError, "does not start with an OPENQASM header, but with 'hello"),
        (b"OPENQASM 4.0;", CircuitError, "says OPENQASM 4.0"),
        (b"OPENQASM 2.0;\nqreg q[1];\nfoo q[0];", CircuitError, r"x\.qasm\), line 3"),
    ],
)
def test_a_file_without_a_circuit_is_refused_by_name(tmp_path, content, error, words):
    path = tmp_path / "x.qasm"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=words) as caught:
        load_circuit(path)
    assert "x.qasm" in str(caught.value)
    with pytest.raises(InputError, match="is a folder"):
        load_circuit(tmp_path)


def test_several_circuits_in_one_qpy_are_refused(tmp_path):
    path = tmp_path / "two.qpy"
    file = io.BytesIO()
    qpy.dump([bell(), bell()], file)
    path.write_bytes(file.getvalue())
    with pytest.raises(CircuitError, match="2 circuits"):
        load_circuit(path)


def test_what_a_circuit_does_survives_openqasm_and_qpy_alike():
    circuit = bell()
    again = from_payload(CircuitPayload(format="qasm2", text=qasm2.dumps(circuit)))
    assert Operator(from_payload(to_payload(again))) == Operator(circuit)


def rotated(count):
    circuit = QuantumCircuit(1, 1, name="rotated")
    for number in range(count):
        circuit.rx(Parameter(f"p{number}"), 0)
    return circuit


@pytest.mark.parametrize(
    ("count", "shape", "words"),
    [
        (2, None, r"2 unbound parameters \(p0, p1\)"),
        (1, None, r"1 unbound parameter \(p0\). Give 1 value a point"),
        (8, (3, 0), "8 unbound parameters .* and 2 more"),
        (2, (5, 3), "2 parameters .*the rows of values given have 3"),
        (0, (5, 3), "0 parameters; the rows"),
        (2, (0, 2), "an empty list"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(count, shape, words):
    with pytest.raises(CircuitError, match=words):
        check_runnable(rotated(count), counts=False, parameter_shape=shape)


def test_parameters_that_fit_are_accepted():
    circuit = rotated(2)
    assert check_runnable(circuit, counts=False, parameter_shape=(7, 2)) is circuit
    assert check_runnable(rotated(0), counts=False) is not None


def test_counts_need_a_measurement_and_one_in_a_block_is_enough():
    circuit = rotated(0)
    with pytest.raises(CircuitError, match=r"no measurement.*Add measurements"):
        check_runnable(circuit, counts=True)
    with circuit.for_loop(range(2)):
        circuit.measure(0, 0)
    assert check_runnable(circuit, counts=True) is circuit
    with pytest.raises(CircuitError, match="before its end"):
        check_runnable(circuit, counts=False)


def test_an_expectation_value_leaves_final_measurements_out():
    circuit = bell()
    measured = circuit.copy()
    measured.measure_all()
    found = check_runnable(measured, counts=False)
    assert Operator(found) == Operator(circuit)
    assert "measure" in measured.count_ops()
    measured.h(0)
    with pytest.raises(CircuitError, match="before its end"):
        check_runnable(measured, counts=False)


def test_a_key_takes_little_time():
    import timeit

    circuit = QuantumCircuit(6)
    for number in range(50):
        circuit.ry(Parameter(f"p{number}"), number % 6)
    best = min(timeit.repeat(lambda: circuit_key(circuit), number=20, repeat=5)) / 20
    # 0.15 to 0.3 ms measured; the bound leaves room for a machine that several share.
    assert best < 2e-3


def test_arguments_of_a_defined_gate_keep_their_order():
    text = (
        'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
        "gate tilt(b, a) q { rx(a) q; rz(b) q; }\nqubit[1] q;\ntilt(1, 2) q[0];\n"
    )
    expected = QuantumCircuit(1)
    expected.rx(2, 0)
    expected.rz(1, 0)
    assert Operator(from_payload(CircuitPayload(format="qasm3", text=text))) == Operator(expected)
