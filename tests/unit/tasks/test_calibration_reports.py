"""Reports from a store on disk, and what people add to it."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters.fake_backends import read_snapshot
from calibration.interchange import to_report
from qcpaas.calibration import DriftMark, Quantity
from qcpaas.errors import CalibrationError, UnknownDevice
from store.calibrations import Calibrations
from store.database import open_store
from store.devices import Devices
from store.drift_marks import DriftMarks
from store.layout import Provenance
from store.snapshot import Reading, Snapshot
from tasks.calibration_reports import calibration_report, take_over, value_history
from tasks.registered import open_registered

START = datetime(2026, 11, 1, 3, tzinfo=UTC)
NAME = "FakeManila"


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        yield store


def snapshot(day, t1_s=1e-4, source="twins", device=NAME, num_qubits=5):
    moment = START + timedelta(days=day)
    readings = [
        Reading(Quantity.T1_S, (q,), t1_s + q * 1e-6, moment, "", 2e-6, Provenance(source))
        for q in range(num_qubits)
    ]
    return Snapshot.of(device, num_qubits, readings, moment)


def add(store, *snapshots):
    for each in snapshots:
        Calibrations(store).record(each)


def test_device_that_was_never_asked_is_pulled(store):
    report = calibration_report(store, NAME)
    twin = read_snapshot(NAME)
    assert report.snapshot_id == twin.content_id
    assert len(report.values) == len(twin.keys)
    assert report.asked_at is not None
    assert Devices(store).get(NAME).snapshot_id == twin.content_id


def test_device_is_known_by_its_other_names(store):
    assert calibration_report(store, "fake_manila").device == NAME
    with pytest.raises(UnknownDevice, match="Did you mean FakeManila"):
        calibration_report(store, "FakeManilla")


def test_report_is_what_was_known_at_a_moment(store):
    days = [snapshot(day, 1e-4 + day * 1e-5) for day in range(3)]
    add(store, *days)
    at = START + timedelta(days=1, hours=5)
    assert calibration_report(store, NAME, at).snapshot_id == days[1].content_id
    assert calibration_report(store, NAME).snapshot_id == days[2].content_id


def test_moment_before_the_first_calibration_says_when_that_was(store):
    with pytest.raises(CalibrationError, match=f"qcpaas calibrate {NAME}"):
        calibration_report(store, NAME, START)
    add(store, snapshot(0))
    with pytest.raises(CalibrationError, match="first calibration came at 2026-11-01 03:00 UTC"):
        calibration_report(store, NAME, START - timedelta(days=1))


def test_device_that_did_not_answer_has_the_problem_beside_what_is_held(store):
    open_registered(NAME, store)
    add(store, snapshot(0))
    Devices(store).asked(NAME, START + timedelta(days=9), "answered 503")
    report = calibration_report(store, NAME)
    assert (report.problem, report.asked_at) == ("answered 503", START + timedelta(days=9))
    assert report.taken_at == START


def test_history_of_a_value_has_its_own_marks_alone(store):
    add(store, *(snapshot(day, 1e-4 + (day % 2) * 1e-5) for day in range(4)))
    marks = [
        DriftMark(
            device=NAME, quantity=Quantity.T1_S, qubits=(qubit,), gate=gate, measured_at=START,
            detected_at=START, before=1e-4, after=2e-4, score=4.0,
        )
        for qubit, gate in ((0, ""), (1, ""), (0, "sx"))
    ]  # fmt: skip
    DriftMarks(store).add(marks)
    history = value_history(store, NAME, Quantity.T1_S, [0])
    values = [point.value for point in history.points]
    assert values == [1e-4, 1.1e-4, 1e-4, 1.1e-4]  # what comes back is kept
    assert list(history.marks) == marks[:1]
    late = value_history(store, NAME, Quantity.T1_S, [0], since=START + timedelta(days=2))
    assert (len(late.points), late.marks) == (2, ())


def test_unchanged_export_goes_to_its_own_place_in_the_history(store):
    old, new = snapshot(0, 1e-4), snapshot(5, 2e-4)
    add(store, new)
    after = take_over(store, to_report(old), "ada")
    assert after.snapshot_id == new.content_id  # the newest stays the newest
    then = calibration_report(store, NAME, START + timedelta(days=1))
    assert then == to_report(old)  # with its own sources and dates
    take_over(store, to_report(old), "ada")
    assert len(Calibrations(store).history(NAME)) == 2


def test_newer_export_becomes_the_newest_but_what_was_measured_here_since_stays(store):
    here = snapshot(3, 3e-4, "protocol:qibocal")
    add(store, here)
    brought = to_report(snapshot(5, 2e-4))
    stale = [v.model_copy(update={"measured_at": START}) for v in brought.values[:2]]
    exported = to_report(
        Snapshot.of(NAME, 5, _readings(stale + list(brought.values[2:])), brought.taken_at)
    )
    report = take_over(store, exported, "ada")
    values = {value.qubits: (value.value, value.source) for value in report.values}
    assert values[0,] == (3e-4, "protocol:qibocal")
    assert values[4,] == (2e-4 + 4e-6, "twins")


def _readings(values):
    return [
        Reading(
            value.quantity, value.qubits, value.value, value.measured_at, value.gate,
            value.std_error, Provenance(value.source, value.method),
        )
        for value in values
    ]  # fmt: skip


def test_edited_file_makes_its_values_the_persons_from_now_on(store):
    add(store, snapshot(0))
    report = calibration_report(store, NAME)
    first = report.values[0].model_copy(update={"value": 5e-5, "method": "by hand"})
    edited = report.model_copy(update={"snapshot_id": "", "values": (first, *report.values[1:3])})
    before = datetime.now(UTC)
    after = take_over(store, edited, "ada")
    assert after.taken_at >= before
    assert len(after.values) == 5  # what the file leaves out stays
    changed = [value for value in after.values if value.source == "person:ada"]
    assert [(value.value, value.method) for value in changed] == [(5e-5, "twins: by hand")]
    same = take_over(store, after.model_copy(update={"snapshot_id": ""}), "bob")
    assert same.snapshot_id == after.snapshot_id  # nothing differs: nothing is bob's


def test_edited_file_of_a_device_without_calibration_is_the_first(store):
    report = to_report(snapshot(0)).model_copy(update={"snapshot_id": ""})
    after = take_over(store, report, "ada")
    assert {value.source for value in after.values} == {"person:ada"}
    assert {value.method for value in after.values} == {"twins"}


def test_file_that_was_edited_but_kept_its_id_is_refused(store):
    add(store, snapshot(0))
    report = calibration_report(store, NAME)
    forged = report.values[0].model_copy(update={"value": 5e-5})
    edited = report.model_copy(update={"values": (forged, *report.values[1:])})
    with pytest.raises(CalibrationError, match=report.snapshot_id):
        take_over(store, edited, "ada")
    assert calibration_report(store, NAME) == report


def test_file_of_another_width_is_refused(store):
    with pytest.raises(CalibrationError, match="7 qubits, and the device 5"):
        take_over(store, to_report(snapshot(0, num_qubits=7)), "ada")


def test_file_of_an_unknown_device_is_refused(store):
    with pytest.raises(UnknownDevice, match="Did you mean FakeManila"):
        take_over(store, to_report(snapshot(0, device="FakeManilla")), "ada")
