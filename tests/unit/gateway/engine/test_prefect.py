"""The engine against a real Prefect server; the test plays the worker."""

import os
import socket
import subprocess
import sys
import time

import httpx
import pytest

from gateway.engine.prefect import NAME, PrefectEngine
from qcpaas.errors import InputError, NotReady, PlatformError, PlatformUnavailable, UnknownJob
from qcpaas.prefect_api import PrefectApi
from qcpaas.schemas import (
    Bundle,
    CircuitItem,
    CircuitJob,
    CircuitPayload,
    ExecutionSettings,
    OptionSpec,
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

    def state(self, run_id, kind, message="", **details):
        state = {"type": kind, "name": kind.title(), "message": message, **details}
        return self.post(f"flow_runs/{run_id}/set_state", {"state": state, "force": True})

    def run(self, run_id):
        return self.api.get(f"flow_runs/{run_id}")


@pytest.fixture
def engine(server):
    engine = PrefectEngine(PrefectApi(server.url, TOKEN, name=NAME))
    yield engine
    engine.close()


def circuit_job(**more):
    text = "OPENQASM 2.0; qreg q[1]; creg c[1]; measure q -> c;"
    item = CircuitItem(circuit=CircuitPayload(format="qasm2", text=text))
    settings = ExecutionSettings(backend="Twin", options=(OptionSpec(name="Zne"),), seed=1)
    return CircuitJob(execution=settings, items=(item,), name="bell", **more)


def workload_job(source="x = 1"):
    bundle = Bundle(entry="work:Work", modules={"work": source})
    return WorkloadJob(execution=ExecutionSettings(backend="Twin"), bundle=bundle)


pytestmark = pytest.mark.server


def test_a_job_becomes_one_run_that_bears_its_id_and_travels_unchanged(server, engine):
    job = circuit_job()
    run_id = engine.create_run(job)
    assert engine.create_run(job) == run_id
    run = server.run(run_id)
    assert (run["name"], run["state_type"]) == (job.job_id, "SCHEDULED")
    assert CircuitJob.model_validate(run["parameters"]["job"]) == job
    assert engine.run(job.job_id)["id"] == run_id
    assert engine.run("absent") is None


def test_a_job_goes_to_the_deployment_of_its_pool(server, engine):
    server.post("work_pools/", {"name": "rare", "type": "process"})
    flow_id = server.post("flows/", {"name": "workload"})["id"]
    rare = {"name": "rare", "flow_id": flow_id, "work_pool_name": "rare"}
    deployment = server.post("deployments/", rare)
    run = server.run(engine.create_run(workload_job(), "rare"))
    assert run["deployment_id"] == deployment["id"]
    with pytest.raises(PlatformUnavailable, match="no deployment of workload in the pool absent"):
        engine.create_run(workload_job(), "absent")


def test_deployments_that_were_made_anew_are_found(server, engine):
    engine.create_run(workload_job())
    found = server.api.get("deployments/name/workload/workload")
    server.api.delete(f"deployments/{found['id']}")
    try:
        with pytest.raises(PlatformUnavailable, match="no deployment of workload"):
            engine.create_run(workload_job())
    finally:
        server.post("deployments/", {"name": "workload", "flow_id": found["flow_id"]})
    assert engine.create_run(workload_job())


def test_a_run_that_was_not_begun_is_cancelled_at_once(server, engine):
    job = workload_job()
    run_id = engine.create_run(job)
    assert engine.cancel(job.job_id)
    assert server.run(run_id)["state_type"] == "CANCELLED"
    assert engine.cancel(job.job_id)


def test_a_running_job_is_asked_to_end(server, engine):
    job = workload_job()
    run_id = engine.create_run(job)
    server.state(run_id, "RUNNING")
    assert not engine.cancel(job.job_id)
    assert server.run(run_id)["state_type"] == "CANCELLING"
    server.state(run_id, "CANCELLED")
    assert not engine.cancel(job.job_id)


@pytest.mark.parametrize("kind", ["CRASHED", "PAUSED", "SCHEDULED"])
def test_cancelling_a_job_without_a_process_is_left_to_maintenance(server, engine, kind):
    job = workload_job()
    run_id = engine.create_run(job)
    server.state(run_id, "RUNNING")
    server.state(run_id, kind, state_details={"pause_reschedule": kind == "PAUSED"})
    assert not engine.cancel(job.job_id)
    assert server.run(run_id)["state_type"] == "CANCELLING"  # it may have device jobs to stop


@pytest.mark.parametrize("kind", ["CRASHED", "PAUSED", "FAILED", "CANCELLED"])
def test_resumed_job_is_scheduled_again_with_what_was_decided(server, engine, kind):
    job = workload_job()
    run_id = engine.create_run(job)
    server.state(run_id, "RUNNING")
    server.state(run_id, kind)
    decisions = Recovery(unknown_acceptance="resubmit", adopt="device-job-1")
    engine.resume(job.job_id, decisions)
    run = server.run(run_id)
    assert run["state_type"] == "SCHEDULED"
    assert run["next_scheduled_start_time"] is not None
    sent = WorkloadJob.model_validate(run["parameters"]["job"])
    assert sent.execution.recovery == decisions
    recovery = {"recovery": job.execution.recovery}
    assert sent.model_copy(update={"execution": sent.execution.model_copy(update=recovery)}) == job

    server.state(run_id, "CRASHED")
    engine.resume(job.job_id)
    again = WorkloadJob.model_validate(server.run(run_id)["parameters"]["job"])
    # an adoption serves once
    assert again.execution.recovery == Recovery(unknown_acceptance="resubmit")


def test_job_that_needs_no_resuming_is_left_alone(server, engine):
    job = workload_job()
    run_id = engine.create_run(job)
    for kind, error in (
        ("RUNNING", NotReady),
        ("PENDING", NotReady),
        ("CANCELLING", NotReady),
        ("COMPLETED", InputError),
    ):
        server.state(run_id, kind)
        with pytest.raises(error):
            engine.resume(job.job_id)
        assert server.run(run_id)["state_type"] == kind
    with pytest.raises(InputError, match="has never begun"):
        engine.resume("absent")


def test_logs_come_in_order_however_many(server, engine):
    run_id = engine.create_run(workload_job())
    lines = [
        {
            "name": "prefect.flow_runs",
            "level": 20,
            "message": f"step {index}",
            "timestamp": f"2026-01-01T00:{index // 60:02d}:{index % 60:02d}Z",
            "flow_run_id": run_id,
        }
        for index in range(250)
    ]
    server.api.post("logs/", lines)
    for _ in range(50):  # logs are written in the background
        found = engine.logs(run_id)
        if len(found) == 250:
            break
        time.sleep(0.2)
    assert [line.split()[-1] for line in found] == [str(index) for index in range(250)]
    assert found[0] == "2026-01-01T00:00:00 INFO step 0"


def test_too_large_a_job_is_refused_before_it_is_sent(engine):
    with pytest.raises(InputError, match=r"has 0.6\d MB; .* takes 0.52 MB"):
        engine.create_run(workload_job("x" * 600_000))


def test_calibration_run_that_nobody_asked_for_is_unknown(engine):
    job = workload_job()
    run_id = engine.create_run(job)
    for unknown in (run_id, "00000000-0000-0000-0000-000000000000"):
        with pytest.raises(UnknownJob, match="no calibration run"):
            engine.calibrations.progress(unknown)


def test_wrong_token_is_refused_and_neither_it_nor_the_address_is_shown(server):
    engine = PrefectEngine(PrefectApi(server.url, "another:wrong-secret", name=NAME))
    with pytest.raises(PlatformError) as caught:
        engine.create_run(workload_job())
    assert "refused the platform's own token" in str(caught.value)
    assert "wrong-secret" not in str(caught.value)
    assert server.url not in str(caught.value)


def test_a_server_that_is_away_is_said_to_be_so_without_its_address():
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(PlatformUnavailable, match="engine does not answer") as caught:
        PrefectEngine(PrefectApi(f"{url}/api", name=NAME)).create_run(workload_job())
    assert url not in str(caught.value)
