"""Jobs over HTTP, from the client's own side; whatever needs Prefect finds it away."""

import math
import threading

import pytest

from gateway.admission.outlook import Expected
from qcpaas.errors import (
    Forbidden,
    InputError,
    JobCancelled,
    NotReady,
    PlatformUnavailable,
    UnknownJob,
    WorkloadError,
)
from qcpaas.jobs import RuntimeJob
from qcpaas.manifest import JobResult, Manifest
from qcpaas.scheduling import Role, StartsIn
from qcpaas.schemas import ErrorReport, JobRecord, JobState, Progress
from store.releases import Releases
from store.results import Results

OTHERS = ("job", "result", "partial", "logs", "cancel", "resume")


def test_a_record_says_whose_it_is_and_when_it_starts(client_of, admit, platform):
    job = admit("ada")
    record = client_of("ada").job(job.job_id)
    assert (record.state, record.owner, record.backend) == (JobState.QUEUED, "ada", "FakeLima")
    assert record.schedule.choice.explanation == "the job names it"
    assert record.schedule.estimate.qpu_s_hi == 2.0
    assert record.schedule.starts_in is None
    soon = StartsIn(earliest_s=1, likely_s=2, latest_s=3, position=1, made_at=record.created_at)
    platform.outlook.renew({job.job_id: Expected(soon, {"age": 0.5})})
    schedule = client_of("ada").job(job.job_id).schedule
    assert (schedule.starts_in, schedule.score) == (soon, {"age": 0.5})


def test_people_see_their_own_jobs_and_administrators_all(client_of, admit, jobs):
    first, second, third = admit("ada"), admit("bob"), admit("ada")
    jobs.create(first.model_copy(update={"job_id": "embedded"}))  # came through no gateway
    ada, boss = client_of("ada"), client_of("root", Role.ADMINISTRATOR)
    assert {record.job_id for record in ada.jobs()} == {first.job_id, third.job_id}
    everybodys = {record.job_id: record.owner for record in boss.jobs()}
    assert everybodys == {
        first.job_id: "ada",
        second.job_id: "bob",
        third.job_id: "ada",
        "embedded": "",
    }
    assert [record.job_id for record in ada.jobs(1)] == [third.job_id]
    with pytest.raises(Forbidden, match="jobs of bob are theirs"):
        ada.api.ask("GET", "jobs", list, query={"owner": "bob"})
    running = ada.api.ask("GET", "jobs", list, query={"state": "running"})
    assert running == []


@pytest.mark.parametrize("ask", OTHERS)
def test_another_users_job_is_as_unknown_as_one_that_is_not_there(client_of, admit, jobs, ask):
    job = admit("ada")
    bob = client_of("bob")
    with pytest.raises(UnknownJob) as theirs:
        getattr(bob, ask)(job.job_id)
    with pytest.raises(UnknownJob) as nobodys:
        getattr(bob, ask)("20260101-000000-abcdef")
    assert str(theirs.value).replace(job.job_id, "ID") == str(nobodys.value).replace(
        "20260101-000000-abcdef", "ID"
    )
    assert jobs.get(job.job_id).state is JobState.QUEUED


def test_a_result_comes_back_exactly_where_it_is_no_number_too(client_of, admit, jobs, store):
    job = admit("ada")
    ada = client_of("ada")
    with pytest.raises(NotReady, match="is queued"):
        ada.result(job.job_id)
    jobs.start(job.job_id)
    value = [0.1 + 0.2, math.nan, math.inf]
    Results(store).save(JobResult(job_id=job.job_id, value=value, manifest=Manifest(job=job)))
    jobs.finish(job.job_id, JobState.COMPLETED)
    found = ada.result(job.job_id)
    assert found.manifest.job == job
    assert found.value[0] == 0.1 + 0.2
    assert math.isnan(found.value[1])
    assert found.value[2] == math.inf


def test_a_failed_job_raises_its_own_error(client_of, admit, jobs):
    job = admit("ada")
    jobs.start(job.job_id)
    report = ErrorReport(type="WorkloadError", message="ValueError: no", traceback_text="line 7")
    jobs.finish(job.job_id, JobState.FAILED, report)
    with pytest.raises(WorkloadError, match="ValueError: no") as caught:
        client_of("ada").result(job.job_id)
    assert caught.value.traceback_text == "line 7"


def test_a_waiting_job_is_cancelled_though_the_engine_is_away(client_of, admit):
    job = admit("ada")
    ada = client_of("ada")
    ada.cancel(job.job_id)
    assert ada.job(job.job_id).state is JobState.CANCELLED
    ada.cancel(job.job_id)
    with pytest.raises(JobCancelled):
        ada.result(job.job_id)


