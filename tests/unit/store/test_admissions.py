"""The backlog: what goes in once, what limits keep out, and what its owner is told."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from qcpaas.errors import Conflict, LimitReached
from qcpaas.scheduling import Choice, JobEstimate, Limits, Money, Priority, Scheduling
from qcpaas.schemas import CircuitItem, CircuitJob, CircuitPayload, ExecutionSettings, JobState
from store.admission_rows import ADMISSION
from store.admissions import Admissions, AdmissionState
from store.database import Store
from store.jobs import JOB, Jobs
from store.ledger_rows import CALL, SUBMISSION
from store.releases import Releases
from store.usage import USAGE, UsageBook, faded

FREE = Limits()
WEEK_S = 7 * 24 * 3600.0
CIRCUIT = CircuitItem(circuit=CircuitPayload(format="qasm2", text="OPENQASM 2.0; qreg q[1];"))


class Backlog:
    """Submits jobs in as few words as a test needs."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.admissions = Admissions(store)
        self.releases = Releases(store)

    def submit(
        self,
        owner: str = "ada",
        *,
        job_id: str | None = None,
        client_key: str | None = None,
        content_key: str = "content",
        device: str = "alpha",
        qpu_s: float = 1.0,
        limits: Limits = FREE,
        cost: Money | None = None,
        scheduling: Scheduling | None = None,
    ) -> str:
        job = CircuitJob(
            job_id=job_id or uuid.uuid4().hex,
            execution=ExecutionSettings(backend=device, seed=1),
            items=(CIRCUIT,),
            scheduling=scheduling or Scheduling(),
        )
        estimate = JobEstimate(device=device, qpu_s=qpu_s, qpu_s_hi=2 * qpu_s, wall_s=5, cost=cost)
        found, _ = self.admissions.add(
            None,
            job,
            owner=owner,
            client_key=client_key,
            content_key=content_key,
            device=device,
            pool="pool",
            session=False,
            estimate=estimate,
            choice=Choice(device=device, explanation="it was asked for."),
            limits=limits,
        )
        return found

    def claim(self, job_id: str, limits: Limits = FREE, on_device: int | None = None) -> bool:
        return self.releases.claim(job_id, limits, on_device)

    def run(self, job_id: str, qpu_s: float, state: JobState = JobState.COMPLETED) -> None:
        """Let a released job take so many device seconds, and finish."""
        jobs = Jobs(self.store)
        jobs.start(job_id)
        with self.store.write() as connection:
            number = len(connection.execute(select(CALL).where(CALL.c.job_id == job_id)).all())
            now = datetime.now(UTC)
            connection.execute(insert(CALL).values(**_call(job_id, number, now)))
            connection.execute(insert(SUBMISSION).values(**_submission(job_id, number, qpu_s, now)))
        jobs.finish(job_id, state)

    def state(self, job_id: str) -> AdmissionState:
        found = self.admissions.get(job_id)
        assert found is not None
        return found.state

    def usage(self, user: str = "ada") -> float:
        with self.store.read() as connection:
            found = connection.scalar(select(USAGE.c.qpu_s).where(USAGE.c.user_name == user))
        return float(found or 0.0)


def _call(job_id: str, number: int, now: datetime) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "index": number,
        "key": "key",
        "plan_key": "plan",
        "state": "open",
        "created_at": now,
        "asked": b"",
    }


def _submission(job_id: str, number: int, qpu_s: float, now: datetime) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "call": number,
        "part": 0,
        "attempt": 0,
        "token": uuid.uuid4().hex,
        "device": "alpha",
        "state": "done",
        "content_key": "content",
        "seed": 1,
        "submitted_at": now,
        "qpu_s": qpu_s,
        "request": b"",
    }


@pytest.fixture
def backlog(store: Store) -> Backlog:
    return Backlog(store)


# --- submission ------------------------------------------------------------------------------


def test_a_submitted_job_waits_with_everything_that_was_told_of_it(backlog: Backlog) -> None:
    deadline = datetime(2027, 1, 1, tzinfo=UTC)
    wish = Scheduling(priority=Priority.HIGH, deadline=deadline, share_device=True)
    job_id = backlog.submit(scheduling=wish, qpu_s=3.0)
    found = backlog.admissions.get(job_id)
    assert found is not None
    assert (found.owner, found.state, found.device, found.pool) == (
        "ada",
        AdmissionState.WAITING,
        "alpha",
        "pool",
    )
    assert (found.priority, found.deadline, found.shared) == (Priority.HIGH, deadline, True)
    schedule = found.schedule()
    assert (schedule.estimate.qpu_s, schedule.estimate.qpu_s_hi) == (3.0, 6.0)
    assert schedule.choice.explanation == "it was asked for."
    record = Jobs(backlog.store).get(job_id)
    assert (record.state, record.backend, record.flow_run_id) == (JobState.QUEUED, "alpha", None)


