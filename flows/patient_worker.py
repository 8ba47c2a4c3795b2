"""Prefect's process worker, which waits through any outage.

The stock worker counts polls that failed and, after about a dozen, ends together with all jobs
that it runs. While Prefect's database is away every poll fails. Nor does it come back soon after a
long outage: its client doubles its pauses without a bound, so that it returns as late as the
outage was long. Here a poll that fails is one that found nothing, and the worker's environment has
its client retry so few times that the next poll is seconds away.
"""

from __future__ import annotations

import sys

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import WorkerFlowRunResponse
from prefect.exceptions import PrefectException
from prefect.workers.process import ProcessWorker


class PatientWorker(ProcessWorker):
    """A process worker that ends only when it is told to."""

    @classmethod
    def __dispatch_key__(cls) -> str:
        """Beside Prefect's own class, not in its place; both serve pools of type ``process``."""
        return "qcpaas-process"

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        try:
            return await super().get_and_submit_flow_runs()
        except httpx.HTTPError as error:
            self._waits(error)
            return []

    async def sync_with_backend(self) -> None:
        try:
            await super().sync_with_backend()
        except httpx.HTTPError as error:
            self._waits(error)

    async def _get_scheduled_flow_runs(self) -> list[WorkerFlowRunResponse]:
        """Without those whose earlier attempt is not over here: its crash hook may still run.

        The stock worker would end with an error, and all its jobs with it.
        """
        scheduled = await super()._get_scheduled_flow_runs()
        busy = set(self.limiter.statistics().borrowers)
        return [response for response in scheduled if response.flow_run.id not in busy]

    async def _propose_crashed_state(
        self, flow_run: FlowRun, message: str, client: PrefectClient | None = None
    ) -> None:
        """Not of a run that goes on by now.

        Prefect says it a second time once the crash hooks have run, seconds after the first: by
        then another worker may have taken the run up again.
        """
        if not await self._goes_on(flow_run):
            await super()._propose_crashed_state(flow_run, message, client)

    async def _goes_on(self, flow_run: FlowRun) -> bool:
        try:
            now = await self.client.read_flow_run(flow_run.id)
        except (httpx.HTTPError, PrefectException):
            return False
        elsewhere = now.labels.get("prefect.worker.name", self.name) != self.name
        return elsewhere or (now.state is not None and now.state.is_scheduled())

    def _waits(self, error: httpx.HTTPError) -> None:
        """Raises what is no outage but a refusal."""
        if isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500:
            raise error
        sys.stderr.write(f"{self.name} waits for the server: {type(error).__name__}: {error}\n")
