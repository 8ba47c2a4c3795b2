"""The loop that hands waiting jobs over, whatever dies or is away meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from typing import Any

import pytest
from sqlalchemy import update

from gateway.admission import handover
from gateway.admission.releaser import Releaser
from gateway.platform import Platform
from gateway.scheduling.policy import SchedulingPolicy
from gateway.scheduling.situation import Ranked, Situation, Weighed
from qcpaas.scheduling import Reservation, StartsIn
from qcpaas.schemas import JobState
from store.admission_rows import ADMISSION
from store.admissions import Admissions, AdmissionState
from store.database import open_store
from store.devices import DEVICE
from store.forecasts import Forecasts
from store.jobs import Jobs
from store.releases import Releases
from store.reservations import Reservations

Submit = Callable[..., str]


class OldestFirst(SchedulingPolicy):
    """As simple as a policy can be."""

    def rank(self, situation: Situation, device: str) -> list[Ranked]:
        return [Ranked(job, 0.0, {"age": 1.0}) for job in situation.backlog(device)]

    def weigh(
        self,
        situation: Situation,
        suitable: Any,
        fidelity_weight: float,
        starts_in_s: Any,
    ) -> list[Weighed]:
        raise AssertionError("a releaser weighs no devices")


@pytest.fixture
def releaser(platform: Platform) -> Releaser:
    return Releaser(platform, OldestFirst())


def state(platform: Platform, job_id: str) -> AdmissionState:
    found = Admissions(platform.store).get(job_id)
    assert found is not None
    return found.state


def long_ago(platform: Platform) -> None:
    """Let whatever was released have been released an hour ago."""
    with platform.store.write() as connection:
        hour = datetime.now(UTC) - timedelta(hours=1)
        connection.execute(
            update(ADMISSION).where(ADMISSION.c.released_at.is_not(None)).values(released_at=hour)
        )


def test_a_device_gets_its_slots_and_one_more(
    platform: Platform, releaser: Releaser, submit: Submit, runs: Any
) -> None:
    alpha = [submit(f"user-{number}") for number in range(4)]
    beta = [submit(f"user-{number}", "beta") for number in range(4)]
    assert releaser.look() == 5
    assert set(runs.made) == {*alpha[:2], *beta[:3]}
    assert Jobs(platform.store).get(alpha[0]).flow_run_id == runs.made[alpha[0]]
    assert releaser.look() == 0
    Jobs(platform.store).finish(alpha[0], JobState.COMPLETED)
    assert releaser.look() == 1
    assert alpha[2] in runs.made
    assert state(platform, alpha[0]) is AdmissionState.ENDED


def test_two_releasers_make_one_run_of_each_job(
    platform: Platform, releaser: Releaser, submit: Submit, runs: Any
) -> None:
    jobs = [submit(f"user-{number}") for number in range(3)]
    other = Releaser(platform, OldestFirst())
    assert releaser.look() + other.look() == 2
    assert runs.asked == jobs[:2]


def test_a_users_limit_lets_those_behind_pass(
    platform: Platform, releaser: Releaser, submit: Submit, runs: Any
) -> None:
    platform.settings = platform.settings.model_copy(
        update={"limits": platform.settings.limits.model_copy(update={"running_jobs": 1})}
    )
    first, _, behind = submit("ada"), submit("ada"), submit("bob")
    releaser.look()
    assert set(runs.made) == {first, behind}


def test_a_run_that_a_dead_releaser_left_unmade_is_made_by_another(
    platform: Platform, releaser: Releaser, submit: Submit, runs: Any
) -> None:
    job_id = submit()
    assert Releases(platform.store).claim(job_id, platform.settings.limits)
    releaser.look()
    assert runs.asked == []  # whoever claimed it may be about to make it
    long_ago(platform)
    releaser.look()
    releaser.look()
    assert runs.asked == [job_id]
    assert Jobs(platform.store).get(job_id).flow_run_id == runs.made[job_id]


def test_a_run_that_was_made_and_not_noted_is_found_by_its_key(
    platform: Platform, releaser: Releaser, submit: Submit, runs: Any
) -> None:
    job_id = submit()
    Releases(platform.store).claim(job_id, platform.settings.limits)
    made = runs.create_run(Jobs(platform.store).spec(job_id), "pool")
    long_ago(platform)
    releaser.look()
    assert Jobs(platform.store).get(job_id).flow_run_id == made
    assert len(runs.made) == 1


def test_a_releaser_killed_between_claim_and_run_loses_no_job(
    platform: Platform,
    releaser: Releaser,
    submit: Submit,
    runs: Any,
    fork: Callable[..., BaseProcess],
) -> None:
    job_id = submit()
    url = str(platform.store.url)

    def claim_and_die() -> None:
        with open_store(url) as own:
            assert Releases(own).claim(job_id, platform.settings.limits)
            os.kill(os.getpid(), signal.SIGKILL)

    process = fork(claim_and_die)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert state(platform, job_id) is AdmissionState.RELEASED
    long_ago(platform)
    releaser.look()
    assert runs.asked == [job_id]


def test_an_engine_that_is_away_costs_one_claim_and_is_tried_again(
    platform: Platform,
    releaser: Releaser,
    submit: Submit,
    runs: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = [submit(f"user-{number}") for number in range(2)]
    elsewhere = submit("eve", "beta", pool="other")
    runs.away.add("pool")
    releaser.look()
    assert set(runs.made) == {elsewhere}  # one pool that is away holds no other back
    assert runs.asked.count(jobs[0]) == 1
    assert [state(platform, job_id) for job_id in jobs] == [
        AdmissionState.RELEASED,
        AdmissionState.WAITING,
    ]
    runs.away.clear()
    long_ago(platform)
    now = time.monotonic() + handover.AWAY_S
    monkeypatch.setattr(releaser._handover, "_clock", lambda: now)
    releaser.look()
    assert set(runs.made) == {elsewhere, *jobs}


def test_a_job_that_the_engine_never_takes_fails_and_makes_room(
    platform: Platform, releaser: Releaser, submit: Submit, runs: Any
) -> None:
    job_id = submit()
    runs.refused.add(job_id)
    releaser.look()
    record = Jobs(platform.store).get(job_id)
    assert record.state is JobState.FAILED
    assert record.error is not None
    assert "larger than the engine takes" in record.error.message
    releaser.look()
    assert state(platform, job_id) is AdmissionState.ENDED


@pytest.mark.parametrize("gone", [True, False], ids=["removed", "ended"])
def test_a_run_that_somebody_took_out_of_the_engine_holds_nobody_up(
    platform: Platform, releaser: Releaser, submit: Submit, runs: Any, gone: bool
) -> None:
    job_id = submit()
    releaser.look()
    long_ago(platform)
    if gone:
        del runs.made[job_id], runs.states[job_id]
    else:
        runs.states[job_id] = "CANCELLED"
    releaser._tidied_at = float("-inf")
    releaser.look()
    releaser.look()
    if gone:
        assert runs.made[job_id]
        assert Jobs(platform.store).get(job_id).flow_run_id == runs.made[job_id]
    else:
        assert Jobs(platform.store).get(job_id).state is JobState.CANCELLED
        assert state(platform, job_id) is AdmissionState.ENDED


def test_nobody_is_released_into_anothers_window(
    platform: Platform, releaser: Releaser, submit: Submit, runs: Any
) -> None:
    now = datetime.now(UTC)
    soon = Reservation(
        device="alpha",
        begins_at=now + timedelta(seconds=8),
        ends_at=now + timedelta(hours=1),
        holder="bob",
    )
    Reservations(platform.store).add(soon, "owner")
    stranger, holder = submit("ada"), submit("bob")
    releaser.look()
    assert set(runs.made) == {holder}
    told = platform.outlook.of(stranger).starts_in
    assert told is not None
    assert told.likely_s > 3590.0


def test_a_device_that_is_away_gets_no_jobs_until_it_is_back(
    platform: Platform, releaser: Releaser, submit: Submit, runs: Any
) -> None:
    now = datetime.now(UTC)

    def says(back_at: datetime) -> None:
        away = {"online": False, "availability_at": now, "back_at": back_at}
        with platform.store.write() as connection:
            connection.execute(update(DEVICE).where(DEVICE.c.name == "alpha").values(**away))

    says(now + timedelta(hours=1))
    job_id = submit()
    releaser.look()
    assert runs.made == {}
    says(now)
    releaser.look()
    assert set(runs.made) == {job_id}


def test_what_a_vendor_told_of_its_queue_is_foretold_while_it_is_fresh(
    platform: Platform, releaser: Releaser, submit: Submit
) -> None:
    jobs = [submit(f"user-{number}") for number in range(3)]

    def foretold(told_ago: timedelta) -> StartsIn:
        queue = {"address": "a", "queue_s": 100.0, "queue_note": "10 jobs of others"}
        queue["availability_at"] = datetime.now(UTC) - told_ago
        with platform.store.write() as connection:
            connection.execute(update(DEVICE).where(DEVICE.c.name == "alpha").values(**queue))
        releaser._foretelling._due_at = float("-inf")
        releaser.look()
        found = platform.outlook.of(jobs[2]).starts_in
        assert found is not None
        return found

    fresh = foretold(timedelta(minutes=1))
    assert fresh.likely_s >= 3 * 100.0 + 2 * 10.0
    assert (fresh.vendor_queue_s, fresh.vendor_queue) == (100.0, "10 jobs of others")
    stale = foretold(timedelta(hours=1))
    assert stale.likely_s < 100.0
    assert stale.vendor_queue_s == 0.0
    assert stale.vendor_queue == "none last told its queue 60 min ago, 10 jobs of others"
    (first, *_) = Forecasts(platform.store).of(jobs[2])
    likely_s = (first.likely_at - first.made_at).total_seconds()
    assert likely_s == pytest.approx(fresh.likely_s - 100.0, abs=1.0)


def test_what_is_foretold_is_told_recorded_and_judged(
    platform: Platform, releaser: Releaser, submit: Submit
) -> None:
    jobs = [submit(f"user-{number}") for number in range(4)]
    releaser.look()
    third, fourth = (platform.outlook.of(job_id).starts_in for job_id in jobs[2:])
    assert third is not None
    assert fourth is not None
    assert (third.position, fourth.position) == (1, 2)
    assert 20.0 <= third.likely_s < fourth.likely_s
    assert platform.outlook.of(jobs[2]).score == {"age": 1.0}
    forecasts = Forecasts(platform.store)
    assert len(forecasts.of(jobs[2])) == 1
    jobs_store = Jobs(platform.store)
    jobs_store.finish(jobs[0], JobState.COMPLETED)
    releaser.look()
    jobs_store.start(jobs[2])
    releaser.look()
    (told,) = forecasts.of(jobs[2])
    assert told.started_at == jobs_store.get(jobs[2]).started_at


def test_a_schedule_says_when_a_running_job_ends(
    platform: Platform, releaser: Releaser, submit: Submit
) -> None:
    job_id = submit()
    releaser.look()
    jobs = Jobs(platform.store)
    began = jobs.start(job_id).started_at
    assert began is not None
    later = began + timedelta(seconds=10)
    progress = jobs.get(job_id).progress.model_copy(
        update={"done": 1.0, "total": 4.0, "updated_at": later}
    )
    jobs.report(job_id, progress)
    admission = Admissions(platform.store).get(job_id)
    assert admission is not None
    schedule = platform.outlook.schedule(jobs.get(job_id), admission)
    assert schedule.finishes_at == began + timedelta(seconds=40)
    assert schedule.starts_in is None


def test_the_thread_goes_on_after_whatever_went_wrong(
    platform: Platform, submit: Submit, runs: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(OldestFirst):
        looks = 0

        def rank(self, situation: Situation, device: str) -> list[Ranked]:
            Broken.looks += 1
            if Broken.looks == 1:
                raise ZeroDivisionError("a policy's own mistake")
            return super().rank(situation, device)

    job_id = submit()
    releaser = Releaser(platform, Broken())
    releaser.start()
    try:
        until = time.monotonic() + 20.0
        while job_id not in runs.made and time.monotonic() < until:
            releaser.wake()
            time.sleep(0.02)
    finally:
        releaser.close()
    assert job_id in runs.made
    assert caplog.text.count("this look failed") == 1
    assert "moves again" in caplog.text
