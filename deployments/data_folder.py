"""A data folder belongs to one running platform, which leaves its addresses there."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from deployments import guardian
from qcpaas.errors import PlatformError

GUARDIAN_WITHIN_S = 45.0  # a part that ignores its signal is killed after 10 s, one after the other


@dataclass(frozen=True)
class PlatformAddresses:
    """The contents of ``platform.json``.

    Attributes:
        api_url: The gateway's, for clients.
        prefect_url: Prefect's API, for the platform's own parts.
    """

    api_url: str
    ui_url: str
    prefect_url: str
    store_url: str
    pid: int

    def write(self, file: Path) -> None:
        """Readers see all of it or nothing. For its owner: the store's URL may hold a password."""
        new = file.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(json.dumps(asdict(self), indent=2) + "\n")
        new.replace(file)


@contextmanager
def claimed(data_dir: Path, mark: str) -> Iterator[None]:
    """Hold the folder for this process; the system lets go of it however the process ends.

    What is left of an earlier platform on it is waited for: where that was killed, its processes
    take a while to end, and hold its port and its database until then.

    Args:
        mark: That this platform's processes carry.

    Raises:
        PlatformError: Another platform runs on it, or it cannot be written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "platform.lock").open("a+")
    except OSError as error:
        raise PlatformError(f"the data folder {data_dir} cannot be used: {error}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PlatformError(
                f"another platform (process {_words(lock)[0] or 'unknown'}) uses the data "
                f"folder {data_dir}. Stop it, or choose another with --data-dir."
            ) from error
        _outlast(_words(lock)[1])
        lock.truncate(0)
        lock.write(f"{os.getpid()} {mark}\n")
        lock.flush()
        yield


def _words(lock: IO[str]) -> tuple[str, str]:
    """The process and the mark of whoever claimed the folder last."""
    lock.seek(0)
    process, _, mark = lock.read().strip().partition(" ")
    return process, mark


def _outlast(mark: str) -> None:
    """Wait for the end of what carries the mark, and then end it."""
    deadline = time.monotonic() + GUARDIAN_WITHIN_S
    while mark and guardian.marked_processes(mark):
        if time.monotonic() > deadline:
            guardian.end_marked(mark)
            return
        time.sleep(0.1)
