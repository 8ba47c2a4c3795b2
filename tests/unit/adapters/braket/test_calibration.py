"""Calibrations, execution windows, tasks and results, without any service."""

import copy
import json
import math
from datetime import UTC, datetime, time

import numpy as np
import pytest
from vendors.braket_devices import ANKAA, FORTE, GARNET, measured_at, properties, stamp, text
from vendors.service import spoilt

from adapters.braket.calibration import read_calibration
from adapters.braket.properties import ExecutionWindow, Facts, read_properties
from adapters.braket.results import joined, read_result
from adapters.braket.tasks import Limits, Run, client_token, divide
from adapters.braket.windows import next_window
from qcpaas.calibration import Quantity
from qcpaas.errors import MalformedReply

NOW = datetime(2026, 3, 20, tzinfo=UTC)


def snapshot_of(machine, told=None):
    """Told as a text or as what it holds; else as the server tells it."""
    written = told if isinstance(told, str) else json.dumps(told or properties(machine))
    facts = Facts(machine.name, machine.provider, True, read_properties(written, machine.arn))
    return read_calibration(facts, "device", NOW)


def readings_of(machine, told=None):
    return {reading.key: reading for reading in snapshot_of(machine, told).readings()}


# --- calibration --------------------------------------------------------------------------------


def test_values_come_in_si_with_errors_and_the_date_of_the_properties():
    told = properties(GARNET)["standardized"]
    found = readings_of(GARNET)
    for name, qubit in told["oneQubitProperties"].items():
        place = (int(name) - 1,)
        t1 = found[(Quantity.T1_S, "", place)]
        assert t1.value == pytest.approx(qubit["T1"]["value"] * 1e-6, rel=1e-12)
        assert t1.std_error == pytest.approx(qubit["T1"]["standardError"] * 1e-6, rel=1e-6)
        assert t1.measured_at == measured_at(0)
        read = qubit["oneQubitFidelity"][2]
        error = found[(Quantity.READOUT_ERROR, "", place)]
        assert error.value == pytest.approx(1 - read["fidelity"], rel=1e-12)
        assert error.provenance.method == "oneQubitFidelity.READOUT"
    for name, pair in told["twoQubitProperties"].items():
        one, other = (int(part) - 1 for part in name.split("-"))
        fidelity = pair["twoQubitGateFidelity"][0]["fidelity"]
        for way in ((one, other), (other, one)):
            value = found[(Quantity.GATE_ERROR, "cz", way)].value
            assert value == pytest.approx(1 - fidelity, rel=1e-12)
    assert set(snapshot_of(GARNET).gates) == {"cz", "r"}


def test_rigettis_own_dates_count_where_its_values_are_the_same():
    found = readings_of(ANKAA)
    # Its qubit 9 is the ninth of those in use: 8 is not.
    assert found[(Quantity.T1_S, "", (8,))].measured_at == stamp(0, (9,))
    assert found[(Quantity.GATE_ERROR, "iswap", (0, 1))].measured_at == stamp(0, (0, 1))
    told = properties(ANKAA)
    told["standardized"]["oneQubitProperties"]["9"]["T1"]["value"] *= 1.01
    assert readings_of(ANKAA, told)[(Quantity.T1_S, "", (8,))].measured_at == measured_at(0)
    assert {"rz", "sx", "sxdg", "x", "iswap"} == set(snapshot_of(ANKAA).gates)


def test_averages_stand_for_every_qubit_and_pair_of_a_device_without_native_names():
    found = readings_of(FORTE)
    told = properties(FORTE)["standardized"]
    pairs = [key for key in found if key[:2] == (Quantity.GATE_ERROR, "cx")]
    assert len(pairs) == 11 * 10
    for key in pairs:
        expected = 1 - told["twoQubitGateFidelity"][0]["fidelity"]
        assert found[key].value == pytest.approx(expected, rel=1e-12)
    assert found[(Quantity.T1_S, "", (4,))].value == 100.0
    assert found[(Quantity.READOUT_DURATION_S, "", (4,))].value == pytest.approx(150e-6, rel=1e-12)
    assert found[(Quantity.GATE_DURATION_S, "cx", (4, 2))].value == pytest.approx(0.97e-3)
    assert found[(Quantity.T1_S, "", (4,))].measured_at > measured_at(0)


