"""A worker tells what it has, by looking from inside its own environment."""

from __future__ import annotations

import importlib.metadata
import platform

from adapters.registry import list_devices
from prefect import flow

from flows import artifacts
from pipeline.stack import describe_options
from qcpaas.schemas import Environment


@flow(name="register-worker")
def register_worker() -> None:
    """Publish this worker's distributions, options and devices."""
    artifacts.publish_environment(look_around())


def look_around() -> Environment:
    """This process's environment: what a workload can import, and where it can run."""
    distributions = {
        distribution.metadata["Name"]: distribution.version
        for distribution in importlib.metadata.distributions()
    }
    return Environment(
        python=platform.python_version(),
        distributions=distributions,
        options=describe_options(),
        devices=tuple(list_devices()),
    )
