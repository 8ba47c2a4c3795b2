"""OpenQASM 2 and 3, read with the line of whatever is wrong."""

from __future__ import annotations

import contextlib
import io
import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from qiskit import QuantumCircuit, qasm2, qasm3
from qiskit.exceptions import QiskitError

from qcpaas.circuit_bytes import told
from qcpaas.errors import CircuitError
from qcpaas.gate_arguments import order_arguments

T = TypeVar("T")

COMMENTS = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_HEADER = re.compile(r"\s*OPENQASM\s*(\d+(?:\.\d+)?)")
# Qiskit's importer lets Python's own errors through, such as a division by zero in an angle.
_TEXT_ERRORS = (QiskitError, ArithmeticError, LookupError, ValueError, TypeError, AttributeError)


def version_of(text: str, path: Path) -> str:
    """``qasm2`` or ``qasm3`` by the header; by the file's name where there is no header."""
    header = _HEADER.match(COMMENTS.sub("", text))
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


def check_version(text: str, asked: str) -> None:
    if not text.strip():
        raise CircuitError(f"the {asked} text is empty")
    header = _HEADER.match(COMMENTS.sub("", text))
    if header is not None and f"qasm{header[1].split('.')[0]}" != asked:
        raise CircuitError(
            f"the circuit was sent as {asked}, and its header says OPENQASM {header[1]}. "
            "Send it under the version that it is written in (qasm2 for 2.0, qasm3 for 3)."
        )


def parse_qasm3(text: str, language: str = "OpenQASM 3") -> Any:
    """The syntax tree of an OpenQASM 3 text, an ``openqasm3.ast.Program``.

    Raises:
        CircuitError: It does not parse; says at which line, and what the parser found.
    """
    check_version(text, "qasm3")

    def parse(program: str) -> Any:
        import openqasm3

        with _parsing():
            return openqasm3.parse(program)

    return _read(parse, text, language, "")


def read_openqasm(
    text: str, version: str, source: str = "", include: Path | None = None
) -> QuantumCircuit:
    """A circuit of OpenQASM 2 or 3.

    Args:
        version: ``qasm2`` or ``qasm3``.
        source: Where the text is from, for the message.
        include: The folder that an OpenQASM 2 text includes others from.

    Raises:
        CircuitError: It cannot be read; says at which line, and what the parser found.
    """
    if version == "qasm3":
        return _read(_load_qasm3, text, "OpenQASM 3", source)

    def load(program: str) -> QuantumCircuit:
        return qasm2.loads(
            program,
            include_path=() if include is None else (include,),
            custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS,
        )

    return _read(load, text, "OpenQASM 2", source)


def _read(load: Callable[[str], T], text: str, language: str, source: str) -> T:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load(text)
    except _TEXT_ERRORS as error:
        raise CircuitError(_text_complaint(told(error), text, language, source)) from None
    except RecursionError:
        raise CircuitError(f"{language} text {source} is nested too deeply") from None


def _load_qasm3(text: str) -> QuantumCircuit:
    with _parsing():
        if "gate " not in text:
            return qasm3.loads(text)
        import openqasm3
        from qiskit_qasm3_import import ConversionError, convert

        try:
            return convert(order_arguments(openqasm3.parse(text)))
        except ConversionError as error:
            raise ValueError(str(error)) from error


@contextlib.contextmanager
def _parsing() -> Iterator[None]:
    """Raises `ValueError` with ``line,column: what`` where the parser or the importer fails."""
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
            yield
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
