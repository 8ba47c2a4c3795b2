"""Pauli gates in a device's own gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import pi

from qiskit import QuantumCircuit, transpile
from qiskit.circuit import CircuitInstruction, Gate, Qubit
from qiskit.circuit.library import (
    PhaseGate,
    RGate,
    RXGate,
    RYGate,
    RZGate,
    SXGate,
    U1Gate,
    XGate,
    YGate,
    ZGate,
)
from qiskit.transpiler.exceptions import TranspilerError

from adapters.compiler_stages import compiling
from qcpaas.errors import MitigationError

# By what a device must have for it, best first: frame changes cost nothing.
_WAYS: dict[str, tuple[tuple[str, Callable[[], tuple[Gate, ...]]], ...]] = {
    "Z": (
        ("rz", lambda: (RZGate(pi),)),
        ("p", lambda: (PhaseGate(pi),)),
        ("u1", lambda: (U1Gate(pi),)),
        ("z", lambda: (ZGate(),)),
        ("r", lambda: (RGate(pi, 0.0), RGate(pi, pi / 2))),
    ),
    "X": (
        ("x", lambda: (XGate(),)),
        ("sx", lambda: (SXGate(), SXGate())),
        ("rx", lambda: (RXGate(pi),)),
        ("r", lambda: (RGate(pi, 0.0),)),
    ),
    "Y": (
        ("y", lambda: (YGate(),)),
        ("r", lambda: (RGate(pi, pi / 2),)),
        ("ry", lambda: (RYGate(pi),)),
    ),
}


def pauli_steps(
    letter: str, qubit: Qubit, basis_gates: Sequence[str] = ()
) -> list[CircuitInstruction]:
    """One Pauli gate in a device's own gates, up to a global phase; empty for the identity.

    Args:
        letter: I, X, Y or Z.
        basis_gates: What the device executes; empty where it executes any gate.

    Raises:
        MitigationError: The gate cannot be made of the device's.
    """
    if letter == "I":
        return []
    return [CircuitInstruction(gate, (qubit,)) for gate in _gates(letter, tuple(basis_gates))]


@lru_cache(maxsize=256)
def _gates(letter: str, basis_gates: tuple[str, ...]) -> tuple[Gate, ...]:
    if not basis_gates:
        return {"X": (XGate(),), "Y": (YGate(),), "Z": (ZGate(),)}[letter]
    for name, make in _WAYS[letter]:
        if name in basis_gates:
            return make()
    if letter == "Y":
        return (*_gates("Z", basis_gates), *_gates("X", basis_gates))
    return _compiled(letter, basis_gates)


def _compiled(letter: str, basis_gates: tuple[str, ...]) -> tuple[Gate, ...]:
    """Of gates that only the device has."""
    circuit = QuantumCircuit(1)
    circuit.append({"X": XGate(), "Z": ZGate()}[letter], [0])
    gates = [gate for gate in basis_gates if gate not in {"measure", "delay", "reset"}]
    try:
        with compiling():
            compiled = transpile(
                circuit, basis_gates=gates, optimization_level=1, seed_transpiler=0
            )
    except TranspilerError as error:
        raise MitigationError(
            f"a Pauli {letter} gate cannot be made of the device's {', '.join(gates)}. Leave out "
            "the options that twirl gates or insert Pauli gates."
        ) from error
    return tuple(step.operation for step in compiled.data)
