from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.scheduling.fair import FairPolicy
from gateway.scheduling.forecast import ForecastErrors, forecasts, would_start
from gateway.scheduling.release import next_jobs
from gateway.scheduling.situation import DeviceView, Running, Situation, Traffic, UserView, Window
from qcpaas.scheduling import Limits, Priority

SURE = ForecastErrors(low=1.0, high=1.0, offset_s=0.0)


def released(situation, free=1):
    return [one.job.job_id for one in next_jobs(FairPolicy(), situation, "alpha", free)]


def seconds(situation):
    found = forecasts(FairPolicy(), situation, SURE)
    return {name: one.likely_s for name, one in found.items()}


def window(now, holder, begins_min, ends_min):
    begins, ends = (now + timedelta(minutes=minutes) for minutes in (begins_min, ends_min))
    return Window("r1", holder, begins, ends)


def test_no_more_are_released_than_are_free(now, waiting):
    jobs = [waiting("a", age_s=3), waiting("b", age_s=2), waiting("c", age_s=1)]
    devices = {"alpha": DeviceView("alpha", slots=2)}
    assert released(Situation(now, jobs, devices), free=2) == ["a", "b"]
    assert released(Situation(now, jobs, devices), free=0) == []


def test_nothing_is_released_to_a_device_that_is_away(now, waiting):
    devices = {"alpha": DeviceView("alpha", available=False)}
    assert released(Situation(now, [waiting("a")], devices)) == []


def test_a_job_that_would_run_into_a_window_lets_a_shorter_one_pass(now, waiting):
    jobs = [waiting("long", age_s=60, hold_s=900), waiting("short", hold_s=120)]
    devices = {"alpha": DeviceView("alpha", windows=(window(now, "lab", 10, 30),))}
    situation = Situation(now, jobs, devices)
    assert released(situation) == ["short"]
    assert seconds(situation) == {"short": 0.0, "long": 1800.0}


def test_the_upper_end_of_an_estimate_keeps_a_job_out_of_a_window(now, waiting):
    job = waiting("doubtful", hold_s=300, hold_s_hi=900)
    devices = {"alpha": DeviceView("alpha", windows=(window(now, "lab", 10, 30),))}
    assert released(Situation(now, [job], devices)) == []


def test_what_runs_now_counts_when_a_window_comes(now, waiting):
    running = Running(waiting("runs", hold_s=480), now, began_at=now)
    devices = {
        "alpha": DeviceView("alpha", running=(running,), windows=(window(now, "lab", 10, 30),))
    }
    assert released(Situation(now, [waiting("next", hold_s=180)], devices)) == []
    assert released(Situation(now, [waiting("next", hold_s=100)], devices)) == ["next"]


def test_within_a_window_its_holder_alone_is_released(now, waiting):
    jobs = [waiting("other", age_s=60), waiting("mine", user="lab")]
    devices = {"alpha": DeviceView("alpha", windows=(window(now, "lab", -5, 30),))}
    assert released(Situation(now, jobs, devices), free=2) == ["mine"]


def test_maintenance_keeps_everybody_out(now, waiting):
    devices = {"alpha": DeviceView("alpha", windows=(window(now, "", -5, 30),))}
    assert released(Situation(now, [waiting("a")], devices)) == []


def test_a_job_with_a_reservation_waits_for_its_window(now, waiting):
    job = waiting("mine", user="lab", reservation="r1")
    early = {"alpha": DeviceView("alpha", windows=(window(now, "lab", 10, 30),))}
    assert released(Situation(now, [job], early)) == []
    assert seconds(Situation(now, [job], early)) == {"mine": 600.0}
    open_now = {"alpha": DeviceView("alpha", windows=(window(now, "lab", -1, 30),))}
    assert released(Situation(now, [job], open_now)) == ["mine"]


def test_a_job_whose_window_is_over_never_starts(now, waiting):
    job = waiting("mine", user="lab", reservation="r1")
    devices = {"alpha": DeviceView("alpha", windows=(window(now, "lab", -30, -10),))}
    situation = Situation(now, [], devices)
    assert would_start(FairPolicy(), situation, job) is None


def test_limits_of_a_user_let_others_pass(now, waiting):
    jobs = [waiting(f"mine{n}", user="me", age_s=60 - n) for n in range(3)] + [waiting("other")]
    users = {"me": UserView("me", running=1, limits=Limits(running_jobs=2))}
    situation = Situation(now, jobs, {"alpha": DeviceView("alpha", slots=4)}, users)
    assert released(situation, free=4) == ["mine0", "other"]


