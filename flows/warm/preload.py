"""What is imported before the first fork: what most runs need, and what starts no thread.

Not Aer, which starts threads, nor any vendor's client. A client of the server, a subscription or a
connection to the database is made by the run that needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

FLOWS = (
    "flows.hybrid_job",
    "flows.workload",
    "flows.shared_jobs",
    "flows.refresh_calibration",
    "flows.devices",
    "flows.feedback",
    "flows.register_worker",
    "flows.characterise",
    "flows.nightly_characterisation",
)
ENGINE = (
    "flows.warm.prefect_parts",
    "prefect.flow_engine",
    "prefect.events.clients",
    "prefect.events.worker",
    "prefect._internal.observers",
    "prefect.locking._filelock",
    "prefect.bundles",
    "anyio._backends._asyncio",
    "websockets.sync.client",
    "encodings.idna",
)
# What those import only where they use it.
LATER = (
    "adapters.backend",
    "adapters.aer",
    "adapters.dynamic_circuits",
    "adapters.prepare",
    "psycopg",
    "sqlalchemy.dialects.postgresql",
    "sqlite3",
    "threadpoolctl",
)
OURS = "adapters."  # the vendors of this project import their clients only when they need them


def preload() -> None:
    """Import everything; a flow that cannot be imported fails when it is run, not here."""
    vendors = entry_points(group="qcpaas.adapters")
    ours = [vendor.module for vendor in vendors if vendor.module.startswith(OURS)]
    for name in (*ENGINE, *FLOWS, *LATER, *ours):
        try:
            import_module(name)
        except ImportError as error:
            sys.stderr.write(f"{name} is not loaded beforehand: {error}\n")
    import_module("adapters.compiler_stages").defer_vendor_stages()
    import_module("adapters.registry").providers()
    complete_models()


def complete_models() -> None:
    """Build what pydantic puts off until a model's first use."""
    for model in _models(import_module("pydantic").BaseModel):
        if not model.__pydantic_complete__:
            with suppress(Exception):  # it names a type that nobody has imported
                model.model_rebuild()


def _models(kind: type[Any]) -> Iterator[type[Any]]:
    for each in kind.__subclasses__():
        yield each
        yield from _models(each)