def test_a_job_that_was_handed_over_needs_the_engine_to_end(client_of, admit, platform, store):
    job = admit("ada")
    assert Releases(store).claim(job.job_id, platform.settings.limits)
    ada = client_of("ada")
    with pytest.raises(PlatformUnavailable, match="engine does not answer") as away:
        ada.api.ask("POST", f"jobs/{job.job_id}/cancel", JobRecord)
    assert platform.settings.prefect_url not in str(away.value)
    assert ada.logs(job.job_id) == []


def test_only_what_ended_without_a_result_is_resumed(client_of, admit, jobs, store, platform):
    job = admit("ada")
    ada = client_of("ada")
    with pytest.raises(NotReady, match="is queued"):
        ada.resume(job.job_id)
    jobs.start(job.job_id)
    jobs.finish(job.job_id, JobState.COMPLETED)
    with pytest.raises(InputError, match="has completed"):
        ada.resume(job.job_id)


def test_an_admission_stays_ended_where_its_run_cannot_be_resumed(
    client_of, admit, jobs, store, platform
):
    job = admit("ada")
    releases = Releases(store)
    assert releases.claim(job.job_id, platform.settings.limits)
    jobs.start(job.job_id)
    jobs.finish(job.job_id, JobState.FAILED, ErrorReport(type="JobFailed", message="no"))
    assert [ended.job_id for ended in releases.end_finished(3600.0)] == [job.job_id]
    with pytest.raises(PlatformUnavailable):
        client_of("ada").resume(job.job_id)
    assert releases.reopen(job.job_id, platform.settings.limits), "it had not been closed again"
    assert jobs.get(job.job_id).state is JobState.FAILED


def test_a_followed_job_tells_of_each_change_and_ends_with_its_last_state(client_of, admit, jobs):
    job = admit("ada")
    seen = []
    followed = threading.Thread(
        target=lambda: seen.extend(RuntimeJob(job.job_id, client_of("ada")).watch(timeout=30))
    )
    followed.start()
    until(lambda: seen)
    jobs.start(job.job_id)
    until(lambda: seen[-1].state is JobState.RUNNING)
    jobs.report(job.job_id, Progress(stage="execute", done=1, total=2, metrics={"e": math.nan}))
    until(lambda: seen[-1].progress.stage == "execute")
    jobs.finish(job.job_id, JobState.FAILED, ErrorReport(type="JobFailed", message="no"))
    followed.join(20)
    assert not followed.is_alive()
    assert (seen[-1].state, seen[-1].error.message) == (JobState.FAILED, "no")
    assert math.isnan(seen[-1].progress.metrics["e"])
    assert all(record.owner == "ada" for record in seen)


def test_who_comes_back_is_told_what_is_new_alone(client_of, admit, jobs):
    job = admit("ada")
    ada = client_of("ada")
    first = stream(ada, job.job_id)
    assert [event["event"] for event in first(3)] == ["schedule", "progress", "state"]
    jobs.start(job.job_id)
    *_, running = stream(ada, job.job_id, first.last_id)(2)
    assert running["event"] == "state"  # its progress begins anew before
    jobs.finish(job.job_id, JobState.COMPLETED)
    last = stream(ada, job.job_id, running["id"])
    assert [event["event"] for event in last(10)] == ["state"]  # and it ends
    again = stream(ada, job.job_id, last.last_id)
    assert again(10) == []
    strange = stream(ada, job.job_id, "no such id")
    assert [event["event"] for event in strange(10)] == ["schedule", "progress", "state"]


def test_another_users_events_are_not_told(client_of, admit):
    job = admit("ada")
    with pytest.raises(UnknownJob):
        list(client_of("bob").follow(job.job_id))


class Stream:
    """Events of a job as a plain client reads them."""

    def __init__(self, client, job_id, last_id=None):
        self._client, self._path = client, f"jobs/{job_id}/events"
        self._headers = {} if last_id is None else {"Last-Event-ID": last_id}
        self.last_id = last_id

    def __call__(self, count):
        events, event = [], {}
        http = self._client.api._client
        with http.stream("GET", self._path, headers=self._headers) as response:
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if name and value and name != "":
                    event[name] = value
                if not line and "data" in event:
                    events.append(event)
                    self.last_id, event = event["id"], {}
                    if len(events) == count:
                        break
        return events


def stream(client, job_id, last_id=None):
    return Stream(client, job_id, last_id)


def until(condition):
    waited = threading.Event()
    for _ in range(200):
        if condition():
            return
        waited.wait(0.05)
    raise AssertionError("it did not come to that")
