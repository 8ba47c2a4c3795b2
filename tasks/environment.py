"""What this process offers to jobs, found by looking from inside it."""

from __future__ import annotations

import importlib.metadata
import platform

from adapters.registry import vendors
from pipeline.stack import describe_options
from qcpaas.schemas import Environment
from store.database import Store
from tasks.registered import all_devices


def look_around(store: Store) -> Environment:
    """What a workload can import here, how it can be executed, and where."""
    distributions = {
        distribution.metadata["Name"]: distribution.version
        for distribution in importlib.metadata.distributions()
    }
    return Environment(
        python=platform.python_version(),
        distributions=distributions,
        options=describe_options(),
        devices=tuple(all_devices(store)),
        adapters=tuple(vendors()),
    )
