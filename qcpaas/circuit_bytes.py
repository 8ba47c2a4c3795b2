"""Circuits as QPY bytes that mean the same when they are read again.

Qiskit 2.1's QPY changes two things without a word, found by comparing both ends:

- ``parameter - expression`` (also ``/`` and ``**``) is written with its right side first and
  read back with its sides swapped: RZ(a - 2*b) becomes RZ(2*b - a). The entry can be told by its
  bytes, and naming the reflected operation in it makes it read what was written.
- The unit of a delay is not written: 100 ns are read as 100 dt, 1e-7 s not at all. Such delays
  travel as instructions named after their unit.

So platform code writes and reads circuits here, and not with ``qiskit.qpy``.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Callable

from qiskit import QuantumCircuit, qpy
from qiskit.circuit import ControlFlowOp, Delay, Instruction, Operation
from qiskit.exceptions import QiskitError

from qcpaas.errors import CircuitError

QPY_MAGIC = b"QISKIT"
MAX_BITS = 1_000_000  # a header may ask for billions, and Qiskit makes each of them
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
# A marker that ends a nested right side, then an operation whose left side is a parameter.
_SWAPPED = re.compile(rb"(\xffn\0{16}e\0{16})([\x01\x03\x04])(p[\s\S]{16}n\0{16})")
_REFLECTED = {b"\x01": b"\x12", b"\x03": b"\x13", b"\x04": b"\x14"}  # SUB, DIV, POW
_DELAY = "qcpaas_delay_"


def to_bytes(circuit: QuantumCircuit) -> bytes:
    """The circuit as QPY. Differs between processes; compare circuits by `circuit_key`.

    Raises:
        CircuitError: The circuit holds something that QPY cannot write.
    """
    file = io.BytesIO()
    try:
        qpy.dump(_rebuilt(circuit, "delay", _named_delay), file)
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
        with warnings.catch_warnings():
            # It warns of parameter vectors of which a circuit uses some elements only.
            warnings.simplefilter("ignore", UserWarning)
            _check_bits(data)
            circuits = qpy.load(io.BytesIO(_repaired(data)))
    except _READ_ERRORS as error:
        raise CircuitError(
            f"{source} is not QPY that this Qiskit can read: {told(error)}. Write it with "
            "qiskit.qpy.dump of this or an older version, or send OpenQASM."
        ) from error
    if len(circuits) != 1:
        raise CircuitError(f"{source} holds {len(circuits)} circuits. Send them one by one.")
    return _rebuilt(circuits[0], _DELAY, _plain_delay)


def told(error: BaseException) -> str:
    """What an error says, without the full stop."""
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    return str(message).strip().rstrip(".")


def _check_bits(data: bytes) -> None:
    """Refuse a header that asks for more bits than there are reasons to; of QPY 5 and later."""
    version = data[6] if len(data) > 6 else 0
    start = (20 if version >= 10 else 19) + 5  # file header, kind, then name and phase
    if version < 5 or len(data) < start + 8:
        return
    bits = sum(struct.unpack_from("!II", data, start))
    if bits > MAX_BITS:
        raise ValueError(f"it asks for {bits} qubits and clbits; up to {MAX_BITS} are read")


def _repaired(data: bytes) -> bytes:
    return _SWAPPED.sub(lambda entry: entry[1] + _REFLECTED[entry[2]] + entry[3], data)


def _named_delay(operation: Operation) -> Operation:
    """A delay whose unit QPY would lose, as an instruction named after the unit."""
    if not isinstance(operation, Delay) or operation.unit in {"dt", "expr"}:
        return operation
    return Instruction(f"{_DELAY}{operation.unit}", 1, 0, operation.params, operation.label)


def _plain_delay(operation: Operation) -> Operation:
    unit = operation.name.removeprefix(_DELAY)
    return Delay(operation.params[0], unit) if unit != operation.name else operation


def _rebuilt(
    circuit: QuantumCircuit, prefix: str, change: Callable[[Operation], Operation]
) -> QuantumCircuit:
    """The circuit with the instructions of some name changed, in control-flow blocks too."""
    flows = circuit.has_control_flow_op()
    if not flows and not any(name.startswith(prefix) for name in circuit.count_ops()):
        return circuit
    changed: QuantumCircuit = circuit.copy_empty_like()
    for item in circuit.data:
        if item.is_control_flow() and isinstance(item.operation, ControlFlowOp):
            blocks = [_rebuilt(block, prefix, change) for block in item.operation.blocks]
            flow = item.operation.replace_blocks(blocks) if blocks else item.operation
            changed._append(item.replace(operation=flow))  # noqa: SLF001  no checks are needed
        elif item.name.startswith(prefix):
            changed._append(item.replace(operation=change(item.operation)))  # noqa: SLF001
        else:
            changed._append(item)  # noqa: SLF001
    return changed
