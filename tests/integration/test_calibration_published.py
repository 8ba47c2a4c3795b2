"""Calibrations of a running platform: Prefect's pages show them, the gateway answers clients."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from prefect import flow

from flows.calibration_pages import publish_calibration, publish_devices
from qcpaas.calibration import Characterisation, DriftMark, Fit, Quantity, Verdict
from qcpaas.errors import CalibrationError, UnknownDevice, UnknownJob
from store.calibrations import Calibrations
from store.characterisation import Fits
from store.database import open_store
from store.devices import Devices
from store.drift_marks import DriftMarks
from store.layout import Provenance
from store.snapshot import Reading, Snapshot
from tasks.calibration_reports import calibration_report, value_history
from tasks.registered import open_registered

pytestmark = pytest.mark.server

NAME = "FakeBogota"
START = datetime(2026, 11, 1, 3, tzinfo=UTC)
T1_S = [1.0e-4, 1.1e-4, 1.1e-4, 0.9e-4, 1.1e-4]  # day by day; unchanged on the third


def snapshot(day):
    moment = START + timedelta(days=day)
    measured = moment if day != 2 else moment - timedelta(days=1)
    origin = Provenance("twins", "properties")
    readings = [
        Reading(Quantity.T1_S, (qubit,), T1_S[day], measured, "", 2e-6, origin)
        for qubit in range(5)
    ]
    readings += [
        Reading(Quantity.GATE_ERROR, pair, 0.01, measured, "cx", None, origin)
        for pair in ((0, 1), (1, 2), (1, 3), (3, 4))
    ]
    if day == 4:
        broken = Provenance("graph", "t1: no decay")
        readings.append(Reading(Quantity.OPERATIONAL, (4,), 0.0, measured, "", None, broken))
    return Snapshot.of(NAME, 5, readings, moment)


MARK = DriftMark(
    device=NAME, quantity=Quantity.T1_S, qubits=(1,), measured_at=START + timedelta(days=3),
    detected_at=START + timedelta(days=3), before=1.1e-4, after=0.9e-4, score=4.5,
)  # fmt: skip
FIT = Fit(
    device=NAME, protocol="t1", quantity=Quantity.T1_S, qubits=(4,), value=None, measured_at=START,
    verdict=Verdict.REJECTED, reason="no decay",
)  # fmt: skip


@pytest.fixture(scope="module")
def store(data_dir):
    with open_store(f"sqlite:///{data_dir / 'qcpaas.db'}") as store:
        yield store


@pytest.fixture(scope="module")
def published(server, far, store):
    """As the refresh flow does it, day by day; a client that knows only the gateway's address."""

    @flow
    def publish():
        publish_calibration(store, NAME)
        publish_devices(store)

    open_registered(NAME, store)
    for day in range(len(T1_S)):
        Calibrations(store).record(snapshot(day))
        if day == 3:
            DriftMarks(store).add([MARK])
            Fits(store).add([FIT])
        publish()
    Devices(store).asked(NAME, START + timedelta(days=9), "answered 503")
    publish()
    publish()
    return far


def pages(api, key):
    body = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC"}
    return api.post("artifacts/filter", body)


def test_newest_calibration_is_read_exactly_with_the_devices_problem(published, store):
    assert published.calibration(NAME) == calibration_report(store, NAME)
    assert published.calibration(NAME).problem == "answered 503"


def test_unchanged_calibration_is_published_once(published, api):
    assert len(pages(api, "calibration-fakebogota")) == 4


@pytest.mark.parametrize("day", [0, 1, 3, 4])
def test_earlier_calibration_is_found(published, day):
    at = START + timedelta(days=day, hours=7)
    assert published.calibration(NAME, at).snapshot_id == snapshot(day).content_id


def test_moment_before_all_and_unknown_device_are_told(published):
    with pytest.raises(CalibrationError, match="nothing was known of FakeBogota at 2026-10-01"):
        published.calibration(NAME, datetime(2026, 10, 1, tzinfo=UTC))
    with pytest.raises(CalibrationError, match="has no calibration of FakeManila"):
        published.calibration("FakeManila")
    with pytest.raises(UnknownDevice, match="Did you mean FakeBogota"):
        published.calibration("FakeBogotas")


def test_history_of_a_value_is_that_of_the_store(published, store):
    far = published.calibration_history(NAME, Quantity.T1_S, [1])
    near = value_history(store, NAME, Quantity.T1_S, [1])
    assert far == near
    assert [point.value for point in far.points] == [1.0e-4, 1.1e-4, 0.9e-4, 1.1e-4]
    assert far.marks == (MARK,)
    since = START + timedelta(days=3)
    late = published.calibration_history(NAME, Quantity.GATE_ERROR, [0, 1], "cx", since)
    assert late == value_history(store, NAME, Quantity.GATE_ERROR, [0, 1], "cx", since=since)
    assert len(late.points) == 2


