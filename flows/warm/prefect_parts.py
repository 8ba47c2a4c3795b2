"""What the warm worker and its runs use of Prefect beyond its public interface, all in one place.

Checked against one release (`flows.warm.release`): another may have moved,
renamed or changed any of it.
"""

from __future__ import annotations

from prefect._internal.control_listener import configure_from_env, get_intent
from prefect._internal.metrics import RunMetrics
from prefect.engine import _drive_run_flow_result as drive_run_flow_result
from prefect.engine import handle_engine_signals
from prefect.runner._cancellation_manager import CancellationManager
from prefect.runner._control_channel import ControlChannel
from prefect.runner._event_emitter import EventEmitter
from prefect.runner._flow_run_executor import FlowRunExecutionResult, FlowRunExecutor
from prefect.runner._hook_runner import HookRunner
from prefect.runner._hook_runner import _run_hooks as run_hooks
from prefect.runner._process_manager import ProcessHandle, ProcessManager
from prefect.runner._state_proposer import StateProposer

__all__ = [
    "CancellationManager",
    "ControlChannel",
    "EventEmitter",
    "FlowRunExecutionResult",
    "FlowRunExecutor",
    "HookRunner",
    "ProcessHandle",
    "ProcessManager",
    "RunMetrics",
    "StateProposer",
    "configure_from_env",
    "drive_run_flow_result",
    "get_intent",
    "handle_engine_signals",
    "run_hooks",
]
