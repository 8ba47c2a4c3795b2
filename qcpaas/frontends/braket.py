"""Braket: circuits as its OpenQASM 3, results as ``GateModelQuantumTaskResult``.

A circuit's result types ``expectation`` and ``variance`` become the job's observables.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from qcpaas.errors import CircuitError
from qcpaas.frontends.frameworks import framework
from qcpaas.frontends.paulis import Terms, label, observable, squared
from qcpaas.schemas import CircuitPayload, Observable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qcpaas.frontends.outcomes import Outcomes

_RESULT = re.compile(r"^[ \t]*#pragma braket result (\w+)[ \t]*(.*)$", re.MULTILINE)
_REGISTER = re.compile(r"^\s*qubit(?:\[\d+\])?\s+(\w+)\s*;", re.MULTILINE)
_FACTOR = re.compile(r"\s*([a-z]+)\s*\(\s*(\w+\[\d+\]|\$\d+)\s*\)\s*")
_NUMBER = re.compile(r"\s*([+-]?)\s*(?:((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*\*)?")
_LETTERS: dict[str, dict[str, float]] = {
    "i": {"I": 1.0},
    "x": {"X": 1.0},
    "y": {"Y": 1.0},
    "z": {"Z": 1.0},
    "h": {"X": math.sqrt(0.5), "Z": math.sqrt(0.5)},
}


def write(circuit: Any) -> CircuitPayload:
    """``FreeParameter``s stay ``input``s; raises `CircuitError` for what Braket cannot write."""
    try:
        program = circuit.to_ir("OPENQASM")
    except (TypeError, ValueError, NotImplementedError) as error:
        raise CircuitError(f"Braket cannot write this circuit: {error!s:.200}") from None
    return CircuitPayload(format="braket", text=program.source, name="circuit")


def write_program(program: Any) -> CircuitPayload:
    """A ``braket.ir.openqasm.Program``."""
    if getattr(program, "inputs", None):
        raise CircuitError(
            "the Braket program brings values for its inputs. Give them as parameter_values, in "
            "the alphabetical order of their names."
        )
    return CircuitPayload(format="braket", text=str(program.source), name="program")


def asked_observables(text: str) -> tuple[Observable, ...]:
    """The observables of its result types; for a variance the observable and its square.

    Raises:
        CircuitError: One is no sum of Pauli products, or probabilities are asked as well.
    """
    wanted = _RESULT.findall(text)
    kinds = {kind for kind, _ in wanted}
    if not kinds & {"expectation", "variance"}:
        return ()
    if kinds - {"expectation", "variance"}:
        raise CircuitError(
            f"the Braket circuit asks for {' and '.join(sorted(kinds))} at once. Give the "
            "expectation values and the rest as two circuits."
        )
    found: list[Observable] = []
    places = _places(text)
    for kind, body in wanted:
        terms = _terms(body, places)
        found += [observable(terms)] + [observable(squared(terms))] * (kind == "variance")
    return tuple(found)


def result(payload: CircuitPayload, outcomes: Outcomes, values: tuple[float, ...]) -> Any:
    """What ``LocalSimulator().run(circuit, shots).result()`` returns.

    Bits are in the order of the program's measurements, the first one leftmost. Exact
    probabilities come without ``measurements``.
    """
    import numpy as np

    tasks = framework("braket.tasks", "amazon-braket-sdk")
    wire = framework("braket.task_result", "amazon-braket-sdk")
    action = framework("braket.ir.openqasm", "amazon-braket-sdk").Program(source=payload.text)
    bits = sum(size for _, size in outcomes.registers)
    probabilities = {
        key[::-1]: weight / sum(outcomes.joint.values())
        for key, weight in sorted(outcomes.joint.items(), key=lambda item: item[0][::-1])
    }
    exact = outcomes.shots is None
    rows = None if exact else outcomes.rows()
    counts = None
    if rows is not None:
        kept = framework("collections", "Python").Counter
        counts = kept({key[::-1]: round(weight) for key, weight in outcomes.joint.items()})
    measured = _measured(payload.text, bits)
    return tasks.GateModelQuantumTaskResult(
        task_metadata=wire.TaskMetadata(id="qcpaas", shots=outcomes.shots or 0, deviceId="qcpaas"),
        additional_metadata=wire.AdditionalMetadata(action=action),
        result_types=[],
        values=_values(payload.text, outcomes),
        measurements=None if rows is None else np.asarray(rows, dtype=int),
        measured_qubits=measured,
        measurement_counts=counts,
        measurement_probabilities=probabilities,
        measurements_copied_from_device=not exact,
        measurement_counts_copied_from_device=False,
        measurement_probabilities_copied_from_device=exact,
    )


def values_of(text: str, row: list[float]) -> list[float]:
    """Values of the result types in their order, from those of `asked_observables`."""
    left = iter(row)
    found = []
    for kind, _ in _RESULT.findall(text):
        mean = next(left)
        found.append(mean if kind == "expectation" else next(left) - mean**2)
    return found


def _values(text: str, outcomes: Outcomes) -> list[Any]:
    """Of the result type ``probability``."""
    places = _places(text)
    found = []
    for kind, body in _RESULT.findall(text):
        named = re.findall(r"\w+\[\d+\]|\$\d+", body)
        clbits = [places[name] for name in named] or list(range(len(places)))
        if kind == "probability":
            found.append(outcomes.probabilities(clbits))
    return found


def _measured(text: str, bits: int) -> list[int]:
    """Braket's numbers of the measured qubits, in the order of the bits."""
    found = re.findall(r"^\s*\w+(?:\[(\d+)\])?\s*=\s*measure\s+\w*[\[$](\d+)", text, re.MULTILINE)
    order = sorted(found, key=lambda pair: int(pair[0] or 0))
    numbers = [int(qubit) for _, qubit in order]
    return numbers if len(numbers) == bits else [_index(name) for name in _places(text)]


