"""A run's memory limit: a control group's where this user may make one, else the process's own.

A control group counts what is really used, with all that the run starts, and the kernel ends the
run when it goes over. The process's limit counts what it has asked for, and asking for more fails.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
PREFIX = "qcpaas-run-"
SHARE = 0.8  # of the machine, for a run without a limit of its own: others live here too
KILLED_FIRST = "500"  # of the processes on a machine without memory: runs, not what serves them

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Groups:
    """Where control groups of runs are made.

    Attributes:
        limit: The file that takes a group's limit, in bytes.
        events: The file with its ``oom_kill`` count.
    """

    folder: Path
    limit: str
    events: str

    def enter(self, memory_mib: int) -> None:
        """Put this process into a group of its own.

        Raises:
            OSError: This user may not.
        """
        group = self._of(os.getpid())
        group.mkdir()
        try:
            (group / self.limit).write_text(str(memory_mib * MIB))
            (group / "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            group.rmdir()
            raise

    def leave(self, pid: int) -> bool:
        """Remove an ended process's group; whether the kernel killed somebody in it."""
        group = self._of(pid)
        try:
            events = (group / self.events).read_text().splitlines()
        except OSError:
            return False
        with suppress(OSError):  # something that the run started has not gone yet
            group.rmdir()
        return any(line.split()[0] == "oom_kill" and line.split()[1] != "0" for line in events)

    def sweep(self) -> None:
        """Remove the groups of runs whose worker went before they did."""
        for group in self.folder.glob(f"{PREFIX}*"):
            if not Path(f"/proc/{group.name.removeprefix(PREFIX)}").exists():
                with suppress(OSError):
                    group.rmdir()

    def _of(self, pid: int) -> Path:
        return self.folder / f"{PREFIX}{pid}"


def find_groups(root: Path = _ROOT, own: Path = _OWN) -> Groups | None:
    """Where this process may make groups with a memory limit; ``None`` where nowhere."""
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return None
    for number, controllers, path in lines:
        inside = path.lstrip("/")
        if "memory" in controllers.split(","):
            found = Groups(root / "memory" / inside, "memory.limit_in_bytes", "memory.oom_control")
        elif number == "0":
            found = Groups(root / inside, "memory.max", "memory.events")
        else:
            continue
        if _usable(found):
            return found
    return None


def _usable(groups: Groups) -> bool:
    """Whether a group made there has the file for its limit."""
    probe = groups.folder / f"{PREFIX}probe-{os.getpid()}"
    try:
        probe.mkdir()
    except OSError:
        return False
    try:
        return os.access(probe / groups.limit, os.W_OK)
    finally:
        probe.rmdir()


def limit_memory(memory_mib: int) -> bool:
    """Limit this process; whether it is its own allocations that fail beyond the limit."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(KILLED_FIRST)
    groups = find_groups()
    if groups is not None:
        with suppress(OSError):
            groups.enter(memory_mib)
            return False
    most = data_bytes() + memory_mib * MIB
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    return True


def data_bytes() -> int:
    """What this process has asked for so far, shared with the zygote or not."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    return pages * os.sysconf("SC_PAGE_SIZE")


def default_limit_mib() -> int:
    """For a run that names none."""
    pages = os.sysconf("SC_PHYS_PAGES")
    return int(SHARE * pages * os.sysconf("SC_PAGE_SIZE") / MIB)
