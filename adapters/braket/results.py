"""Counts from a task's ``results.json``, whoever submitted it.

Which bit a qubit was measured into is read from the program that the result names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from json import loads
from typing import Any, Protocol

import numpy as np
from pydantic import Field

from adapters.braket.aws import Reply, checked
from adapters.braket.circuits import BITS, NOTE
from adapters.braket.errors import Malformed
from adapters.braket.properties import Count, Number
from qcpaas.execution import Counts, Distribution

_MEASURED = re.compile(rf"\b{BITS}\[(\d+)\]\s*=\s*measure\s+(?:\$|q\[)(\d+)\]?\s*;")
_BITS = re.compile(rf"\bbit\[(\d+)\]\s+{BITS}\s*;")
_NOTE = re.compile(rf"^{re.escape(NOTE)}(\[.*\])\s*$", re.MULTILINE)
_MOST_DIGITS = 6
_RESULT = "/results.json"


class Fetch(Protocol):
    """Reads a JSON file by its path in a task's folder, or in (bucket, folder)."""

    def __call__(self, path: str, place: tuple[str, str] | None = None) -> Any: ...


class Source(Reply):
    """A program as the result repeats it."""

    source: str


class SimulatorMetadata(Reply):
    execution_duration: Count  # ms


class NativeQuil(Reply):
    qpu_runtime_estimation: Number  # ms


class RigettiMetadata(Reply):
    native_quil_metadata: NativeQuil | None = None


class Additional(Reply):
    action: Source | None = None
    simulator_metadata: SimulatorMetadata | None = None
    rigetti_metadata: RigettiMetadata | None = None

    @property
    def device_s(self) -> float | None:
        """Time on the device, where its vendor tells it; Rigetti's is the compiler's estimate."""
        if self.simulator_metadata is not None:
            return self.simulator_metadata.execution_duration / 1000
        told = self.rigetti_metadata and self.rigetti_metadata.native_quil_metadata
        return told.qpu_runtime_estimation / 1000 if told else None


class Executable(Reply):
    """What one program gave at one point; ``failureMetadata`` where it gave nothing."""

    inputs_index: Count = 0
    measurements: list[Any] | None = None
    measurement_probabilities: dict[str, float] | None = None
    measured_qubits: list[Count] | None = None
    failure_metadata: dict[str, Any] | None = None


class ProgramResult(Reply):
    executable_results: list[Any]
    source: Any
    additional_metadata: Additional = Field(default_factory=Additional)


class TaskResult(Reply):
    """Of a program or of a program set."""

    measurements: list[Any] | None = None
    measurement_probabilities: dict[str, float] | None = None
    measured_qubits: list[Count] | None = None
    additional_metadata: Additional = Field(default_factory=Additional)
    program_results: list[Any] | None = None
    s3_location: tuple[str, str] | None = None


