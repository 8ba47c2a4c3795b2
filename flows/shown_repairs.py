"""What maintenance did, as people see it: a flow run with a task for each repair, and a table."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Self

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from flows.recovery import Kind, Repair
from qcpaas.wire import Wire

CLOSED_WITHIN_S = 5.0


class Done(Wire):
    """A repair, and what came of it."""

    repair: Repair
    outcome: str


@flow(name="maintenance", flow_run_name="{title}", persist_result=False)
def maintenance(title: str, done: list[Done]) -> None:
    """Show what was put right."""
    for one in done:
        show(one.repair.kind, one.repair.what, one)
    rows = [
        {
            "repair": one.repair.kind.value,
            "what": one.repair.what,
            "why": one.repair.why,
            "outcome": one.outcome,
        }
        for one in done
    ]
    create_table_artifact(table=rows, key="maintenance", description=title)


@task(name="repair", task_run_name="{kind} {what}", cache_policy=NO_CACHE, persist_result=False)
def show(kind: Kind, what: str, done: Done) -> None:
    get_run_logger().info("%s %s, because %s: %s", kind, what, done.repair.why, done.outcome)


class ShownRepairs:
    """Shows repairs from a thread of its own: none waits for being seen.

    Args:
        log: Told where a repair could not be shown.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._queue: queue.SimpleQueue[list[Done] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._show, name="shown repairs", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join(CLOSED_WITHIN_S)

    def put(self, repairs: Sequence[tuple[Repair, str]]) -> None:
        self._queue.put([Done(repair=repair, outcome=outcome) for repair, outcome in repairs])

    def _show(self) -> None:
        while (done := self._queue.get()) is not None:
            kinds = ", ".join(dict.fromkeys(one.repair.kind.value for one in done))
            try:
                maintenance(f"maintenance: {kinds}", done)
            except Exception as error:  # noqa: BLE001 - what was done is done, and in the log
                self._log(f"the repairs could not be shown: {error}")