def test_the_seconds_of_a_day_are_not_exceeded(now, waiting):
    jobs = [waiting(f"mine{n}", user="me", age_s=60 - n, hold_s=40) for n in range(3)]
    users = {"me": UserView("me", qpu_s_today=20.0, limits=Limits(qpu_s_a_day=100.0))}
    situation = Situation(now, jobs, {"alpha": DeviceView("alpha", slots=4)}, users)
    assert released(situation, free=4) == ["mine0", "mine1"]


def test_starts_follow_from_what_runs_and_what_comes_before(now, waiting):
    running = Running(waiting("runs", hold_s=90), now, began_at=now - timedelta(seconds=30))
    jobs = [waiting("a", age_s=2), waiting("b", age_s=1)]
    devices = {"alpha": DeviceView("alpha", running=(running,))}
    assert seconds(Situation(now, jobs, devices)) == {"a": 60.0, "b": 120.0}


def test_two_slots_are_filled_side_by_side(now, waiting):
    jobs = [waiting("a", age_s=3), waiting("b", age_s=2), waiting("c", age_s=1)]
    situation = Situation(now, jobs, {"alpha": DeviceView("alpha", slots=2)})
    assert seconds(situation) == {"a": 0.0, "b": 0.0, "c": 60.0}


def test_a_released_job_that_has_not_begun_comes_before_those_that_wait(now, waiting):
    queued = Running(waiting("released", hold_s=45), now)
    situation = Situation(now, [waiting("a")], {"alpha": DeviceView("alpha", running=(queued,))})
    assert seconds(situation) == {"a": 45.0}


def test_the_interval_widens_with_the_estimates_and_with_past_errors(now, waiting):
    jobs = [waiting("first", age_s=900, hold_s=100, hold_s_hi=150), waiting("second")]
    situation = Situation(now, jobs, {"alpha": DeviceView("alpha")})
    found = forecasts(FairPolicy(), situation, ForecastErrors(low=0.5, high=1.2, offset_s=0.0))
    second = found["second"]
    assert (second.earliest_s, second.likely_s, second.latest_s) == (50.0, 100.0, 150.0)
    assert second.position == 2


def test_errors_are_learnt_from_enough_forecasts():
    few = ForecastErrors.of([0.5] * 5)
    assert few == ForecastErrors()
    learnt = ForecastErrors.of([0.1 * n for n in range(1, 31)])
    assert learnt.low < 0.5
    assert learnt.high > 2.5


def test_newcomers_that_go_first_delay_what_waits(now, waiting):
    ahead = waiting("ahead", age_s=60, hold_s=600)
    last = waiting("last", hold_s=60, priority=Priority.LOW)
    urgent = waiting("urgent", hold_s=300, priority=Priority.HIGH)
    quiet = DeviceView("alpha")
    busy = DeviceView("alpha", traffic=Traffic((urgent,), span_s=600.0))
    alone = seconds(Situation(now, [ahead, last], {"alpha": quiet}))
    crowded = seconds(Situation(now, [ahead, last], {"alpha": busy}))
    assert alone["last"] == pytest.approx(600.0)
    assert crowded["last"] == pytest.approx(1200.0)  # half of the device goes to newcomers
    assert crowded["ahead"] == 0.0


def test_newcomers_of_a_lower_class_delay_nobody(now, waiting):
    ahead, last = waiting("ahead", age_s=900, hold_s=600), waiting("last")
    meek = waiting("meek", hold_s=300, priority=Priority.LOW)
    view = DeviceView("alpha", traffic=Traffic((meek,), span_s=600.0))
    assert seconds(Situation(now, [ahead, last], {"alpha": view}))["last"] == pytest.approx(600.0)


def test_each_job_waits_in_the_vendors_queue_anew(now, waiting):
    """By hand: 30 s of queue and 60 s of its own for each of two jobs."""
    jobs = [waiting("first", age_s=1), waiting("second")]
    devices = {"alpha": DeviceView("alpha", vendor_queue_s=30.0, vendor_queue="3 jobs")}
    situation = Situation(now, jobs, devices)
    assert seconds(situation) == {"first": 30.0, "second": 120.0}
    told = forecasts(FairPolicy(), situation, SURE)["second"]
    assert (told.earliest_s, told.latest_s) == (105.0, 150.0)
    assert (told.vendor_queue_s, told.vendor_queue) == (30.0, "3 jobs")
    assert told.on_platform.likely_s == 90.0  # the first one's queue and its minute


def test_a_vendors_queue_before_a_window_keeps_a_job_back(now, waiting):
    near = window(now, "lab", 10, 30)
    for queue_s, expected in ((0.0, ["job"]), (9.5 * 60.0, [])):
        devices = {"alpha": DeviceView("alpha", windows=(near,), vendor_queue_s=queue_s)}
        assert released(Situation(now, [waiting("job")], devices)) == expected
