"""Observables as text, on the wire, and as Qiskit's operators."""

from __future__ import annotations

import re

import numpy as np
from qiskit.quantum_info import SparsePauliOp

from qcpaas.errors import ObservableError
from qcpaas.schemas import Observable, ObservableTerm

_EXAMPLE = "Write Pauli strings with real factors, such as 'ZZ' or '0.5*ZZ + 0.2*XI - 1.0*II'."
_FACTOR = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"


def parse_observable(text: str) -> Observable:
    """Read ``ZZ`` or ``0.5*ZZ + 0.2*XI - 1.0*II``; the rightmost letter acts on qubit 0.

    Raises:
        ObservableError: The text has another form, or its terms differ in length. Says where.
    """
    if not text.strip():
        raise ObservableError(f"the observable is empty. {_EXAMPLE}")
    terms: list[ObservableTerm] = []
    position = 0

    def take(pattern: str) -> str:
        nonlocal position
        match = re.compile(rf"\s*({pattern})").match(text, position)
        if match is None:
            return ""
        position = match.end()
        return match[1]

    while text[position:].strip():
        sign = take(r"[+-]")
        factor = take(_FACTOR) if sign or not terms else ""
        star = take(r"\*") if factor else ""
        pauli = take("[IXYZ]+") if sign or not terms else ""
        if not pauli:
            raise ObservableError(_complaint(text, position, constant=bool(factor and not star)))
        value = float(f"{sign}{factor or 1}")
        if not np.isfinite(value):
            raise ObservableError(f"observable {text!r}: the factor {factor} is too large")
        terms.append(ObservableTerm(pauli=pauli, coefficient=value))
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


def _complaint(text: str, position: int, *, constant: bool) -> str:
    """Says what stands where a term should go on, and how it should look."""
    position += len(text[position:]) - len(text[position:].lstrip())
    found = repr(text[position]) if position < len(text) else "the end"
    if constant and found in {"'+'", "'-'", "the end"}:
        return (
            f"observable {text!r}: a number stands without a Pauli string before {found} at "
            f"position {position + 1}. Write a constant with identities, such as 1.0*II."
        )
    return f"observable {text!r}: found {found} at position {position + 1}. {_EXAMPLE}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