def test_fits_and_devices_are_read(published):
    assert list(published.fits(NAME)) == [FIT]
    (info,) = (device for device in published.devices() if device.name == NAME)
    assert (info.problem, info.snapshot_id) == ("answered 503", snapshot(4).content_id)


def test_pages_show_the_map_the_history_and_what_is_wrong(published, api):
    (map_page,) = pages(api, "device-map-fakebogota")
    assert "data:image/svg+xml;base64," in map_page["data"]
    assert "qubit 4 (graph: t1: no decay)" in map_page["data"]
    assert "T1 of qubit 4, t1 found nothing: no decay" in map_page["data"]
    assert "| T1 (µs) | 110 |" in map_page["data"]
    (history_page,) = pages(api, "calibration-history-fakebogota")
    assert "4 calibrations since 2026-11-01" in history_page["data"]


def test_run_that_was_asked_for_is_followed(published, api):
    for name in ("refresh-calibration", "characterise"):
        flow_id = api.post("flows/", {"name": name})["id"]
        api.post("deployments/", {"name": name, "flow_id": flow_id})
    asked = published.calibrate("fakebogota", Characterisation(qubits=(1, 3), emulated=True))
    assert (asked.device, asked.finished, asked.nodes) == (NAME, False, ())
    run = api.get(f"flow_runs/{asked.run_id}")
    assert run["parameters"] == {
        "device": NAME,
        "qubits": [1, 3],
        "nodes": None,
        "emulated": True,
    }
    rows = json.dumps([{"node": "t1", "target": "1", "outcome": "calibrated"}])
    table = {"key": "characterisation-fakebogota", "type": "table", "data": rows}
    api.post("artifacts/", {**table, "flow_run_id": asked.run_id})
    state = {"state": {"type": "COMPLETED", "name": "Completed"}, "force": True}
    api.post(f"flow_runs/{asked.run_id}/set_state", state)
    ended = published.calibration_run(asked.run_id)
    assert ended.nodes == ("t1 on 1: calibrated",)
    assert ended.snapshot_id == snapshot(4).content_id
    assert (ended.failed, ended.message) == (True, "answered 503")
    raised = "Flow run encountered an exception: CalibrationError: no platform."
    failed = {"state": {"type": "FAILED", "name": "Failed", "message": raised}, "force": True}
    api.post(f"flow_runs/{asked.run_id}/set_state", failed)
    told = published.calibration_run(asked.run_id)
    assert (told.finished, told.failed, told.message) == (True, True, "no platform.")
    pull = published.calibrate(NAME)
    parameters = api.get(f"flow_runs/{pull.run_id}")["parameters"]
    assert parameters == {"devices": [NAME]}


def test_unknown_run_and_device_are_refused(published):
    with pytest.raises(UnknownDevice, match="Did you mean FakeBogota"):
        published.calibrate("FakeBogotas")
    with pytest.raises(UnknownJob, match="no calibration run"):
        published.calibration_run("00000000-0000-0000-0000-000000000000")


def test_embedded_platform_pulls_on_demand_and_publishes(platform, published):
    run = platform.calibrate("FakeManila")
    run = awaited(lambda: platform.calibration_run(run.run_id), lambda run: run.finished)
    held = platform.calibration("FakeManila")
    assert (run.failed, run.message, run.snapshot_id) == (False, "", held.snapshot_id)
    assert held.asked_at is not None
    assert published.calibration("FakeManila") == held
    # Prefect records tasks in its own time.
    told = awaited(lambda: published.calibration_run(run.run_id), lambda run: run.nodes)
    assert told.nodes == ("pull FakeManila: Completed",)
    assert told.snapshot_id == held.snapshot_id


def awaited(look, is_enough):
    for _ in range(600):
        found = look()
        if is_enough(found):
            return found
        time.sleep(0.2)
    raise AssertionError(found)


def test_run_whose_process_died_goes_on_being_followed_until_nobody_takes_it_up(
    published, api, monkeypatch
):
    flow_id = api.post("flows/", {"name": "characterise"})["id"]
    api.post("deployments/", {"name": "characterise", "flow_id": flow_id})
    asked = published.calibrate("fakebogota", Characterisation(qubits=(1,)))
    crashed = {"state": {"type": "CRASHED", "name": "Crashed", "message": "-9"}, "force": True}
    api.post(f"flow_runs/{asked.run_id}/set_state", crashed)
    assert not published.calibration_run(asked.run_id).finished
    monkeypatch.setattr("gateway.engine.calibrations._TAKEN_UP_WITHIN", timedelta(0))
    told = published.calibration_run(asked.run_id)
    assert (told.finished, told.failed, told.message) == (True, True, "-9")