def test_the_same_key_answers_the_first_job(backlog: Backlog) -> None:
    first = backlog.submit(client_key="key")
    assert backlog.submit(client_key="key") == first
    assert backlog.admissions.repeated("ada", "key", "content") == first
    assert backlog.admissions.repeated("bob", "key", "content") is None
    assert backlog.submit("bob", client_key="key") != first
    assert len(backlog.admissions.waiting()) == 2


def test_the_same_key_for_another_job_is_a_conflict(backlog: Backlog) -> None:
    backlog.submit(client_key="key")
    with pytest.raises(Conflict, match="was used for another job"):
        backlog.submit(client_key="key", content_key="other")
    with pytest.raises(Conflict):
        backlog.admissions.repeated("ada", "key", "other")
    assert len(backlog.admissions.waiting()) == 1


def test_a_job_id_is_anothers_whoever_asks(backlog: Backlog) -> None:
    backlog.submit("bob", job_id="job-1")
    with pytest.raises(Conflict, match="taken") as refusal:
        backlog.submit("ada", job_id="job-1")
    assert "bob" not in str(refusal.value)
    assert backlog.submit("bob", job_id="job-1") == "job-1"


def test_a_full_queue_takes_no_more_of_that_user(backlog: Backlog) -> None:
    two = Limits(queued_jobs=2)
    first = backlog.submit(limits=two)
    backlog.submit(limits=two)
    with pytest.raises(LimitReached, match="2 jobs waiting"):
        backlog.submit(limits=two)
    backlog.submit("bob", limits=two)
    assert backlog.claim(first)
    backlog.submit(limits=two)


def test_a_job_larger_than_a_day_is_refused_with_what_it_needs(backlog: Backlog) -> None:
    with pytest.raises(LimitReached, match=r"needs about 90 s of alpha.* 60 s a day"):
        backlog.submit(qpu_s=90.0, limits=Limits(qpu_s_a_day=60.0))
    assert backlog.admissions.waiting() == []
    assert Jobs(backlog.store).all() == []


def test_of_many_submissions_at_once_no_more_wait_than_may(backlog: Backlog) -> None:
    def submit(_: int) -> bool:
        try:
            backlog.submit(limits=Limits(queued_jobs=5))
        except LimitReached:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        let_in = sum(pool.map(submit, range(16)))
    assert let_in == len(backlog.admissions.waiting()) == 5


def test_of_many_submissions_of_one_key_at_once_one_makes_a_job(backlog: Backlog) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: backlog.submit(client_key="key"), range(16)))
    assert len(ids) == len(backlog.admissions.waiting()) == 1


# --- release ---------------------------------------------------------------------------------


def test_of_many_that_claim_a_job_one_gets_it(backlog: Backlog) -> None:
    jobs = [backlog.submit() for _ in range(4)]
    ready = threading.Barrier(8)

    def claim(_: int) -> int:
        ready.wait()
        return sum(backlog.claim(job_id) for job_id in jobs)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(8))) == len(jobs)


@pytest.mark.parametrize(
    ("limits", "on_device", "may"),
    [(Limits(running_jobs=3), None, 3), (Limits(qpu_s_a_day=4.5), None, 4), (FREE, 2, 2)],
    ids=["jobs of a user", "device time of a day", "jobs on a device"],
)
def test_claims_at_once_break_no_limit(
    backlog: Backlog, limits: Limits, on_device: int | None, may: int
) -> None:
    jobs = [backlog.submit() for _ in range(8)]
    ready = threading.Barrier(len(jobs))

    def claim(job_id: str) -> bool:
        ready.wait()
        return backlog.claim(job_id, limits, on_device)

    with ThreadPoolExecutor(len(jobs)) as pool:
        assert sum(pool.map(claim, jobs)) == may


def test_limits_are_of_each_user_and_devices_of_everybody(backlog: Backlog) -> None:
    one = Limits(running_jobs=1)
    ada, bob, eve = (backlog.submit(owner) for owner in ("ada", "bob", "eve"))
    assert backlog.claim(ada, one, 2)
    assert backlog.claim(bob, one, 2)
    assert not backlog.claim(eve, one, 2)
    elsewhere = backlog.submit("eve", device="beta")
    assert backlog.claim(elsewhere, one, 2)
    assert not backlog.claim(backlog.submit("eve", device="beta"), one, 2)


