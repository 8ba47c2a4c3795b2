"""Any framework's circuit, or its file, as the text that travels."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qcpaas.errors import CircuitError, InputError
from qcpaas.frontends import braket, cirq, pennylane, qir, quil
from qcpaas.schemas import CircuitPayload

# By the first part of a class's module and the class's name.
_WRITERS: Mapping[tuple[str, str], Callable[[Any], CircuitPayload]] = {
    ("cirq", "Circuit"): cirq.write,
    ("cirq", "FrozenCircuit"): cirq.write,
    ("pyquil", "Program"): quil.write,
    ("braket", "Circuit"): braket.write,
    ("braket", "Program"): braket.write_program,
    ("pyqir", "SimpleModule"): qir.write_simple,
}
_TAPES = {("pennylane", "QuantumScript"), ("pennylane", "QNode")}


def written(
    circuit: object, *, symbolic: bool = False, observed: bool = False
) -> CircuitPayload | None:
    """A framework's circuit as its interchange text; ``None`` where it is of none known here.

    Args:
        symbolic: Values are given apart: a PennyLane tape's trainable parameters are symbols.
        observed: Observables are given apart: a tape's own measurements are left out.

    Raises:
        CircuitError: The framework cannot write it.
    """
    if isinstance(circuit, bytes):
        return qir.write_bitcode(circuit)
    whole = circuit.func if isinstance(circuit, functools.partial) else circuit
    for kind in type(whole).__mro__:
        key = (kind.__module__.partition(".")[0], kind.__name__)
        if key in _TAPES:
            return pennylane.write(circuit, symbolic=symbolic, observed=observed)
        if key in _WRITERS:
            return _WRITERS[key](whole)
    return None


def unknown_circuit(circuit: object) -> str:
    """Why an object is refused as a circuit."""
    kind = type(circuit)
    name = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    hint = ""
    if callable(circuit):
        hint = " A function is no circuit: call it, or give its QNode."
    return (
        f"a circuit is a {name.removeprefix('builtins.')}; give one of Qiskit, Cirq, PennyLane "
        f"(tape or QNode), pyQuil or Braket, QIR bitcode, or the path of a file.{hint}"
    )


def load_file(path: str | Path) -> CircuitPayload | None:
    """The circuit of a ``.quil``, ``.ll``, ``.bc`` or ``.json`` file; ``None`` for other files.

    Raises:
        InputError: It cannot be read.
        CircuitError: A ``.json`` file is neither Cirq's nor a tape.
    """
    path = Path(path)
    if path.suffix not in {".quil", ".ll", ".bc", ".json"}:
        return None
    try:
        data = path.read_bytes()
        if path.suffix == ".bc":
            return qir.write_bitcode(data, path.stem)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError:
        raise CircuitError(f"{path} is not text, but starts with {data[:8]!r}.") from None
    if path.suffix == ".json":
        return _from_json(path, text)
    return CircuitPayload(
        format="quil" if path.suffix == ".quil" else "qir", text=text, name=path.stem
    )


def _from_json(path: Path, text: str) -> CircuitPayload:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise CircuitError(f"{path} is broken JSON: {error}.") from None
    except RecursionError:
        raise CircuitError(f"{path} is nested too deeply") from None
    keys = content.keys() if isinstance(content, dict) else set()
    if "cirq_type" in keys:
        return CircuitPayload(format="cirq", text=text, name=path.stem)
    if {"operations", "measurements"} <= keys:
        return CircuitPayload(format="pennylane", text=text, name=path.stem)
    raise CircuitError(
        f"{path} is JSON, but no circuit of Cirq (cirq.to_json(circuit)) and no tape of PennyLane."
    )
