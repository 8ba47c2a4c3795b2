"""A client that asks for a deployment, or a flow, once: they seldom change, and a start needs them
three times over.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import Flow
from prefect.client.schemas.responses import DeploymentResponse

FOR_S = 10.0  # a deployment that was changed, or deleted, is as before for so long

T = TypeVar("T", Flow, DeploymentResponse)


class RememberingClient:
    """Everything else goes to the client itself."""

    def __init__(self, client: PrefectClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._clock = client, clock
        self._known: dict[UUID, tuple[float, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def read_deployment(self, deployment_id: UUID | str) -> DeploymentResponse:
        return await self._remembered(UUID(str(deployment_id)), self._client.read_deployment)

    async def read_flow(self, flow_id: UUID) -> Flow:
        return await self._remembered(flow_id, self._client.read_flow)

    async def _remembered(self, key: UUID, read: Callable[[UUID], Awaitable[T]]) -> T:
        at, found = self._known.get(key, (0.0, None))
        if found is None or self._clock() - at > FOR_S:
            found = await read(key)
            self._known[key] = (self._clock(), found)
        copy: T = found.model_copy(deep=True)  # Prefect merges a run's variables into it
        return copy