def test_what_ended_before_midnight_does_not_count_today(backlog: Backlog) -> None:
    day = Limits(qpu_s_a_day=10.0)
    first = backlog.submit(qpu_s=8.0)
    assert backlog.claim(first, day)
    backlog.run(first, qpu_s=9.0)
    backlog.releases.end_finished(WEEK_S)
    second = backlog.submit(qpu_s=2.0)
    assert not backlog.claim(second, day)  # 9 s were spent, whatever was estimated
    yesterday = datetime.now(UTC) - timedelta(days=1)
    with backlog.store.write() as connection:
        connection.execute(update(ADMISSION).values(ended_at=yesterday))
    assert backlog.claim(second, day)


def test_a_held_job_leaves_its_device_to_others_and_counts_for_its_user(backlog: Backlog) -> None:
    held, other = backlog.submit(), backlog.submit()
    assert backlog.claim(held, FREE, 1)
    Jobs(backlog.store).hold(held)
    assert not backlog.claim(other, Limits(running_jobs=1), 1)
    assert backlog.claim(other, FREE, 1)


def test_a_claimed_job_without_a_run_is_found_until_its_run_is_noted(backlog: Backlog) -> None:
    job_id = backlog.submit()
    assert backlog.releases.without_run(timedelta(0)) == []
    backlog.claim(job_id)
    assert backlog.releases.without_run(timedelta(minutes=1)) == []
    assert backlog.releases.without_run(timedelta(0)) == [job_id]
    backlog.releases.note_run(job_id, "run-1")
    assert backlog.releases.without_run(timedelta(0)) == []
    assert backlog.releases.not_begun(timedelta(0)) == [job_id]
    Jobs(backlog.store).start(job_id)
    assert backlog.releases.not_begun(timedelta(0)) == []


def test_a_waiting_job_is_cancelled_in_the_store_alone(backlog: Backlog) -> None:
    job_id = backlog.submit()
    assert backlog.admissions.cancel_waiting(job_id)
    assert backlog.state(job_id) is AdmissionState.ENDED
    record = Jobs(backlog.store).get(job_id)
    assert record.state is JobState.CANCELLED
    assert record.error is not None
    assert record.error.type == "JobCancelled"
    assert not backlog.claim(job_id)
    assert backlog.releases.end_finished(WEEK_S) == []


def test_a_job_is_either_cancelled_or_released(backlog: Backlog) -> None:
    jobs = [backlog.submit() for _ in range(6)]
    ready = threading.Barrier(2)

    def each(act: Callable[[str], bool]) -> list[bool]:
        ready.wait()
        return [act(job_id) for job_id in jobs]

    with ThreadPoolExecutor(2) as pool:
        cancelled = pool.submit(each, backlog.admissions.cancel_waiting)
        claimed = pool.submit(each, backlog.claim)
    assert [a ^ b for a, b in zip(cancelled.result(), claimed.result(), strict=True)] == [True] * 6


# --- the end ---------------------------------------------------------------------------------


def test_an_ended_job_is_charged_once_by_its_ledger(backlog: Backlog) -> None:
    job_id = backlog.submit(qpu_s=1.0)
    backlog.claim(job_id)
    assert backlog.releases.end_finished(WEEK_S) == []
    backlog.run(job_id, qpu_s=4.0)
    (ended,) = backlog.releases.end_finished(WEEK_S)
    assert (ended.job_id, ended.owner, ended.spent_qpu_s) == (job_id, "ada", 4.0)
    assert backlog.releases.end_finished(WEEK_S) == []
    assert backlog.state(job_id) is AdmissionState.ENDED
    assert backlog.usage() == pytest.approx(4.0, rel=1e-3)


def test_many_that_end_jobs_at_once_charge_each_once(backlog: Backlog) -> None:
    jobs = [backlog.submit(f"user-{number % 3}") for number in range(12)]
    for job_id in jobs:
        backlog.claim(job_id)
        backlog.run(job_id, qpu_s=2.0)
    with ThreadPoolExecutor(4) as pool:
        ended = [*pool.map(lambda _: backlog.releases.end_finished(WEEK_S), range(8))]
    assert sorted(one.job_id for some in ended for one in some) == sorted(jobs)
    for number in range(3):
        assert backlog.usage(f"user-{number}") == pytest.approx(8.0, rel=1e-3)


def test_what_was_used_fades_by_half_in_a_half_life(backlog: Backlog) -> None:
    begin = datetime(2026, 11, 20, tzinfo=UTC)
    with backlog.store.write() as connection:
        connection.execute(USAGE.insert().values(user_name="ada", qpu_s=8.0, at=begin))
    later = begin + timedelta(days=14)
    assert faded(8.0, begin, later, WEEK_S) == pytest.approx(2.0)
    assert faded(8.0, later, begin, WEEK_S) == 8.0  # a clock that lags forgets nothing
    job_id = backlog.submit()
    backlog.claim(job_id)
    backlog.run(job_id, qpu_s=1.0)
    backlog.releases.end_finished(WEEK_S)
    elapsed_s = (datetime.now(UTC) - begin).total_seconds()
    expected = 1.0 + (8.0 * 0.5 ** (elapsed_s / WEEK_S) if elapsed_s > 0 else 8.0)
    assert backlog.usage() == pytest.approx(expected, rel=1e-3)


