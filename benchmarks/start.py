"""``python -m benchmarks.start``: from a submission to the first line of the user's workload."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import Options, Report, median, run_benchmark

if TYPE_CHECKING:
    from qcpaas.prefect_api import PrefectApi

AT_ONCE = 4
FULL = {"alone": 10, "rounds": 4}
QUICK = {"alone": 3, "rounds": 1}
STOCK = "stock process worker: an interpreter a job; the aim is for a worker that is warm"


@dataclass(frozen=True)
class Start:
    """How one job began; seconds since 1970.

    Attributes:
        asked: Before the client packed anything.
        submitted: The platform had answered.
        taken: A worker had taken the flow run (``Pending``).
        process: The job's own process began.
        running: The flow began (``Running``).
        first_line: The user's code began.
        cpu_s: CPU time of the job's process until then.
    """

    asked: float
    submitted: float
    taken: float
    process: float
    running: float
    first_line: float
    cpu_s: float

    @property
    def seconds(self) -> float:
        return self.first_line - self.asked

    @property
    def parts(self) -> dict[str, float]:
        return {
            "pack, check and submit": self.submitted - self.asked,
            "worker takes it": self.taken - self.submitted,
            "worker starts a process": self.process - self.taken,
            "process: imports, flow run read": self.running - self.process,
            "job opened: store, device, bundle": self.first_line - self.running,
        }


def measure(options: Options, report: Report) -> None:
    """Submit workloads to a platform of this machine, one at a time and four at once."""
    asked = QUICK if options.quick else FULL
    with platform() as url:
        start_one(url)  # fills the caches of the file system and of the store
        alone = [start_one(url) for _ in range(asked["alone"])]
        at_once = [start for _ in range(asked["rounds"]) for start in start_together(url)]
    add_rows(report, "submit_to_first_line_p50", alone, 1.5, options.seed)
    add_rows(report, "submit_to_first_line_p50_4_at_once", at_once, 3.0, options.seed)


def add_rows(report: Report, metric: str, starts: Sequence[Start], aim: float, seed: int) -> None:
    found = median([start.seconds for start in starts], seed)
    note = f"{found}; {len(starts)} jobs; {STOCK}"
    report.add(metric, found.value, "s", aim=aim, note=note)
    for part in starts[0].parts:
        typical = median([start.parts[part] for start in starts], seed)
        report.add(f"  {part}", typical.value, "s", note=f"median, {typical}")
    cpu = median([start.cpu_s for start in starts], seed)
    report.add("  CPU of the job's process", cpu.value, "s", note=f"to the first line, {cpu}")


@contextmanager
def platform() -> Iterator[str]:
    """Address of a platform with one worker, its data in a folder that goes afterwards."""
    from deployments.local_platform import LocalPlatform, PlatformOptions
    from deployments.processes import Processes, free_port

    with tempfile.TemporaryDirectory(prefix="qcpaas-start-") as folder, Processes() as processes:
        options = PlatformOptions(Path(folder), port=free_port())
        yield LocalPlatform(options, processes, lambda part, seconds: None).start().api_url


def start_together(url: str) -> list[Start]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(start_one, [url] * AT_ONCE))


def start_one(url: str) -> Start:
    """Submit a job, wait for it, and read when it passed each station."""
    from benchmarks.start_workload import FirstLine
    from qcpaas.prefect_api import PrefectApi
    from qcpaas.provider import RuntimeProvider

    with RuntimeProvider(url) as provider:
        asked = time.time()
        job = provider.run(FirstLine)
        submitted = time.time()
        answer = job.result(timeout=300)
        flow_run_id = job.record().flow_run_id
    api = PrefectApi(url)
    states = state_times(api, str(flow_run_id))
    api.close()
    return Start(
        asked=asked,
        submitted=submitted,
        taken=states["PENDING"],
        process=answer["started"],
        running=states["RUNNING"],
        first_line=answer["first_line"],
        cpu_s=answer["cpu_s"],
    )


def state_times(api: PrefectApi, flow_run_id: str) -> dict[str, float]:
    """When a flow run first entered each type of state."""
    states = api.get(f"flow_run_states/?flow_run_id={flow_run_id}")
    entered: dict[str, float] = {}
    for state in states:
        at = datetime.fromisoformat(state["timestamp"]).timestamp()
        entered[state["type"]] = min(at, entered.get(state["type"], at))
    return entered


def main() -> None:
    run_benchmark("start", measure)


if __name__ == "__main__":
    main()