def test_ionqs_own_averages_are_read_where_nothing_is_standardized():
    told = properties(FORTE)
    told["standardized"] = None
    told["provider"] |= {
        "fidelity": {"1Q": {"mean": 0.998}, "2Q": {"mean": 0.97}, "spam": {"mean": 0.99}},
        "timing": {"T1": 10.0, "T2": 0.2, "1Q": 1e-5, "2Q": 2e-4, "readout": 1e-4, "reset": 1e-5},
    }
    found = readings_of(FORTE, told)
    assert found[(Quantity.GATE_ERROR, "cx", (0, 10))].value == pytest.approx(0.03, rel=1e-12)
    assert found[(Quantity.READOUT_ERROR, "", (3,))].value == pytest.approx(0.01, rel=1e-12)
    assert found[(Quantity.T2_S, "", (3,))].value == 0.2


def test_equal_properties_have_equal_content_and_another_calibration_another():
    assert snapshot_of(GARNET).content_id == snapshot_of(GARNET).content_id
    changed = snapshot_of(GARNET, properties(GARNET, 1))
    assert changed.content_id != snapshot_of(GARNET).content_id


@pytest.mark.parametrize("how", ["truncated", "types", "nan", "negative", "huge", "empty", "html"])
def test_spoilt_properties_are_malformed(how):
    broken = spoilt(text(GARNET).encode(), how).decode()
    with pytest.raises(MalformedReply) as caught:
        snapshot_of(GARNET, broken)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("oneQubitProperties", "3", "T1", "unit"), "fortnights"),
        (("oneQubitProperties", "3", "T1", "value"), -1.0),
        (("oneQubitProperties", "3", "T2", "value"), math.nan),
        (("oneQubitProperties", "3", "oneQubitFidelity"), [{"fidelity": 1.5}]),
        (("oneQubitProperties", "three"), {}),
        (("twoQubitProperties", "1-77"), {"twoQubitGateFidelity": []}),
        (("twoQubitProperties", "1-1"), {"twoQubitGateFidelity": []}),
        (("twoQubitProperties", "1"), {"twoQubitGateFidelity": []}),
    ],
)
def test_one_wrong_value_is_malformed(where, value):
    told = copy.deepcopy(properties(GARNET))
    inner = told["standardized"]
    for name in where[:-1]:
        inner = inner[name]
    inner[where[-1]] = value
    with pytest.raises(MalformedReply):
        snapshot_of(GARNET, told)


# --- windows ------------------------------------------------------------------------------------


def window(day, start, end):
    given = {"executionDay": day, "windowStartHour": start, "windowEndHour": end}
    return ExecutionWindow.model_validate(given)


def test_a_device_that_is_always_open_names_no_window():
    for end in ("23:59:59", "23:59", "00:00"):
        assert next_window([window("Everyday", "00:00", end)], NOW) is None
    assert next_window([], NOW) is None


def test_the_open_window_or_the_next_one_is_told():
    nights = [window("Weekdays", "16:00", "03:00")]
    thursday = datetime(2026, 3, 19, 20, tzinfo=UTC)
    open_now = next_window(nights, thursday)
    assert open_now.starts_at == datetime(2026, 3, 19, 16, tzinfo=UTC)
    assert open_now.ends_at == datetime(2026, 3, 20, 3, tzinfo=UTC)
    after_midnight = next_window(nights, datetime(2026, 3, 20, 2, tzinfo=UTC))
    assert after_midnight == open_now
    saturday = datetime(2026, 3, 21, 12, tzinfo=UTC)
    assert next_window(nights, saturday).starts_at == datetime(2026, 3, 23, 16, tzinfo=UTC)
    assert next_window([window("Saturday", "09:00", "11:00")], saturday).starts_at.day == 28
    assert time(9) == next_window([window("Weekend", "09:00", "11:00")], saturday).starts_at.time()


# --- tasks --------------------------------------------------------------------------------------


def test_a_submission_is_one_task_while_it_fits():
    (task,) = divide([3, 1], 100, Limits(10, 1000))
    assert task.runs == (Run(0, 0, 3), Run(1, 0, 1))
    assert (task.executables, task.total_shots) == (4, 400)


