"""Sums of Pauli strings, without any package."""

from __future__ import annotations

from collections.abc import Mapping

from qcpaas.schemas import Observable, ObservableTerm

Terms = Mapping[str, float]  # letters, qubit 0 rightmost, to factor

_NEXT = {"XY": "Z", "YZ": "X", "ZX": "Y"}


def observable(terms: Terms) -> Observable:
    return Observable(
        terms=tuple(ObservableTerm(pauli=label, coefficient=c) for label, c in terms.items())
    )


def label(letters: Mapping[int, str], num_qubits: int) -> str:
    """The string with these letters on these qubits."""
    return "".join(letters.get(qubit, "I") for qubit in reversed(range(num_qubits)))


def squared(terms: Terms) -> dict[str, float]:
    """The square of a Hermitian sum, which a variance needs."""
    found: dict[str, float] = {}
    for first, left in terms.items():
        for second, right in terms.items():
            product, quarter_turns = _product(first, second)
            if quarter_turns % 2 == 0:  # the imaginary ones cancel in pairs
                sign = 1 if quarter_turns % 4 == 0 else -1
                found[product] = found.get(product, 0.0) + sign * left * right
    return found


def _product(first: str, second: str) -> tuple[str, int]:
    """Letters of the product, and its factor as a power of i."""
    letters, turns = [], 0
    for a, b in zip(first, second, strict=True):
        if a == b or "I" in {a, b}:
            letters.append("I" if a == b else (b if a == "I" else a))
        elif a + b in _NEXT:
            letters.append(_NEXT[a + b])
            turns += 1
        else:
            letters.append(_NEXT[b + a])
            turns += 3
    return "".join(letters), turns