def _places(text: str) -> dict[str, int]:
    """The circuit's qubit of each that the program names, in ascending order."""
    registers = set(_REGISTER.findall(text))
    body = _REGISTER.sub("", text)
    names = {name for name in re.findall(r"\w+\[\d+\]|\$\d+", body) if _names(name, registers)}
    return {name: place for place, name in enumerate(sorted(names, key=_index))}


def _names(name: str, registers: set[str]) -> bool:
    return name.startswith("$") or name.partition("[")[0] in registers


def _index(name: str) -> int:
    return int(re.sub(r"\D", "", name.partition("[")[2] or name)[:9])


def _terms(body: str, places: dict[str, int]) -> dict[str, float]:
    """The Pauli sum of ``2 * z(q[0]) @ x(q[1]) + y(q[0])``."""
    total: dict[str, float] = {}
    position = 0
    while body[position:].strip():
        head = _NUMBER.match(body, position)
        assert head is not None  # all of it is optional
        factor = float(f"{head[1]}{head[2] or 1}")
        position, product = _product(body, head.end(), places)
        for key, value in product.items():
            total[key] = total.get(key, 0.0) + factor * value
    if not total:
        raise CircuitError(_unread(body))
    return total


def _product(body: str, position: int, places: dict[str, int]) -> tuple[int, Terms]:
    """The tensor product that begins at a position, and where it ends."""
    terms: list[tuple[dict[int, str], float]] = [({}, 1.0)]
    while True:
        match = _FACTOR.match(body, position)
        if match is None or match[1] not in _LETTERS or match[2] not in places:
            raise CircuitError(_unread(body))
        position = match.end()
        qubit = places[match[2]]
        terms = [
            ({**letters, qubit: letter}, value * weight)
            for letters, value in terms
            for letter, weight in _LETTERS[match[1]].items()
        ]
        if not body.startswith("@", position):
            break
        position += 1
    return position, dict(_labels(terms, len(places)))


def _labels(terms: list[tuple[dict[int, str], float]], width: int) -> Iterator[tuple[str, float]]:
    for letters, value in terms:
        yield label(letters, width), value


def _unread(body: str) -> str:
    return (
        f"the observable '{body.strip()[:80]}' is no sum of products of x, y, z, h and i with "
        "numbers before them. Write it so, or give observables with the job."
    )
