"""Braket's OpenQASM, as its circuits write it; no Braket package is needed to read it."""

import contextlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator

from qcpaas.circuits import from_payload
from qcpaas.errors import CircuitError
from qcpaas.schemas import CircuitPayload

HEAD = "OPENQASM 3.0;\nqubit[2] q;\n"
PROGRAM = """OPENQASM 3.0;
input float theta;
bit[2] b;
qubit[4] q;
h q[0];
cnot q[0], q[3];
rx(2*theta + 1) q[0];
#pragma braket unitary([[0, 1.0im], [1.0im, 0]]) q[3]
negctrl @ x q[0], q[3];
inv @ pow(2) @ t q[0];
ctrl @ gphase(0.3) q[3];
b[0] = measure q[3];
b[1] = measure q[0];
"""


def read(text):
    return from_payload(CircuitPayload(format="braket", text=text))


def test_program_is_the_same_circuit_written_in_qiskit():
    found = read(PROGRAM)
    assert [p.name for p in found.parameters] == ["theta"]
    measured = [(found.find_bit(s.qubits[0]).index, found.find_bit(s.clbits[0]).index)
                for s in found.data if s.name == "measure"]  # fmt: skip
    assert measured == [(1, 0), (0, 1)]
    expected = QuantumCircuit(2)  # q[0] and q[3]
    expected.h(0)
    expected.cx(0, 1)
    expected.rx(2 * 0.4 + 1, 0)
    expected.x(1)
    expected.cx(0, 1, ctrl_state=0)
    expected.sdg(0)
    expected.p(0.3, 1)
    found.remove_final_measurements()
    assert Operator(found.assign_parameters([0.4])).equiv(Operator(expected))


def test_circuit_that_asks_for_expectation_values_is_not_measured():
    found = read(HEAD + "h q[0];\n#pragma braket result expectation z(q[0]) @ x(q[1])\n")
    assert found.num_clbits == 0
    assert found.num_qubits == 2


def test_circuit_without_measurement_is_measured_as_braket_does():
    assert read(HEAD + "h q[0];\n").count_ops()["measure"] == 1


def test_verbatim_box_is_read_as_its_gates():
    text = "OPENQASM 3.0;\nbit[1] b;\n#pragma braket verbatim\nbox{\nrz(0.1) $0;\ncz $0, $7;\n}\n"
    found = read(text + "b[0] = measure $7;\n")
    assert list(found.count_ops()) == ["rz", "cz", "measure"]
    assert found.num_qubits == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("OPENQASM 2.0;\nqreg q[1];\n", "OPENQASM 2.0"),
        ("OPENQASM 3.0;\nqubit[2] q;\nh q[0]\n", "line 4, column 1: unexpected the end"),
        (HEAD + "foo q[0];", "line 3: there is no gate foo"),
        (HEAD + "h q[5];", r"line 3: there is no qubit q\[5\]"),
        (HEAD + "rx(a) q[0];", "line 3: an angle names a"),
        (HEAD + "rx(1/0) q[0];", "no real value"),
        (HEAD + "rx(1, 2) q[0];", "takes 1 angles; 2"),
        (HEAD + "#pragma braket noise depolarizing(0.1) q[0]\n", "is noise"),
        (HEAD + "#pragma braket result state_vector\n", "state_vector"),
        (HEAD + "#pragma braket unitary([[0, 1], [1, 1]]) q[0]\n", "not a unitary"),
        (HEAD + "cnot q[0], q[0];", "Name each once"),
        (HEAD + "if (true) { h q[0]; }", "BranchingStatement"),
        (HEAD + "cal { }\n", "pulse-level"),
        (HEAD + "pow(0.5) @ ctrl(99999) @ x q[0];", "99,999 controls"),
        ("OPENQASM 3.0;\nqubit[99999999999] q;\nh q;", "99,999,999,999 qubits"),
        ("OPENQASM 3.0;\nbit[99999999999] b;\nqubit[1] q;\nh q;", "99,999,999,999 bits"),
    ],
)
def test_what_no_circuit_has_is_refused(text, message):
    with pytest.raises(CircuitError, match=message):
        read(text)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(PROGRAM)), st.text(alphabet="01[](){}@:;,.\n q$#*-/", max_size=4))
def test_garbled_text_is_read_or_refused(place, inserted):
    with contextlib.suppress(CircuitError):
        read(PROGRAM[:place] + inserted + PROGRAM[place + 2 :])


def test_reading_imports_no_framework():
    script = (
        "import sys\n"
        "from qcpaas.circuits import from_payload\n"
        "from qcpaas.schemas import CircuitPayload\n"
        f"from_payload(CircuitPayload(format='braket', text={HEAD + 'h q[0];'!r}))\n"
        "from_payload(CircuitPayload(format='quil', text='H 0\\n'))\n"
        'text = \'{"cirq_type": "Circuit", "moments": []}\'\n'
        "from_payload(CircuitPayload(format='cirq', text=text))\n"
        "print([m for m in ('braket', 'pyquil', 'cirq', 'pennylane') if m in sys.modules])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert ran.stdout.strip() == "[]"


def test_angles_of_controls_keep_their_phase():
    found = read(HEAD + "ctrl @ rz(0.4) q[0], q[1];\nctrl @ gpi(0.2) q[1], q[0];")
    found.remove_final_measurements()
    gpi = np.array([[0, np.exp(-0.2j)], [np.exp(0.2j), 0]])
    controlled = np.eye(4, dtype=complex)  # q[1] the high bit
    controlled[2:, 2:] = gpi
    turned = QuantumCircuit(2)
    turned.crz(0.4, 0, 1)
    assert Operator(found).equiv(Operator(controlled @ Operator(turned).data))
