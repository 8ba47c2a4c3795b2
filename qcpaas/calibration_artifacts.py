"""Calibrations as a running platform publishes them: keys, and reports packed into text."""

from __future__ import annotations

import base64
import zlib
from datetime import datetime

from pydantic import Field

from qcpaas.calibration import CalibrationReport, DriftMark, Fit
from qcpaas.devices import DeviceInfo
from qcpaas.wire import Wire

CALIBRATION = "calibration"  # artifact types, beside Prefect's own
FINDINGS = "calibration-findings"
DEVICES = "devices"
DEVICES_KEY = "devices"


class PackedCalibration(Wire):
    """A report in little space, and beside it what a reader chooses by."""

    device: str
    snapshot_id: str
    taken_at: datetime
    packed: str


class Findings(Wire):
    """What was measured of a device and what was seen of it, the newest first."""

    fits: tuple[Fit, ...] = ()
    marks: tuple[DriftMark, ...] = ()


class KnownDevices(Wire):
    """All devices, with how it went when they were last asked for their calibration."""

    devices: tuple[DeviceInfo, ...] = Field(default_factory=tuple)


def calibration_key(device: str) -> str:
    """Prefect's keys hold lower-case letters, digits and dashes."""
    return f"calibration-{slug(device)}"


def findings_key(device: str) -> str:
    return f"calibration-findings-{slug(device)}"


def slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())


def pack_report(report: CalibrationReport) -> PackedCalibration:
    """A tenth of the report's JSON."""
    text = report.model_dump_json(exclude_defaults=True)
    return PackedCalibration(
        device=report.device,
        snapshot_id=report.snapshot_id,
        taken_at=report.taken_at,
        packed=base64.b64encode(zlib.compress(text.encode(), 9)).decode(),
    )
