"""Calibrations as files: exact where they are right, refused with a reason where they are not."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.fake_backends import NUM_QUBITS, read_snapshot
from calibration.interchange import from_report, to_report
from qcpaas.calibration import CalibratedValue, CalibrationReport, Quantity
from qcpaas.devices import DeviceInfo
from qcpaas.errors import CalibrationError
from store.snapshot import Provenance, Reading, Snapshot

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)

readings = st.builds(
    Reading,
    quantity=st.sampled_from([Quantity.T1_S, Quantity.T2_ECHO_S, Quantity.READOUT_P10]),
    qubits=st.tuples(st.integers(0, 4)),
    value=st.floats(0, 1),
    measured_at=st.datetimes(
        datetime(2000, 1, 1),  # noqa: DTZ001
        datetime(2100, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
    std_error=st.none() | st.floats(0, 1024, width=32),
    provenance=st.builds(Provenance, st.text(max_size=5), st.text(max_size=5)),
)


@given(
    st.lists(readings, max_size=10, unique_by=lambda r: r.key),
    st.none() | st.floats(1e-12, 1e-6),
)
def test_a_file_gives_back_the_same_content(some: list[Reading], dt_s: float | None) -> None:
    before = Snapshot.of("device", 5, some, NOON, dt_s)
    text = to_report(before).model_dump_json()
    after = from_report(CalibrationReport.model_validate_json(text))
    assert after.content_id == before.content_id
    assert after.taken_at == before.taken_at
    assert after.readings() == before.readings()


@pytest.mark.parametrize("name", sorted(NUM_QUBITS)[::7])
def test_a_real_devices_calibration_comes_back(name: str) -> None:
    snapshot = read_snapshot(name)
    text = to_report(snapshot).model_dump_json()
    again = from_report(CalibrationReport.model_validate_json(text))
    assert again.content_id == snapshot.content_id
    np.testing.assert_array_equal(again.values, snapshot.values)


def test_a_report_says_when_the_device_was_asked_last() -> None:
    info = DeviceInfo(
        name="FakeAthens", adapter="twins", num_qubits=5, asked_at=NOON, problem="no answer"
    )
    report = to_report(read_snapshot("FakeAthens"), info)
    assert (report.asked_at, report.problem) == (NOON, "no answer")


def value(**changes: Any) -> CalibratedValue:
    given: dict[str, Any] = {
        "quantity": Quantity.T1_S,
        "qubits": (0,),
        "value": 1e-4,
        "measured_at": NOON,
    }
    return CalibratedValue(**given | changes)


def report(*values: CalibratedValue, **changes: Any) -> CalibrationReport:
    given: dict[str, Any] = {
        "device": "device",
        "num_qubits": 2,
        "snapshot_id": "",
        "taken_at": NOON,
        "values": values,
    }
    return CalibrationReport(**given | changes)


ANHARMONIC = value(quantity=Quantity.ANHARMONICITY_HZ, value=-3e8)


def test_a_file_written_by_hand_needs_no_id() -> None:
    snapshot = from_report(report(value(), value(quantity=Quantity.READOUT_P10, value=0.02)))
    assert snapshot.get(Quantity.READOUT_P10, 0) == 0.02


def test_a_changed_file_that_kept_its_id_is_refused() -> None:
    text = json.loads(to_report(read_snapshot("FakeAthens")).model_dump_json())
    text["values"][0]["value"] *= 1.001
    changed = CalibrationReport.model_validate(text)
    with pytest.raises(CalibrationError, match=r"it was changed\. Empty its snapshot_id"):
        from_report(changed)
    assert from_report(changed.model_copy(update={"snapshot_id": ""})).device == "FakeAthens"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([value(value=85.3), ANHARMONIC], "t1_s of qubit 0 is 85.3: in seconds"),
        ([value(value=-1e-4)], "t1_s of qubit 0 is -0.0001: in seconds"),
        ([value(value=math.nan)], "t1_s of qubit 0 is nan"),
        ([value(quantity=Quantity.FREQUENCY_HZ, value=4.97)], "is 4.97: in Hz"),
        ([value(quantity=Quantity.READOUT_P10, value=1.2)], "1.2: a probability"),
        ([value(quantity=Quantity.READOUT_ERROR, value=-0.1)], "-0.1: a probability"),
        (
            [value(quantity=Quantity.GATE_ERROR, value=2.0, gate="cz", qubits=(0, 1))],
            "gate_error cz of qubit 0-1 is 2: a probability",
        ),
        (
            [value(quantity=Quantity.GATE_DURATION_S, value=35.5, gate="sx")],
            "is 35.5: in seconds",
        ),
        ([value(quantity=Quantity.GATE_ERROR, value=0.01)], "needs the name of its gate"),
        ([value(quantity=Quantity.OPERATIONAL, value=0.5)], "1 where it works, else 0"),
        ([value(qubits=(0, 1))], "belongs to one qubit"),
        ([value(gate="sx")], "belongs to one qubit and to no gate"),
        ([value(qubits=(2,))], "does not have: it has 2"),
        ([value(qubits=())], "needs qubits, each once"),
        (
            [value(quantity=Quantity.GATE_ERROR, value=0.1, gate="cz", qubits=(1, 1))],
            "needs qubits, each once",
        ),
        ([value(std_error=-1.0)], "standard error -1"),
        ([value(std_error=math.inf)], "standard error inf"),
        ([value(measured_at=datetime(2026, 1, 1))], "no time zone"),  # noqa: DTZ001
        ([value(), value(value=2e-4)], r"t1_s of \(0,\) is given twice"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(
    values: list[CalibratedValue], reason: str
) -> None:
    with pytest.raises(CalibrationError, match=reason):
        from_report(report(*values))


def test_an_ions_coherence_of_minutes_is_possible() -> None:
    assert from_report(report(value(value=85.3))).get(Quantity.T1_S, 0) == 85.3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dt_s": 4.5}, "dt_s is 4.5"),
        ({"taken_at": datetime(2026, 1, 1)}, "taken_at .* has no time zone"),  # noqa: DTZ001
    ],
)
def test_a_report_that_makes_no_sense_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(CalibrationError, match=reason):
        from_report(report(value(), **changes))


def test_a_report_of_a_device_of_another_width_is_refused() -> None:
    info = DeviceInfo(name="device", adapter="x", num_qubits=5)
    with pytest.raises(CalibrationError, match="it has 2 qubits, and the device 5"):
        from_report(report(value()), info)


def test_the_first_faults_are_told_together() -> None:
    many = [value(qubits=(qubit,)) for qubit in range(2, 10)]
    with pytest.raises(CalibrationError, match=r"qubit 2 .*qubit 6 .*\(3 more\)"):
        from_report(report(*many))
