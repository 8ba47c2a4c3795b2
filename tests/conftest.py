"""What all tests share."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that other system users can enter, as PostgreSQL's must when root runs the tests.

    Pytest closes its own temporary folders to others, again and again where several runs overlap.
    """
    folder = Path(tempfile.mkdtemp(prefix="qcpaas-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Programs that tests start can be interrupted, also where a shell runs pytest behind ``&``.

    Such a shell has SIGINT ignored, and what is ignored is inherited.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
