"""Calibrations as files and on the wire, exactly; and what can be wrong with a file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from qcpaas.calibration import CalibratedValue, CalibrationReport, Quantity
from qcpaas.devices import DeviceInfo
from qcpaas.errors import CalibrationError
from store.snapshot import Provenance, Reading, Snapshot

SHOWN = 5  # faults of a file that are told at once
_OF_GATES = {Quantity.GATE_ERROR, Quantity.GATE_DURATION_S}
_COHERENCE = {
    Quantity.T1_S,
    Quantity.T2_S,
    Quantity.T2_ECHO_S,
    Quantity.T2_RAMSEY_S,
}
_PROBABILITY = (0.0, 1.0, "a probability")
# As wide as the slowest and fastest of today's platforms, and a few orders more: what is outside
# was written in another unit.
_PLAUSIBLE = {
    **dict.fromkeys(_COHERENCE, (0.0, 1e5, "in seconds")),
    Quantity.FREQUENCY_HZ: (1e5, 1e16, "in Hz"),
    Quantity.READOUT_FREQUENCY_HZ: (1e5, 1e16, "in Hz"),
    Quantity.ANHARMONICITY_HZ: (-1e11, 1e11, "in Hz"),
    Quantity.READOUT_P10: _PROBABILITY,
    Quantity.READOUT_P01: _PROBABILITY,
    Quantity.READOUT_ERROR: _PROBABILITY,
    Quantity.GATE_ERROR: _PROBABILITY,
    Quantity.READOUT_DURATION_S: (0.0, 10.0, "in seconds"),
    Quantity.GATE_DURATION_S: (0.0, 10.0, "in seconds"),
    Quantity.DRIVE_AMPLITUDE: (0.0, 1.0, "a share of the full scale"),
    Quantity.OPERATIONAL: (0.0, 1.0, "1 or 0"),
}
# Only superconducting qubits have an anharmonicity, and none of them lives for a second.
_WITH_ANHARMONICITY = (0.0, 1.0, "in seconds")


def to_report(snapshot: Snapshot, info: DeviceInfo | None = None) -> CalibrationReport:
    """All of a snapshot; `from_report` gives back the same content.

    Args:
        info: What the store says of the device: when it was asked last, and what went wrong.
    """
    return CalibrationReport(
        device=snapshot.device,
        num_qubits=snapshot.num_qubits,
        snapshot_id=snapshot.content_id,
        taken_at=snapshot.taken_at,
        dt_s=snapshot.dt_s,
        values=tuple(
            CalibratedValue(
                quantity=reading.quantity,
                qubits=reading.qubits,
                value=reading.value,
                measured_at=reading.measured_at,
                gate=reading.gate,
                std_error=reading.std_error,
                source=reading.provenance.source,
                method=reading.provenance.method,
            )
            for reading in snapshot.readings()
        ),
        asked_at=None if info is None else info.asked_at,
        problem="" if info is None else info.problem,
    )


def from_report(report: CalibrationReport, info: DeviceInfo | None = None) -> Snapshot:
    """A snapshot from a report that may have been written by hand.

    Args:
        info: The device as it is registered, whose width the report must have.

    Raises:
        CalibrationError: Values are impossible, given twice, or in another unit; the device has
            another width; or the values are not those that the report's id stands for.
    """
    faults = list(_faults(report, info))
    if faults:
        more = f" ({len(faults) - SHOWN} more)" if len(faults) > SHOWN else ""
        raise CalibrationError(
            f"the calibration of {report.device!r} is refused: {'; '.join(faults[:SHOWN])}{more}. "
            "Correct the file, and leave out what is not known."
        )
    readings = [
        Reading(
            quantity=value.quantity,
            qubits=value.qubits,
            value=value.value,
            measured_at=value.measured_at,
            gate=value.gate,
            std_error=value.std_error,
            provenance=Provenance(value.source, value.method),
        )
        for value in report.values
    ]
    snapshot = Snapshot.of(report.device, report.num_qubits, readings, report.taken_at, report.dt_s)
    if report.snapshot_id not in {"", snapshot.content_id}:
        raise CalibrationError(
            f"the calibration of {report.device!r} says it is snapshot {report.snapshot_id}, and "
            f"its values are those of {snapshot.content_id}: it was changed. Empty its "
            "snapshot_id to import it as it is."
        )
    return snapshot


def _faults(report: CalibrationReport, info: DeviceInfo | None) -> Iterator[str]:
    if info is not None and report.num_qubits != info.num_qubits:
        yield f"it has {report.num_qubits} qubits, and the device {info.num_qubits}"
    if report.taken_at.tzinfo is None:
        yield f"taken_at {report.taken_at} has no time zone"
    if report.dt_s is not None and not 0 < report.dt_s < 1:
        yield f"dt_s is {report.dt_s:g}: a sampling time, in seconds, is above 0 and below 1"
    superconducting = any(
        value.quantity is Quantity.ANHARMONICITY_HZ and value.value for value in report.values
    )
    for value in report.values:
        for fault in _faults_of(value, report.num_qubits, superconducting):
            yield f"{_named(value)} {fault}"
    keys = Counter((value.quantity, value.gate, value.qubits) for value in report.values)
    for (quantity, gate, qubits), times in keys.items():
        if times > 1:
            yield f"{' '.join(filter(None, (quantity.value, gate)))} of {qubits} is given twice"


def _faults_of(value: CalibratedValue, num_qubits: int, superconducting: bool) -> Iterator[str]:
    if value.measured_at.tzinfo is None:
        yield f"was measured at {value.measured_at}, which has no time zone"
    if not value.qubits or len(set(value.qubits)) != len(value.qubits):
        yield "needs qubits, each once"
    if not all(0 <= qubit < num_qubits for qubit in value.qubits):
        yield f"names a qubit that the device does not have: it has {num_qubits}"
    if value.quantity in _OF_GATES and not value.gate:
        yield "needs the name of its gate"
    of_one_qubit = value.quantity not in {*_OF_GATES, Quantity.OPERATIONAL}
    if of_one_qubit and (value.gate or len(value.qubits) != 1):
        yield "belongs to one qubit and to no gate"
    yield from _faults_of_number(value, superconducting)


def _faults_of_number(value: CalibratedValue, superconducting: bool) -> Iterator[str]:
    low, high, meaning = _PLAUSIBLE[value.quantity]
    if superconducting and value.quantity in _COHERENCE:
        low, high, meaning = _WITH_ANHARMONICITY
    if not low <= value.value <= high:
        yield f"is {value.value:g}: {meaning}, it lies between {low:g} and {high:g}"
    elif value.quantity is Quantity.OPERATIONAL and value.value not in {0.0, 1.0}:
        yield f"is {value.value:g}: it is 1 where it works, else 0"
    error = value.std_error
    if error is not None and not (math.isfinite(error) and error >= 0):
        yield f"has the standard error {error:g}: it is zero or more"


def _named(value: CalibratedValue) -> str:
    place = "-".join(map(str, value.qubits))
    return " ".join(filter(None, (value.quantity.value, value.gate, f"of qubit {place}")))
