"""Workers that live no longer than a run: containers of an image, started by a Prefect worker.

A run in such a container tells once what the image has. That stands for as long as Prefect hears
from a worker of the pool, which would start the next container.
"""

from __future__ import annotations

from typing import Any

from prefect.context import FlowRunContext

from flows.observation import POOL
from qcpaas.prefect_api import PrefectApi
from qcpaas.schemas import Environment
from store.database import Store
from store.workers import Workers

PREFIX = "image-of-"
RENEWED_EVERY_S = 20.0
_ONLINE = "ONLINE"


def register_image(store: Store, environment: Environment) -> None:
    """Keep what the image of this run's pool has; the platform's own pool has living workers."""
    context = FlowRunContext.get()
    flow_run = None if context is None else context.flow_run
    pool = getattr(flow_run, "work_pool_name", None)
    if pool and pool != POOL:
        Workers(store).register(f"{PREFIX}{pool}", pool, environment)


def renew_images(api: PrefectApi, store: Store) -> None:
    """Renew what images have told while their pools have a worker that is heard of.

    Raises:
        PlatformUnavailable: The server or the store is away.
    """
    workers = Workers(store)
    for name, pool in workers.named(PREFIX):
        heard: list[dict[str, Any]] = api.post(f"work_pools/{pool}/workers/filter", {}) or []
        if any(one.get("status") == _ONLINE for one in heard):
            workers.renew(name)
    workers.forget_gone()
