"""A warm worker on a real server: what happens to runs, however their processes end.

The tests share one worker and run in the order of this file.
"""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from deployments import prefect_setup
from deployments.local_platform import PROJECT_DIR
from deployments.postgres import start_postgres
from deployments.prefect_server import prefect_environment, start_server
from deployments.processes import Command, Processes, free_port
from flows.observation import POOL
from flows.run_processes import run_processes
from qcpaas.packing import pack_file
from qcpaas.prefect_api import PrefectApi
from qcpaas.schemas import ExecutionSettings, JobState, WorkloadJob
from store.database import open_store
from store.jobs import Jobs
from store.open_jobs import open_jobs
from store.results import Results

# On PostgreSQL, as every server with workers: SQLite makes its clients wait for each other.
pytestmark = [pytest.mark.server, pytest.mark.postgres, pytest.mark.timeout(240)]
WORK = """import ctypes
import os
import signal
import time

from qcpaas import RuntimeWorkerBase

KEPT = []


class Work(RuntimeWorkerBase):
    backend_name = "statevector"

    def run(self, doing: str, begun: str, until: str = "", mib: int = 0):
        KEPT.append(doing)
        if doing == "ignore":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(begun, "w").close()
        block = bytearray(mib * 2**20)
        while until and not os.path.exists(until):
            time.sleep(0.02)
        if doing == "stuck":
            ctypes.CDLL(None).sleep(60)  # Python's own sleep would hear of the time limit
        return {"parent": os.getppid(), "kept": KEPT, "mib": len(block) // 2**20}
"""


