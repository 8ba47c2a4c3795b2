"""Circuits on the wire, from files, and checked before anything is spent on them."""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
import re
import traceback
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

from qiskit import QuantumCircuit, qasm2, qasm3
from qiskit.exceptions import QiskitError

from qcpaas.circuit_bytes import QPY_MAGIC, from_bytes, to_bytes, told
from qcpaas.circuit_key import circuit_key
from qcpaas.errors import CircuitError, InputError
from qcpaas.loops import without_loop_variables
from qcpaas.observables import from_operator, parse_observable, to_operator
from qcpaas.schemas import CircuitPayload

__all__ = [
    "check_runnable",
    "circuit_key",
    "from_operator",
    "from_payload",
    "load_circuit",
    "parse_observable",
    "to_operator",
    "to_payload",
]

MAX_QPY_BYTES = 256 * 2**20  # a compressed payload may claim to be far larger than it is
_COMMENTS = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_HEADER = re.compile(r"\s*OPENQASM\s*(\d+(?:\.\d+)?)")
# Qiskit's importer lets Python's own errors through, such as a division by zero in an angle.
_TEXT_ERRORS = (QiskitError, ArithmeticError, LookupError, ValueError, TypeError, AttributeError)


def to_payload(circuit: QuantumCircuit) -> CircuitPayload:
    """The circuit as it travels: base64 of compressed QPY."""
    packed = base64.b64encode(zlib.compress(to_bytes(circuit), 6)).decode("ascii")
    return CircuitPayload(format="qpy", text=packed, name=circuit.name)


def from_payload(payload: CircuitPayload) -> QuantumCircuit:
    """The circuit that a payload holds, under the payload's name where it has one.

    OpenQASM 2 may include ``qelib1.inc`` alone, OpenQASM 3 ``stdgates.inc``; ``input``
    parameters and ``if`` of OpenQASM 3 are kept.

    Raises:
        CircuitError: The text cannot be read; says at which line, and what the parser found.
    """
    if payload.format == "qpy":
        circuit = from_bytes(_unpacked(payload.text))
    else:
        _check_version(payload.text, payload.format)
        circuit = _from_text(payload.text, payload.format)
    if payload.name:
        circuit.name = payload.name
    return circuit


def load_circuit(path: str | Path) -> CircuitPayload:
    """Read a circuit file: OpenQASM 2 or 3, told apart by the header, or QPY.

    An OpenQASM 2 file may include others beside it; such a circuit travels as QPY.

    Raises:
        InputError: There is no such file, or it cannot be read.
        CircuitError: It holds no circuit.
    """
    path = Path(path)
    data = _file_bytes(path)
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
    version = _version(text, path)
    if version == "qasm2" and re.search(r'include\s*"(?!qelib1\.inc")', _COMMENTS.sub("", text)):
        return to_payload(_renamed(_from_text(text, version, str(path), path.parent), path.stem))
    payload = CircuitPayload(format=version, text=text, name=path.stem)
    _from_text(text, version, str(path))
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
    if "measure" in circuit.count_ops():
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


def _version(text: str, path: Path) -> str:
    """``qasm2`` or ``qasm3`` by the header; by the file's name where there is no header."""
    header = _HEADER.match(_COMMENTS.sub("", text))
    if header is not None:
        found = {"2": "qasm2", "3": "qasm3"}.get(header[1].split(".")[0])
        if found is None:
            raise CircuitError(f"{path} says OPENQASM {header[1]}; versions 2.0 and 3 can be read.")
        return found
    if path.suffix in {".qasm2", ".qasm3"}:
        return path.suffix.removeprefix(".")
    first = text.strip().splitlines()[0][:60]
    raise CircuitError(
        f"{path} does not start with an OPENQASM header, but with {first!r}. "
        "Begin it with 'OPENQASM 2.0;' or 'OPENQASM 3.0;'."
    )


def _check_version(text: str, asked: str) -> None:
    if not text.strip():
        raise CircuitError(f"the {asked} text is empty")
    header = _HEADER.match(_COMMENTS.sub("", text))
    if header is not None and f"qasm{header[1].split('.')[0]}" != asked:
        raise CircuitError(
            f"the circuit was sent as {asked}, and its header says OPENQASM {header[1]}. "
            "Send it under the version that it is written in (qasm2 for 2.0, qasm3 for 3)."
        )


def _from_text(
    text: str, version: str, source: str = "", include: Path | None = None
) -> QuantumCircuit:
    if version == "qasm3":
        return _read(_load_qasm3, text, "OpenQASM 3", source)

    def load(program: str) -> QuantumCircuit:
        return qasm2.loads(
            program,
            include_path=() if include is None else (include,),
            custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS,
        )

    return _read(load, text, "OpenQASM 2", source)


def _read(
    load: Callable[[str], QuantumCircuit], text: str, language: str, source: str
) -> QuantumCircuit:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load(text)
    except _TEXT_ERRORS as error:
        raise CircuitError(_text_complaint(told(error), text, language, source)) from None
    except RecursionError:
        raise CircuitError(f"{language} text {source} is nested too deeply") from None


def _load_qasm3(text: str) -> QuantumCircuit:
    try:
        from openqasm3.parser import QASM3ParsingError
    except ModuleNotFoundError:
        raise CircuitError(
            "OpenQASM 3 needs qiskit-qasm3-import, which is not installed here. "
            "Install it, or send OpenQASM 2 or QPY."
        ) from None
    try:
        # The parser also prints its first complaint to the standard error stream.
        with contextlib.redirect_stderr(io.StringIO()):
            return qasm3.loads(text)
    except (LookupError, ArithmeticError) as error:
        # The importer does not say where a wrong index or a division by zero stands.
        raise ValueError(f"{_visited(error)}{error}") from None
    except QASM3ParsingError as error:
        # The parser raises without a message; the token that it stopped at is on the cause.
        cause = error.__cause__.args[0] if error.__cause__ and error.__cause__.args else None
        token = getattr(cause, "offendingToken", None)
        if token is None:
            raise ValueError(str(error) or "it does not parse") from None
        found = "the end of the text" if token.text == "<EOF>" else repr(token.text)
        raise ValueError(f"{token.line},{token.column}: unexpected {found}") from None


def _visited(error: BaseException) -> str:
    """``line,column: `` of the innermost statement that the importer was visiting, if any."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    spans = [getattr(frame.f_locals.get("node"), "span", None) for frame in frames]
    known = [span for span in spans if span is not None]
    return f"{known[-1].start_line},{known[-1].start_column}: " if known else ""


def _text_complaint(message: str, text: str, language: str, source: str) -> str:
    """The parser's own message, and the line of the text that it points at."""
    message = re.sub(r"^<input>:", "", message)
    message = re.sub(r"^L(\d+):C(\d+):", r"\1,\2:", message)
    place = f" ({source})" if source else ""
    found = re.match(r"(\d+),(\d+):\s*(.*)", message, re.DOTALL)
    if found is None:
        return f"broken {language}{place}: {message}."
    number, column, rest = int(found[1]), int(found[2]), found[3]
    lines = text.splitlines()
    quoted = lines[number - 1].strip()[:80] if 0 < number <= len(lines) else ""
    shown = f" in '{quoted}'" if quoted else ""
    return f"broken {language}{place}, line {number}, column {column + 1}: {rest}{shown}."
