"""The transport against a real Prefect server; the test plays the worker."""

import os
import socket
import subprocess
import sys
import time

import httpx
import pytest

from qcpaas.errors import (
    CircuitError,
    InputError,
    JobCancelled,
    JobFailed,
    JobHeld,
    NotReady,
    PlatformError,
    PlatformUnavailable,
    UnknownJob,
    WorkloadError,
)
from qcpaas.manifest import JobResult, Manifest
from qcpaas.prefect_api import PrefectApi
from qcpaas.prefect_transport import PrefectTransport
from qcpaas.schemas import (
    Bundle,
    CircuitItem,
    CircuitJob,
    CircuitPayload,
    Environment,
    ErrorReport,
    ExecutionSettings,
    JobState,
    OpenSubmission,
    OptionSpec,
    PartialResult,
    Progress,
    Recovery,
    WorkloadJob,
)

TOKEN = "someone:a-secret"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("prefect")
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_API_AUTH_STRING": TOKEN,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(url, process, home / "log")
        yield Worker(url)
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_healthy(url, process, log):
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/api/health").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(log.read_text())


class Worker:
    """What deployments and workers do on the platform's side."""

    def __init__(self, url):
        self.url = url
        self.api = PrefectApi(url, TOKEN)  # waits while SQLite is locked
        for name in ("hybrid-job", "workload"):
            flow = self.post("flows/", {"name": name})
            self.post("deployments/", {"name": name, "flow_id": flow["id"]})

    def post(self, path, body):
        return self.api.post(path, body)

    def state(self, record, kind, message="", **details):
        state = {"type": kind, "name": kind.title(), "message": message, **details}
        path = f"flow_runs/{record.flow_run_id}/set_state"
        return self.post(path, {"state": state, "force": True})

    def artifact(self, key, **content):
        return self.post("artifacts/", {"key": key, **content})


@pytest.fixture
def transport(server):
    transport = PrefectTransport(server.url, TOKEN)
    yield transport
    transport.close()


def circuit_job(**more):
    text = "OPENQASM 2.0; qreg q[1]; creg c[1]; measure q -> c;"
    item = CircuitItem(circuit=CircuitPayload(format="qasm2", text=text))
    settings = ExecutionSettings(backend="Twin", options=(OptionSpec(name="Zne"),), seed=1)
    return CircuitJob(execution=settings, items=(item,), name="bell", **more)


def workload_job(source="x = 1"):
    bundle = Bundle(entry="work:Work", modules={"work": source})
    return WorkloadJob(execution=ExecutionSettings(backend="Twin"), bundle=bundle)


pytestmark = pytest.mark.server


def test_submitted_job_is_queued_and_found_again(server, transport):
    job = circuit_job()
    record = transport.submit(job)
    assert (record.state, record.kind, record.name) == (JobState.QUEUED, "circuits", "bell")
    assert (record.backend, record.options) == ("Twin", ("Zne",))
    found = transport.job(job.job_id)
    assert found.flow_run_id == record.flow_run_id
    assert transport.address(job.job_id) == f"{server.url}/runs/flow-run/{record.flow_run_id}"
    with pytest.raises(NotReady, match="is queued"):
        transport.result(job.job_id)


def test_submitting_twice_makes_one_run(transport):
    job = workload_job()
    assert transport.submit(job).flow_run_id == transport.submit(job).flow_run_id


def test_job_travels_unchanged(server, transport):
    job = circuit_job()
    record = transport.submit(job)
    run = server.api.get(f"flow_runs/{record.flow_run_id}")
    assert CircuitJob.model_validate(run["parameters"]["job"]) == job


