"""``python -m tasks.describe_environment``: what a worker here would register, as JSON."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from qcpaas.schemas import Environment
from store.database import open_store
from tasks.environment import look_around


def describe() -> Environment:
    """What a worker of a new platform would find; devices that somebody registers come on top."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(f"sqlite:///{Path(folder) / 'empty.db'}") as store,
    ):
        return look_around(store)


if __name__ == "__main__":
    sys.stdout.write(describe().model_dump_json() + "\n")
