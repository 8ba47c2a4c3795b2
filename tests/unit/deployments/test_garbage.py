"""What `qcpaas gc` removes, and what it leaves."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from deployments.garbage import collect
from qcpaas.cli import app
from qcpaas.errors import NotReady
from qcpaas.manifest import JobResult, Manifest
from qcpaas.schemas import CircuitItem, CircuitJob, CircuitPayload, ExecutionSettings, JobState
from qcpaas.settings import Settings
from store.database import open_store
from store.jobs import JOB, Jobs
from store.results import Results

RUNS = {
    "old": "0b54f0bc-6c4c-4ea9-a4a3-3c1b3a0b51b5",
    "new": "1b54f0bc-6c4c-4ea9-a4a3-3c1b3a0b51b5",
    "unfinished": "2b54f0bc-6c4c-4ea9-a4a3-3c1b3a0b51b5",
}
STAGE = b"x" * 5000


@pytest.fixture
def store(tmp_path):
    with open_store(Settings(data_dir=tmp_path).resolved_store_url) as opened:
        yield opened


@pytest.fixture
def stages(tmp_path, store):
    """Three jobs with results, and Prefect's files of their stages."""
    folder = tmp_path / "prefect" / "results"
    folder.mkdir(parents=True)
    payload = CircuitPayload(format="qasm2", text="OPENQASM 2.0; qreg q[1];")
    jobs = Jobs(store)
    for job_id, run_id in RUNS.items():
        settings = ExecutionSettings(backend="statevector")
        job = CircuitJob(job_id=job_id, execution=settings, items=(CircuitItem(circuit=payload),))
        jobs.create(job, flow_run_id=run_id)
        Results(store).save(JobResult(job_id=job_id, value=1, manifest=Manifest(job=job)))
        if job_id != "unfinished":
            jobs.finish(job_id, JobState.COMPLETED)
        (folder / f"{run_id}-transpile").write_bytes(STAGE)
    long_ago = datetime.now(UTC) - timedelta(days=100)
    with store.write() as connection:
        connection.execute(update(JOB).where(JOB.c.job_id == "old").values(finished_at=long_ago))
        connection.execute(
            update(JOB).where(JOB.c.job_id == "unfinished").values(created_at=long_ago)
        )
    return folder


def left(stages):
    names = {run_id: job_id for job_id, run_id in RUNS.items()}
    return {names[file.name.removesuffix("-transpile")] for file in stages.iterdir()}


def test_old_results_go_with_their_stages(store, stages):
    (pruned,) = collect(store, stages, timedelta(days=90), dry_run=False)
    assert pruned.job_id == "old"
    assert pruned.size_bytes > len(STAGE)
    assert left(stages) == {"new", "unfinished"}
    with pytest.raises(NotReady):
        Results(store).load("old")
    assert Results(store).load("new").value == 1
    assert collect(store, stages, timedelta(days=90), dry_run=False) == []


def test_dry_run_says_the_same_and_removes_nothing(store, stages):
    would_go = collect(store, stages, timedelta(days=90), dry_run=True)
    assert left(stages) == set(RUNS)
    assert Results(store).load("old").value == 1
    assert collect(store, stages, timedelta(days=90), dry_run=False) == would_go


def test_unfinished_jobs_stay_however_short_the_policy(store, stages):
    pruned = collect(store, stages, timedelta(0), dry_run=False)
    assert [job.job_id for job in pruned] == ["old", "new"]
    assert left(stages) == {"unfinished"}


def test_command_shows_what_would_go_and_removes_it(stages, tmp_path):
    runner = CliRunner(env={"QCPAAS_DATA_DIR": str(tmp_path), "COLUMNS": "140"})
    shown = runner.invoke(app, ["gc", "--dry-run"])
    assert shown.exit_code == 0, shown.stderr
    row = next(line for line in shown.stdout.splitlines() if line.strip().startswith("old"))
    assert row.split()[-1] == "kB"
    assert "The results of 1 job would go" in shown.stdout
    removed = json.loads(runner.invoke(app, ["gc", "--older-than", "90d", "--json"]).stdout)
    assert (removed["dry_run"], [job["job_id"] for job in removed["jobs"]]) == (False, ["old"])
    nothing = runner.invoke(app, ["gc", "--older-than", "90d"]).stdout
    assert nothing == "No job ended longer ago than 90d: nothing to remove.\n"
    told = runner.invoke(app, ["result", "old"])
    assert told.exit_code == 3
    assert "gc" in told.stderr or "removed" in told.stderr


def test_platform_that_does_not_run_has_no_store_to_clean(tmp_path):
    done = CliRunner(env={"QCPAAS_DATA_DIR": str(tmp_path)}).invoke(app, ["gc", "--remote"])
    assert done.exit_code == 3
    assert "no platform runs on this machine" in done.stderr


def test_store_of_the_running_platform_is_found_by_its_file(stages, store, tmp_path):
    addresses = {"store_url": Settings(data_dir=tmp_path).resolved_store_url}
    other = tmp_path / "other"
    other.mkdir()
    (other / "platform.json").write_text(json.dumps(addresses))
    runner = CliRunner(env={"QCPAAS_DATA_DIR": str(other)})
    done = runner.invoke(app, ["gc", "--remote", "--json"])
    assert [job["job_id"] for job in json.loads(done.stdout)["jobs"]] == ["old"]
