"""The warm worker: takes up runs when the server says so, and forks their processes."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import httpx
from anyio.abc import TaskStatus
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType, WorkPool
from prefect.exceptions import PrefectException
from prefect.settings import get_current_settings
from prefect.states import Pending
from prefect.workers.process import ProcessJobConfiguration, ProcessVariables, ProcessWorkerResult
from pydantic import Field

from flows.engine import RETRIES
from flows.patient_worker import PatientWorker
from flows.warm.assignment import Assignment, Task
from flows.warm.memory import default_limit_mib
from flows.warm.nursery import PROJECT, NoZygote, Nursery
from flows.warm.release import check_release
from flows.warm.remembered import RememberingClient
from flows.warm.runs import Runs
from flows.warm.signals import Signals

POOLS = ("process", "qcpaas-warm")  # types of pools that this worker can serve
ENGINE = "flows.engine"
SET_FOLDER = "prefect.deployments.steps.set_working_directory"
LOOK_FOR_CANCELLED_S = 10.0  # while events tell of them; without events, at every poll
_VARIABLE = re.compile(r"\{\{\s*\$(\w+)\s*\}\}")
_OF_AN_INTERPRETER = ("PYTHON", "LD_")


class WarmJobConfiguration(ProcessJobConfiguration):
    memory_mib: int | None = Field(default=None, ge=1)
    time_limit_s: float | None = Field(default=None, gt=0)


class WarmVariables(ProcessVariables):
    memory_mib: int | None = Field(
        default=None, ge=1, description="MiB of memory, beyond which the run fails."
    )
    time_limit_s: float | None = Field(
        default=None, gt=0, description="Seconds, after which the run fails."
    )


class WarmWorker(PatientWorker):
    """A patient worker whose runs are forks of a process that has imported everything.

    What only an interpreter of its own can honour is started as the process worker would: another
    command, code that has to be fetched, variables that an interpreter reads when it begins.

    Args:
        zygotes: Processes kept ready to fork.
        run_memory_mib: A run's limit where it names none; by default most of the machine.
    """

    type = "qcpaas-warm"
    job_configuration = WarmJobConfiguration
    job_configuration_variables = WarmVariables  # type: ignore[assignment]
    _description = "Runs jobs in forks of a process that has everything imported."
    _display_name = "QCPaaS warm"

    @classmethod
    def __dispatch_key__(cls) -> str:
        return cls.type

    def __init__(
        self, *, zygotes: int = 1, run_memory_mib: int | None = None, **of_all: Any
    ) -> None:
        check_release()
        super().__init__(**of_all)
        self._nursery = Nursery(zygotes, self._tell, run_environment(os.environ))
        self._runs = Runs(self._nursery)
        self._signals = Signals(self.wake, self._cancel_soon)
        self._due = asyncio.Event()
        self._memory_mib = run_memory_mib or default_limit_mib()
        self._looked_at = 0.0
        self._remembering: RememberingClient | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> WarmWorker:
        await self._nursery.__aenter__()
        await self._runs.__aenter__()
        await super().__aenter__()
        self._tasks = [
            asyncio.create_task(self._signals.listen()),
            asyncio.create_task(self._take_up_when_woken()),
        ]
        return self

    async def __aexit__(self, *error: Any) -> None:
        for task in self._tasks:
            task.cancel()
        try:
            await super().__aexit__(*error)
        finally:
            await self._runs.__aexit__(*error)
            await self._nursery.__aexit__(*error)

    @property
    def client(self) -> PrefectClient:
        found = super().client
        if self._remembering is None:
            self._remembering = RememberingClient(found)
        remembering: Any = self._remembering
        return remembering  # type: ignore[no-any-return]

    def wake(self) -> None:
        """Look for runs now and not at the next poll."""
        self._due.set()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        status = anyio.TASK_STATUS_IGNORED if task_status is None else task_status
        assignment = self._assignment(flow_run, configuration)
        if assignment is not None:
            try:
                execution = await self._runs.execute(flow_run, assignment, status)
            except NoZygote as error:
                self._tell(f"{flow_run.name} gets an interpreter of its own: {error}")
            else:
                if execution is None or execution.status_code is None:
                    raise RuntimeError(f"{flow_run.name} was not started")
                return ProcessWorkerResult(
                    status_code=execution.status_code, identifier=str(execution.handle.pid)
                )
        return await super().run(flow_run, configuration, task_status)

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Nothing while every zygote is still loading: maintenance gives a claimed run 20 s."""
        self._nursery.collect_orphans()
        await self._look_for_cancelled()
        return await super().get_and_submit_flow_runs() if self._nursery.ready else []

    async def _take_up_when_woken(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self.get_and_submit_flow_runs()
            except (httpx.HTTPError, PrefectException) as error:
                self._tell(f"could not look for runs: {error}")  # the next poll tells what it means

    async def _look_for_cancelled(self) -> None:
        """What the events have not told, or could not."""
        wait_s = LOOK_FOR_CANCELLED_S if self._signals.heard else 0.0
        ids = self._runs.ids
        if not ids or time.monotonic() - self._looked_at < wait_s:
            return
        self._looked_at = time.monotonic()
        wanted = FlowRunFilter(
            id=FlowRunFilterId(any_=list(ids)),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING])),
        )
        try:
            found = await self.client.read_flow_runs(flow_run_filter=wanted)
        except httpx.HTTPError as error:
            self._waits(error)
            return
        for flow_run in found:
            self._cancel_soon(flow_run.id)

    def _cancel_soon(self, flow_run_id: UUID) -> None:
        if self._runs_task_group is not None:
            self._runs_task_group.start_soon(self._runs.cancel, flow_run_id)

    def _record_work_pool_snapshot(self, work_pool: WorkPool) -> None:
        if work_pool.type in POOLS:
            self._work_pool = work_pool  # of a type that Prefect would warn of
        super()._record_work_pool_snapshot(work_pool)

    async def _propose_submitting_state(self, flow_run: FlowRun) -> None:
        """Left out: it has been pending for milliseconds, and runs in some more."""

    async def _give_worker_labels_to_flow_run(self, flow_run_id: UUID) -> None:
        """Beside the start: the run does not need them, maintenance does."""
        assert self._runs_task_group is not None
        self._runs_task_group.start_soon(self._label, flow_run_id)

    async def _label(self, flow_run_id: UUID) -> None:
        try:
            await super()._give_worker_labels_to_flow_run(flow_run_id)
        except (httpx.HTTPError, PrefectException) as error:
            self._tell(f"flow run {flow_run_id} bears no labels of its worker: {error}")

    def _release_limit_slot(self, flow_run_id: UUID) -> None:
        super()._release_limit_slot(flow_run_id)
        self.wake()

    def _assignment(self, flow_run: FlowRun, asked: ProcessJobConfiguration) -> Assignment | None:
        """What a fork is to do; ``None`` where it could not do it."""
        entrypoint = warm_entrypoint(asked)
        if entrypoint is None or needs_interpreter(asked.env):
            return None
        pending = flow_run.model_copy(update={"state": Pending(), "state_type": StateType.PENDING})
        return Assignment(
            task=Task.RUN,
            env=run_environment(asked.env),
            folder=str(PROJECT),
            flow_run=pending.model_dump(mode="json"),
            entrypoint=entrypoint,
            memory_mib=getattr(asked, "memory_mib", None) or self._memory_mib,
            time_limit_s=getattr(asked, "time_limit_s", None),
        )

    def _tell(self, text: str) -> None:
        sys.stderr.write(f"{self.name}: {text}\n")


