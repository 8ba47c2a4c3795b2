"""IQM's calibration sets and quality metrics as a snapshot.

Both are lists of observations: a name, a value in an SI unit, an uncertainty, a date, and a mark
where automated systems must not use it. What is so marked is left out, and a date is that of the
observation's making. ``rx`` stands for PRX, whose phase is free, and ``rz`` is what the adapter
folds into phases: it takes no time and loses nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adapters.iqm.architecture import Architecture, Detour, Operation
from qcpaas.calibration import Quantity
from store.snapshot import Provenance, Reading, Snapshot

if TYPE_CHECKING:
    from iqm.station_control.interface.models import ObservationData
    from iqm.station_control.interface.models.observation_set import CalibrationSet

Q = Quantity
OF_QUBITS = {
    "characterization.model.{}.t1_time": Q.T1_S,
    "characterization.model.{}.t2_time": Q.T2_RAMSEY_S,
    "characterization.model.{}.t2_echo_time": Q.T2_ECHO_S,
    "characterization.model.{}.anharmonicity": Q.ANHARMONICITY_HZ,
    "controllers.{}.drive.frequency": Q.FREQUENCY_HZ,
    "controllers.{}.readout.frequency": Q.READOUT_FREQUENCY_HZ,
}
# Beyond these no superconducting device is.
LIMITS: Mapping[str, tuple[float, float]] = {
    "s": (0.0, 100.0),
    "Hz": (-1e12, 1e12),
    "": (0.0, 1.01),
}
OVERSHOT = 1.0  # a fit may find a fidelity of a little more, which is no measurement


@dataclass(frozen=True)
class Observation:
    """One observation; ``std_error`` is ``None`` where it is not known."""

    name: str
    value: float
    std_error: float | None
    measured_at: datetime


class Observations:
    """The usable observations of some sets, by name.

    Metrics of operations that were measured side by side with others carry a suffix
    (``fidelity:par=d2``); the one without is preferred, then the first by name.
    """

    def __init__(self, sets: Iterable[CalibrationSet]) -> None:
        self._found: dict[str, ObservationData] = {}
        usable = [
            observation
            for each in sets
            if not each.invalid
            for observation in each.observations
            if not observation.invalid
        ]
        for observation in sorted(usable, key=lambda each: each.dut_field, reverse=True):
            self._found[observation.dut_field.partition(":")[0]] = observation

    def get(self, name: str, unit: str) -> Observation | None:
        """Raises `ValueError` where it has another unit, or is not a value of its kind."""
        found = self._found.get(name)
        if found is None:
            return None
        if found.unit not in {unit, ""}:
            raise ValueError(f"{found.dut_field} is in {found.unit!r:.20}, not in {unit!r}")
        value = _number(found.dut_field, found.value)
        low, high = LIMITS[unit]
        if not low <= value <= high:
            raise ValueError(f"{found.dut_field} is {value:g} {unit}")
        uncertainty = found.uncertainty
        error = None if uncertainty is None else _number(found.dut_field, uncertainty)
        if error is not None and error < 0:
            raise ValueError(f"the uncertainty of {found.dut_field} is {error:g}")
        return Observation(found.dut_field, value, error, aware(found.created_timestamp))


def snapshot_of(
    device: str,
    source: str,
    architecture: Architecture,
    sets: Iterable[CalibrationSet],
    taken_at: datetime,
) -> Snapshot:
    """The calibration that some observation sets and what they calibrate amount to.

    Args:
        source: Of the values, such as ``iqm:garnet``.

    Raises:
        ValueError: A value is none, or has another unit than its kind.
    """
    sets = list(sets)
    known = Observations(sets)
    of_set = max((aware(each.created_timestamp) for each in sets), default=taken_at)
    reader = _Reader(architecture, known, source, of_set)
    readings = [*reader.of_qubits(), *reader.of_gates(), *reader.of_absence()]
    return Snapshot.of(device, len(architecture.qubits), readings, taken_at)


@dataclass(frozen=True)
class _Reader:
    """Reads an architecture's observations.

    Attributes:
        of_set: Date of what is so since the calibration set was made, and is no observation.
    """

    architecture: Architecture
    known: Observations
    source: str
    of_set: datetime

    def of_qubits(self) -> Iterator[Reading]:
        for qubit, name in enumerate(self.architecture.qubits):
            for path, quantity in OF_QUBITS.items():
                unit = "Hz" if quantity.value.endswith("_hz") else "s"
                found = self.known.get(path.format(name), unit)
                if found is not None:
                    yield self._reading(quantity, (qubit,), found, path.format("*"))

    def of_gates(self) -> Iterator[Reading]:
        for qubit, operation in self.architecture.rotations.items():
            yield from self._gate("rx", (qubit,), operation, "rb")
            yield self._so(Q.GATE_ERROR, (qubit,), 0.0, "virtual", "rz")
            yield self._so(Q.GATE_DURATION_S, (qubit,), 0.0, "virtual", "rz")
        for qubit, operation in self.architecture.measurements.items():
            yield from self._readout(qubit, operation)
        for pair, operation in self.architecture.couplings.items():
            yield from self._gate("cz", pair, operation, "irb")
        for pair, detour in self.architecture.detours.items():
            yield from self._detour(pair, detour)
        for qubit in sorted(self.architecture.conditional):
            yield self._so(Q.OPERATIONAL, (qubit,), 1.0, "architecture", "reset")

    def of_absence(self) -> Iterator[Reading]:
        """What the chip has and this calibration does not."""
        rotations, measured = self.architecture.rotations, self.architecture.measurements
        for qubit in range(len(self.architecture.qubits)):
            if qubit not in rotations and qubit not in measured:
                yield self._so(Q.OPERATIONAL, (qubit,), 0.0, "architecture")
            elif qubit not in rotations:
                yield self._so(Q.OPERATIONAL, (qubit,), 0.0, "architecture", "rx")
            elif qubit not in measured:
                yield self._so(Q.OPERATIONAL, (qubit,), 0.0, "architecture", "measure")
        for pair in self.architecture.missing:
            yield self._so(Q.OPERATIONAL, pair, 0.0, "architecture", "cz")

    def _gate(
        self, gate: str, place: tuple[int, ...], operation: Operation, method: str
    ) -> Iterator[Reading]:
        fidelity = self._fidelity(operation, method)
        duration = self._duration(operation)
        if fidelity is not None:
            how = f"metrics.{method}.{operation.gate}"
            error = 1 - fidelity.value
            yield self._reading(Q.GATE_ERROR, place, fidelity, how, gate=gate, value=error)
        if duration is not None:
            how = f"gates.{operation.gate}.duration"
            yield self._reading(Q.GATE_DURATION_S, place, duration, how, gate=gate)
        if fidelity is None and duration is None:
            yield self._so(Q.OPERATIONAL, place, 1.0, "architecture", gate)

    def _detour(self, place: tuple[int, int], detour: Detour) -> Iterator[Reading]:
        """MOVE, CZ, MOVE as the one gate that they are; errors compound, variances add."""
        steps = [(detour.move, 2), (detour.cz, 1)]
        found = [(self._fidelity(each, "irb"), times) for each, times in steps]
        kept = [(each, times) for each, times in found if each is not None]
        if len(kept) == len(steps):
            total = math.prod(each.value**times for each, times in kept)
            yield Reading(
                Q.GATE_ERROR,
                place,
                1 - total,
                min(each.measured_at for each, _ in kept),
                "cz",
                _compounded(total, kept),
                Provenance(self.source, "metrics.irb.move.cz.move"),
            )
        else:
            yield self._so(Q.OPERATIONAL, place, 1.0, "architecture", "cz")
        lasting = [(self._duration(each), times) for each, times in steps]
        if all(each is not None for each, _ in lasting):
            yield Reading(
                Q.GATE_DURATION_S,
                place,
                sum(each.value * times for each, times in lasting if each is not None),
                min(each.measured_at for each, _ in lasting if each is not None),
                "cz",
                provenance=Provenance(self.source, "gates.move.cz.move.duration"),
            )

    def _readout(self, qubit: int, operation: Operation) -> Iterator[Reading]:
        way = f"metrics.ssro.{operation.path}"
        how = "metrics.ssro.measure"
        errors = (
            (Q.READOUT_P10, self.known.get(f"{way}.error_0_to_1", "")),
            (Q.READOUT_P01, self.known.get(f"{way}.error_1_to_0", "")),
        )
        for quantity, found in errors:
            if found is not None:
                yield self._reading(quantity, (qubit,), found, how)
        fidelity = self._fidelity(operation, "ssro")
        if fidelity is not None and not any(found for _, found in errors):
            mean = 1 - fidelity.value
            yield self._reading(Q.READOUT_ERROR, (qubit,), fidelity, how, value=mean)
        duration = self._duration(operation)
        if duration is not None:
            how = "gates.measure.duration"
            yield self._reading(Q.READOUT_DURATION_S, (qubit,), duration, how)

    def _fidelity(self, operation: Operation, method: str) -> Observation | None:
        found = self.known.get(f"metrics.{method}.{operation.path}.fidelity", "")
        return None if found is None or found.value > OVERSHOT else found

    def _duration(self, operation: Operation) -> Observation | None:
        return self.known.get(f"gates.{operation.path}.duration", "s")

    def _reading(
        self,
        quantity: Quantity,
        place: tuple[int, ...],
        found: Observation,
        how: str,
        *,
        gate: str = "",
        value: float | None = None,
    ) -> Reading:
        return Reading(
            quantity,
            place,
            found.value if value is None else value,
            found.measured_at,
            gate,
            found.std_error,
            Provenance(self.source, how),
        )

    def _so(
        self, quantity: Quantity, place: tuple[int, ...], value: float, how: str, gate: str = ""
    ) -> Reading:
        """What is so as long as the calibration set is in force."""
        origin = Provenance(self.source, how)
        return Reading(quantity, place, value, self.of_set, gate, provenance=origin)


def _compounded(total: float, factors: list[tuple[Observation, int]]) -> float | None:
    """Standard error of a product of powers."""
    if any(each.std_error is None or each.value == 0 for each, _ in factors):
        return None
    relative = [times * (each.std_error or 0.0) / each.value for each, times in factors]
    return total * math.hypot(*relative)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r:.80}, not a number")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}")
    return float(value)


def aware(moment: datetime) -> datetime:
    """The server's observations are in UTC, and do not say so."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
