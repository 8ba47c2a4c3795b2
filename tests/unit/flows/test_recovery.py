"""What is repaired, and what is left alone, given what is known."""

from dataclasses import replace

import pytest

from flows.recovery import (
    GIVE_UP_AFTER,
    UNSEEN_START_S,
    Facts,
    Held,
    Job,
    Kind,
    Process,
    Run,
    Slot,
    Surplus,
    decide,
)
from qcpaas.schemas import JobState
from store.leases import TTL_S

LONG = 1000.0
RUN = Run("r1", "job-1", "RUNNING", "s1", LONG, 1, job_id="job-1", process=Process.DEAD)
JOB = Job("job-1", JobState.RUNNING)
LEASE = Held("job/job-1", 7, "job-1", expired=False, alive=True)


def repairs(run=RUN, job=JOB, lease=None, undisturbed_s=LONG, **more):
    return decide(
        Facts(
            runs=(run,),
            jobs={} if job is None else {job.job_id: job},
            leases=() if lease is None else (lease,),
            undisturbed_s=undisturbed_s,
            **more,
        )
    )


def kinds(*args, **kwargs):
    return [repair.kind for repair in repairs(*args, **kwargs)]


def interrupted(times=1):
    return Job("job-1", JobState.INTERRUPTED, interruptions=times)


def test_a_run_whose_process_died_here_has_crashed():
    (repair,) = repairs()
    assert (repair.kind, repair.target, repair.state_id) == (Kind.CRASH, "r1", "s1")
    assert "process has gone" in repair.why


def test_a_run_whose_process_lives_is_left_alone_however_long():
    alive = replace(RUN, process=Process.ALIVE, age_s=1e6)
    assert kinds(alive) == []
    assert kinds(alive, lease=replace(LEASE, expired=True)) == []


def test_a_run_that_has_just_begun_is_not_judged_by_an_older_look():
    assert kinds(replace(RUN, age_s=1.0)) == []


def test_a_run_on_another_machine_is_taken_for_dead_when_its_lease_has_expired():
    away = replace(RUN, process=Process.UNKNOWN)
    held = replace(LEASE, alive=None)
    assert kinds(away, lease=held) == []
    assert kinds(away, lease=replace(held, expired=True)) == [Kind.CRASH]


def test_a_run_that_seems_dead_here_may_live_where_its_lease_is_held():
    """Where two machines gave their workers one name."""
    assert kinds(lease=replace(LEASE, alive=None)) == []
    assert kinds(lease=replace(LEASE, alive=True)) == []


def test_a_run_elsewhere_without_a_lease_is_given_time():
    away = replace(RUN, process=Process.UNKNOWN)
    assert kinds(replace(away, age_s=UNSEEN_START_S - 1)) == []
    assert kinds(replace(away, age_s=UNSEEN_START_S)) == [Kind.CRASH]


def test_after_an_outage_silence_counts_only_after_one_lease():
    away = replace(RUN, process=Process.UNKNOWN)
    expired = replace(LEASE, alive=None, expired=True)
    assert kinds(away, lease=expired, undisturbed_s=TTL_S - 1) == []
    assert kinds(away, lease=expired, undisturbed_s=TTL_S) == [Kind.CRASH]


def test_after_an_outage_a_dead_process_counts_as_soon_as_the_dust_settles():
    assert kinds(undisturbed_s=1.0) == []
    assert kinds(undisturbed_s=10.0) == [Kind.CRASH]


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED, JobState.HELD])
def test_a_dead_run_whose_job_is_at_rest_follows_its_job(state):
    assert kinds(job=Job("job-1", state)) == [Kind.ALIGN]


def test_a_run_stuck_before_its_start_is_scheduled_again():
    pending = replace(RUN, state="PENDING", age_s=10.0)
    assert kinds(pending) == []
    assert kinds(replace(pending, age_s=30.0)) == [Kind.RESTART]
    assert kinds(replace(pending, age_s=1e4, process=Process.ALIVE)) == []


def test_a_run_pending_on_another_machine_may_take_minutes():
    pending = replace(RUN, state="PENDING", process=Process.UNKNOWN)
    old_lease = replace(LEASE, alive=None, expired=True)
    assert kinds(replace(pending, age_s=100.0), lease=old_lease) == []
    assert kinds(replace(pending, age_s=200.0), lease=old_lease) == [Kind.RESTART]


def test_a_crashed_run_whose_job_is_not_over_goes_on_at_once():
    crashed = replace(RUN, state="CRASHED", age_s=0.1)
    assert kinds(crashed, interrupted()) == [Kind.RESCHEDULE]
    assert kinds(crashed, JOB) == [Kind.RESCHEDULE]


@pytest.mark.parametrize(
    "state", [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.HELD]
)
def test_a_crashed_run_whose_job_is_at_rest_stays(state):
    assert kinds(replace(RUN, state="CRASHED"), Job("job-1", state)) == []


def test_a_crashed_run_waits_while_another_process_may_own_its_job():
    crashed = replace(RUN, state="CRASHED", process=Process.UNKNOWN)
    away = replace(LEASE, alive=None)
    assert kinds(crashed, interrupted(), away) == []
    assert kinds(crashed, interrupted(), LEASE) == []
    assert kinds(crashed, interrupted(), replace(away, expired=True)) == [Kind.RESCHEDULE]


