"""What this process offers to jobs, found by looking from inside it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path

import psutil

from adapters.registry import vendors
from pipeline.stack import describe_options
from qcpaas.schemas import Environment
from store.database import Store
from tasks.registered import all_devices

IMAGE = "QCPAAS_IMAGE"
MIB = 1024 * 1024
_MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_GPU_DEADLINE_S = 10.0


def look_around(store: Store) -> Environment:
    """What a workload can import here, how it can be executed, where, and with how much."""
    distributions = {
        distribution.metadata["Name"]: distribution.version
        for distribution in importlib.metadata.distributions()
    }
    return Environment(
        python=platform.python_version(),
        distributions=distributions,
        options=describe_options(),
        devices=tuple(all_devices(store)),
        adapters=tuple(name for name, each in vendors().items() if each.is_installed),
        image=os.environ.get(IMAGE, ""),
        cpus=len(os.sched_getaffinity(0)),
        memory_mib=_memory_mib(),
        gpus=_gpus(),
    )


def _memory_mib() -> int:
    """Of the machine, or of the container where that is less."""
    total = psutil.virtual_memory().total
    for file in _MEMORY_LIMITS:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return int(total // MIB)


def _gpus() -> tuple[str, ...]:
    """Names, as NVIDIA's driver tells them; none where there is no driver."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    try:
        told = subprocess.run(
            [command, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=_GPU_DEADLINE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in told.stdout.splitlines() if line.strip())
