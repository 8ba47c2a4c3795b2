from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flows.observation import Observer
from qcpaas.schemas import Environment
from store.database import open_store
from store.workers import Workers

NOW = datetime.now(UTC).isoformat()


def record(run_id, pool, job_id=None):
    return {
        "id": run_id,
        "name": run_id,
        "state": {"type": "PENDING", "id": f"state of {run_id}", "timestamp": NOW},
        "run_count": 0,
        "labels": {},
        "work_pool_name": pool,
        "parameters": {"job": {"job_id": job_id}} if job_id else {},
    }


RUNS = (
    record("ours", "qcpaas"),
    record("a job's", "docker", "job-1"),
    record("not ours", "docker"),
    record("elsewhere", "unknown", "job-2"),
)


class Server:
    """Answers as Prefect's API does what it knows of pending runs."""

    def post(self, path, body):
        if path == "ui/flow_runs/history":
            if (
                "work_pools" not in body
                or "PENDING" not in body["flow_runs"]["state"]["type"]["any_"]
            ):
                return []
            pools = body["work_pools"]["name"]["any_"]
            found = (run for run in RUNS if run["work_pool_name"] in pools)
            return [{"id": run["id"], "state_type": run["state"]["type"]} for run in found]
        assert path == "flow_runs/filter"
        return [run for run in RUNS if run["id"] in body["flow_runs"]["id"]["any_"]]


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


def test_jobs_in_the_pools_of_registered_workers_are_looked_at_too(store):
    observer = Observer(Server(), store, here=(), slots=None)
    assert [run.run_id for run in observer.look(60.0).runs] == ["ours"]
    Workers(store).register(
        "image-of-docker", "docker", Environment(python="3.11.7", distributions={})
    )
    runs = observer.look(60.0).runs
    assert [(run.run_id, run.job_id) for run in runs] == [("ours", None), ("a job's", "job-1")]
