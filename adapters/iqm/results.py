"""What IQM's server measured, as counts in Qiskit's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from adapters.iqm.circuits import OVERWRITTEN, keys_of, registers_of
from qcpaas.execution import Counts, Distribution, Experiment

if TYPE_CHECKING:
    from iqm.station_control.interface.models import CircuitJobDefinition, CircuitMeasurementCounts
    from iqm.station_control.interface.models.jobs_new import JobData

STATION = "iqm-station-control"


@dataclass(frozen=True)
class Shape:
    """One experiment of a job: its classical registers and how many points it has."""

    registers: tuple[tuple[str, int], ...]
    points: int


@dataclass(frozen=True)
class Layout:
    """What the circuits of a job stand for.

    Attributes:
        fewer: Whether fewer shots than ``shots`` may come back, as with heralding.
    """

    shapes: tuple[Shape, ...]
    shots: int
    fewer: bool

    @classmethod
    def of(cls, experiments: Sequence[Experiment], shots: int, fewer: bool) -> Layout:
        shapes = tuple(Shape(registers_of(each.circuit), each.points) for each in experiments)
        return cls(shapes, shots, fewer)

    @classmethod
    def from_payload(cls, payload: CircuitJobDefinition) -> Layout:
        """From the job as the server keeps it, in whichever process.

        Raises:
            ValueError: It was not sent by this adapter, or is not as it was sent.
        """
        found: dict[int, Shape] = {}
        for circuit in payload.circuits:
            kept = (getattr(circuit, "metadata", None) or {}).get("qcpaas")
            if kept is None:
                raise ValueError("the job was not submitted by this platform")
            registers = tuple((str(name), int(size)) for name, size in kept["registers"])
            found[int(kept["experiment"])] = Shape(registers, int(kept["point"]) + 1)
        if list(found) != list(range(len(found))):
            raise ValueError(f"the job's experiments are {list(found)}")
        fewer = payload.heralding_mode != "none"
        return cls(tuple(found.values()), payload.shots, fewer)


def read_counts(measured: Sequence[CircuitMeasurementCounts], layout: Layout) -> tuple[Counts, ...]:
    """One `Counts` for each experiment.

    Raises:
        ValueError: There are not as many circuits, bits or shots as were asked for.
    """
    expected = sum(shape.points for shape in layout.shapes)
    if len(measured) != expected:
        raise ValueError(f"counts of {len(measured)} circuits for {expected}")
    answers = iter(measured)
    return tuple(
        Counts(
            tuple(_distribution(next(answers), shape, layout) for _ in range(shape.points)),
            shape.registers,
        )
        for shape in layout.shapes
    )


def _distribution(measured: CircuitMeasurementCounts, shape: Shape, layout: Layout) -> Distribution:
    weights = np.array(list(measured.counts.values()), dtype=np.float64)
    total = weights.sum()
    if (weights < 0).any() or not 0 < total <= layout.shots:
        raise ValueError(f"{total:g} shots were counted of {layout.shots}")
    if total < layout.shots and not layout.fewer:
        raise ValueError(f"{total:g} shots were counted of {layout.shots}")
    outcomes, inverse = np.unique(_packed(measured, shape), axis=0, return_inverse=True)
    merged = np.bincount(inverse.reshape(-1), weights, len(outcomes)).astype(np.float64)
    kept = merged > 0
    num_bits = sum(size for _, size in shape.registers)
    return Distribution(outcomes[kept], merged[kept], num_bits, int(total))


def _packed(measured: CircuitMeasurementCounts, shape: Shape) -> NDArray[np.uint8]:
    """Outcomes as big-endian bytes, clbit 0 lowest, shape ``(m, ceil(bits / 8))``.

    The characters of a string of IQM's are in the order of its measurement keys; a bit into which
    nothing was measured is 0.
    """
    keys = measured.measurement_keys
    texts = list(measured.counts)
    if any(len(text) != len(keys) or set(text) - {"0", "1"} for text in texts):
        raise ValueError(f"outcomes such as {texts[0]!r:.50} for {len(keys)} measurements")
    read = np.array([list(text.encode()) for text in texts], dtype=np.uint8) - ord("0")
    place = {key: clbit for clbit, key in enumerate(keys_of(shape.registers))}
    width = 8 * max(1, -(-len(place) // 8))
    bits = np.zeros((len(texts), width), dtype=np.uint8)
    for column, key in enumerate(keys):
        if not key.startswith(f"{OVERWRITTEN}_"):
            if key not in place:
                raise ValueError(f"measurement {key!r:.50} was not asked for")
            bits[:, width - 1 - place[key]] = read[:, column]
    return np.packbits(bits, axis=1)


def device_seconds(data: JobData) -> float:
    """How long the instruments were at work for a job; 0 where the server does not say.

    Where it tells of no execution, how long the station had the job.

    Raises:
        ValueError: It ended before it began.
    """
    moments: dict[str, datetime] = {
        entry.status: entry.timestamp for entry in data.timeline if entry.source == STATION
    }
    for first, last in (("execution_started", "execution_ended"), ("received", "completed")):
        began, ended = moments.get(first), moments.get(last)
        if began is not None and ended is not None:
            taken = (ended - began).total_seconds()
            if taken < 0:
                raise ValueError(f"the job ran from {began} to {ended}")
            return taken
    return 0.0


def told_of(data: JobData) -> Mapping[str, JsonValue]:
    """What else the server says of a job."""
    compiled = data.compilation
    told: dict[str, Any] = {
        "calibration_set_id": str(compiled.calibration_set_id) if compiled else None,
        "timeline": [
            {"source": e.source, "status": e.status, "at": e.timestamp.isoformat()}
            for e in data.timeline
        ],
        "messages": [str(message) for message in data.messages],
    }
    return told
