"""What is known of runs, jobs, leases and slots at this moment, asked for as cheaply as can be.

Prefect's full record of a flow run carries the job's circuits. So a look reads the bare states of
all runs, and the records of those alone that something may be wrong with.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flows import recovery
from flows.recovery import Facts, Held, Job, Process, Run, Slot, Surplus
from flows.run_processes import is_stopped, run_processes
from qcpaas.prefect_api import PrefectApi
from store.database import Store
from store.holder import alive, pid_of
from store.leases import LeaseRecord, Leases
from store.open_jobs import OpenJob, open_jobs, state_of
from store.workers import Workers

POOL = "qcpaas"
ACTIVE = ("RUNNING", "PENDING", "CANCELLING")
ENDED = ("CRASHED", "FAILED", "CANCELLED", "COMPLETED")
PAGE, RECORDS_PAGE = 200, 20
LIMITS_EVERY_S = 15.0
DEVICE_LIMITS = "device-"  # a job takes one slot of such a limit, never two


@dataclass(frozen=True)
class SlotFile:
    """A slot's lease as the server keeps it on disk.

    Attributes:
        run_id: Of the flow run that took it, if one did.
        limits: Their ids.
    """

    lease_id: str
    run_id: str | None
    limits: tuple[str, ...]
    slots: int
    created_at: str


class Observer:
    """Args:
    here: Names of the workers that run on this machine.
    slots: Where the server keeps the leases of its slots, if that is on this machine.
    """

    def __init__(
        self, api: PrefectApi, store: Store, here: Collection[str], slots: Path | None
    ) -> None:
        self._api, self._store = api, store
        self._here, self._slots = frozenset(here), slots
        self._settled: set[str] = set()  # crashed runs whose jobs have ended
        self._surplus_since: dict[str, float] = {}
        self._names: dict[str, str] = {}  # of limits, by id
        self._limits_at = 0.0
        self._surpluses: tuple[Surplus, ...] = ()

    def look(self, undisturbed_s: float) -> Facts:
        """Read everything, in an order in which what ends meanwhile is not taken for broken.

        Raises:
            PlatformError: The server or the database is away.
        """
        slots = [] if self._slots is None else slot_files(self._slots)
        jobs = open_jobs(self._store)
        leases = held_leases(Leases(self._store))
        states = self._states(jobs, slots)
        suspects = self._suspects(states, jobs, leases)
        records = self._records(suspects)
        processes = run_processes()
        runs = tuple(self._run(record, processes) for record in records)
        return Facts(
            runs=runs,
            jobs=self._jobs(jobs, runs),
            leases=tuple(leases.values()),
            surpluses=self._count(slots),
            slots=tuple(self._slot(slot, slots, states, runs) for slot in slots if slot.run_id),
            undisturbed_s=undisturbed_s,
        )

    def _states(self, jobs: Iterable[OpenJob], slots: Iterable[SlotFile]) -> dict[str, str]:
        """States by run id: what is active, what crashed lately, and what jobs and slots name."""
        pools = sorted({POOL, *Workers(self._store).pools()})
        pool = {"work_pools": {"name": {"any_": pools}}}
        lately = (datetime.now(UTC) - timedelta(seconds=recovery.LOST_RUN_S)).isoformat()
        states = self._history({"state": {"type": {"any_": list(ACTIVE)}}}, pool)
        crashed = {"state": {"type": {"any_": ["CRASHED"]}}, "end_time": {"after_": lately}}
        states |= self._history(crashed, pool)
        named = {job.flow_run_id for job in jobs} | {slot.run_id for slot in slots if slot.run_id}
        left = sorted(named - set(states))
        for start in range(0, len(left), PAGE):
            states |= self._history({"id": {"any_": left[start : start + PAGE]}}, {})
        return states

    def _history(self, flow_runs: dict[str, Any], more: dict[str, Any]) -> dict[str, str]:
        page = self._api.post("ui/flow_runs/history", {"flow_runs": flow_runs, **more}) or []
        return {run["id"]: run["state_type"] for run in page}

    def _suspects(
        self, states: Mapping[str, str], jobs: Iterable[OpenJob], leases: Mapping[str, Held]
    ) -> list[str]:
        """Runs to look at more closely: all but those whose job's lease has a living holder."""
        held = (leases.get(f"job/{job.job_id}") for job in jobs)
        well = {
            job.flow_run_id
            for job, lease in zip(jobs, held, strict=True)
            if lease is not None and lease.alive and states.get(job.flow_run_id) == "RUNNING"
        }
        wanted = {*ACTIVE, *ENDED}
        return [
            run_id
            for run_id, state in states.items()
            if state in wanted and run_id not in well and run_id not in self._settled
        ]

    def _records(self, run_ids: list[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for start in range(0, len(run_ids), RECORDS_PAGE):
            body = {"flow_runs": {"id": {"any_": run_ids[start : start + RECORDS_PAGE]}}}
            found += self._api.post("flow_runs/filter", body)
        # Of another pool a job's runs are ours to judge; whatever else runs there is not.
        return [one for one in found if one.get("work_pool_name") == POOL or _job_id(one)]

    def _run(self, record: dict[str, Any], processes: Mapping[str, list[int]] | None) -> Run:
        state = record["state"]
        pids = None if processes is None else processes.get(record["id"], [])
        process, pid = self._process(record, pids)
        return Run(
            run_id=record["id"],
            name=record["name"],
            state=state["type"],
            state_id=state["id"],
            age_s=age_s(state["timestamp"]),
            attempts=record["run_count"],
            job_id=_job_id(record),
            process=process,
            pid=pid,
        )

    def _process(
        self, record: dict[str, Any], pids: list[int] | None
    ) -> tuple[Process, int | None]:
        """What this machine's processes say of a run.

        A job's own child processes carry its environment too, and may outlive it: once a run has
        begun, only the process that its worker wrote down counts.
        """
        if pids is None or record["labels"].get("prefect.worker.name") not in self._here:
            return Process.UNKNOWN, None
        if not pids:
            return Process.DEAD, None
        written = record.get("infrastructure_pid") or ""
        pid = int(written) if written.isdigit() and int(written) in pids else None
        if pid is None and record["state"]["type"] == "PENDING":
            return Process.ALIVE, None
        if pid is None or is_stopped(pid):
            return Process.UNKNOWN, pid
        return Process.ALIVE, pid

    def _jobs(self, jobs: Iterable[OpenJob], runs: Iterable[Run]) -> dict[str, Job]:
        found = {job.job_id: Job(job.job_id, job.state, job.interruptions) for job in jobs}
        for run in runs:
            if run.job_id is None or run.job_id in found:
                continue
            state = state_of(self._store, run.job_id)
            if state is not None:
                found[run.job_id] = Job(run.job_id, state)
                if state.finished and run.state == "CRASHED":
                    self._settled.add(run.run_id)
        return found

    def _count(self, slots: Iterable[SlotFile]) -> tuple[Surplus, ...]:
        """Limits that count more slots than the leases on disk have."""
        now = time.monotonic()
        if self._slots is None or now - self._limits_at < LIMITS_EVERY_S:
            return self._surpluses
        self._limits_at = now
        limits = self._api.post("v2/concurrency_limits/filter", {"limit": PAGE}) or []
        self._names = {limit["id"]: limit["name"] for limit in limits}
        taken = {
            limit["name"]: sum(slot.slots for slot in slots if limit["id"] in slot.limits)
            for limit in limits
            if limit["name"].startswith(DEVICE_LIMITS)
        }
        counted = {limit["name"]: int(limit["active_slots"]) for limit in limits}
        over = [name for name in taken if counted[name] > taken[name]]
        self._surplus_since = {name: self._surplus_since.get(name, now) for name in over}
        self._surpluses = tuple(
            Surplus(name, counted[name], taken[name], now - self._surplus_since[name])
            for name in over
        )
        return self._surpluses

    def _slot(
        self,
        slot: SlotFile,
        slots: Iterable[SlotFile],
        states: Mapping[str, str],
        runs: Iterable[Run],
    ) -> Slot:
        run = next((run for run in runs if run.run_id == slot.run_id), None)
        state = states.get(slot.run_id or "")
        if run is None and state is not None:  # it was not worth a closer look
            process = Process.ALIVE if state == "RUNNING" else Process.UNKNOWN
            run = Run(slot.run_id or "", "", state, "", float("inf"), 1, process=process)
        names = ", ".join(self._names.get(limit, limit) for limit in slot.limits)
        superseded = names.startswith(DEVICE_LIMITS) and any(
            (other.run_id, other.limits) == (slot.run_id, slot.limits)
            and other.created_at > slot.created_at
            for other in slots
        )
        return Slot(slot.lease_id, names, run, superseded)


def held_leases(leases: Leases) -> dict[str, Held]:
    """Leases by name, without those that are free."""
    return {
        record.name: Held(
            record.name, record.fence, record.job_id, record.expired, holder_lives(record)
        )
        for record in leases.all()
        if record.expires_at is not None
    }


def holder_lives(record: LeaseRecord) -> bool | None:
    """A halted process is neither: it cannot renew its lease, and is not renewed for."""
    lives, pid = alive(record.holder), pid_of(record.holder)
    return None if lives and pid is not None and is_stopped(pid) else lives


def age_s(timestamp: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds()


def _job_id(record: dict[str, Any]) -> str | None:
    job = record.get("parameters", {}).get("job")
    return job.get("job_id") if isinstance(job, dict) else None


def slot_files(folder: Path) -> list[SlotFile]:
    """The leases of Prefect's slots, where its server keeps them in files."""
    return [slot for path in folder.glob("*-*.json") if (slot := _slot_file(path))]


def _slot_file(path: Path) -> SlotFile | None:
    try:
        lease = json.loads(path.read_text())
    except (OSError, ValueError):
        return None  # released, or being written, at this moment
    metadata = lease.get("metadata") or {}
    holder = metadata.get("holder") or {}
    run_id = holder["id"] if holder.get("type") == "flow_run" else None
    limits = tuple(lease["resource_ids"])
    return SlotFile(lease["id"], run_id, limits, int(metadata["slots"]), lease["created_at"])
