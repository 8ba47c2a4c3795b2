"""``python -m deployments.up`` as a user starts, uses, stops and restarts it.

The tests share one platform and run in the order of this file.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from adapters.fake_backends import read_snapshot
from calibration.emulator import make_platform
from deployments.guardian import MARK_VARIABLE, marked_processes
from deployments.local_platform import PROJECT_DIR
from deployments.processes import free_port
from flows.run_processes import run_processes
from qcpaas.calibration import Quantity
from qcpaas.packing import pack_file
from qcpaas.provider import RuntimeProvider
from qcpaas.schemas import JobState
from qcpaas.settings import Settings

pytestmark = [
    pytest.mark.server,
    pytest.mark.postgres,
    pytest.mark.xdist_group("platform"),
    pytest.mark.timeout(400),
]
BELL = """OPENQASM 2.0;
include "qelib1.inc";
qreg q[2]; creg c[2];
h q[0]; cx q[0], q[1];
measure q -> c;
"""
STATES = "EQUAL = ['00', '11']\n"
WORK = """from qiskit import QuantumCircuit

from qcpaas import RuntimeWorkerBase
from states import EQUAL


class Work(RuntimeWorkerBase):
    backend_name = "FakeKolkata"
    shots = 1000

    def run(self, circuits: int):
        self.log.info("two circuits")
        bell = QuantumCircuit(2)
        bell.h(0)
        bell.cx(0, 1)
        bell.measure_all()
        for _ in self.iterations(circuits):
            counts = self.sampler.run([bell]).result()[0].data.meas.get_counts()
        return {"states": EQUAL, "share": sum(counts[state] for state in EQUAL) / 1000}
"""
ENDLESS = """import sys
import time

from qcpaas import RuntimeWorkerBase


class Endless(RuntimeWorkerBase):
    backend_name = "statevector"

    def run(self):
        for _ in self.iterations(10_000):
            sys.stderr.write(".")  # as progress bars do
            time.sleep(0.1)
"""


@dataclass
class Running:
    """A platform in a process of its own."""

    process: subprocess.Popen
    port: int
    gateway_port: int
    data_dir: Path
    out: Path

    @property
    def gateway(self):
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def api(self):
        """Prefect's own."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def mark(self):
        """The mark that its processes carry, read from one of them."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for child in children.split():
            for variable in Path(f"/proc/{child}/environ").read_text().split("\0"):
                if variable.startswith(f"{MARK_VARIABLE}="):
                    return variable.partition("=")[2]
        raise AssertionError("no child carries a mark")

    def end(self, number):
        """Send a signal and wait; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


def up(data_dir, port, out, *more):
    gateway_port = free_port()
    ports = ("--port", str(port), "--gateway-port", str(gateway_port))
    command = [sys.executable, "-m", "deployments.up", *ports, "--data-dir", str(data_dir)]
    with out.open("w") as log:
        process = subprocess.Popen(
            [*command, *more],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=out.parent,
            env={**os.environ, "HOME": str(out.parent), "OMP_NUM_THREADS": "1"},
        )
    return Running(process, port, gateway_port, data_dir, out)


def ready(running, seconds=240.0):
    deadline = time.monotonic() + seconds
    while "Ctrl-C stops" not in running.out.read_text():
        assert running.process.poll() is None, running.out.read_text()
        assert time.monotonic() < deadline, running.out.read_text()
        time.sleep(0.2)
    return running


def flow_runs(api):
    runs = httpx.post(f"{api}/flow_runs/filter", json={}).json()
    return {run["id"]: run["state_type"] for run in runs}


