"""The pages of a job that change while it runs: its progress, and what it has finished."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.context import FlowRunContext

from qcpaas.partial import PartialResult
from qcpaas.schemas import Progress
from store.payloads import to_text

PARTIAL_BYTES = 1_000_000


class LivePages:
    """Artifacts that are updated in place over one connection: a new one costs 20 ms.

    Made inside the job's flow run; its methods may be called from any thread, one at a time.
    """

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        context = FlowRunContext.get()
        flow_run = None if context is None else context.flow_run
        self._flow_run_id = None if flow_run is None else flow_run.id
        self._ids: dict[str, UUID] = {}
        self._client: SyncPrefectClient | None = None

    def show_progress(self, progress: Progress) -> None:
        share = 100.0 * progress.done / progress.total if progress.total else 0.0
        self._put("progress", min(share, 100.0), describe(progress))

    def show_partial(self, partial: PartialResult) -> None:
        self._put("partial", within(partial, PARTIAL_BYTES), _finished(partial))

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.__exit__(None, None, None)

    def _put(self, kind: str, data: Any, description: str) -> None:
        if self._client is None:
            self._client = get_client(sync_client=True).__enter__()
        if kind in self._ids:
            update = ArtifactUpdate(data=data, description=description)
            self._client.update_artifact(self._ids[kind], update)
            return
        new = ArtifactCreate(
            type=kind,
            key=f"{kind}-{self._job_id}",
            description=description,
            flow_run_id=self._flow_run_id,
            data=data,
        )
        self._ids[kind] = self._client.create_artifact(new).id


def describe(progress: Progress) -> str:
    """Text for the page; clients read the comment behind it."""
    figures = ", ".join(f"{name} {value:.6g}" for name, value in progress.metrics.items())
    count = f"{progress.done:g} of {progress.total:g}" if progress.total else ""
    text = " · ".join(part for part in (progress.stage, count, progress.message, figures) if part)
    return f"{text or 'starting'}\n<!--{progress.model_dump_json()}-->"


def within(partial: PartialResult, size_bytes: int) -> str:
    """As JSON that is not larger, without its oldest calls, and at last without its checkpoint."""
    text = to_text(partial)
    while len(text) > size_bytes and (partial.calls or partial.checkpoint is not None):
        kept = partial.calls[-(len(partial.calls) // 2) :] if len(partial.calls) > 1 else ()
        dropped = {"calls": kept} if partial.calls else {"checkpoint": None}
        partial = partial.model_copy(update=dropped)
        text = to_text(partial)
    return text


def _finished(partial: PartialResult) -> str:
    calls = "1 finished call" if partial.finished == 1 else f"{partial.finished} finished calls"
    return f"{calls}, {len(partial.open_submissions)} submissions without an answer"
