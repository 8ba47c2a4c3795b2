"""Quil programs against pyQuil's meaning of them, and what is refused."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator

from qcpaas.circuits import from_payload
from qcpaas.errors import CircuitError
from qcpaas.schemas import CircuitPayload

PROGRAM = """DECLARE ro BIT[2]
DECLARE theta REAL[2]
DECLARE angle REAL
DEFGATE SWAPPED AS PERMUTATION:
    0,2,1,3
DEFGATE TURN(%a) AS MATRIX:
    cis(%a), 0
    0, 1
RX(2*theta[1] - pi/2) 3
RY(angle) 7
CONTROLLED DAGGER S 7 3
SWAPPED 3 7
TURN(0.3) 3
MEASURE 7 ro[0]
MEASURE 3 ro[1]
HALT
X 3
"""


def read(text):
    return from_payload(CircuitPayload(format="quil", text=text))


def test_program_is_the_same_circuit_written_in_qiskit():
    found = read(PROGRAM)
    assert [p.name for p in found.parameters] == ["angle", "theta[1]"]
    assert [(r.name, len(r)) for r in found.cregs] == [("ro", 2)]
    expected = QuantumCircuit(2)  # qubits 3 and 7
    expected.rx(2 * 0.7 - np.pi / 2, 0)
    expected.ry(0.4, 1)
    expected.sdg(0)
    expected = QuantumCircuit(2)
    expected.rx(2 * 0.7 - np.pi / 2, 0)
    expected.ry(0.4, 1)
    expected.cp(-np.pi / 2, 1, 0)
    expected.swap(0, 1)
    expected.p(-0.3, 0)
    found.remove_final_measurements()
    bound = found.assign_parameters({"angle": 0.4, "theta[1]": 0.7})
    assert Operator(bound).equiv(Operator(expected))


def test_bits_are_where_the_memory_has_them():
    found = read(PROGRAM)
    measured = {
        found.find_bit(step.clbits[0]).index: found.find_bit(step.qubits[0]).index
        for step in found.data
        if step.name == "measure"
    }
    assert measured == {0: 1, 1: 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("H 0\nFOO 1\n", "no gate FOO"),
        ("H 0\nJUMP @A\nLABEL @A\n", "'JUMP @A' is classical control"),
        ("H q\n", "has no number"),
        ("MEASURE 0\n", "keeps no outcome"),
        ("X 0\nRX(1.2.3) 0\n", "line 2, column 3"),
        ("DECLARE a INTEGER\nRX(a) 0\n", "which is INTEGER"),
        ('PRAGMA ADD-KRAUS X 0 "(0 1)"\nX 0\n', "is noise"),
        ("DEFCAL X 0:\n    NOP\nX 0\n", "pulse-level"),
        ('PULSE 0 "x" flat(duration: 1, iq: 1)\n', "pulse-level"),
        ("RX(%a) 0", "has no value"),
        ("RX(2i) 0\n", "not real"),
        ("RX(1/0) 0\n", "no real value"),
        ("RX(1e999) 0\n", "finite"),
        ("DECLARE ro BIT[99999999999]\nMEASURE 0 ro[0]\n", "99,999,999,999 bits"),
        ("DECLARE ro BIT[1]\nMEASURE 0 ro[1]\n", "outside"),
        ("DECLARE ro REAL[1]\nMEASURE 0 ro[0]\n", "outcomes are bits"),
        ("DEFCIRCUIT B q:\n    H q\nB 0\n", "defines a circuit"),
        ("FORKED RX(1, 2) 0 1\n", "RX"),
        ("DECLARE a REAL[2]\nMOVE a[0] 2\nX 0\n", "classical control"),
        ("CNOT 0 0\n", "Name each once"),
        ("H 0 1\n", "H acts on 1 qubits; 2"),
        ("DECLARE a REAL\nDEFGATE G(%t) AS MATRIX:\n    cis(%t), 0\n    0, 1\nG(a) 0\n", "symbol"),
        ("DEFGATE G AS MATRIX:\n    1, 1\n    0, 1\nG 0\n", "not a unitary"),
        ("   ", "empty"),
    ],
)
def test_what_no_circuit_has_is_refused(text, message):
    with pytest.raises(CircuitError, match=message):
        read(text)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(PROGRAM)), st.text(alphabet="01[](){}%@:,.\n QX*-/", max_size=4))
def test_garbled_text_is_read_or_refused(place, inserted):
    with contextlib.suppress(CircuitError):
        read(PROGRAM[:place] + inserted + PROGRAM[place + 2 :])
