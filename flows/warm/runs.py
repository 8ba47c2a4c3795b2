"""Runs in forked children, under Prefect's own executor of flow runs.

So an end is told, hooks are run and a cancellation goes as with Prefect's own workers; only the
process comes from a zygote, and is given less time to leave.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from uuid import UUID

import anyio
from anyio.abc import TaskStatus
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import load_flow_from_flow_run
from prefect.logging import get_logger

from flows.limits import too_much_memory, too_much_time
from flows.warm.assignment import Assignment, Task
from flows.warm.memory import MIB, Groups, find_groups
from flows.warm.nursery import Child, NoZygote, Nursery
from flows.warm.prefect_parts import (
    CancellationManager,
    ControlChannel,
    EventEmitter,
    FlowRunExecutionResult,
    FlowRunExecutor,
    HookRunner,
    ProcessHandle,
    ProcessManager,
    StateProposer,
)

GRACE_S = 3.0  # from the wish that a run ends to its kill
LIMIT_GRACE_S = 5.0  # the same where its time is up
GONE_WITHIN_S = 2.0
HOOKS_WITHIN_S = 120.0
FULL = 0.9  # of its limit: what ends a run abruptly there is taken to be the limit


class Processes(ProcessManager):
    """Ends children sooner than Prefect does, all at once, and with what they have started."""

    async def kill(
        self, flow_run_id: UUID, grace_seconds: float = GRACE_S, *, force: bool = False
    ) -> None:
        handle = self.get(flow_run_id)
        if handle is None:
            return
        child: Any = handle.raw_process
        child.excused = True
        if not force:
            child.signal(signal.SIGTERM)
            with anyio.move_on_after(min(grace_seconds, GRACE_S)):
                await child.ended.wait()
        child.kill()
        with anyio.move_on_after(GONE_WITHIN_S):
            await child.ended.wait()

    async def __aexit__(self, *error: object) -> None:
        await asyncio.gather(*(self.kill(run_id) for run_id in self.flow_run_ids()))
        await super().__aexit__(*error)


class Hooks:
    """Runs a flow's hooks in forks: here they would need the flow, and all that it imports."""

    def __init__(
        self, nursery: Nursery, assignment: Callable[[FlowRun], Assignment | None]
    ) -> None:
        self._nursery, self._assignment = nursery, assignment
        self._here = HookRunner(resolve_flow=load_flow_from_flow_run)

    async def run_cancellation_hooks(self, flow_run: FlowRun, state: State[Any]) -> None:
        if not await self._forked(flow_run, state):
            await self._here.run_cancellation_hooks(flow_run, state)

    async def run_crashed_hooks(self, flow_run: FlowRun, state: State[Any]) -> None:
        if state.is_crashed() and not await self._forked(flow_run, state):
            await self._here.run_crashed_hooks(flow_run, state)

    async def _forked(self, flow_run: FlowRun, state: State[Any]) -> bool:
        assignment = self._assignment(flow_run)
        if assignment is None:
            return False
        told = state.model_dump(mode="json", exclude={"data"})
        try:
            await carried_out(self._nursery, replace(assignment, task=Task.HOOKS, state=told))
        except NoZygote:
            return False
        return True


async def carried_out(nursery: Nursery, assignment: Assignment) -> None:
    """Wait until a child has done something short.

    Raises:
        NoZygote: There was none to fork it.
    """
    child = await nursery.fork()
    await child.assign(assignment.encoded())
    with anyio.move_on_after(HOOKS_WITHIN_S):
        await child.ended.wait()
    child.kill()


