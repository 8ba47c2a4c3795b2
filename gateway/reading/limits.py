"""What reading one job may take, and how a process holds itself to it."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True)
class ReadingLimits:
    """Of one question to a reader.

    Attributes:
        cpu_s: Seconds of processor time.
        memory_mib: Address space beyond what a reader has when it is ready.
        wall_s: Seconds until it has to have answered.
    """

    cpu_s: int = 30
    memory_mib: int = 2048
    wall_s: float = 60.0


def limit_memory(memory_mib: int) -> None:
    """Let this process ask for so much address space beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + memory_mib * MIB
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_processor(cpu_s: int) -> None:
    """Let the kernel end this process after so many more seconds of processor time.

    Compiled code hears no signal that Python handles: the kernel's own end is the only sure one.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + 1 + cpu_s
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (most, hard))
