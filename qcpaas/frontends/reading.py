"""The platform's readers of other frameworks' texts, found once such a text comes."""

from __future__ import annotations

import functools
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from qcpaas.errors import CircuitError
from qcpaas.schemas import CircuitPayload

if TYPE_CHECKING:
    from collections.abc import Callable

    from qiskit import QuantumCircuit

GROUP = "qcpaas.frontends"
_QISKIT = {"qpy", "qasm2", "qasm3"}
_NAMES = {
    "cirq": "Cirq",
    "pennylane": "PennyLane",
    "quil": "Quil",
    "braket": "Braket",
    "qir": "QIR",
}


def can_read(format_: str) -> bool:
    """Whether circuits of a payload's format can be read in this process.

    A thin client has no readers: what it cannot read travels unread, and the worker checks it.
    """
    return format_ in _QISKIT or _reader(format_) is not None


def read_payload(payload: CircuitPayload) -> QuantumCircuit:
    """The circuit of another framework's text.

    Raises:
        CircuitError: The text cannot be read, or there is no reader here.
    """
    from qiskit.exceptions import QiskitError

    name = _NAMES[payload.format]
    read = _reader(payload.format)
    if read is None:
        raise CircuitError(
            f"{name} circuits are read by the platform's packages, which are not installed here, "
            "only the client. Submit the circuit, or convert it to OpenQASM 3."
        )
    try:
        return read(payload)
    except (QiskitError, ArithmeticError, LookupError, ValueError, TypeError) as error:
        message = getattr(error, "message", None) or str(error) or type(error).__name__
        raise CircuitError(f"the {name} circuit cannot be read: {message!s:.300}") from None


@functools.cache  # looking through what is installed takes 20 ms
def _reader(format_: str) -> Callable[[CircuitPayload], QuantumCircuit] | None:
    for entry in entry_points(group=GROUP, name=format_):
        try:
            read: Callable[[CircuitPayload], QuantumCircuit] = entry.load()
        except ModuleNotFoundError:
            continue
        return read
    return None