def test_jobs_are_listed_newest_first_with_their_progress(server, transport):
    jobs = [circuit_job() for _ in range(3)]
    for job in jobs:
        transport.submit(job)
    told = Progress(stage="execute", done=1, total=2)
    description = f"a line for people\n<!--{told.model_dump_json()}-->"
    key = f"progress-{jobs[1].job_id}"
    server.artifact(key, type="progress", data=50.0, description=description)
    listed = transport.jobs(3)
    assert [record.job_id for record in listed] == [job.job_id for job in reversed(jobs)]
    assert [record.progress.stage for record in listed] == ["", "execute", ""]


def test_progress_is_the_artifacts_newest_state(server, transport):
    record = transport.submit(circuit_job())
    server.state(record, "RUNNING")
    key = f"progress-{record.job_id}"
    artifact = server.artifact(key, type="progress", data=0.0, description="starting")
    assert transport.job(record.job_id).progress.total == 100
    told = Progress(stage="iterations", done=7, total=9, metrics={"energy": -1.5})
    change = {"data": 77.0, "description": told.model_dump_json()}
    server.api.patch(f"artifacts/{artifact['id']}", change)
    found = transport.job(record.job_id)
    assert found.progress == told
    assert found.state is JobState.RUNNING
    assert found.started_at is not None


def test_result_is_read_from_its_artifact(server, transport):
    job = circuit_job()
    record = transport.submit(job)
    result = JobResult(job_id=job.job_id, value=[1, {"x": 0.25}], manifest=Manifest(job=job))
    server.artifact(f"result-{job.job_id}", type="result", data=result.model_dump_json())
    server.state(record, "COMPLETED")
    assert transport.result(job.job_id) == result


def test_completed_job_without_a_result_says_so(server, transport):
    record = transport.submit(circuit_job())
    server.state(record, "COMPLETED")
    with pytest.raises(JobFailed, match="its result is not at"):
        transport.result(record.job_id)


def test_failed_job_raises_its_own_error(server, transport):
    record = transport.submit(workload_job())
    report = ErrorReport(type="WorkloadError", message="ValueError: no", traceback_text="line 7")
    server.artifact(f"error-{record.job_id}", type="error", data=report.model_dump_json())
    server.state(record, "FAILED", "Flow run encountered an exception")
    assert transport.job(record.job_id).error == report
    with pytest.raises(WorkloadError, match="ValueError: no") as caught:
        transport.result(record.job_id)
    assert caught.value.traceback_text == "line 7"


def test_failed_job_without_a_report_tells_prefects_message(server, transport):
    record = transport.submit(workload_job())
    server.state(record, "FAILED", "the process exited with status -9")
    assert transport.job(record.job_id).state is JobState.FAILED
    with pytest.raises(JobFailed, match="exited with status -9"):
        transport.result(record.job_id)


def test_job_that_was_not_started_is_cancelled_at_once(transport):
    record = transport.submit(workload_job())
    transport.cancel(record.job_id)
    assert transport.job(record.job_id).state is JobState.CANCELLED
    with pytest.raises(JobCancelled):
        transport.result(record.job_id)
    transport.cancel(record.job_id)


def test_running_job_is_asked_to_cancel(server, transport):
    record = transport.submit(workload_job())
    server.state(record, "RUNNING")
    transport.cancel(record.job_id)
    run = server.api.get(f"flow_runs/{record.flow_run_id}")
    assert run["state_type"] == "CANCELLING"
    assert transport.job(record.job_id).state is JobState.RUNNING
    server.state(record, "CANCELLED")
    assert transport.job(record.job_id).state is JobState.CANCELLED


def test_crashed_job_is_interrupted_and_goes_on(server, transport):
    record = transport.submit(workload_job())
    server.state(record, "RUNNING")
    server.state(record, "CRASHED", "the process exited with status -9.")
    found = transport.job(record.job_id)
    assert found.state is JobState.INTERRUPTED
    assert not found.waits_for_person
    assert "exited with status -9. It goes on by itself" in found.error.message
    with pytest.raises(NotReady, match="goes on by itself"):
        transport.result(record.job_id)