class Warm:
    """The worker's process, the server, and jobs on them."""

    def __init__(self, process, api, store, folder):
        self.process, self.api, self.store, self.folder = process, api, store, folder
        self.begun = {}
        (folder / "work.py").write_text(WORK)
        _, self.bundle = pack_file(folder / "work.py", None)
        flow = api.post("flows/", {"name": "workload"})
        asked = {
            "name": "warm",
            "flow_id": flow["id"],
            "work_pool_name": POOL,
            "entrypoint": "flows.workload.workload",
        }
        self.deployment = api.post("deployments/", asked)["id"]

    def submit(self, inputs, backend="statevector", **variables):
        """A run's id and its job's. A killed run holds its device's slot for a minute."""
        job = WorkloadJob(
            name="work",
            execution=ExecutionSettings(backend=backend, shots=10),
            bundle=self.bundle,
            inputs=inputs | {"begun": str(self.folder / f"begun-{len(self.begun)}")},
        )
        asked = {
            "name": job.job_id,
            "parameters": {"job": job.model_dump(mode="json")},
            "state": {"type": "SCHEDULED"},
            "job_variables": variables,
        }
        run = self.api.post(f"deployments/{self.deployment}/create_flow_run", asked)
        self.begun[run["id"]] = Path(str(job.inputs["begun"]))
        return run["id"], job.job_id

    def pid(self, run_id):
        """Of a run whose user's code has begun."""
        self.wait(self.begun[run_id].exists)
        self.wait(lambda: self.api.get(f"flow_runs/{run_id}")["infrastructure_pid"])
        pid = int(self.api.get(f"flow_runs/{run_id}")["infrastructure_pid"])
        assert run_processes()[run_id] == [pid]
        return pid

    def until(self, run_id, *states):
        self.wait(lambda: self.state(run_id)["type"] in states)
        return self.state(run_id)

    def state(self, run_id):
        return self.api.get(f"flow_runs/{run_id}")["state"]

    def job(self, job_id):
        return Jobs(self.store).get(job_id)

    def wait(self, true, seconds=90.0):
        deadline = time.monotonic() + seconds
        while not true():
            assert self.process.poll() is None, "the worker has ended"
            assert time.monotonic() < deadline, "it does not come"
            time.sleep(0.2)

    def zygote(self):
        """A run that has outlived one is the worker's child too, and leads a session."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in children.split()}
        zygotes = [pid for pid, command in commands.items() if "flows.warm" in command]
        (found,) = [pid for pid in zygotes if os.getsid(pid) != pid]
        return found


@pytest.fixture(scope="module")
def warm(open_folder):
    folder = open_folder / "warm"
    folder.mkdir()
    with Processes() as processes:
        postgres = start_postgres(processes, folder)
        address = start_server(
            processes, "127.0.0.1", free_port(), folder, postgres.prefect_url, ui=False
        )
        api = PrefectApi(address)
        prefect_setup.ensure_pool(api)
        env = {
            **os.environ,
            **prefect_environment(folder, f"{address}/api", postgres.prefect_url),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "QCPAAS_DATA_DIR": str(folder),
            "QCPAAS_STORE_URL": postgres.store_url,
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-m", "flows.worker", "--name", "warm", "--limit", "4"]
        worker = Command("worker", command, folder / "worker.log", env=env, cwd=PROJECT_DIR)
        with open_store(postgres.store_url) as store:
            yield Warm(processes.start(worker).process, api, store, folder)
        api.close()
    sys.stdout.write((folder / "worker.log").read_text())


def test_runs_are_forks_that_share_nothing(warm):
    runs = [warm.submit({"doing": name}) for name in ("one", "two")]
    for name, (run_id, job_id) in zip(("one", "two"), runs, strict=True):
        assert warm.until(run_id, "COMPLETED", "FAILED", "CRASHED")["type"] == "COMPLETED"
        value = Results(warm.store).load(job_id).value
        assert value == {"parent": warm.zygote(), "kept": [name], "mib": 0}
        assert warm.job(job_id).state is JobState.COMPLETED


def test_a_killed_run_crashes_is_told_to_its_job_and_harms_no_other(warm):
    other_until = warm.folder / "other"
    victim, job_id = warm.submit({"doing": "wait", "until": "/never"}, "FakeLima")
    other, _ = warm.submit({"doing": "wait", "until": str(other_until)})
    warm.pid(other)
    os.kill(warm.pid(victim), signal.SIGKILL)
    assert "-9" in warm.until(victim, "CRASHED")["message"]
    warm.wait(lambda: job_id in {one.job_id for one in open_jobs(warm.store) if one.interruptions})
    assert warm.state(other)["type"] == "RUNNING"
    other_until.touch()
    warm.until(other, "COMPLETED")


def test_runs_outlive_a_killed_zygote_and_another_takes_its_place(warm):
    until = warm.folder / "goes on"
    running, job_id = warm.submit({"doing": "wait", "until": str(until)})
    warm.pid(running)
    gone = warm.zygote()
    os.kill(gone, signal.SIGKILL)
    later, later_job = warm.submit({"doing": "later"}, "FakeBelem")
    warm.until(later, "COMPLETED")
    until.touch()
    warm.until(running, "COMPLETED")
    assert warm.job(job_id).state is JobState.COMPLETED
    assert Results(warm.store).load(later_job).value["parent"] == warm.zygote() != gone


def test_a_run_that_ignores_its_cancellation_is_ended(warm):
    run_id, job_id = warm.submit({"doing": "ignore", "until": "/never"}, "FakeQuito")
    pid = warm.pid(run_id)
    body = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    warm.api.post(f"flow_runs/{run_id}/set_state", body)
    warm.until(run_id, "CANCELLED")
    assert not Path(f"/proc/{pid}").exists()
    assert warm.job(job_id).state is JobState.CANCELLED


@pytest.mark.parametrize(
    ("inputs", "limits", "told"),
    [
        ({"doing": "allocate", "mib": 3000}, {"memory_mib": 400}, "more than its 400 MiB"),
        ({"doing": "wait", "until": "/never"}, {"time_limit_s": 4}, "longer than its limit of 4 s"),
        ({"doing": "stuck"}, {"time_limit_s": 2}, "longer than its limit of 2 s"),
    ],
    ids=["memory", "time", "time, deaf"],
)
def test_a_run_that_goes_over_a_limit_fails_and_says_which(warm, inputs, limits, told):
    run_id, job_id = warm.submit(inputs, **limits)
    assert warm.until(run_id, "FAILED", "CRASHED", "COMPLETED")["type"] == "FAILED"
    assert told in warm.state(run_id)["message"]
    warm.wait(lambda: warm.job(job_id).state is JobState.FAILED)
    assert told in warm.job(job_id).error.message