class Starter:
    """Prefect's executor asks it to start the run's process, which is there already."""

    def __init__(
        self,
        child: Child,
        assignment: Assignment,
        channel: ControlChannel,
        over: Callable[[str], Any],
        groups: Groups | None,
    ) -> None:
        self._child, self._assignment = child, assignment
        self._channel, self._over, self._groups = channel, over, groups

    async def start(
        self,
        flow_run: FlowRun,
        task_status: TaskStatus[ProcessHandle] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Returns when the process has ended."""
        child = self._child
        port, token = self._channel.register(flow_run.id)
        env = {"PREFECT__CONTROL_PORT": str(port), "PREFECT__CONTROL_TOKEN": token}
        assignment = replace(self._assignment, env={**self._assignment.env, **env})
        task_status.started(ProcessHandle(child))  # type: ignore[arg-type]
        await child.assign(assignment.encoded())
        message = await self._until_over()
        if message is not None and not child.excused:
            await self._over(message)
            child.excused = True

    async def _until_over(self) -> str | None:
        """Wait for the end; why the run was ended where it went over a limit."""
        child, limit_s = self._child, self._assignment.time_limit_s
        with anyio.move_on_after(None if limit_s is None else limit_s + LIMIT_GRACE_S) as scope:
            await child.ended.wait()
        if scope.cancelled_caught and limit_s is not None:
            child.kill()
            await child.ended.wait()
            return too_much_time(limit_s)
        return self._out_of_memory()

    def _out_of_memory(self) -> str | None:
        child, limit_mib = self._child, self._assignment.memory_mib
        killed = self._groups is not None and self._groups.leave(child.pid)
        if limit_mib is None or not child.status:
            return None
        full = child.status < 0 and child.peak_bytes >= FULL * limit_mib * MIB
        return too_much_memory(limit_mib) if killed or full else None


class Runs:
    """What all runs of a worker share. An asynchronous context manager."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        self._stack = AsyncExitStack()
        self._log = get_logger("workers.warm")
        self._groups = find_groups()
        self._assignments: dict[UUID, Assignment] = {}
        self._cancelling: set[UUID] = set()

    async def __aenter__(self) -> Runs:
        if self._groups is not None:
            self._groups.sweep()
        enter = self._stack.enter_async_context
        self._client: PrefectClient = await enter(get_client())
        self._processes = await enter(Processes(on_remove=self._forget))
        self._channel = await enter(ControlChannel())
        emitter = await enter(EventEmitter(runner_name="qcpaas-warm", client=self._client))
        self._proposer = StateProposer(client=self._client)
        self._hooks = Hooks(self._nursery, lambda flow_run: self._assignments.get(flow_run.id))
        self._cancellation = CancellationManager(
            process_manager=self._processes,
            hook_runner=self._hooks,
            state_proposer=self._proposer,
            event_emitter=emitter,
            client=self._client,
            control_channel=self._channel,
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    @property
    def ids(self) -> set[UUID]:
        """Flow runs that have a process now, but for those that are being cancelled."""
        return self._processes.flow_run_ids() - self._cancelling

    async def execute(
        self, flow_run: FlowRun, assignment: Assignment, started: TaskStatus[int]
    ) -> FlowRunExecutionResult | None:
        """Run a flow to its end.

        Raises:
            NoZygote: There was none to fork its process: nothing has happened.
        """
        child = await self._nursery.fork()
        self._assignments[flow_run.id] = assignment
        starter = Starter(child, assignment, self._channel, self._fail(assignment), self._groups)
        executor = FlowRunExecutor(
            flow_run=flow_run,
            starter=starter,
            process_manager=self._processes,
            state_proposer=self._proposer,
            hook_runner=self._hooks,
            get_attempt_conclusion=self._channel.get_conclusion,
            propose_submitting=False,
        )
        started.started(child.pid)
        try:
            return await executor.submit()
        finally:
            child.dismiss()
            if flow_run.id not in self._cancelling:
                self._assignments.pop(flow_run.id, None)

    async def cancel(self, flow_run_id: UUID) -> None:
        """End a run that is to be cancelled, and say that it was."""
        if flow_run_id not in self.ids:
            return
        self._cancelling.add(flow_run_id)
        try:
            await self._cancellation.cancel_by_id(flow_run_id)
        except Exception:  # noqa: BLE001 - it must not end the worker; maintenance sees to the run
            self._log.exception("flow run %s could not be cancelled", flow_run_id)
        finally:
            self._cancelling.discard(flow_run_id)
            self._assignments.pop(flow_run_id, None)

    def _fail(self, assignment: Assignment) -> Callable[[str], Any]:
        async def over(message: str) -> None:
            self._log.warning("flow run %s: %s", assignment.run_id, message)
            await carried_out(self._nursery, replace(assignment, task=Task.FAIL, message=message))

        return over

    async def _forget(self, flow_run_id: UUID) -> None:
        self._channel.unregister(flow_run_id)
