"""What the client does with other frameworks' circuits, without importing the frameworks."""

import subprocess
import sys

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp

from qcpaas.checks import check_circuits
from qcpaas.circuit_items import circuit_items
from qcpaas.circuits import read_circuit
from qcpaas.devices import DeviceInfo
from qcpaas.errors import CircuitError, InputError
from qcpaas.frontends import asked_observables, native_result, reading
from qcpaas.frontends.cirq import ordered
from qcpaas.frontends.outcomes import points_of
from qcpaas.frontends.paulis import squared
from qcpaas.observables import to_operator
from qcpaas.schemas import (
    CircuitItem,
    CircuitJob,
    CircuitPayload,
    ExecutionSettings,
    ObservableTerm,
)

BRAKET = "OPENQASM 3.0;\nqubit[4] q;\nh q[0];\ncnot q[0], q[3];\n"
ANSWER = {
    "counts": [{"a": {"01": 30, "10": 10}, "b": {"0": 10, "1": 30}}],
    "joint_counts": [{"101": 30, "010": 10}],
    "shots": 40,
}


def braket(*results):
    return CircuitPayload(
        format="braket", text=BRAKET + "".join(f"#pragma braket result {r}\n" for r in results)
    )


def test_square_of_a_pauli_sum_is_that_of_its_matrix():
    terms = {"XZI": 0.5, "YZI": -1.0, "IZX": 2.0, "XIX": 0.25}
    matrix = SparsePauliOp.from_list(list(terms.items())).to_matrix()
    found = SparsePauliOp.from_list(list(squared(terms).items())).to_matrix()
    assert found == pytest.approx(matrix @ matrix)


def test_rows_join_the_registers_shot_by_shot():
    (point,) = points_of(ANSWER)
    registers = point.by_register()
    assert registers["a"].shape == (40, 2)
    assert {tuple(row) for row in np.hstack([registers["a"], registers["b"]])} == {
        (1, 0, 1),
        (0, 1, 0),
    }
    assert np.array_equal(point.rows(), point.rows())
    # Clbits 2 and 0, the first one the highest bit.
    assert point.probabilities([2, 0]) == pytest.approx([0.25, 0, 0, 0.75])


def test_exact_probabilities_have_no_shots():
    item = CircuitItem(circuit=CircuitPayload(format="quil", text=""))
    with pytest.raises(InputError, match="exact probabilities"):
        native_result(item, {"counts": [{"ro": {"0": 1.0}}], "shots": None})


def test_quil_results_are_arrays_by_region_one_a_point():
    item = CircuitItem(
        circuit=CircuitPayload(format="quil", text=""), parameter_values=((0.1,), (0.2,))
    )
    answer = {"counts": [{"ro": {"01": 3}}, {"ro": {"10": 2}}], "shots": 3}
    first, second = native_result(item, answer)
    assert first["ro"].tolist() == [[1, 0]] * 3
    assert second["ro"].tolist() == [[0, 1]] * 2


def test_parameters_are_ordered_as_qiskit_orders_them():
    assert ordered({"b", "a[10]", "a[2]", "a"}) == ["a", "a[2]", "a[10]", "b"]


def test_result_types_of_braket_are_observables_on_its_qubits_in_order():
    payload = braket("expectation 2 * z(q[0]) @ x(q[3]) - y(q[3])", "variance h(q[0])")
    found = [to_operator(each, 2) for each in asked_observables(payload)]
    z, h = SparsePauliOp.from_list([("XZ", 2.0), ("YI", -1.0)]), SparsePauliOp(["IX", "IZ"])
    assert found[0].equiv(z)
    assert found[1].equiv(h * np.sqrt(0.5))
    assert found[2].simplify().equiv(SparsePauliOp("II"))
    (item,) = circuit_items(payload)
    answer = {"expectation_values": [[0.3, 0.6, 1.0]]}
    assert native_result(item, answer) == pytest.approx([0.3, 1 - 0.36])


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (braket("expectation z(q[0])", "probability q[0]"), "at once"),
        (braket("expectation hermitian([[1,0],[0,1]]) q[0]"), "no sum of products"),
        (CircuitPayload(format="pennylane", text="{"), "cannot be read"),
    ],
)
def test_observables_that_cannot_be_read_are_refused(payload, message):
    with pytest.raises(CircuitError, match=message):
        circuit_items(payload)


def test_observables_given_with_the_job_answer_as_an_array():
    (item,) = circuit_items(braket(), SparsePauliOp("ZZ"), [[0.1], [0.2]])
    assert item.observables[0].terms == (ObservableTerm(pauli="ZZ"),)
    rows = native_result(item, {"expectation_values": [[0.5], [0.25]]})
    assert [row.tolist() for row in rows] == [[0.5], [0.25]]


@pytest.mark.parametrize("circuit", [object(), 3, len])
def test_unknown_object_is_refused_with_what_can_be_given(circuit):
    with pytest.raises(InputError, match="give one of Qiskit, Cirq"):
        circuit_items(circuit)


def test_bytes_that_are_no_bitcode_are_refused():
    with pytest.raises(CircuitError, match="not LLVM bitcode"):
        circuit_items(b"\x00\x01")


@pytest.mark.parametrize(
    ("name", "text", "format_"),
    [
        ("bell.quil", "DECLARE ro BIT[1]\nH 0\nMEASURE 0 ro[0]\n", "quil"),
        ("bell.json", '{"cirq_type": "Circuit", "moments": []}', "cirq"),
        ("bell.json", '{"version": 1, "wires": [], "operations": [], "measurements": []}',
         "pennylane"),
    ],
)  # fmt: skip
def test_files_are_told_by_their_suffix(tmp_path, name, text, format_):
    path = tmp_path / name
    path.write_text(text)
    (item,) = circuit_items(path)
    assert (item.circuit.format, item.circuit.name, item.circuit.text) == (format_, "bell", text)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.json", b"{", "broken JSON"),
        ("a.json", b"[1]", "no circuit of Cirq"),
        ("a.quil", b"FOO 1 2 3 (", "broken Quil"),
        ("a.quil", b"\xff\xfe", "not text"),
        ("a.bc", b"MZ", "not LLVM bitcode"),
        ("a.ll", b"", "empty"),
    ],
)
def test_broken_files_are_refused(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(CircuitError, match=message):
        circuit_items(path)


def test_what_a_thin_client_cannot_read_is_left_to_the_worker(monkeypatch):
    monkeypatch.setattr(reading, "_reader", lambda format_: None)
    payload = CircuitPayload(format="quil", text="JUMP @nowhere\n")
    job = CircuitJob(
        execution=ExecutionSettings(backend="Tiny"), items=(CircuitItem(circuit=payload),)
    )
    check_circuits(job, DeviceInfo(name="Tiny", adapter="twins", num_qubits=1))
    with pytest.raises(CircuitError, match="not installed here"):
        read_circuit(payload)


def test_client_imports_no_framework():
    script = (
        "import sys, qcpaas, qcpaas.frontends, qcpaas.circuit_items\n"
        "names = ('cirq', 'pennylane', 'braket', 'pyquil', 'pyqir', 'qiskit', 'numpy')\n"
        "print([name for name in names if name in sys.modules])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert ran.stdout.strip() == "[]"