@dataclass(frozen=True, eq=False)
class ProgramCounts:
    """Attributes:
    place: Of the program's circuit in its submission; ``None`` where nobody noted it.
    points: Consecutive ones of that circuit.
    """

    place: int | None
    registers: tuple[tuple[str, int], ...]
    points: tuple[Distribution, ...]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a task's file holds.

    Attributes:
        device_s: ``None`` where the vendor does not tell.
        failures: Why executables gave nothing.
    """

    programs: tuple[ProgramCounts, ...]
    device_s: float | None
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """How a program's measurements become bits."""

    place: int | None
    registers: tuple[tuple[str, int], ...]
    num_bits: int
    qubits: Mapping[int, int]  # by clbit

    @classmethod
    def of(cls, source: str, what: str) -> Reading:
        """From a program's text; without its comment, the bits are one register ``c``."""
        declared = _BITS.search(source)
        if declared is None or len(declared[1]) > _MOST_DIGITS:
            raise Malformed.of(what, source)
        place, num_bits, registers = _noted(source, int(declared[1]), what)
        measured = {int(bit): int(qubit) for bit, qubit in _MEASURED.findall(source)}
        return cls(place, registers, num_bits, {b: q for b, q in measured.items() if b < num_bits})

    def counts(self, points: Iterable[Distribution]) -> ProgramCounts:
        return ProgramCounts(self.place, self.registers, tuple(points))

    def distribution(self, found: Executable | TaskResult, shots: int, what: str) -> Distribution:
        """Raises `MalformedReply` where a qubit is missing or a value is no bit."""
        rows, weights = _rows(found, shots, what)
        columns = {qubit: column for column, qubit in enumerate(found.measured_qubits or [])}
        missing = set(self.qubits.values()) - set(columns)
        if missing or rows.shape[1] != len(columns):
            raise Malformed.of(what, f"measured qubits {found.measured_qubits}")
        bits = np.zeros((len(rows), max(8, -(-self.num_bits // 8) * 8)), dtype=np.uint8)
        for clbit, qubit in self.qubits.items():
            bits[:, bits.shape[1] - 1 - clbit] = rows[:, columns[qubit]]
        outcomes, where = np.unique(np.packbits(bits, axis=1), axis=0, return_inverse=True)
        totals = np.bincount(where.reshape(-1), weights=weights).astype(np.float64)
        return Distribution(outcomes, totals, self.num_bits, int(totals.sum()))


def read_result(found: object, total_shots: int, fetch: Fetch, what: str) -> Outcome:
    """Read a task's ``results.json``.

    Args:
        total_shots: Of all executables together.
        fetch: Reads what the result refers to.

    Raises:
        MalformedReply: It does not fit its schema.
    """
    result = checked(TaskResult, found, what)
    if result.program_results is not None:
        placed = partial(fetch, place=result.s3_location)
        return _read_set(result.program_results, total_shots, placed, what)
    action = result.additional_metadata.action
    if action is None:
        raise Malformed.of(what, "no program")
    reading = Reading.of(action.source, what)
    point = reading.distribution(result, total_shots, what)
    return Outcome((reading.counts([point]),), result.additional_metadata.device_s)


def joined(programs: Iterable[ProgramCounts]) -> tuple[Counts, ...]:
    """The counts of a submission, from the programs of all of its tasks in order."""
    found: list[ProgramCounts] = []
    for program in programs:
        before = found[-1] if found else None
        if before is not None and before.place is not None and before.place == program.place:
            found[-1] = replace(before, points=before.points + program.points)
        else:
            found.append(program)
    return tuple(Counts(program.points, program.registers) for program in found)


def _read_set(listed: Sequence[Any], total_shots: int, fetch: Fetch, what: str) -> Outcome:
    results = [_program_result(each, fetch, what) for each in listed]
    shots = total_shots // max(1, sum(len(result.executable_results) for result in results))
    programs: list[ProgramCounts] = []
    failures: list[str] = []
    for result in results:
        reading = Reading.of(checked(Source, result.source, what).source, what)
        points = _points(result, what)
        failed = [point.failure_metadata for point in points if point.failure_metadata]
        failures += [str(reason.get("failureReason", reason)) for reason in failed]
        if not failed:
            programs.append(
                reading.counts(reading.distribution(point, shots, what) for point in points)
            )
    times = [result.additional_metadata.device_s for result in results]
    told_s = [time for time in times if time is not None]
    return Outcome(tuple(programs), sum(told_s) if told_s else None, tuple(failures))


def _program_result(found: Any, fetch: Fetch, what: str) -> ProgramResult:
    """With all that it refers to; a program's own files lie beside its result."""
    if not isinstance(found, str):
        return checked(ProgramResult, found, what)
    result = checked(ProgramResult, fetch(found), what)
    folder = found.removesuffix(_RESULT)

    def beside(each: Any) -> Any:
        return fetch(f"{folder}/{each}") if isinstance(each, str) else each

    return result.model_copy(
        update={
            "source": beside(result.source),
            "executable_results": [beside(each) for each in result.executable_results],
        }
    )


def _points(result: ProgramResult, what: str) -> list[Executable]:
    points = [checked(Executable, found, what) for found in result.executable_results]
    points.sort(key=lambda point: point.inputs_index)
    numbers = [point.inputs_index for point in points]
    if numbers != list(range(len(points))):
        raise Malformed.of(what, f"points {numbers}")
    return points


def _noted(
    source: str, declared: int, what: str
) -> tuple[int | None, int, tuple[tuple[str, int], ...]]:
    """The circuit's place in its submission, its own bits, and its registers."""
    comment = _NOTE.search(source)
    if comment is None:
        return None, declared, (("c", declared),)
    try:
        place, bits, listed = loads(comment[1])
        named = tuple((str(name), int(size)) for name, size in listed)
        fits = int(place) >= 0 and 0 <= int(bits) <= declared
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise Malformed.of(what, comment[0])
    return place, bits, named


def _rows(
    found: Executable | TaskResult, shots: int, what: str
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Distinct or repeated outcomes, shape ``(m, qubits)``, and how often each was found."""
    if found.measurements:
        rows = _bits(found.measurements, what)
        if len(rows) > shots:
            raise Malformed.of(what, f"{len(rows)} shots where {shots} were asked")
        return rows, np.ones(len(rows))
    told = found.measurement_probabilities
    if not told or set("".join(told)) - {"0", "1"} or len({len(key) for key in told}) > 1:
        raise Malformed.of(what, "no measurements")
    # Frequencies, as the vendor rounds them.
    weights = np.array([round(value * shots) for value in told.values()], dtype=float)
    if weights.min() < 0 or abs(weights.sum() - shots) > len(told):
        raise Malformed.of(what, f"probabilities of {weights.sum() / max(1, shots)} in all")
    rows = _bits([[int(bit) for bit in key] for key in told], what)
    return rows[weights > 0], weights[weights > 0]


def _bits(rows: Sequence[Any], what: str) -> np.ndarray[Any, Any]:
    try:
        table = np.array(rows)
    except (ValueError, OverflowError):
        raise Malformed.of(what, rows[:2]) from None
    if table.ndim != 2 or table.dtype.kind not in "iu" or table.min() < 0 or table.max() > 1:
        raise Malformed.of(what, rows[:2])
    return table.astype(np.uint8)
