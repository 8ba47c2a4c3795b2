"""Carrying out repairs: in Prefect over its REST API, in the store, and on this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flows import artifacts
from flows.endings import goes_on
from flows.recovery import Kind, Repair
from flows.run_processes import run_processes
from qcpaas.errors import JobFailed, UnknownJob
from qcpaas.prefect_api import PrefectApi
from qcpaas.schemas import ErrorReport, JobState
from store.database import Store
from store.jobs import Jobs
from store.leases import Leases
from store.open_jobs import state_of
from tasks.cancellation import cancel_job

DONE = "done"
CHANGED = "left alone: it has changed meanwhile"
_RUN_STATES = {
    JobState.COMPLETED: "COMPLETED",
    JobState.FAILED: "FAILED",
    JobState.CANCELLED: "CANCELLED",
    JobState.HELD: "PAUSED",
}


class Workshop:
    """Carries out one repair after the other."""

    def __init__(self, api: PrefectApi, store: Store) -> None:
        self._api, self._store = api, store
        self._jobs = Jobs(store)

    def carry_out(self, repair: Repair) -> str:
        """Returns what came of it; a run that has changed since the look is left alone.

        Raises:
            PlatformError: The server or the database is away.
        """
        actions: dict[Kind, Callable[[Repair], str]] = {
            Kind.CRASH: self._crash,
            Kind.RESCHEDULE: self._reschedule,
            Kind.RESTART: self._restart,
            Kind.GIVE_UP: self._give_up,
            Kind.CANCEL: self._cancel,
            Kind.KILL: self._kill,
            Kind.ALIGN: self._align,
            Kind.FREE_LEASE: self._free_lease,
            Kind.FREE_SLOT: self._free_slot,
            Kind.RECOUNT: self._recount,
        }
        if repair.state_id is not None and not self._unchanged(repair):
            return CHANGED
        return actions[repair.kind](repair)

    def _crash(self, repair: Repair) -> str:
        self._interrupt(repair)
        # Not by force: the run may end by itself at this moment, and that end counts.
        return self._set_state(repair, "CRASHED", _sentence(repair.why), force=False)

    def _reschedule(self, repair: Repair) -> str:
        state = None if repair.job_id is None else state_of(self._store, repair.job_id)
        if state is not None and (state.finished or state is JobState.HELD):
            return CHANGED
        self._interrupt(repair)
        return self._restart(repair)

    def _restart(self, repair: Repair) -> str:
        if self._was_to_be_cancelled(repair):
            return self._cancel(repair)
        now = datetime.now(UTC).isoformat()
        return self._set_state(
            repair, "SCHEDULED", f"Goes on: {repair.why}.", details={"scheduled_time": now}
        )

    def _give_up(self, repair: Repair) -> str:
        job_id = repair.job_id
        assert job_id is not None
        report = ErrorReport(
            type=JobFailed.__name__,
            message=f"the job was not taken up again: {repair.why}. Look at the end of its log "
            f"(qcpaas logs {job_id}) for what ends its process: too little memory is the most "
            f"frequent reason. Once that is settled, qcpaas resume {job_id} goes on from where "
            "it was.",
        )
        self._jobs.finish(job_id, JobState.FAILED, report)
        artifacts.post_error(self._api, job_id, report)
        return self._set_state(repair, "FAILED", report.message)

    def _cancel(self, repair: Repair) -> str:
        told = ""
        if repair.job_id is not None and state_of(self._store, repair.job_id) is not None:
            report = cancel_job(self._store, repair.job_id, "the job was cancelled")
            artifacts.post_error(self._api, repair.job_id, report)
            told = report.message
        outcome = self._set_state(repair, "CANCELLED", _sentence(repair.why))
        return f"{outcome}: {told}" if told else outcome

    def _kill(self, repair: Repair) -> str:
        pid = repair.number
        assert pid is not None
        if pid not in (run_processes() or {}).get(repair.target, []):
            return CHANGED
        os.kill(pid, signal.SIGKILL)
        return self._cancel(repair)  # before its worker takes this end for a crash

    def _align(self, repair: Repair) -> str:
        assert repair.job_id is not None
        state = state_of(self._store, repair.job_id)
        if state not in _RUN_STATES:
            return CHANGED
        return self._set_state(repair, _RUN_STATES[state], f"As its job: {state}.")

    def _free_lease(self, repair: Repair) -> str:
        assert repair.number is not None
        return DONE if Leases(self._store).expire(repair.target, repair.number) else CHANGED

    def _free_slot(self, repair: Repair) -> str:
        body = {"lease_id": repair.target}
        self._api.post("v2/concurrency_limits/decrement-with-lease", body)
        return DONE

    def _recount(self, repair: Repair) -> str:
        body = {"active_slots": repair.number}
        self._api.patch(f"v2/concurrency_limits/{repair.target}", body)
        return DONE

    def _was_to_be_cancelled(self, repair: Repair) -> bool:
        """Whether somebody cancelled a run whose process then died before it could be stopped."""
        states = self._api.get(f"flow_run_states/?flow_run_id={repair.target}") or []
        before = [state for state in states if state["id"] != repair.state_id]
        last = max(before, key=lambda state: str(state["timestamp"]), default=None)
        return last is not None and last["type"] == "CANCELLING"

    def _unchanged(self, repair: Repair) -> bool:
        run = self._api.get(f"flow_runs/{repair.target}")
        return run is not None and run["state_id"] == repair.state_id

    def _interrupt(self, repair: Repair) -> None:
        """Tell the store; a job that knows already, or has ended, stays as it is."""
        if repair.job_id is None:
            return
        report = goes_on(_sentence(repair.why), repair.job_id)
        try:
            if self._jobs.get(repair.job_id).state is JobState.RUNNING:
                self._jobs.interrupt(repair.job_id, report)
        except UnknownJob:
            return  # it ended before it had begun

    def _set_state(
        self,
        repair: Repair,
        state: str,
        message: str,
        *,
        force: bool = True,
        details: dict[str, Any] | None = None,
    ) -> str:
        new = {
            "type": state,
            "name": "Suspended" if state == "PAUSED" else state.title(),
            "message": message,
            "state_details": details or {},
        }
        body = {"state": new, "force": force}
        answer = self._api.post(f"flow_runs/{repair.target}/set_state", body)
        if answer is None or answer.get("status") != "ACCEPT":
            return CHANGED
        return DONE


def _sentence(why: str) -> str:
    return f"{why[:1].upper()}{why[1:]}."
