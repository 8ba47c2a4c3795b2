"""What a fork becomes: the run of a flow, as `flows.engine` would have started it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import sys
import uuid
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from flows.engine import write_to_run_log
from flows.limits import MEMORY_VARIABLE, end_after
from flows.run_processes import VARIABLE
from flows.warm.assignment import Assignment, Task
from flows.warm.memory import limit_memory

if TYPE_CHECKING:
    from prefect import Flow

NO_RUN = str(uuid.UUID(int=0))  # what a zygote is started with, in the room for a run's id
SET_NAME = 15  # PR_SET_NAME


class EnvironmentMark:
    """The run's id in what ``/proc`` shows of this process's environment.

    The kernel shows the memory that the environment had when the program began. A fork writes its
    id over the one that is there, and is found like a process that was started with it.

    Make one before anything changes the variable.
    """

    def __init__(self) -> None:
        getenv = ctypes.CDLL(None).getenv
        getenv.restype, getenv.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
        self._address = getenv(VARIABLE.encode()) if os.environ.get(VARIABLE) == NO_RUN else None

    def write(self, run_id: str) -> None:
        if self._address is not None and len(run_id) == len(NO_RUN):
            ctypes.memmove(self._address, run_id.encode(), len(run_id))


def become(payload: bytes, mark: EnvironmentMark) -> None:
    """Do what the worker wants of this process.

    Raises:
        SystemExit: With the exit code that an engine would end with.
    """
    assignment = Assignment.decoded(payload)
    settings = settings_in(os.environ)
    take_environment(assignment.env)
    os.chdir(assignment.folder)
    if assignment.task is Task.RUN:
        mark.write(assignment.run_id)
        _set_limits(assignment)
    ctypes.CDLL(None).prctl(SET_NAME, f"run {assignment.run_id[:8]}".encode(), 0, 0, 0)
    write_to_run_log()
    reseed()
    if settings_in(os.environ) != settings:
        renew_settings()
    _TASKS[assignment.task](assignment)


def take_environment(env: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)


def settings_in(env: Mapping[str, str]) -> dict[str, str]:
    """What Prefect reads its settings from, which takes a tenth of a second."""
    return {
        name: value
        for name, value in env.items()
        if name.startswith("PREFECT_") and not name.startswith("PREFECT__")
    }


def _set_limits(assignment: Assignment) -> None:
    if assignment.memory_mib is not None and limit_memory(assignment.memory_mib):
        os.environ[MEMORY_VARIABLE] = str(assignment.memory_mib)
    if assignment.time_limit_s is not None:
        end_after(assignment.time_limit_s)


def reseed() -> None:
    """Other numbers than the zygote's other children get."""
    random.seed()
    if "numpy" in sys.modules:
        import numpy as np

        np.random.seed()
    if "threadpoolctl" in sys.modules:
        _free_blas()


def _free_blas() -> None:
    """As many threads as in a process that was started on its own; the zygote may have none."""
    asked = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")
    count = int(asked) if asked and asked.isdigit() else len(os.sched_getaffinity(0))
    import_module("threadpoolctl").threadpool_limits(count, user_api="blas")


def set_up_logging() -> None:
    from prefect.logging.configuration import setup_logging

    setup_logging()


def renew_settings() -> None:
    """The zygote read them from its own environment."""
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()


def run(assignment: Assignment) -> None:
    """As ``python -m prefect.engine``, but for what is known already: the run and where it lies."""
    from prefect.client.schemas.objects import FlowRun
    from prefect.flow_engine import run_flow
    from prefect.logging.loggers import flow_run_logger

    from flows.warm.prefect_parts import (
        RunMetrics,
        configure_from_env,
        drive_run_flow_result,
        handle_engine_signals,
    )

    configure_from_env()
    flow_run = FlowRun.model_validate(assignment.flow_run)
    with handle_engine_signals(flow_run.id):
        log = flow_run_logger(flow_run=flow_run)
        try:
            flow = _flow(assignment)
        except Exception:
            log.error("the flow cannot be loaded", exc_info=True)
            raise
        with RunMetrics(flow_run, flow):
            result: object = run_flow(flow, flow_run=flow_run, error_logger=log)  # type: ignore[arg-type]
            drive_run_flow_result(flow, result)


def run_hooks(assignment: Assignment) -> None:
    """The hooks of a run that was cancelled or has crashed: its own process cannot run them."""
    from prefect.client.schemas.objects import FlowRun, State

    from flows.warm.prefect_parts import run_hooks as run_all

    flow_run = FlowRun.model_validate(assignment.flow_run)
    state: State[Any] = State.model_validate(assignment.state)
    flow = _flow(assignment)
    hooks = flow.on_cancellation_hooks if state.is_cancelling() else flow.on_crashed_hooks
    asyncio.run(run_all(hooks or [], flow_run, flow, state))


def fail(assignment: Assignment) -> None:
    """Say in the store and to Prefect that the run has failed."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import FlowRun
    from prefect.states import Failed

    from flows.endings import mark_failed

    flow_run = FlowRun.model_validate(assignment.flow_run)
    mark_failed(flow_run, assignment.message)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, Failed(message=assignment.message), force=True)


def _flow(assignment: Assignment) -> Flow[..., Any]:
    from prefect.flows import load_flow_from_entrypoint

    return load_flow_from_entrypoint(assignment.entrypoint, use_placeholder_flow=False)


_TASKS: dict[Task, Callable[[Assignment], None]] = {
    Task.RUN: run,
    Task.HOOKS: run_hooks,
    Task.FAIL: fail,
}
