"""Ends the processes of a platform whose own process has gone, however it went.

A supervisor (`deployments.processes`) starts this file as a script and keeps the other end of its
standard input open. The supervisor writes one line for each process that it starts; when it ends,
by ``kill -9`` too, the kernel closes the pipe, and the guardian stops what the lines name, the
newest first. ``PR_SET_PDEATHSIG`` would not do: it fires when the *thread* that forked ends, and
it reaches neither grandchildren nor processes that change their user.

Every process of a platform inherits one environment variable with the platform's mark, so that a
grandchild that left its group and its session is found as well. That search reads ``/proc``: on
other systems process groups alone are stopped.

Only the standard library is imported, so that the guardian is small and starts at once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

MARK_VARIABLE = "QCPAAS_PLATFORM_MARK"


def marked_processes(mark: str) -> list[int]:
    """The living processes that carry the mark; zombies carry nothing any more."""
    wanted = f"{MARK_VARIABLE}={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in variables:
            found.append(int(entry.name))
    return found


def signal_group(group: int, number: int) -> bool:
    """Signal a process group; False when nothing of it is left."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def group_alive(group: int) -> bool:
    return signal_group(group, 0)


def end_group(group: int, stop_signal: int, grace_s: float) -> None:
    """Ask a process group to end, and kill it when it has not after ``grace_s``."""
    signal_group(group, stop_signal)
    deadline = time.monotonic() + grace_s
    while group_alive(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    signal_group(group, signal.SIGKILL)


def end_marked(mark: str) -> None:
    """Kill whatever still carries the mark, and what those start meanwhile."""
    own = os.getpid()
    for _ in range(20):
        left = [pid for pid in marked_processes(mark) if pid != own]
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        time.sleep(0.05)


def main() -> None:
    """Wait for the supervisor's end, then end what it left.

    Lines: ``add GROUP SIGNAL GRACE_S`` and ``drop GROUP``. The first argument is the mark.
    """
    # A terminal's Ctrl-C reaches every process of the terminal; the guardian ends last.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    groups: dict[int, tuple[int, float]] = {}
    for line in sys.stdin:
        verb, group, *rest = line.split()
        if verb == "add":
            groups[int(group)] = (int(rest[0]), float(rest[1]))
        else:
            groups.pop(int(group), None)
    for group, (stop_signal, grace_s) in reversed(groups.items()):
        end_group(group, stop_signal, grace_s)
    end_marked(sys.argv[1])


if __name__ == "__main__":
    main()
