"""Circuits on the wire, from files, and checked before anything is spent on them."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from pathlib import Path

from qiskit import QuantumCircuit

from qcpaas.circuit_bytes import QPY_MAGIC, from_bytes, to_bytes
from qcpaas.circuit_key import circuit_key
from qcpaas.errors import CircuitError, InputError
from qcpaas.frontends import can_read, load_file, read_payload, unknown_circuit, written
from qcpaas.loops import without_loop_variables
from qcpaas.observables import from_operator, parse_observable, to_operator
from qcpaas.openqasm import COMMENTS, check_version, read_openqasm, version_of
from qcpaas.schemas import CircuitPayload

__all__ = [
    "check_runnable",
    "circuit_key",
    "from_operator",
    "from_payload",
    "load_circuit",
    "parse_observable",
    "read_circuit",
    "to_operator",
    "to_payload",
]

MAX_QPY_BYTES = 256 * 2**20  # a compressed payload may claim to be far larger than it is


PROGRAM = "qir_program"  # the instruction that stands for a program without a gate list


def to_payload(circuit: QuantumCircuit) -> CircuitPayload:
    """The circuit as it travels: base64 of compressed QPY."""
    packed = base64.b64encode(zlib.compress(to_bytes(circuit), 6)).decode("ascii")
    return CircuitPayload(format="qpy", text=packed, name=circuit.name)


def from_payload(payload: CircuitPayload) -> QuantumCircuit:
    """The circuit that a payload holds, under the payload's name where it has one.

    OpenQASM 2 may include ``qelib1.inc`` alone, OpenQASM 3 ``stdgates.inc``; ``input``
    parameters and ``if`` of OpenQASM 3 are kept. Texts of other frameworks are read by the
    platform's packages (``qcpaas.frontends.can_read`` says whether they are here).

    Raises:
        CircuitError: The text cannot be read; says at which line, and what the parser found.
    """
    if payload.format == "qpy":
        circuit = from_bytes(_unpacked(payload.text))
    elif payload.format not in {"qasm2", "qasm3"}:
        circuit = read_payload(payload)
    else:
        check_version(payload.text, payload.format)
        circuit = read_openqasm(payload.text, payload.format)
    if payload.name:
        circuit.name = payload.name
    return circuit


def read_circuit(circuit: object, *, observed: bool = False) -> QuantumCircuit:
    """Any framework's circuit as Qiskit's, which a loop should do once, before it starts.

    Args:
        circuit: Of Qiskit, Cirq, PennyLane, pyQuil or Braket, QIR bitcode, or a payload.
        observed: Observables are given apart: a tape's own measurements are left out.

    Raises:
        InputError: It is none of these.
        CircuitError: It holds what no circuit has here.
    """
    if isinstance(circuit, QuantumCircuit):
        return circuit
    payload = (
        circuit if isinstance(circuit, CircuitPayload) else written(circuit, observed=observed)
    )
    if payload is None:
        raise InputError(unknown_circuit(circuit))
    return from_payload(payload)


def load_circuit(path: str | Path) -> CircuitPayload:
    """Read a circuit file: OpenQASM 2 or 3, told apart by the header, QPY, or another framework's.

    Those are ``.quil``, ``.ll`` and ``.bc`` (QIR), and ``.json`` (Cirq's, or a tape). An OpenQASM 2
    file may include others beside it; such a circuit travels as QPY.

    Raises:
        InputError: There is no such file, or it cannot be read.
        CircuitError: It holds no circuit.
    """
    path = Path(path)
    data = _file_bytes(path)
    foreign = load_file(path)
    if foreign is not None:
        if can_read(foreign.format):
            read_payload(foreign)
        return foreign
    if data.startswith(QPY_MAGIC):
        return to_payload(from_bytes(data, str(path)))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise CircuitError(
            f"{path} is neither text nor QPY: it starts with {data[:8]!r}. "
            "Give an OpenQASM 2 or 3 file, or one that qiskit.qpy.dump wrote."
        )
    version = version_of(text, path)
    if version == "qasm2" and re.search(r'include\s*"(?!qelib1\.inc")', COMMENTS.sub("", text)):
        return to_payload(_renamed(read_openqasm(text, version, str(path), path.parent), path.stem))
    payload = CircuitPayload(format=version, text=text, name=path.stem)
    read_openqasm(text, version, str(path))
    return payload


def check_runnable(
    circuit: QuantumCircuit, *, counts: bool, parameter_shape: tuple[int, ...] | None = None
) -> QuantumCircuit:
    """Refuse a circuit that cannot answer what is asked of it; spends nothing.

    Args:
        counts: Whether counts are asked; otherwise expectation values.
        parameter_shape: Shape of the parameter values, ``(points, parameters)``; ``None`` where
            none are given.

    Returns:
        The circuit to run: the given one, loops that count unrolled. For expectation values
        without its final measurements (`QuantumCircuit.remove_final_measurements`), since the
        observables say what is measured.

    Raises:
        CircuitError: A loop that counts and ends early, unbound parameters, rows of the wrong
            width, no measurement where counts are asked, or a measurement in mid-circuit where
            expectation values are asked.
    """
    circuit = without_loop_variables(circuit)
    _check_parameters(circuit, parameter_shape)
    measured = _measures(circuit)
    if counts and not measured:
        raise CircuitError(
            f"circuit {circuit.name} has no measurement, so that there is nothing to count. "
            "Add measurements (circuit.measure_all()), or give an observable."
        )
    if counts or not measured:
        return circuit
    unmeasured: QuantumCircuit = circuit.remove_final_measurements(inplace=False)
    if _measures(unmeasured):
        raise CircuitError(
            f"circuit {circuit.name} measures a qubit before its end, and expectation values are "
            "asked of it. Remove the mid-circuit measurement, or ask for counts."
        )
    return unmeasured


def _check_parameters(circuit: QuantumCircuit, shape: tuple[int, ...] | None) -> None:
    needed = circuit.num_parameters
    points, given = (1, 0) if shape is None else (shape[0], shape[-1])
    if points == 0:
        raise CircuitError(f"circuit {circuit.name} is given an empty list of parameter values")
    if given == needed:
        return
    names = [parameter.name for parameter in circuit.parameters]
    listed = ", ".join(names[:6]) + (f" and {needed - 6} more" if needed > 6 else "")
    if given == 0:
        raise CircuitError(
            f"circuit {circuit.name} has {needed} unbound parameter{'s' * (needed > 1)} "
            f"({listed}). Give {needed} value{'s' * (needed > 1)} a point, in this order, or bind "
            "them before."
        )
    raise CircuitError(
        f"circuit {circuit.name} has {needed} parameter{'s' * (needed != 1)}"
        f"{f' ({listed})' if names else ''}; the rows of values given have {given}."
    )


def _measures(circuit: QuantumCircuit) -> bool:
    """Whether there is a measurement anywhere, control-flow blocks included."""
    if not {"measure", PROGRAM}.isdisjoint(circuit.count_ops()):
        return True
    if not circuit.has_control_flow_op():
        return False
    flows = (item.operation for item in circuit.data if item.is_control_flow())
    return any(_measures(block) for flow in flows for block in flow.blocks)


def _renamed(circuit: QuantumCircuit, name: str) -> QuantumCircuit:
    circuit.name = name
    return circuit


def _file_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no file {path}. Check the path.") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder. Name one circuit file in it.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not data.strip():
        raise CircuitError(f"{path} is empty. Give an OpenQASM 2 or 3 file, or QPY.")
    return data


def _unpacked(text: str) -> bytes:
    """The QPY bytes of a payload; plain base64 of QPY is taken too."""
    try:
        data = base64.b64decode(text, validate=True)
        if data.startswith(QPY_MAGIC):
            return data
        inflate = zlib.decompressobj()
        data = inflate.decompress(data, MAX_QPY_BYTES)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise CircuitError(
            f"the circuit is not base64 of compressed QPY: {error}. Make it with "
            "qcpaas.circuits.to_payload, or send OpenQASM."
        ) from None
    if inflate.unconsumed_tail:
        raise CircuitError(f"the circuit unpacks to more than {MAX_QPY_BYTES // 2**20} MiB")
    return data
