"""Circuits as QPY bytes that mean the same when they are read again."""

from __future__ import annotations

import io
import re
import struct

from qiskit import QuantumCircuit, qpy
from qiskit.exceptions import QiskitError

from qcpaas.errors import CircuitError

QPY_MAGIC = b"QISKIT"
_READ_ERRORS = (
    QiskitError,
    struct.error,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    MemoryError,
)

# Qiskit 2.1 writes `parameter - expression` (and / and **) with the right side first, and reads it
# back as `expression - parameter`: RZ(a - 2*b) silently becomes RZ(2*b - a). The entry that does
# so can be told by its bytes: a marker that ends a nested right side, then an operation whose left
# side is a parameter. Naming the reflected operation there makes it read what was written.
_SWAPPED = re.compile(
    rb"(\xffn\0{16}e\0{16})([\x01\x03\x04])(p[\s\S]{16}n\0{16})",
)
_REFLECTED = {b"\x01": b"\x12", b"\x03": b"\x13", b"\x04": b"\x14"}  # SUB, DIV, POW


def to_bytes(circuit: QuantumCircuit) -> bytes:
    """The circuit as QPY. Differs between processes; compare circuits by `circuit_key`.

    Raises:
        CircuitError: The circuit holds something that QPY cannot write.
    """
    file = io.BytesIO()
    try:
        qpy.dump(circuit, file)
    except (QiskitError, struct.error, TypeError, AttributeError) as error:
        raise CircuitError(
            f"circuit {circuit.name} cannot be written as QPY: {told(error)}. "
            "Decompose its own instructions into standard gates."
        ) from error
    return _repaired(file.getvalue())


def from_bytes(data: bytes, source: str = "the payload") -> QuantumCircuit:
    """The one circuit that QPY bytes hold, from `to_bytes` or from Qiskit itself.

    Raises:
        CircuitError: The bytes are not QPY that this Qiskit reads, or hold several circuits.
    """
    try:
        circuits = qpy.load(io.BytesIO(_repaired(data)))
    except _READ_ERRORS as error:
        raise CircuitError(
            f"{source} is not QPY that this Qiskit can read: {told(error)}. Write it with "
            "qiskit.qpy.dump of this or an older version, or send OpenQASM."
        ) from error
    if len(circuits) != 1:
        raise CircuitError(f"{source} holds {len(circuits)} circuits. Send them one by one.")
    return circuits[0]


def told(error: BaseException) -> str:
    """What an error says, without the full stop."""
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    return str(message).strip().rstrip(".")


def _repaired(data: bytes) -> bytes:
    return _SWAPPED.sub(lambda entry: entry[1] + _REFLECTED[entry[2]] + entry[3], data)
