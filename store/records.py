"""What the ledger keeps of requests and answers: compact, and every bit as it was.

A record is one byte that says how it is packed, a JSON header, and the raw bytes of all arrays.
Measured for one circuit of four qubits: JSON with lists of digits takes three times the space and
eight times the time, and a pickle would tie the database to the code of its day.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcpaas.errors import PlatformError
from qcpaas.execution import Counts, Distribution, ExpectationValues, Outcome, Spent
from qcpaas.manifest import Diagnostic

WORTH_PACKING = 1024  # bytes
_PLAIN, _DEFLATED = b"\x01", b"\x02"
# Made once: `json.dumps` with separators makes one each time, which takes longer than its work.
_JSON = json.JSONEncoder(separators=(",", ":"))

Floats = NDArray[np.float64]
Observables = tuple[tuple[tuple[str, float], ...], ...]  # one circuit's: terms of each


@dataclass(frozen=True, eq=False)
class Request:
    """What a submission carried.

    Attributes:
        keys: Of its circuits, as the store keeps them.
        values: Parameter values of each circuit, shape ``(points, parameters)``.
        shots: Of each circuit; ``None`` for exact probabilities.
        calibration: Place in the list of placements of the call's plan; where the call has no
            plan, in the manifest's list of calibrations.
        observables: Of each circuit as Pauli strings and coefficients; empty where counts were
            asked.
    """

    keys: tuple[str, ...]
    values: tuple[Floats, ...]
    shots: tuple[int | None, ...]
    calibration: int | None
    observables: tuple[Observables, ...] = ()


@dataclass(frozen=True, eq=False)
class Asked:
    """A call as the job's code made it; ``options`` is text for people to read.

    Attributes:
        names: Of its circuits.
        values: Parameter values of each circuit, shape ``(points, parameters)``.
        shots: Of each circuit; ``None`` for exact probabilities.
    """

    names: tuple[str, ...]
    values: tuple[Floats, ...]
    shots: tuple[int | None, ...]
    options: str


def encode_request(
    keys: Sequence[str],
    values: Sequence[ArrayLike],
    shots: Sequence[int | None],
    calibration: int | None = None,
    observables: Sequence[Observables] = (),
) -> bytes:
    writer = _Writer()
    shapes = [writer.floats(array) for array in values]
    asked = [observables] if observables else []
    return writer.record([list(keys), shapes, list(shots), calibration, *asked])


def decode_request(record: bytes) -> Request:
    """Read what `encode_request` wrote.

    Raises:
        PlatformError: It is no such record.
    """
    (keys, shapes, shots, calibration, *asked), reader = _opened(record, 4, 5)
    values = tuple(reader.floats(shape) for shape in shapes)
    observables = tuple(map(_observables, asked[0])) if asked else ()
    return Request(tuple(keys), values, tuple(shots), calibration, observables)


def _observables(told: list[list[list[Any]]]) -> Observables:
    return tuple(tuple((pauli, weight) for pauli, weight in terms) for terms in told)


def encode_asked(
    names: Sequence[str],
    values: Sequence[ArrayLike],
    shots: Sequence[int | None],
    options: str = "",
) -> bytes:
    writer = _Writer()
    shapes = [writer.floats(array) for array in values]
    return writer.record([list(names), shapes, list(shots), options])


def decode_asked(record: bytes) -> Asked:
    """Read what `encode_asked` wrote.

    Raises:
        PlatformError: It is no such record.
    """
    (names, shapes, shots, options), reader = _opened(record, 4)
    values = tuple(reader.floats(shape) for shape in shapes)
    return Asked(tuple(names), values, tuple(shots), options)


def encode_outcomes(outcomes: Sequence[Outcome]) -> bytes:
    writer = _Writer()
    heads = [
        _put_counts(writer, outcome)
        if isinstance(outcome, Counts)
        else _put_values(writer, outcome)
        for outcome in outcomes
    ]
    return writer.record(heads)


def decode_outcomes(record: bytes) -> tuple[Outcome, ...]:
    """Read what `encode_outcomes` wrote.

    Raises:
        PlatformError: It is no such record.
    """
    heads, reader = _opened(record)
    return tuple(
        _get_counts(reader, head) if head[0] == "c" else _get_values(reader, head) for head in heads
    )


def _put_counts(writer: _Writer, counts: Counts) -> list[Any]:
    points = counts.points
    return [
        "c",
        counts.registers,
        [[point.num_bits, point.shots, len(point.weights)] for point in points],
        writer.weights([point.weights for point in points]),
        None if counts.readout is None else writer.floats(counts.readout),
        _told(counts.diagnostics),
        writer.packed([point.outcomes for point in points]),
        counts.spent,
    ]


def _get_counts(reader: _Reader, head: list[Any]) -> Counts:
    _, registers, points, dtype, readout, diagnostics, widths, *spent = head
    weights = reader.weights(dtype, sum(rows for _, _, rows in points))
    inverse = None if readout is None else reader.floats(readout)
    found, start = [], 0
    for (num_bits, shots, rows), width in zip(points, widths, strict=True):
        outcomes = reader.packed(rows, width)
        found.append(Distribution(outcomes, weights[start : start + rows], num_bits, shots))
        start += rows
    return Counts(
        points=tuple(found),
        registers=tuple((name, size) for name, size in registers),
        readout=inverse,
        diagnostics=_diagnostics(diagnostics),
        spent=_spent(spent),
    )


def _put_values(writer: _Writer, outcome: ExpectationValues) -> list[Any]:
    raw = (outcome.raw_values, outcome.raw_variances)
    return [
        "e",
        writer.floats(outcome.values),
        writer.floats(outcome.variances),
        [None if array is None else writer.floats(array) for array in raw],
        _told(outcome.diagnostics),
        outcome.spent,
    ]


def _get_values(reader: _Reader, head: list[Any]) -> ExpectationValues:
    # In the order in which they were put.
    _, values, variances, (raw_values, raw_variances), diagnostics, *spent = head
    return ExpectationValues(
        values=reader.floats(values),
        variances=reader.floats(variances),
        raw_values=None if raw_values is None else reader.floats(raw_values),
        raw_variances=None if raw_variances is None else reader.floats(raw_variances),
        diagnostics=_diagnostics(diagnostics),
        spent=_spent(spent),
    )


def _told(diagnostics: Sequence[Diagnostic]) -> list[list[Any]]:
    return [[note.option, note.figures, note.warning] for note in diagnostics]


def _diagnostics(told: list[list[Any]]) -> tuple[Diagnostic, ...]:
    # Unvalidated: they were valid when they were kept, and a replay reads thousands.
    return tuple(
        Diagnostic.model_construct(option=note[0], figures=note[1], warning="".join(note[2:]))
        for note in told
    )


def _spent(told: list[Any]) -> Spent | None:
    """Answers of before it was kept have none."""
    return Spent(*told[0]) if told and told[0] is not None else None


@dataclass
class _Writer:
    """Collects arrays: those of eight bytes an element first, so that they stay aligned."""

    wide: list[bytes] = field(default_factory=list)
    narrow: list[bytes] = field(default_factory=list)

    def floats(self, array: ArrayLike) -> tuple[int, ...]:
        values = np.ascontiguousarray(array, "<f8")
        self.wide.append(values.tobytes())
        return np.shape(array)

    def weights(self, arrays: Sequence[Floats]) -> str:
        """Counts as integers where that is exact; answers which type."""
        joined = arrays[0] if len(arrays) == 1 else np.concatenate([np.empty(0), *arrays])
        values = np.ascontiguousarray(joined, "<f8")
        exact = values.tobytes()
        with np.errstate(invalid="ignore"):
            integers = values.astype("<u4")  # of what does not fit it makes something else
        if integers.size == 0 or integers.astype("<f8").tobytes() != exact:
            self.wide.append(exact)
            return "<f8"
        largest = integers.max()
        dtype = "<u1" if largest <= 0xFF else "<u2" if largest <= 0xFFFF else "<u4"
        self.narrow.append(integers.astype(dtype).tobytes())
        return dtype

    def packed(self, arrays: Sequence[NDArray[np.uint8]]) -> list[int]:
        self.narrow.extend(np.ascontiguousarray(array, np.uint8).tobytes() for array in arrays)
        return [array.shape[1] for array in arrays]

    def record(self, header: list[Any]) -> bytes:
        sizes = (sum(map(len, self.wide)), sum(map(len, self.narrow)))
        text = _JSON.encode([*sizes, header]).encode()
        text += b" " * (-(4 + len(text)) % 8)
        body = b"".join((len(text).to_bytes(4, "little"), text, *self.wide, *self.narrow))
        if len(body) > WORTH_PACKING:
            packed = zlib.compress(body, 1)
            if len(packed) < 0.9 * len(body):
                return _DEFLATED + packed
        return _PLAIN + body


@dataclass
class _Reader:
    """Gives arrays back in the order in which they were put; each can be written to."""

    body: bytearray
    wide: int
    narrow: int

    def floats(self, shape: Sequence[int]) -> Floats:
        size = 1
        for length in shape:
            size *= length
        values = np.frombuffer(self.body, "<f8", size, self.wide)
        self.wide += 8 * size
        return values.reshape(shape)

    def weights(self, dtype: str, rows: int) -> Floats:
        if dtype == "<f8":
            return self.floats([rows])
        integers = np.frombuffer(self.body, dtype, rows, self.narrow)
        self.narrow += integers.nbytes
        return integers.astype(np.float64)

    def packed(self, rows: int, width: int) -> NDArray[np.uint8]:
        found = np.frombuffer(self.body, np.uint8, rows * width, self.narrow)
        self.narrow += rows * width
        return found.reshape(rows, width)


def _opened(record: bytes, *fields: int) -> tuple[list[Any], _Reader]:
    try:
        kind = record[:1]
        if kind not in {_PLAIN, _DEFLATED}:
            raise ValueError(f"it begins with {kind!r}")
        body = bytearray(record[1:] if kind == _PLAIN else zlib.decompress(record[1:]))
        size = int.from_bytes(body[:4], "little")
        wide, narrow, header = json.loads(body[4 : 4 + size])
        if len(body) != 4 + size + wide + narrow:
            raise ValueError(f"it has {len(body)} bytes, not {4 + size + wide + narrow}")
        if fields and len(header) not in fields:
            raise ValueError(f"it has {len(header)} fields, not {fields[0]}")
    except (ValueError, TypeError, zlib.error) as error:
        raise PlatformError(
            f"a record of the ledger cannot be read: {error}. It was damaged, or written by "
            "another version of the platform; restore the store from a copy."
        ) from error
    return header, _Reader(body, 4 + size, 4 + size + wide)