def test_suspended_job_is_held_and_says_what_a_person_can_do(server, transport):
    record = transport.submit(workload_job())
    server.state(record, "RUNNING")
    server.state(record, "PAUSED", "submission 7 may have been accepted")
    assert transport.job(record.job_id).waits_for_person
    with pytest.raises(JobHeld, match="submission 7 may have been accepted"):
        transport.result(record.job_id)
    server.state(record, "PAUSED")
    with pytest.raises(JobHeld, match=f"qcpaas resume {record.job_id} --remote"):
        transport.result(record.job_id)
    report = ErrorReport(type="JobHeld", message="look for token t-7")
    server.artifact(f"error-{record.job_id}", type="error", data=report.model_dump_json())
    assert transport.job(record.job_id).error == report


@pytest.mark.parametrize("kind", ["CRASHED", "PAUSED", "FAILED", "CANCELLED"])
def test_resumed_job_is_scheduled_again_with_what_was_decided(server, transport, kind):
    job = workload_job()
    record = transport.submit(job)
    server.state(record, "RUNNING")
    server.state(record, kind)
    decisions = Recovery(unknown_acceptance="resubmit", adopt="device-job-1")
    resumed = transport.resume(job.job_id, decisions)
    assert (resumed.state, resumed.flow_run_id) == (JobState.QUEUED, record.flow_run_id)
    assert resumed.error is None
    run = server.api.get(f"flow_runs/{record.flow_run_id}")
    assert run["state_type"] == "SCHEDULED"
    assert run["next_scheduled_start_time"] is not None
    sent = WorkloadJob.model_validate(run["parameters"]["job"])
    assert sent.execution.recovery == decisions
    recovery = {"recovery": job.execution.recovery}
    assert sent.model_copy(update={"execution": sent.execution.model_copy(update=recovery)}) == job

    server.state(record, "CRASHED")
    transport.resume(job.job_id)
    run = server.api.get(f"flow_runs/{record.flow_run_id}")
    again = WorkloadJob.model_validate(run["parameters"]["job"]).execution.recovery
    assert again == Recovery(unknown_acceptance="resubmit")  # an adoption serves once


def test_job_that_needs_no_resuming_is_left_alone(server, transport):
    record = transport.submit(workload_job())
    for kind, error in (
        ("RUNNING", NotReady),
        ("PENDING", NotReady),
        ("CANCELLING", NotReady),
        ("COMPLETED", InputError),
    ):
        server.state(record, kind)
        with pytest.raises(error):
            transport.resume(record.job_id)
        assert server.api.get(f"flow_runs/{record.flow_run_id}")["state_type"] == kind


@pytest.mark.parametrize("kind", ["CRASHED", "PAUSED", "SCHEDULED"])
def test_cancelling_a_job_without_a_process_is_left_to_maintenance(server, transport, kind):
    record = transport.submit(workload_job())
    server.state(record, "RUNNING")
    server.state(record, kind, state_details={"pause_reschedule": kind == "PAUSED"})
    transport.cancel(record.job_id)
    run = server.api.get(f"flow_runs/{record.flow_run_id}")
    assert run["state_type"] == "CANCELLING"  # it may have device jobs to stop
    report = ErrorReport(type="JobCancelled", message="device job 7 could not be stopped")
    server.artifact(f"error-{record.job_id}", type="error", data=report.model_dump_json())
    server.state(record, "CANCELLED")
    with pytest.raises(JobCancelled, match="device job 7 could not be stopped"):
        transport.result(record.job_id)


