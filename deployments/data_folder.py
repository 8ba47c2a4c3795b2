"""A data folder belongs to one running platform, which leaves its addresses there."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from qcpaas.errors import PlatformError


@dataclass(frozen=True)
class PlatformAddresses:
    """The contents of ``platform.json``."""

    api_url: str
    ui_url: str
    store_url: str
    pid: int

    def write(self, file: Path) -> None:
        """Readers see all of it or nothing. For its owner: the store's URL may hold a password."""
        new = file.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(json.dumps(asdict(self), indent=2) + "\n")
        new.replace(file)


@contextmanager
def claimed(data_dir: Path) -> Iterator[None]:
    """Hold the folder for this process; the system lets go of it however the process ends.

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
            lock.seek(0)
            raise PlatformError(
                f"another platform (process {lock.read().strip() or 'unknown'}) uses the data "
                f"folder {data_dir}. Stop it, or choose another with --data-dir."
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
