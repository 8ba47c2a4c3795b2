"""The workload of the start benchmark: says when its first line ran, and in which process."""

from __future__ import annotations

import time

from benchmarks.processes import started_at
from qcpaas import RuntimeWorkerBase


class FirstLine(RuntimeWorkerBase):
    """Uses nothing of the platform, as the first line of any workload does."""

    backend_name = "FakeKolkata"

    def run(self) -> dict[str, object]:
        first_line = time.time()
        cpu_s = time.process_time()
        return {"first_line": first_line, "cpu_s": cpu_s, "started": started_at()}
