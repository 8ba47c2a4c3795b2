"""What a platform needs of its Prefect server: a pool, runs of its deployments, their end."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.observation import POOL, slot_files
from qcpaas.errors import PlatformError, PlatformUnavailable
from qcpaas.prefect_api import PrefectApi

FINAL_STATES = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
RUN_DEADLINE_S = 300.0
# Job variables that a warm worker knows beside those of Prefect's process worker.
RUN_LIMITS = {
    "memory_mib": {
        "title": "Memory",
        "description": "MiB, beyond which a run fails.",
        "type": "integer",
        "minimum": 1,
    },
    "time_limit_s": {
        "title": "Time limit",
        "description": "Seconds, after which a run fails.",
        "type": "number",
        "exclusiveMinimum": 0,
    },
}

JOB_FLOWS = ("hybrid-job", "shared-jobs", "workload", "register-worker")
_OF_THE_CODE = (
    *("flow_id", "entrypoint", "path", "pull_steps", "description", "tags", "version"),
    *("parameters", "parameter_openapi_schema", "enforce_parameter_schema"),
)


def ensure_pool(api: PrefectApi, name: str = POOL) -> None:
    """Create a process work pool, or bring it up to date; one of another type stays as it is.

    Its template is the server's own, with this interpreter's engine as the command: without one
    Prefect starts an interpreter to prepare a workspace, and then another for the flow, and
    each imports Prefect.
    """
    held = api.get(f"work_pools/{name}")
    if held is not None and held["type"] != "process":
        return
    known = api.get("collections/views/aggregate-worker-metadata")
    template = known["prefect"]["process"]["default_base_job_configuration"]
    command = shlex.join([sys.executable, "-m", "flows.engine"])
    template["variables"]["properties"]["command"]["default"] = command
    template["variables"]["properties"] |= RUN_LIMITS
    template["job_configuration"] |= {name: f"{{{{ {name} }}}}" for name in RUN_LIMITS}
    if held is None:
        api.post("work_pools/", {"name": name, "type": "process", "base_job_template": template})
    else:
        api.patch(f"work_pools/{name}", {"base_job_template": template})


def ensure_deployments(api: PrefectApi, pool: str) -> None:
    """Let jobs run in another pool too: deployments like the platform's own, with their code.

    Raises:
        PlatformError: The platform's own are missing.
    """
    for flow in JOB_FLOWS:
        own = api.get(f"deployments/name/{flow}/{flow}")
        if own is None:
            raise PlatformError(f"there is no deployment {flow}/{flow}; prefect.yaml has it.")
        told = {key: own[key] for key in _OF_THE_CODE if own.get(key) is not None}
        api.post("deployments/", {**told, "name": f"{flow}-{pool}", "work_pool_name": pool})


def worker_online(api: PrefectApi, name: str, since: datetime) -> bool:
    """Whether a worker of the pool has sent a sign of life after ``since``."""
    try:
        workers = api.post(f"work_pools/{POOL}/workers/filter", {}) or []
    except PlatformUnavailable:
        return False
    beats = [one.get("last_heartbeat_time") for one in workers if one["name"] == name]
    return any(beat is not None and datetime.fromisoformat(beat) >= since for beat in beats)


def start_run(api: PrefectApi, deployment: str) -> str:
    """Schedule a run of ``flow/deployment`` for now; returns its id."""
    found = api.get(f"deployments/name/{deployment}")
    if found is None:
        raise PlatformError(f"there is no deployment {deployment}; prefect.yaml should have it.")
    run = api.post(f"deployments/{found['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
    run_id: str = run["id"]
    return run_id


def wait_for_runs(api: PrefectApi, run_ids: Sequence[str], alive: Callable[[], None]) -> None:
    """Wait until all have completed.

    Args:
        alive: Called between two looks; raises where waiting has become pointless.

    Raises:
        PlatformError: One did not complete, or not in time.
    """
    deadline = time.monotonic() + RUN_DEADLINE_S
    left = list(run_ids)
    while left:
        alive()
        runs = [api.get(f"flow_runs/{run_id}") for run_id in left]
        for run in runs:
            _check(api, run)
        left = [run["id"] for run in runs if run["state_type"] != "COMPLETED"]
        if left and time.monotonic() > deadline:
            raise PlatformError(
                f"the platform's first runs are not done after {RUN_DEADLINE_S:.0f} s. "
                f"See {api.url}/runs."
            )
        time.sleep(0.3)


def _check(api: PrefectApi, run: dict[str, Any]) -> None:
    if run["state_type"] in FINAL_STATES - {"COMPLETED"}:
        lines = "\n".join(f"    {entry['message']}" for entry in api.logs(run["id"])[-8:])
        message = (run.get("state") or {}).get("message")
        raise PlatformError(
            f"the run {run['name']} ended as {run['state_name']}: {message}\n{lines}"
        )


def drop_missed_runs(api: PrefectApi) -> None:
    """Cancel what schedules planned for the time when the platform was down."""
    missed = api.post(
        "flow_runs/filter",
        {
            "flow_runs": {
                "state": {"type": {"any_": ["SCHEDULED"]}},
                "expected_start_time": {"before_": datetime.now(UTC).isoformat()},
            },
            "work_pools": {"name": {"any_": [POOL]}},
        },
    )
    for run in missed:
        if run["auto_scheduled"]:
            _end(api, run["id"], "CANCELLED")


def release_slots(api: PrefectApi, prefect_home: Path, gone: Callable[[str], bool]) -> None:
    """Free the device slots of runs whose processes have gone; Prefect waits five minutes.

    Args:
        prefect_home: Of the server, which keeps its leases there.
        gone: Whether the process of a flow run, by id, has gone.
    """
    for slot in slot_files(prefect_home / "concurrency_leases"):
        if slot.run_id is not None and gone(slot.run_id):
            api.post("v2/concurrency_limits/decrement-with-lease", {"lease_id": slot.lease_id})
            _end(api, slot.run_id, "CRASHED")


def _end(api: PrefectApi, run_id: str, state_type: str) -> None:
    state = {"type": state_type, "name": state_type.title(), "message": "Its process has gone."}
    api.post(f"flow_runs/{run_id}/set_state", {"state": state, "force": True})
