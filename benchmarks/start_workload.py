"""The workloads of the start benchmark."""

from __future__ import annotations

import signal
import time

from benchmarks.processes import started_at
from qcpaas import RuntimeWorkerBase


class FirstLine(RuntimeWorkerBase):
    """Says when its first line ran, and when its process began."""

    backend_name = "FakeKolkata"

    def run(self) -> dict[str, object]:
        first_line = time.time()
        cpu_s = time.process_time()
        return {"first_line": first_line, "cpu_s": cpu_s, "started": started_at()}


class Waits(RuntimeWorkerBase):
    """Runs until something ends it; deaf, it does not hear that it is to end."""

    backend_name = "statevector"

    def run(self, deaf: bool = False) -> None:
        if deaf:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for step in self.iterations(100_000):
            while deaf and step > 1:
                time.sleep(1.0)  # and reports nothing, by which it would hear of it too
            time.sleep(0.2)
