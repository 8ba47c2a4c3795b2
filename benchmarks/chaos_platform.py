"""A real platform and a QPU, each in processes of its own, and a way to any of their processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.processes import children
from benchmarks.qpu_process import Qpu
from deployments.guardian import MARK_VARIABLE, marked_processes
from deployments.local_platform import PROJECT_DIR
from deployments.processes import free_port
from flows.run_processes import run_processes
from qcpaas.prefect_api import PrefectApi

DEVICE = "FakeAthens"
AT_ONCE = 2
MAX_CIRCUITS = 4
READY_WITHIN_S = 400.0
STOP_WITHIN_S = 90.0
_READY = "Ctrl-C stops all of it"
_PARTS = {
    "server": ("prefect", "server", "start"),
    "worker": ("flows.worker",),
    "database": ("-D",),
    "maintenance": ("flows.maintenance",),
}


class ChaosPlatform:
    """``python -m deployments.up``, and a loopback QPU; all of it goes with the block.

    Args:
        delay_s: That every job of the QPU takes.
        keep: Leave the folder with databases and logs.
    """

    def __init__(self, delay_s: float, *, workers: int = 1, keep: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="qcpaas-chaos-"))
        self.folder.chmod(0o755)  # PostgreSQL runs as a user of its own where this one is root
        self.data_dir = self.folder / "data"
        self.qpu = Qpu(
            self.folder / "qpu.db",
            DEVICE,
            delay_s=delay_s,
            at_once=AT_ONCE,
            max_circuits=MAX_CIRCUITS,
        )
        self._up: subprocess.Popen[bytes] | None = None
        self._mark = ""
        self._opened = ExitStack()
        self._workers = workers
        self._keep = keep

    def __enter__(self) -> Self:
        if not self._keep:
            self._opened.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self._opened.enter_context(self.qpu)
            self._opened.callback(self._stop)
            self._start()
        except BaseException:
            self._opened.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    # --- where it is --------------------------------------------------------------------------

    @property
    def api_url(self) -> str:
        """The gateway's."""
        return str(self._addresses["api_url"])

    @property
    def prefect_url(self) -> str:
        return str(self._addresses["prefect_url"])

    @property
    def store_url(self) -> str:
        return str(self._addresses["store_url"])

    @property
    def said(self) -> str:
        """What ``up`` has printed so far."""
        return (self.folder / "up.log").read_text()

    def log_of(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"

    # --- its processes ------------------------------------------------------------------------

    def parts(self, name: str) -> list[int]:
        """Living processes: ``server``, ``worker``, ``database`` or ``maintenance``."""
        assert self._up is not None
        up = self._up.pid
        own = [pid for pid in children(up) if _parent(pid) == up]
        return [pid for pid in own if set(_PARTS[name]) <= set(_command_line(pid))]

    def part(self, name: str) -> int:
        """The only process of its kind, or the first.

        Raises:
            RuntimeError: There is none at this moment.
        """
        for pid in self.parts(name):
            return pid
        raise RuntimeError(f"the platform has no {name} at this moment.")

    def engines(self, flow_run_id: str | None) -> frozenset[int]:
        """All processes of a flow run."""
        found = run_processes()
        if found is None:
            raise RuntimeError("this benchmark finds the processes that it kills in /proc.")
        return frozenset(found.get(flow_run_id or "", ()))

    def environment(self, part: str) -> dict[str, str]:
        """The variables that a part was started with."""
        pairs = Path(f"/proc/{self.part(part)}/environ").read_text().split("\0")
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    @contextmanager
    def unattended(self) -> Iterator[None]:
        """Halt ``up``, so that what ends meanwhile stays away until the block is left."""
        assert self._up is not None
        self._up.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._up.send_signal(signal.SIGCONT)

    def slots_taken(self) -> int:
        """How many slots of the device Prefect's limit counts as taken."""
        api = PrefectApi(self.prefect_url)
        try:
            limit = api.get("v2/concurrency_limits/device-loopback")
        finally:
            api.close()
        return 0 if limit is None else int(limit["active_slots"])

    def _start(self) -> None:
        ports = ("--port", str(free_port()), "--gateway-port", str(free_port()))
        command = [sys.executable, "-m", "deployments.up", *ports]
        with (self.folder / "up.log").open("wb") as log:
            self._up = subprocess.Popen(
                [*command, "--data-dir", str(self.data_dir), "--workers", str(self._workers)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.qpu.environment, "HOME": str(self.folder)},
                start_new_session=True,  # a terminal's Ctrl-C ends this process, and that one then
                cwd=PROJECT_DIR,
            )
        deadline = time.monotonic() + READY_WITHIN_S
        while _READY not in self.said:
            if self._up.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the platform did not start:\n{self.said}")
            time.sleep(0.2)
        self._addresses = json.loads((self.data_dir / "platform.json").read_text())
        self._mark = self.environment("server")[MARK_VARIABLE]

    def _stop(self) -> None:
        assert self._up is not None
        self._up.send_signal(signal.SIGCONT)
        self._up.send_signal(signal.SIGTERM)
        try:
            self._up.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._up.kill()
            self._up.wait()
        deadline = time.monotonic() + STOP_WITHIN_S
        while self._mark and marked_processes(self._mark) and time.monotonic() < deadline:
            time.sleep(0.1)


def kill(pids: frozenset[int]) -> None:
    """SIGKILL, one right after the other; those that have gone already are passed over."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