def test_the_leases_of_the_dead_are_freed_before_the_run_goes_on():
    dead = replace(LEASE, alive=False)
    found = repairs(replace(RUN, state="CRASHED"), interrupted(), dead)
    assert [repair.kind for repair in found] == [Kind.FREE_LEASE, Kind.RESCHEDULE]
    assert (found[0].target, found[0].number) == ("job/job-1", 7)


@pytest.mark.parametrize("alive", [True, None])
def test_a_lease_is_not_freed_without_evidence(alive):
    assert decide(Facts(leases=(replace(LEASE, alive=alive),), undisturbed_s=LONG)) == []


def test_a_job_that_gets_nowhere_is_given_up():
    crashed = replace(RUN, state="CRASHED")
    assert kinds(crashed, interrupted(GIVE_UP_AFTER - 1)) == [Kind.RESCHEDULE]
    (repair,) = repairs(crashed, interrupted(GIVE_UP_AFTER))
    assert repair.kind is Kind.GIVE_UP
    assert "3 times in a row" in repair.why


def test_a_failure_that_the_store_was_not_told_is_no_end():
    failed = replace(RUN, state="FAILED")
    assert kinds(failed) == [Kind.RESCHEDULE]
    assert kinds(replace(failed, age_s=2.0)) == []
    assert kinds(failed, Job("job-1", JobState.FAILED)) == []


def test_a_crashed_run_without_a_job_is_tried_a_few_times_while_it_is_new():
    service = replace(RUN, state="CRASHED", job_id=None, age_s=30.0)
    assert kinds(service, None) == [Kind.RESCHEDULE]
    assert kinds(replace(service, attempts=GIVE_UP_AFTER), None) == []
    assert kinds(replace(service, age_s=1e5), None) == []


def test_a_run_whose_processes_die_before_the_job_begins_is_given_up():
    queued = Job("job-1", JobState.QUEUED)
    crashed = replace(RUN, state="CRASHED", attempts=GIVE_UP_AFTER - 1)
    assert kinds(crashed, queued) == [Kind.RESCHEDULE]
    assert kinds(replace(crashed, attempts=GIVE_UP_AFTER), queued) == [Kind.GIVE_UP]


def test_a_cancellation_that_nobody_finishes_is_finished():
    cancelling = replace(RUN, state="CANCELLING")
    assert kinds(replace(cancelling, age_s=10.0)) == []
    assert kinds(cancelling) == [Kind.CANCEL]
    assert kinds(replace(RUN, state="CANCELLED")) == [Kind.CANCEL]


def test_a_process_that_outlives_its_cancellation_is_killed():
    cancelling = replace(RUN, state="CANCELLING", process=Process.ALIVE, pid=4711)
    assert kinds(replace(cancelling, age_s=30.0)) == []
    (repair,) = repairs(replace(cancelling, age_s=90.0))
    assert (repair.kind, repair.number) == (Kind.KILL, 4711)


def test_a_run_that_was_called_completed_by_hand_ends_its_job():
    completed = replace(RUN, state="COMPLETED")
    assert kinds(completed) == [Kind.GIVE_UP]
    assert kinds(completed, Job("job-1", JobState.COMPLETED)) == []


@pytest.mark.parametrize("state", ["SCHEDULED", "PAUSED"])
def test_a_waiting_run_is_left_alone(state):
    assert kinds(replace(RUN, state=state), interrupted()) == []


def slots(run, superseded=False):
    facts = Facts(slots=(Slot("l1", "device-x", run, superseded),), undisturbed_s=LONG)
    return [(repair.kind, repair.target) for repair in decide(facts)]


@pytest.mark.parametrize("state", ["CRASHED", "COMPLETED", "SCHEDULED", "PENDING", "PAUSED"])
def test_a_slot_of_a_run_that_does_not_run_is_freed(state):
    assert slots(replace(RUN, state=state, process=Process.ALIVE)) == [(Kind.FREE_SLOT, "l1")]


def test_a_slot_is_kept_by_whoever_may_use_it():
    assert slots(replace(RUN, process=Process.ALIVE)) == []
    assert slots(replace(RUN, process=Process.UNKNOWN)) == []


def test_a_slot_without_a_process_or_a_run_is_freed():
    assert slots(RUN) == slots(None) == [(Kind.FREE_SLOT, "l1")]


def test_a_slot_that_an_earlier_process_took_is_freed():
    assert slots(replace(RUN, process=Process.ALIVE), superseded=True) == [(Kind.FREE_SLOT, "l1")]


def test_a_count_of_slots_without_leases_is_corrected_when_it_stays_wrong():
    def found(age_s):
        surplus = Surplus("device-x", counted=2, taken=1, age_s=age_s)
        return [(r.kind, r.number) for r in decide(Facts(surpluses=(surplus,), undisturbed_s=LONG))]

    assert found(30.0) == []
    assert found(90.0) == [(Kind.RECOUNT, 1)]
