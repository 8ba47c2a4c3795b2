"""Calibrations as files and on the wire, exactly; and what can be wrong with a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from qcpaas.calibration import CalibrationReport
from qcpaas.devices import DeviceInfo
from qcpaas.errors import CalibrationError
from store.calibrated_values import faults_of, to_readings, to_values
from store.snapshot import Snapshot

SHOWN = 5  # faults of a file that are told at once


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
        values=to_values(snapshot),
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
    readings = to_readings(report.values)
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
    yield from faults_of(report.values, report.num_qubits)
    keys = Counter((value.quantity, value.gate, value.qubits) for value in report.values)
    for (quantity, gate, qubits), times in keys.items():
        if times > 1:
            yield f"{' '.join(filter(None, (quantity.value, gate)))} of {qubits} is given twice"
