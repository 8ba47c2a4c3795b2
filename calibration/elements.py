"""The parts of a device that a circuit uses, and what observed fidelities say about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal["two_qubit", "one_qubit", "readout", "idle"]


class Element(NamedTuple):
    """A coupler, or one thing that a qubit does; a coupler's qubits are in ascending order."""

    kind: Kind
    qubits: tuple[int, ...]


@dataclass(frozen=True)
class Corrections:
    """How much worse than calibrated the elements of a device have proved to be.

    Attributes:
        log_factors: Natural logarithm of true over calibrated error; none counts as 0.
        version: Grows with every observation.
    """

    log_factors: Mapping[Element, float] = field(default_factory=dict)
    version: int = 0


NO_CORRECTIONS = Corrections()
