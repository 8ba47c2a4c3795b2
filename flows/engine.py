"""``python -m flows.engine``: Prefect's engine, for one run, as a worker starts it.

What a run writes goes to a file, not to its worker: a run outlives its worker, and then writing to
the worker's pipe would raise in the middle of the user's code, in a progress bar for instance. And
a run has more patience with the server than its worker, whose settings it inherits.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

RETRIES = "7"  # pauses of 2, 4, 8, ... s, four minutes in all


def main() -> None:
    """Becomes the run that ``PREFECT__FLOW_RUN_ID`` names."""
    os.environ["PREFECT_CLIENT_MAX_RETRIES"] = RETRIES
    write_to_run_log()
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


def write_to_run_log() -> None:
    """Let what this process writes go to the platform's log of runs, where there is one."""
    folder = os.environ.get("QCPAAS_DATA_DIR")
    if folder is None:
        return
    file = Path(folder) / "logs" / "runs.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as log:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(log.fileno(), stream.fileno())


if __name__ == "__main__":
    main()
