"""Observables as text, on the wire and as operators."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit.quantum_info import SparsePauliOp

from qcpaas.circuits import from_operator, parse_observable, to_operator
from qcpaas.errors import ObservableError
from qcpaas.schemas import Observable, ObservableTerm

terms = st.lists(
    st.tuples(st.text("IXYZ", min_size=3, max_size=3), st.floats(-1e6, 1e6)), min_size=1
)


@given(terms)
def test_text_and_operators_say_the_same(pairs):
    observable = Observable(
        terms=tuple(ObservableTerm(pauli=pauli, coefficient=value) for pauli, value in pairs)
    )
    text = " ".join(f"{'-' if value < 0 else '+'} {abs(value)!r}*{pauli}" for pauli, value in pairs)
    assert parse_observable(text) == observable
    operator = to_operator(observable, 3)
    np.testing.assert_array_equal(operator.coeffs, [value for _, value in pairs])
    assert from_operator(operator) == observable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ZZ", SparsePauliOp("ZZ")),
        ("-ZZ", SparsePauliOp("ZZ", -1.0)),
        ("0.5*ZZ + 0.2*XI - 1.0*II", SparsePauliOp(["ZZ", "XI", "II"], [0.5, 0.2, -1.0])),
        (" 2 XX-.5*YY ", SparsePauliOp(["XX", "YY"], [2.0, -0.5])),
        ("1e-3*ZI+ZZ", SparsePauliOp(["ZI", "ZZ"], [1e-3, 1.0])),
    ],
)
def test_the_usual_ways_to_write_one_are_read(text, expected):
    assert to_operator(parse_observable(text), 2) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("ZZ ++ XX", r"found '\+' at position 5"),
        ("ZZ XX", "found 'X' at position 4"),
        ("0.5*ZA", "found 'A' at position 6"),
        ("zz", "found 'z' at position 1"),
        ("0.5**ZZ", r"found '\*' at position 5"),
        ("ZZ +", "found the end at position 5"),
        ("1j*ZZ", "found 'j' at position 2"),
        ("ZZ + 0.5", "a number stands without a Pauli string"),
        ("ZZ + X", "term X acts on 1 qubit and term ZZ on 2"),
        ("1e999*Z", "too large"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text, words):
    with pytest.raises(ObservableError, match=words):
        parse_observable(text)


def test_a_wrong_width_names_the_circuit():
    with pytest.raises(ObservableError, match="ZZZ acts on 3 qubits; circuit ghz has 2"):
        to_operator(parse_observable("ZZZ"), 2, "ghz")


@pytest.mark.parametrize(
    "term",
    [
        ObservableTerm(pauli="AB"),
        ObservableTerm(pauli=""),
        ObservableTerm(pauli="ZZ", coefficient=float("nan")),
    ],
)
def test_a_term_from_the_wire_is_checked(term):
    with pytest.raises(ObservableError):
        to_operator(Observable(terms=(term,)), 2)


def test_imaginary_factors_beyond_rounding_are_refused():
    assert from_operator(SparsePauliOp("Z", 1 + 1e-16j)).terms[0].coefficient == 1
    with pytest.raises(ObservableError, match="not real"):
        from_operator(SparsePauliOp(["Z", "X"], [1, 0.1j]))
