"""What the store knows of a device's calibration, as reports; and what people add to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from calibration.interchange import from_report, to_report
from calibration.merging import freshest
from qcpaas.calibration import CalibrationReport, Fit, Quantity, ValueHistory
from qcpaas.devices import DeviceInfo
from qcpaas.errors import CalibrationError, UnknownDevice
from store.calibrations import Calibrations
from store.characterisation import Fits
from store.database import Store
from store.devices import Devices
from store.drift_marks import DriftMarks
from store.layout import Provenance
from store.snapshot import Reading, Snapshot
from tasks.calibrate import promote, shared_pull
from tasks.registered import all_devices, open_named, open_registered


def device_name(store: Store, name: str) -> str:
    """A device's name as the platform spells it.

    Raises:
        UnknownDevice: It is not in the store, and no adapter has it.
    """
    calibrations = Calibrations(store)
    if Devices(store).get(name) is not None or calibrations.latest_id(name) is not None:
        return name
    return open_named(name, store).name


def calibration_report(store: Store, device: str, at: datetime | None = None) -> CalibrationReport:
    """What is known of a device, or was at a moment; pulled where nothing is known yet.

    Raises:
        UnknownDevice: There is no such device.
        CalibrationError: It has no calibration, or had none by then.
    """
    name = device_name(store, device)
    calibrations = Calibrations(store)
    if at is not None:
        then = calibrations.as_of(name, at)
        if then is None:
            raise CalibrationError(_nothing_yet(calibrations, name, at))
        return to_report(then)
    newest = calibrations.latest(name)
    if newest is None:
        newest = shared_pull(open_registered(name, store), store, datetime.now(UTC))
    return to_report(newest, Devices(store).get(name))


def value_history(
    store: Store,
    device: str,
    quantity: Quantity,
    qubits: Sequence[int],
    gate: str = "",
    *,
    since: datetime | None = None,
) -> ValueHistory:
    """One value over time with its drift marks; empty where it was never reported."""
    name = device_name(store, device)
    element = tuple(qubits)
    points = Calibrations(store).value_history(name, quantity, element, gate, since=since)
    marks = DriftMarks(store).of(name, quantity=quantity, qubits=element, since=since)
    return ValueHistory(
        device=name,
        quantity=quantity,
        qubits=element,
        gate=gate,
        points=tuple(points),
        marks=tuple(mark for mark in marks if mark.gate == gate),
    )


def newest_fits(store: Store, device: str, limit: int) -> list[Fit]:
    return Fits(store).of(device_name(store, device), limit=limit)


def take_over(store: Store, report: CalibrationReport, person: str) -> CalibrationReport:
    """Import a report; `qcpaas.transport.LocalTransport.import_calibration` says how.

    Raises:
        UnknownDevice: No adapter has the device, and it was never calibrated.
        CalibrationError: Values are impossible, or are not those that the id stands for.
    """
    name = device_name(store, report.device)
    if name != report.device:
        raise UnknownDevice(f"there is no device {report.device!r}. Did you mean {name}?")
    stated = from_report(report, _info(store, name))
    calibrations = Calibrations(store)
    held = calibrations.latest(name)
    if not report.snapshot_id:
        _state(store, stated, held, person)
    elif held is None or stated.taken_at > held.taken_at:
        calibrations.record(freshest(held, stated))
    elif stated.content_id != _id_at(calibrations, name, stated.taken_at):
        calibrations.record(stated)  # into the past: the newest stays the newest
    return calibration_report(store, name)


def _state(store: Store, stated: Snapshot, held: Snapshot | None, person: str) -> None:
    """Let what differs from what is held stand as the person's, from now on."""
    known = {} if held is None else {reading.key: reading for reading in held.readings()}
    news = [_as_of_person(r, person) for r in stated.readings() if not _same(r, known.get(r.key))]
    if held is None:
        now = datetime.now(UTC)
        first = Snapshot.of(stated.device, stated.num_qubits, news, now, stated.dt_s)
        Calibrations(store).record(first)
    elif news:
        promote(held.device, store, news)


def _info(store: Store, name: str) -> DeviceInfo | None:
    return next((info for info in all_devices(store) if info.name == name), None)


def _same(stated: Reading, held: Reading | None) -> bool:
    return held is not None and (stated.value, stated.std_error, stated.measured_at) == (
        held.value,
        held.std_error,
        held.measured_at,
    )


def _as_of_person(reading: Reading, person: str) -> Reading:
    """The file's own source goes into the method: that it was so is what the person says."""
    stated = ": ".join(filter(None, (reading.provenance.source, reading.provenance.method)))
    return Reading(
        reading.quantity,
        reading.qubits,
        reading.value,
        reading.measured_at,
        reading.gate,
        reading.std_error,
        Provenance(f"person:{person}", stated),
    )


def _id_at(calibrations: Calibrations, device: str, moment: datetime) -> str | None:
    then = calibrations.as_of(device, moment)
    return None if then is None else then.content_id


def _nothing_yet(calibrations: Calibrations, device: str, at: datetime) -> str:
    asked = f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    history = calibrations.history(device, limit=100_000)
    if not history:
        return f"{device} has no calibration in the store. `qcpaas calibrate {device}` pulls one."
    first = f"{history[-1][0].astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"nothing was known of {device} at {asked}: its first calibration came at {first}."