def all_gone(mark, seconds=20.0):
    deadline = time.monotonic() + seconds
    while marked_processes(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not marked_processes(mark)


@pytest.fixture(scope="module")
def platform(open_folder):
    folder = open_folder / "up"
    folder.mkdir()
    running = up(folder / "data", free_port(), folder / "out.log")
    yield ready(running)
    if running.process.poll() is None:
        running.end(signal.SIGINT)


def test_the_ui_finds_its_api_on_the_chosen_port(platform):
    settings = httpx.get(f"http://127.0.0.1:{platform.port}/ui-settings").json()
    assert settings["api_url"] == platform.api
    page = httpx.get(f"http://127.0.0.1:{platform.port}/", follow_redirects=True)
    assert page.status_code == 200
    assert "<title>" in page.text


def test_nothing_is_reported_home_and_large_jobs_are_taken(platform):
    settings = httpx.get(f"{platform.api}/admin/settings").json()
    assert settings["server"]["analytics_enabled"] is False
    assert settings["server"]["api"]["max_parameter_size"] == 64 * 1024 * 1024
    assert settings["server"]["concurrency"]["lease_storage"].endswith("filesystem")
    assert settings["server"]["services"]["task_run_recorder"]["batch_size"] == 100


def test_every_deployment_of_prefect_yaml_is_there(platform):
    wanted = yaml.safe_load((PROJECT_DIR / "prefect.yaml").read_text())["deployments"]
    found = httpx.post(f"{platform.api}/deployments/filter", json={}).json()
    assert {(one["name"], one["entrypoint"]) for one in found} == {
        (one["name"], one["entrypoint"]) for one in wanted
    }
    scheduled = httpx.post(
        f"{platform.api}/flow_runs/count",
        json={"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}},
    ).json()
    assert scheduled > 0, "the server's scheduler does not work"


def test_the_server_and_the_worker_log_no_error(platform):
    for name in ("prefect-server", "worker-1", "gateway"):
        assert "Traceback" not in (platform.data_dir / "logs" / f"{name}.log").read_text()


def test_commands_on_this_machine_find_it(platform):
    assert Settings(data_dir=platform.data_dir).resolved_api_url == platform.gateway


def test_a_circuit_job_runs_through_the_worker(platform):
    from qiskit import QuantumCircuit

    with RuntimeProvider(platform.gateway) as provider:
        circuit = QuantumCircuit.from_qasm_str(BELL)
        job = provider.run_circuits(circuit, backend="FakeKolkata", shots=1000, seed=1)
        job.result(timeout=120)
        assert job.record().state.finished


def test_a_workload_travels_with_its_own_modules_and_is_repeated_bit_for_bit(platform, tmp_path):
    (tmp_path / "states.py").write_text(STATES)
    (tmp_path / "work.py").write_text(WORK)
    worker_class, bundle = pack_file(tmp_path / "work.py", None)
    with RuntimeProvider(platform.gateway) as provider:
        job = provider.run(worker_class, {"circuits": 2}, bundle=bundle, seed=4)
        shares = job.result(timeout=180)
        again = provider.rerun(job.job_id)
        assert again.result(timeout=180) == shares
        counts = [[one.counts for one in run.manifest().executions] for run in (job, again)]
        assert counts[0] == counts[1]
        assert any("two circuits" in line for line in job.logs())
    assert shares["states"] == ["00", "11"]
    assert shares["share"] > 0.9


@pytest.mark.slow
def test_every_night_devices_with_a_platform_are_characterised_on_a_worker(platform):
    with RuntimeProvider(platform.gateway) as provider:
        assert "FakeKolkata" in {info.name for info in provider.devices()}
    make_platform(
        read_snapshot("FakeKolkata"),
        platform.data_dir / "platforms",
        name="FakeKolkata",
        qubits=[0],
        seed=1,
    )
    nightly = httpx.get(
        f"{platform.api}/deployments/name/nightly-characterisation/nightly-characterisation"
    ).json()
    assert nightly["schedules"][0]["schedule"] == {
        "cron": "0 2 * * *",
        "timezone": "UTC",
        "day_or": True,
    }
    asked = {"parameters": {"nodes": ["resonator_spectroscopy"]}, "state": {"type": "SCHEDULED"}}
    httpx.post(f"{platform.api}/deployments/{nightly['id']}/create_flow_run", json=asked)
    body = {"flows": {"name": {"any_": ["characterise"]}}}
    deadline = time.monotonic() + 240.0
    while True:
        runs = httpx.post(f"{platform.api}/flow_runs/filter", json=body).json()
        if runs and runs[0]["state_type"] in {"COMPLETED", "FAILED", "CRASHED"}:
            break
        assert time.monotonic() < deadline, runs
        time.sleep(1.0)
    assert [run["state_name"] for run in runs] == ["Completed"]
    with RuntimeProvider(platform.gateway) as provider:
        known = provider.calibration("FakeKolkata")
    (found,) = [value for value in known.values if value.quantity is Quantity.READOUT_FREQUENCY_HZ]
    assert found.source == "protocol:qibocal"
    assert abs(found.value - 7.0e9) < 50e6


@pytest.fixture(scope="module")
def endless(platform, tmp_path_factory):
    """A job that the next tests interrupt, and the last of them cancels."""
    file = tmp_path_factory.mktemp("endless") / "endless.py"
    file.write_text(ENDLESS)
    worker_class, bundle = pack_file(file, None)
    with RuntimeProvider(platform.gateway) as provider:
        job = provider.run(worker_class, bundle=bundle)
        for record in job.watch(timeout=180):
            if record.progress.done:
                break
        yield job


def wait_until_running_again(platform, run_id, attempt, seconds=240.0):
    """Until a flow run's next attempt has a process, however slow the machine is to start one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run = httpx.get(f"{platform.api}/flow_runs/{run_id}").json()
        if run["state_type"] == "RUNNING" and run["run_count"] == attempt and engine_of(run_id):
            return
        time.sleep(0.2)
    raise AssertionError(f"not running again: {run['state_type']}, attempt {run['run_count']}")


def engine_of(run_id):
    (process, *_) = (run_processes() or {}).get(run_id, [None])
    return process


def workers_of(platform):
    """Its worker processes."""
    found = []
    for process in marked_processes(platform.mark):
        command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        if b"flows.worker" in command:
            found.append(process)
    return found


def told(platform, text, count, seconds=120.0):
    deadline = time.monotonic() + seconds
    while platform.out.read_text().count(text) < count:
        assert time.monotonic() < deadline, platform.out.read_text()
        time.sleep(0.2)


def test_a_killed_engine_is_replaced(platform, endless):
    run_id = endless.record().flow_run_id
    os.kill(engine_of(run_id), signal.SIGKILL)
    wait_until_running_again(platform, run_id, attempt=2)


def test_a_job_outlives_its_worker_and_another_worker_comes(platform, endless):
    run_id = endless.record().flow_run_id
    process = engine_of(run_id)
    for worker in workers_of(platform):
        os.kill(worker, signal.SIGKILL)
    told(platform, "worker 1 ended by itself (exit code -9)", 1)
    told(platform, "worker 1 is back after", 1)
    assert engine_of(run_id) == process
    assert httpx.get(f"{platform.api}/flow_runs/{run_id}").json()["run_count"] == 2


def test_an_engine_and_its_worker_killed_together_are_replaced(platform, endless):
    run_id = endless.record().flow_run_id
    for process in [*workers_of(platform), engine_of(run_id)]:
        os.kill(process, signal.SIGKILL)
    wait_until_running_again(platform, run_id, attempt=3)
    told(platform, "worker 1 is back after", 2)


def test_the_server_and_the_database_come_back_and_the_job_goes_on(platform, endless):
    run_id = endless.record().flow_run_id
    process = engine_of(run_id)
    for part, command in (("the Prefect server", b"server"), ("PostgreSQL", b"-D")):
        for one in marked_processes(platform.mark):
            arguments = Path(f"/proc/{one}/cmdline").read_bytes().split(b"\0")
            if command in arguments and b"flows.worker" not in arguments:
                os.kill(one, signal.SIGKILL)
        told(platform, f"{part} is back after", 1)
    deadline = time.monotonic() + 180.0
    before = endless.record().progress.done
    while endless.record().progress.done <= before:
        assert time.monotonic() < deadline, "it stands still"
        time.sleep(0.5)
    assert engine_of(run_id) == process


def test_what_maintenance_repaired_is_shown(platform, endless):
    def maintenance():
        body = {"flows": {"name": {"any_": ["maintenance"]}}}
        return httpx.post(f"{platform.api}/flow_runs/filter", json=body).json()

    deadline = time.monotonic() + 180.0
    while len(maintenance()) < 2 or any(run["state_type"] != "COMPLETED" for run in maintenance()):
        assert time.monotonic() < deadline, maintenance()
        time.sleep(0.5)
    ids = [run["id"] for run in maintenance()]
    tasks = httpx.post(
        f"{platform.api}/task_runs/filter", json={"flow_runs": {"id": {"any_": ids}}}
    ).json()
    wanted = f"reschedule {endless.job_id}"
    assert wanted in {task["name"] for task in tasks}
    tables = httpx.post(
        f"{platform.api}/artifacts/filter", json={"artifacts": {"key": {"any_": ["maintenance"]}}}
    ).json()
    rows = [row for table in tables for row in json.loads(table["data"])]
    assert {row["outcome"] for row in rows if row["repair"] == "reschedule"} == {"done"}


def test_a_killed_gateway_comes_back_and_the_job_goes_on(platform, endless):
    run_id = endless.record().flow_run_id
    process = engine_of(run_id)
    for one in marked_processes(platform.mark):
        if b"gateway" in Path(f"/proc/{one}/cmdline").read_bytes().split(b"\0"):
            os.kill(one, signal.SIGKILL)
    told(platform, "the gateway is back after", 1)
    assert endless.status() is JobState.RUNNING
    assert engine_of(run_id) == process


def test_a_running_job_is_cancelled_on_its_worker(platform, endless):
    endless.cancel()
    assert endless.wait(timeout=120).state is JobState.CANCELLED


@pytest.mark.parametrize("in_use", ["port", "data folder"])
def test_a_second_platform_is_refused(platform, tmp_path, in_use):
    data_dir = platform.data_dir if in_use == "data folder" else tmp_path / "data"
    port = platform.port if in_use == "port" else free_port()
    second = up(data_dir, port, tmp_path / "out.log")
    assert second.process.wait(60) == 3
    last = second.out.read_text().splitlines()[-1]
    assert last.startswith("error: ")
    assert str(platform.port if in_use == "port" else platform.process.pid) in last


def test_a_gateway_that_lets_everybody_in_is_not_offered_to_others(tmp_path):
    refused = up(tmp_path / "data", free_port(), tmp_path / "out.log", "--host", "0.0.0.0")
    assert refused.process.wait(60) == 2
    assert "QCPAAS_GATEWAY_AUTH" in refused.out.read_text()


def test_ctrl_c_leaves_no_process_and_a_restart_takes_the_runs_up_again(platform, tmp_path):
    (tmp_path / "endless.py").write_text(ENDLESS)
    worker_class, bundle = pack_file(tmp_path / "endless.py", None)
    with RuntimeProvider(platform.gateway) as provider:
        job = provider.run(worker_class, bundle=bundle)
        for record in job.watch(timeout=180):
            if record.flow_run_id is not None:
                break
        run_id = record.flow_run_id
    wait_until_running_again(platform, run_id, attempt=1)
    mark = platform.mark
    before = flow_runs(platform.api)
    assert marked_processes(mark)
    assert platform.end(signal.SIGINT) == 0
    assert marked_processes(mark) == []
    assert not (platform.data_dir / "platform.json").exists()

    again = ready(up(platform.data_dir, free_port(), tmp_path / "out.log"))
    try:
        completed = {run for run, state in before.items() if state == "COMPLETED"}
        now = flow_runs(again.api)
        assert {now[run] for run in completed} == {"COMPLETED"}
        wait_until_running_again(again, run_id, attempt=2)
        mark = again.mark
    finally:
        again.end(signal.SIGKILL)
    assert all_gone(mark), "kill -9 of the platform left processes"
