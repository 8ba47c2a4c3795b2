from datetime import UTC, datetime, timedelta

import pytest

from qcpaas.cli.schedules import (
    ending_text,
    read_deadline,
    read_scheduling,
    schedule_rows,
    waiting_text,
)
from qcpaas.errors import InputError
from qcpaas.scheduling import Candidate, Choice, JobEstimate, Priority, Schedule, StartsIn
from qcpaas.schemas import JobRecord, JobState

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)


def test_a_deadline_is_a_moment_or_a_time_from_now():
    assert read_deadline("2h", NOW) == NOW + timedelta(hours=2)
    assert read_deadline("2026-11-20T09:30", NOW) == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    with pytest.raises(InputError, match="has passed"):
        read_deadline("2026-11-20T07:30", NOW)
    with pytest.raises(InputError, match="is no moment"):
        read_deadline("soon", NOW)


def test_what_was_not_asked_for_is_left_to_the_platform():
    nothing = read_scheduling(None, None, None, None, None, share_device=False)
    assert nothing is None
    asked = read_scheduling(Priority.HIGH, None, ["A", "B"], 1.0, "r", share_device=True)
    assert asked.model_dump(exclude_unset=True) == {
        "priority": Priority.HIGH,
        "devices": ("A", "B"),
        "fidelity_weight": 1.0,
        "share_device": True,
        "reservation": "r",
    }


def record(state, **schedule):
    estimate = JobEstimate(device="A", qpu_s=1.0, qpu_s_hi=2.5)
    other = Candidate(device="B", estimate=estimate, score=0.25, starts_in_s=300.0)
    out = Candidate(device="C", estimate=estimate, reason="it has 5 qubits")
    best = Candidate(device="A", estimate=estimate, score=0.5, starts_in_s=10.0)
    choice = Choice(device="A", explanation="A is best.", candidates=(best, other, out))
    told = Schedule(priority=Priority.NORMAL, choice=choice, estimate=estimate, **schedule)
    return JobRecord(
        job_id="j", kind="circuits", state=state, created_at=NOW, owner="ada", schedule=told
    )


def test_a_waiting_job_says_when_it_starts_from_now_on():
    told = datetime.now(UTC) - timedelta(seconds=60)
    starts = StartsIn(earliest_s=120, likely_s=360, latest_s=720, position=3, made_at=told)
    waiting = record(JobState.QUEUED, starts_in=starts)
    assert waiting_text(waiting) == "starts in 5 min (60 s to 11 min), place 3"
    assert waiting_text(record(JobState.QUEUED, released_at=told)) == "next"
    assert waiting_text(record(JobState.RUNNING, starts_in=starts)) == ""
    assert waiting_text(record(JobState.QUEUED)) == ""


def test_a_waiting_job_says_what_of_its_wait_is_the_vendors_queue():
    starts = StartsIn(earliest_s=1, likely_s=2, latest_s=3, position=1, made_at=datetime.now(UTC))
    told = dict(schedule_rows(record(JobState.QUEUED, starts_in=starts.behind(360.0, "9 jobs"))))
    assert told["vendor's queue"] == "6 min of it: 9 jobs"
    silent = dict(schedule_rows(record(JobState.QUEUED, starts_in=starts.behind(0.0, "not told"))))
    assert silent["vendor's queue"] == "not told"


def test_a_running_job_says_when_it_ends():
    ends = datetime.now(UTC) + timedelta(seconds=601)
    assert ending_text(record(JobState.RUNNING, finishes_at=ends)) == "ends in 10 min"
    assert ending_text(record(JobState.COMPLETED, finishes_at=ends)) == ""


def test_the_choice_of_device_is_explained_with_what_was_left():
    rows = dict(schedule_rows(record(JobState.QUEUED, score={"age": 0.5, "share": -0.1})))
    assert rows["owner"] == "ada"
    assert rows["device chosen"] == "A is best."
    assert rows["not B"] == "score 0.25, starts in 5 min"
    assert rows["not C"] == "it has 5 qubits"
    assert rows["estimated"] == "1 to 2.5 s of the device"
    assert rows["place comes from"] == "age +0.5, share -0.1"
    plain = JobRecord(job_id="j", kind="circuits", state=JobState.QUEUED, created_at=NOW)
    assert list(schedule_rows(plain)) == [("owner", "")]
