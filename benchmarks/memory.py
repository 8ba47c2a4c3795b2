"""``python -m benchmarks.memory``: the most memory that the demo takes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import children, peak_bytes
from benchmarks.report import Options, Report, run_benchmark

LOOK_EVERY_S = 0.2
MB = 1e6


def measure(options: Options, report: Report) -> None:
    """Peak resident memory of ``python -m examples.demo`` and of its Prefect server."""
    with tempfile.TemporaryDirectory(prefix="qcpaas-memory-") as folder:
        started = time.monotonic()
        own, below = watch_demo(Path(folder))
        seconds = time.monotonic() - started
    server = max(below.values(), default=0)
    note = "resident set, high-water mark of the kernel"
    report.add("demo_peak_rss_mb", own / MB, "MB", note=f"the demo's process; {note}")
    report.add("server_peak_rss_mb", server / MB, "MB", note=f"its Prefect server; {note}")
    report.add(
        "total_peak_rss_mb",
        (own + sum(below.values())) / MB,
        "MB",
        note=f"sum of the peaks of all {1 + len(below)} processes, which need not coincide",
    )
    report.add("demo_seconds", seconds, "s", note="start to end, for the record")


def watch_demo(data_dir: Path) -> tuple[int, dict[int, int]]:
    """Peak bytes of the demo's process, and of each process below it.

    Raises:
        CalledProcessError: The demo failed.
    """
    command = [sys.executable, "-m", "examples.demo"]
    env = {**os.environ, "QCPAAS_DATA_DIR": str(data_dir)}
    with (data_dir / "demo.log").open("wb") as log:
        demo = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        own = 0
        below: dict[int, int] = {}
        while demo.poll() is None:
            own = max(own, peak_bytes(demo.pid))
            for pid in children(demo.pid):
                below[pid] = max(below.get(pid, 0), peak_bytes(pid))
            time.sleep(LOOK_EVERY_S)
    if demo.returncode:
        raise subprocess.CalledProcessError(
            demo.returncode, command, (data_dir / "demo.log").read_text()
        )
    return own, below


def main() -> None:
    run_benchmark("memory", measure)


if __name__ == "__main__":
    main()
