"""Child processes of a platform: started, watched until healthy, stopped in reverse order.

Each child leads a session and process group of its own, writes to its own log file, and reads
nothing. `Processes.stop` ends whole groups; where this process is killed before it can,
`deployments.guardian` does the same from outside.
"""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypedDict

from deployments import guardian
from qcpaas.errors import PlatformError

LOG_LINES_SHOWN = 15


@dataclass(frozen=True)
class Child:
    """A started process.

    Attributes:
        stop_signal: What asks it to end.
        grace_s: Seconds from that signal to ``SIGKILL``.
    """

    name: str
    process: subprocess.Popen[bytes]
    log_file: Path
    stop_signal: signal.Signals
    grace_s: float

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def last_lines(self, count: int = LOG_LINES_SHOWN) -> str:
        """The end of its log, indented, for an error message."""
        with self.log_file.open(errors="replace") as stream:
            return "".join(
                f"    {line.rstrip()}\n" for line in deque(stream, maxlen=count)
            ).rstrip()


class Processes:
    """The children of one platform. A context manager: its exit stops them.

    Use it from one thread. The children inherit this process's environment, updated by ``env``.
    """

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex
        self._children: list[Child] = []
        self._guardian: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def children(self) -> Sequence[Child]:
        return tuple(self._children)

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        log_file: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_s: float = 10.0,
    ) -> Child:
        """Start a child and return at once.

        Args:
            name: For messages.
            user: Run as this user (root only).

        Raises:
            PlatformError: The command cannot be started.
        """
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("ab") as log:
            process = self._spawn(name, command, log, env=env, cwd=cwd, user=user)
        child = Child(name, process, log_file, stop_signal, grace_s)
        self._children.append(child)
        self._tell_guardian(f"add {process.pid} {int(stop_signal)} {grace_s}")
        return child

    def wait_healthy(
        self, child: Child, healthy: Callable[[], bool], deadline_s: float = 120.0
    ) -> float:
        """Wait until ``healthy()``; returns the seconds that it took.

        Raises:
            PlatformError: The child ended, or the deadline passed; with its last log lines.
        """
        start = time.monotonic()
        while not healthy():
            waited = time.monotonic() - start
            if not child.running:
                raise PlatformError(_obituary(child, "ended before it was ready"))
            if waited > deadline_s:
                raise PlatformError(_obituary(child, f"is not ready after {waited:.0f} s"))
            time.sleep(0.05)
        return time.monotonic() - start

    def wait_done(self, child: Child, deadline_s: float = 180.0) -> None:
        """Wait until a child has done its work and ended.

        Raises:
            PlatformError: It failed, or the deadline passed; with its last log lines.
        """
        try:
            code = child.process.wait(deadline_s)
        except subprocess.TimeoutExpired as error:
            raise PlatformError(
                _obituary(child, f"is not done after {deadline_s:.0f} s")
            ) from error
        if code != 0:
            raise PlatformError(_obituary(child, "failed"))
        self._children.remove(child)
        self._tell_guardian(f"drop {child.process.pid}")

    def check(self) -> None:
        """Raises `PlatformError` when a child has ended by itself; with its last log lines."""
        for child in self._children:
            if not child.running:
                raise PlatformError(_obituary(child, "ended by itself"))

    def stop(self) -> None:
        """End all children, the newest first, with all that they started. Safe to call twice."""
        while self._children:
            self._stop_child(self._children.pop())
        guardian.end_marked(self.mark)
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.close()
            self._guardian.wait()
            self._guardian = None

    def _stop_child(self, child: Child) -> None:
        group = child.process.pid
        guardian.signal_group(group, child.stop_signal)
        try:
            child.process.wait(child.grace_s)
        except subprocess.TimeoutExpired:
            guardian.signal_group(group, signal.SIGKILL)
            child.process.wait()
        guardian.signal_group(group, signal.SIGKILL)
        self._tell_guardian(f"drop {group}")

    def _spawn(
        self,
        name: str,
        command: Sequence[str],
        log: IO[bytes],
        *,
        env: Mapping[str, str] | None,
        cwd: Path | None,
        user: str | None,
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {}), guardian.MARK_VARIABLE: self.mark},
                cwd=cwd,
                start_new_session=True,
                **as_user(user),
            )
        except OSError as error:
            raise PlatformError(f"{name} cannot be started: {error}.") from error

    def _tell_guardian(self, line: str) -> None:
        if self._guardian is None or self._guardian.poll() is not None:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian.__file__, self.mark],
                stdin=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        stdin = self._guardian.stdin
        assert stdin is not None
        stdin.write(line + "\n")
        stdin.flush()


class RunAs(TypedDict, total=False):
    """The arguments of `subprocess.Popen` that change who the child is."""

    user: str
    group: int
    extra_groups: Sequence[str | int]


def as_user(name: str | None) -> RunAs:
    """Become that user with its own group alone; without a name, stay who we are."""
    if name is None:
        return {}
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def port_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        # As a server does it: connections that linger after a restart do not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def _obituary(child: Child, what: str) -> str:
    code = child.process.poll()
    status = "" if code is None else f" (exit code {code})"
    shown = child.last_lines() or "    (nothing)"
    return f"{child.name} {what}{status}. The end of its log, {child.log_file}:\n{shown}"