def warm_entrypoint(asked: ProcessJobConfiguration) -> str | None:
    """Where a run's flow lies in what the zygote has imported; ``None`` where it lies elsewhere."""
    deployment = asked._related_objects.get("deployment")  # noqa: SLF001
    if deployment is None or ENGINE not in (asked.command or ""):
        return None
    entrypoint: str | None = deployment.entrypoint
    if entrypoint is None or ":" in entrypoint:
        return None
    folders = [_folder(step, asked.env) for step in deployment.pull_steps or []]
    return entrypoint if all(folder == PROJECT for folder in folders) else None


def _folder(step: dict[str, Any], env: Mapping[str, str | None]) -> Path | None:
    """Where a deployment's step makes its runs work; ``None`` where it does anything else."""
    if list(step) != [SET_FOLDER]:
        return None
    named = str(step[SET_FOLDER].get("directory", ""))
    return Path(_VARIABLE.sub(lambda found: env.get(found[1]) or found[0], named)).resolve()


def needs_interpreter(env: Mapping[str, str | None]) -> bool:
    """Whether a run's variables are such as an interpreter reads only when it begins."""
    changed = {name for name, value in env.items() if os.environ.get(name) != value}
    return any(name.startswith(_OF_AN_INTERPRETER) for name in changed)


def run_environment(asked: Mapping[str, str | None]) -> dict[str, str]:
    """As Prefect's own starter of engines makes it."""
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    env = {
        **asked,
        **settings,
        "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false",
        "PREFECT_CLIENT_MAX_RETRIES": RETRIES,
        # The worker has asked, of the same server.
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    }
    return {name: value for name, value in env.items() if value is not None}
