"""Observables as text, on the wire, and as Qiskit's operators."""

from __future__ import annotations

import re

import numpy as np
from qiskit.quantum_info import SparsePauliOp

from qcpaas.errors import ObservableError
from qcpaas.schemas import Observable, ObservableTerm

_EXAMPLE = "Write Pauli strings with real factors, such as 'ZZ' or '0.5*ZZ + 0.2*XI - 1.0*II'."
_TERM = re.compile(
    r"\s*(?P<sign>[+-])?\s*"
    r"(?:(?P<factor>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*\*?\s*)?"
    r"(?P<pauli>[IXYZ]+)\s*(?=[+-]|$)"
)


def parse_observable(text: str) -> Observable:
    """Read ``ZZ`` or ``0.5*ZZ + 0.2*XI - 1.0*II``; the rightmost letter acts on qubit 0.

    Raises:
        ObservableError: The text has another form, or its terms differ in length. Says where.
    """
    if not text.strip():
        raise ObservableError(f"the observable is empty. {_EXAMPLE}")
    terms: list[ObservableTerm] = []
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None or (terms and match["sign"] is None):
            raise ObservableError(_complaint(text, position))
        factor = float(match["factor"] or 1.0) * (-1.0 if match["sign"] == "-" else 1.0)
        if not np.isfinite(factor):
            raise ObservableError(f"observable {text!r}: the factor {match['factor']} is too large")
        terms.append(ObservableTerm(pauli=match["pauli"], coefficient=factor))
        position = match.end()
    observable = Observable(terms=tuple(terms))
    _width(observable)
    return observable


def to_operator(observable: Observable, num_qubits: int, circuit: str = "") -> SparsePauliOp:
    """The observable as Qiskit's operator on a circuit of this width.

    Args:
        circuit: The circuit's name, for the message.

    Raises:
        ObservableError: Another width than the circuit's, a letter other than I, X, Y and Z, or
            a coefficient that is not finite.
    """
    width = _width(observable)
    if width != num_qubits:
        pauli = observable.terms[0].pauli
        raise ObservableError(
            f"observable {pauli} acts on {_count(width, 'qubit')}; circuit {circuit or 'given'} "
            f"has {num_qubits}. Give one letter a qubit, I where nothing is measured."
        )
    for term in observable.terms:
        if not np.isfinite(term.coefficient):
            raise ObservableError(f"observable {term.pauli} has the factor {term.coefficient}")
    return SparsePauliOp.from_list([(term.pauli, term.coefficient) for term in observable.terms])


def from_operator(operator: SparsePauliOp) -> Observable:
    """The inverse of `to_operator`.

    Raises:
        ObservableError: A coefficient has an imaginary part beyond rounding, so that the operator
            is not Hermitian.
    """
    coefficients = np.asarray(operator.coeffs, dtype=complex)
    labels: list[str] = operator.paulis.to_labels()
    rounding = 1e-10 * max(1.0, float(np.abs(coefficients).max(initial=0.0)))
    for label, value in zip(labels, coefficients, strict=True):
        if abs(value.imag) > rounding:
            raise ObservableError(
                f"the factor of {label} is {value:.6g}, which is not real. An observable is "
                "Hermitian: estimate its real and imaginary parts as two observables."
            )
    return Observable(
        terms=tuple(
            ObservableTerm(pauli=label, coefficient=float(value.real))
            for label, value in zip(labels, coefficients, strict=True)
        )
    )


def _width(observable: Observable) -> int:
    """Qubits that every term acts on; also refuses letters that are no Pauli matrix."""
    first = observable.terms[0].pauli
    for term in observable.terms:
        if not re.fullmatch("[IXYZ]+", term.pauli):
            raise ObservableError(f"{term.pauli!r} is not a Pauli string of I, X, Y and Z")
        if len(term.pauli) != len(first):
            raise ObservableError(
                f"term {term.pauli} acts on {_count(len(term.pauli), 'qubit')} and term {first} "
                f"on {len(first)}. All terms of an observable have the same length."
            )
    return len(first)


def _complaint(text: str, position: int) -> str:
    """Says what stands where the next term should, and how it should look."""
    rest = text[position:]
    number = re.match(r"\s*[+-]?\s*[\d.]+(?:[eE][+-]?\d+)?\s*(?:[+-]|$)", rest)
    if number is not None and re.search(r"\d", number.group()):
        return (
            f"observable {text!r}: the number at position {position + 1} stands without a Pauli "
            f"string. Write a constant with identities, such as 1.0*II. {_EXAMPLE}"
        )
    bad = re.compile(r"[^\s+\-*\d.eEIXYZ]").search(text, position)
    where = bad.start() if bad else position + len(rest) - len(rest.lstrip())
    found = repr(text[where]) if where < len(text) else "the end"
    return f"observable {text!r}: found {found} at position {where + 1}. {_EXAMPLE}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