def test_more_shots_than_a_task_may_have_are_sent_in_several():
    tasks = divide([3, 4], 400, Limits(10, 1000))
    assert [task.executables for task in tasks] == [2, 2, 2, 1]
    assert [task.total_shots for task in tasks] == [800, 800, 800, 400]
    points = [
        (run.experiment, p) for t in tasks for run in t.runs for p in range(run.start, run.stop)
    ]
    assert points == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3)]
    assert len(divide([2], 5000, Limits(10, 1000))) == 2  # the vendor says that it is too much


def test_client_tokens_differ_by_part_and_are_short_enough():
    tokens = {client_token("a" * 300, part) for part in range(5)} | {client_token("b", 0)}
    assert len(tokens) == 6
    assert {len(token) for token in tokens} == {64}


# --- results ------------------------------------------------------------------------------------

SOURCE = """OPENQASM 3.0;
// qcpaas [0,12,[["low",3],["high",9]]]
bit[12] b;
b[1] = measure $7;
b[9] = measure $3;
"""


def result(**changes):
    return {
        "measurements": [[0, 1], [0, 1], [1, 0]],
        "measuredQubits": [7, 3],
        "additionalMetadata": {"action": {"source": SOURCE}},
    } | changes


def read(found, shots=3):
    outcome = read_result(found, shots, no_files, "for a result")
    return joined(outcome.programs)


def no_files(path, place=None):
    raise AssertionError(path)


def test_bits_stand_where_the_program_measured_them_with_its_registers():
    (counts,) = read(result())
    assert counts.registers == (("low", 3), ("high", 9))
    assert counts.points[0].to_dict() == {"000000000010": 1.0, "001000000000": 2.0}
    assert counts.points[0].outcomes.shape == (2, 2)


def test_probabilities_become_the_counts_that_they_were_made_from():
    given = result(measurements=None, measurementProbabilities={"01": 0.75, "10": 0.25})
    (counts,) = read(given, shots=1000)
    assert counts.points[0].to_dict() == {"000000000010": 250.0, "001000000000": 750.0}
    assert counts.points[0].shots == 1000


def test_a_program_without_our_comment_still_has_its_bits():
    source = "OPENQASM 3.0; bit[2] b; b[0] = measure q[1]; b[1] = measure q[0];"
    action = {"action": {"source": source}}
    (counts,) = read(result(measuredQubits=[0, 1], additionalMetadata=action))
    assert counts.registers == (("c", 2),)
    assert counts.points[0].to_dict() == {"01": 2.0, "10": 1.0}


@pytest.mark.parametrize(
    "changes",
    [
        {"measurements": None},
        {"measurements": [[0, 2]]},
        {"measurements": [[0, -1]]},
        {"measurements": [[0, math.nan]]},
        {"measurements": [[0, 10**400]]},
        {"measurements": [[0, 1], [0]]},
        {"measurements": [[0, "one"]]},
        {"measurements": [[[0, 1]]]},
        {"measurements": [[0, 1]] * 4},
        {"measuredQubits": [7]},
        {"measuredQubits": [7, 4]},
        {"measuredQubits": None},
        {"measurements": None, "measurementProbabilities": {"01": 2.0}},
        {"measurements": None, "measurementProbabilities": {"01": -1.0, "11": 2.0}},
        {"measurements": None, "measurementProbabilities": {"0x": 1.0}},
        {"measurements": None, "measurementProbabilities": {"01": math.nan}},
        {"additionalMetadata": {}},
        {"additionalMetadata": {"action": {"source": "bit[2000000000] b;"}}},
        {"additionalMetadata": {"action": {"source": SOURCE.replace("[0,12,", "[0,-1,")}}},
        {"additionalMetadata": {"simulatorMetadata": {"executionDuration": -5}}},
        {"programResults": [{"executableResults": [], "source": 5}]},
    ],
)
def test_a_wrong_result_is_malformed(changes):
    with pytest.raises(MalformedReply):
        read(result(**changes))


def test_points_that_were_sent_in_several_tasks_are_joined_again():
    def task(points):
        executables = [
            {"inputsIndex": n, "measurements": [[bit, bit]], "measuredQubits": [7, 3]}
            for n, bit in enumerate(points)
        ]
        program = {"executableResults": executables[::-1], "source": {"source": SOURCE}}
        return read_result({"programResults": [program]}, len(points), no_files, "it").programs

    (counts,) = joined([*task([0, 1]), *task([1])])
    assert [np.count_nonzero(point.outcomes) for point in counts.points] == [0, 2, 2]