def test_a_resumed_job_counts_again_and_is_charged_for_what_is_new(backlog: Backlog) -> None:
    job_id = backlog.submit()
    backlog.claim(job_id)
    backlog.run(job_id, qpu_s=4.0, state=JobState.FAILED)
    backlog.releases.end_finished(WEEK_S)
    assert backlog.releases.reopen(job_id, FREE)
    assert not backlog.releases.reopen(job_id, FREE)
    assert backlog.releases.end_finished(WEEK_S) == []  # it failed before it was resumed
    assert not backlog.claim(backlog.submit(), Limits(running_jobs=1))
    backlog.run(job_id, qpu_s=3.0)
    (ended,) = backlog.releases.end_finished(WEEK_S)
    assert ended.spent_qpu_s == 7.0
    assert backlog.usage() == pytest.approx(7.0, rel=1e-3)


def test_a_job_that_cannot_be_resumed_is_ended_again(backlog: Backlog) -> None:
    job_id = backlog.submit()
    backlog.claim(job_id)
    backlog.run(job_id, qpu_s=4.0, state=JobState.FAILED)
    backlog.releases.end_finished(WEEK_S)
    busy = backlog.submit()
    backlog.claim(busy)
    with pytest.raises(LimitReached, match="cannot go on now"):
        backlog.releases.reopen(job_id, Limits(running_jobs=1))
    backlog.releases.reopen(job_id, FREE)
    backlog.releases.close(job_id)
    assert backlog.state(job_id) is AdmissionState.ENDED
    assert backlog.state(busy) is AdmissionState.RELEASED


# --- questions -------------------------------------------------------------------------------


def test_jobs_are_listed_newest_first_by_owner_and_state(backlog: Backlog) -> None:
    ada = [backlog.submit("ada") for _ in range(3)]
    bob = backlog.submit("bob")
    backlog.admissions.cancel_waiting(ada[1])
    listed = [record.job_id for record in backlog.admissions.of("ada")]
    assert listed == ada[::-1]
    assert [record.job_id for record in backlog.admissions.of(limit=1)] == [bob]
    queued = backlog.admissions.of("ada", state=JobState.QUEUED)
    assert [record.job_id for record in queued] == [ada[2], ada[0]]
    assert backlog.admissions.owner(bob) == "bob"
    assert backlog.admissions.owner("nothing") is None
    assert set(backlog.admissions.some([bob, "nothing"])) == {bob}


def test_a_position_counts_who_came_earlier_to_the_same_device(backlog: Backlog) -> None:
    first, second = backlog.submit(), backlog.submit("bob")
    elsewhere = backlog.submit(device="beta")
    assert [backlog.admissions.position(one) for one in (first, second, elsewhere)] == [1, 2, 1]
    backlog.claim(first)
    assert backlog.admissions.position(first) is None
    assert backlog.admissions.position(second) == 1


def test_usage_counts_jobs_device_time_and_money(backlog: Backlog) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    euros = Money(amount=2.5, currency="EUR", model="a price", priced_on="2026-11-01")
    done, running, _ = (backlog.submit(cost=euros, qpu_s=3.0) for _ in range(3))
    backlog.submit("bob")
    for job_id in (done, running):
        backlog.claim(job_id)
    backlog.run(done, qpu_s=1.5)
    backlog.releases.end_finished(WEEK_S)
    book = UsageBook(backlog.store)
    ada = book.of("ada", since, Limits(running_jobs=7))
    assert (ada.jobs, ada.running_jobs, ada.queued_jobs) == (3, 1, 1)
    assert (ada.qpu_s, ada.qpu_s_today) == (1.5, 4.5)
    assert ada.costs == {"EUR": 5.0}
    assert ada.limits == Limits(running_jobs=7)
    assert [one.user for one in book.all(since)] == ["ada", "bob"]
    assert book.of("eve", since, FREE).jobs == 0
    later = book.of("ada", datetime.now(UTC), FREE)
    assert (later.jobs, later.qpu_s, later.qpu_s_today, later.costs) == (0, 0.0, 4.5, {})


def test_jobs_without_a_gateway_have_no_admission(backlog: Backlog) -> None:
    job = CircuitJob(execution=ExecutionSettings(backend="alpha", seed=1), items=(CIRCUIT,))
    Jobs(backlog.store).create(job)
    assert backlog.admissions.get(job.job_id) is None
    with backlog.store.read() as connection:
        assert connection.scalar(select(JOB.c.job_id)) == job.job_id
