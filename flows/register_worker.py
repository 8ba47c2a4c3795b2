"""A worker tells what it has, by looking from inside its own environment."""

from __future__ import annotations

from prefect import flow

from blocks.credentials import register_blocks
from flows import artifacts
from flows.image_workers import register_image
from qcpaas.settings import Settings
from store.database import open_store
from tasks.environment import look_around


@flow(name="register-worker")
def register_worker() -> None:
    """Publish this worker's distributions, options and devices, and what opens its vendors'."""
    register_blocks()
    with open_store(Settings().resolved_store_url) as store:
        environment = look_around(store)
        artifacts.publish_environment(environment)
        register_image(store, environment)
