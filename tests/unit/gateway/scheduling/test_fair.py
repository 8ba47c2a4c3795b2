from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.scheduling.fair import FairPolicy, FairWeights
from gateway.scheduling.situation import Situation, Suitable, UserView
from qcpaas.scheduling import Priority

OVERTAKEN_AT_MOST_MIN = 390.0


def order(situation):
    return [one.job.job_id for one in FairPolicy().rank(situation, "alpha")]


def test_jobs_that_differ_in_age_alone_go_in_the_order_of_submission(now, waiting):
    jobs = [waiting("young", age_s=10), waiting("old", age_s=60), waiting("older", age_s=90)]
    assert order(Situation(now, jobs)) == ["older", "old", "young"]


def test_a_higher_class_goes_first_and_a_lower_one_last(now, waiting):
    jobs = [
        waiting("low", age_s=600, priority=Priority.LOW),
        waiting("normal", age_s=300),
        waiting("high", priority=Priority.HIGH),
    ]
    assert order(Situation(now, jobs)) == ["high", "normal", "low"]


def test_who_has_used_much_waits_behind_who_has_used_little(now, waiting):
    jobs = [waiting("heavy", age_s=60), waiting("light")]
    users = {"heavy": UserView("heavy", usage_qpu_s=10_000.0), "light": UserView("light")}
    assert order(Situation(now, jobs, users=users)) == ["light", "heavy"]


def test_a_larger_weight_forgives_a_larger_use(now, waiting):
    jobs = [waiting("lab", age_s=60), waiting("guest")]
    users = {
        "lab": UserView("lab", weight=100.0, usage_qpu_s=10_000.0),
        "guest": UserView("guest", usage_qpu_s=100.0),
    }
    assert order(Situation(now, jobs, users=users)) == ["lab", "guest"]


def test_a_deadline_that_comes_near_lifts_a_job(now, waiting):
    near = waiting("near", deadline=now + timedelta(minutes=2))
    far = waiting("far", age_s=60, deadline=now + timedelta(days=2))
    assert order(Situation(now, [far, near])) == ["near", "far"]


def test_a_score_is_the_sum_of_its_parts(now, waiting):
    job = waiting("one", age_s=120, deadline=now + timedelta(hours=1), hold_s=240)
    (ranked,) = FairPolicy().rank(Situation(now, [job]), "alpha")
    assert ranked.score == pytest.approx(sum(ranked.parts.values()))
    assert ranked.parts["age"] == pytest.approx(2.0)
    assert ranked.parts["size"] == pytest.approx(-2 * math.log2(8))


@settings(max_examples=50)
@given(
    priority=st.sampled_from(list(Priority)),
    used=st.floats(0, 1e9),
    hold_s=st.floats(0, 1e6),
    slack_s=st.floats(-1e5, 1e5),
)
def test_nobody_is_overtaken_by_what_comes_much_later(priority, used, hold_s, slack_s):
    from datetime import UTC, datetime

    from gateway.scheduling.situation import Waiting

    now = datetime(2026, 5, 4, tzinfo=UTC)
    early = now - timedelta(minutes=OVERTAKEN_AT_MOST_MIN)

    def job(name, kind, at, hold, deadline):
        return Waiting(name, name, "alpha", kind, at, hold, hold, hold, hold, deadline)

    meek = job("meek", Priority.LOW, early, hold_s, None)
    bold = job("bold", priority, now, 0.0, now + timedelta(seconds=slack_s))
    users = {"meek": UserView("meek", usage_qpu_s=used), "bold": UserView("bold")}
    assert order(Situation(now, [meek, bold], users=users))[0] == "meek"


def test_fidelity_alone_takes_the_best_device_however_long_it_makes_wait():
    suitable = [Suitable("good", -0.1, 1.0, 1.0), Suitable("free", -1.0, 1.0, 1.0)]
    best = FairPolicy().weigh(Situation(None), suitable, 1.0, [1e6, 0.0])[0]
    assert best.device == "good"


def test_waiting_alone_takes_the_device_that_is_free():
    suitable = [Suitable("good", -0.1, 1.0, 1.0), Suitable("free", -1.0, 1.0, 1.0)]
    best = FairPolicy().weigh(Situation(None), suitable, 0.0, [10.0, 0.0])[0]
    assert best.device == "free"


def test_where_others_wait_too_the_long_job_goes_elsewhere():
    def chosen(hold_s: float) -> str:
        names = {"good": -0.1, "free": -0.5}
        suitable = [Suitable(name, log_esp, 1.0, hold_s) for name, log_esp in names.items()]
        return FairPolicy().weigh(Situation(None), suitable, 0.5, [120.0, 0.0])[0].device

    assert [chosen(1.0), chosen(600.0)] == ["good", "free"]


def test_a_device_without_calibration_promises_no_more_than_the_worst():
    suitable = [Suitable("good", -0.1, 1.0, 1.0), Suitable("unknown", None, 1.0, 1.0)]
    weighed = FairPolicy(FairWeights()).weigh(Situation(None), suitable, 1.0, [0.0, 0.0])
    assert [one.device for one in weighed] == ["good", "unknown"]