def test_partial_result_is_what_the_job_has_told_with_its_newest_state(server, transport):
    record = transport.submit(workload_job())
    nothing = transport.partial(record.job_id)
    assert (nothing.state, nothing.finished, nothing.calls) == (JobState.QUEUED, 0, ())
    told = PartialResult(
        job_id=record.job_id,
        state=JobState.RUNNING,
        progress=Progress(stage="iterations", done=3),
        finished=3,
        open_submissions=(
            OpenSubmission(
                token="t", device="Twin", device_job_id=None, submitted_at=record.created_at
            ),
        ),
        metrics={"energy": ((1.0, -0.5), (2.0, -0.75))},
    )
    data = told.model_dump(mode="json")
    server.artifact(f"partial-{record.job_id}", type="partial", data=data)
    server.state(record, "RUNNING")
    server.state(record, "CRASHED")
    found = transport.partial(record.job_id)
    assert found.state is JobState.INTERRUPTED
    assert found.metrics == told.metrics
    assert found.open_submissions == told.open_submissions


def test_logs_come_in_order_however_many(server, transport):
    record = transport.submit(workload_job())
    lines = [
        {
            "name": "prefect.flow_runs",
            "level": 20,
            "message": f"step {index}",
            "timestamp": f"2026-01-01T00:{index // 60:02d}:{index % 60:02d}Z",
            "flow_run_id": record.flow_run_id,
        }
        for index in range(250)
    ]
    server.api.post("logs/", lines)
    for _ in range(50):  # logs are written in the background
        found = transport.logs(record.job_id)
        if len(found) == 250:
            break
        time.sleep(0.2)
    assert [line.split()[-1] for line in found] == [str(index) for index in range(250)]
    assert found[0] == "2026-01-01T00:00:00 INFO step 0"


def test_environment_is_what_the_newest_worker_published(server, transport):
    with pytest.raises(PlatformUnavailable, match="no worker has registered yet"):
        transport.environment()
    for version in ("1.0", "2.0"):
        text = Environment(python="3.11.7", distributions={"numpy": version}).model_dump_json()
        server.artifact("worker-environment", type="environment", data=text)
    assert transport.environment().distributions == {"numpy": "2.0"}
    assert list(transport.devices()) == []


def test_unknown_job_is_said_to_be_unknown(transport):
    asks = ("job", "result", "partial", "logs", "cancel", "resume")
    for ask in (getattr(transport, name) for name in asks):
        with pytest.raises(UnknownJob, match="no job 'absent'"):
            ask("absent")


def test_too_large_a_job_is_refused_before_it_is_sent(transport):
    with pytest.raises(InputError, match=r"has 0.6\d MB; .* takes 0.52 MB"):
        transport.submit(workload_job("x" * 600_000))


def test_wrong_token_is_refused_and_not_shown(server):
    transport = PrefectTransport(server.url, "another:wrong-secret")
    with pytest.raises(PlatformError) as caught:
        transport.environment()
    assert "refused the token" in str(caught.value)
    assert "wrong-secret" not in str(caught.value) + repr(transport)


def test_server_without_deployments_is_said_to_lack_them(server):
    with httpx.Client(base_url=f"{server.url}/api/", auth=tuple(TOKEN.split(":"))) as api:
        found = api.get("deployments/name/workload/workload").json()
        assert api.delete(f"deployments/{found['id']}").is_success
        try:
            with pytest.raises(PlatformUnavailable, match="no deployment workload/workload"):
                PrefectTransport(server.url, TOKEN).submit(workload_job())
        finally:
            body = {"name": "workload", "flow_id": found["flow_id"]}
            api.post("deployments/", json=body)


def test_nobody_at_the_address_is_said_with_the_address():
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(PlatformUnavailable, match=f"no platform answers at {url}"):
        PrefectTransport(f"{url}/api").environment()


def test_what_is_no_address_is_refused():
    with pytest.raises(InputError, match="is no address"):
        PrefectTransport("ftp://example").environment()


def test_error_classes_survive_the_way(server, transport):
    record = transport.submit(circuit_job())
    report = ErrorReport(type="CircuitError", message="too wide")
    server.artifact(f"error-{record.job_id}", type="error", data=report.model_dump_json())
    server.state(record, "FAILED")
    with pytest.raises(CircuitError, match="too wide"):
        transport.result(record.job_id)
