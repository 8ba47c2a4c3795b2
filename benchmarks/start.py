"""``python -m benchmarks.start``: from a submission to the first line of the user's workload."""

from __future__ import annotations

import os
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
    from deployments.data_folder import PlatformAddresses
    from qcpaas.prefect_api import PrefectApi
    from qcpaas.schemas import Bundle

AT_ONCE = 4
FULL = {"alone": 12, "rounds": 4, "stock": 4, "endings": 3}
QUICK = {"alone": 4, "rounds": 1, "stock": 1, "endings": 1}


@dataclass(frozen=True)
class Start:
    """How one job began; seconds since 1970.

    Attributes:
        asked: Before the client packed anything.
        submitted: The platform had answered: checked, estimated and admitted it.
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
            "pack, submit, admit": self.submitted - self.asked,
            "released, and a worker takes it": self.taken - self.submitted,
            "worker starts a process": self.process - self.taken,
            "process: imports or not, flow run read": self.running - self.process,
            "job opened: store, device, bundle": self.first_line - self.running,
        }


def measure(options: Options, report: Report) -> None:
    """Submit workloads to platforms of this machine, one at a time and four at once."""
    from benchmarks.start_endings import measure_endings

    asked = QUICK if options.quick else FULL
    with platform(warm=True) as warm:
        start_one(warm)  # fills the caches of the file system and of the store
        alone = [start_one(warm) for _ in range(asked["alone"])]
        at_once = [start for _ in range(asked["rounds"]) for start in start_together(warm)]
        endings = Report(report.benchmark)
        measure_endings(warm, endings, asked["endings"], options.seed, os.getpid())
    with platform(warm=False) as cold:
        start_one(cold)
        stock = [start_one(cold) for _ in range(asked["stock"])]
    add_rows(report, "submit_to_first_line_p50", alone, 1.5, options.seed)
    add_rows(report, "submit_to_first_line_p50_4_at_once", at_once, 3.0, options.seed)
    add_rows(report, "stock_submit_to_first_line_p50", stock, None, options.seed)
    add_ratio(report, stock, alone, options.seed)
    report.rows.extend(endings.rows)


def add_rows(
    report: Report, metric: str, starts: Sequence[Start], aim: float | None, seed: int
) -> None:
    found = median([start.seconds for start in starts], seed)
    report.add(metric, found.value, "s", aim=aim, note=f"{found}; {len(starts)} jobs")
    for part in starts[0].parts:
        typical = median([start.parts[part] for start in starts], seed)
        report.add(f"  {part}", typical.value, "s", note=f"median, {typical}")
    cpu = median([start.cpu_s for start in starts], seed)
    report.add("  CPU of the job's process", cpu.value, "s", note=f"to the first line, {cpu}")


def add_ratio(report: Report, stock: Sequence[Start], warm: Sequence[Start], seed: int) -> None:
    slow, fast = (median([start.seconds for start in each], seed) for each in (stock, warm))
    report.add(
        "stock_over_warm",
        slow.value / fast.value,
        "",
        better="higher",
        peer="an interpreter a job",
        note="one platform after the other on this machine, with the same load of its own",
    )


@contextmanager
def platform(*, warm: bool) -> Iterator[PlatformAddresses]:
    """A platform with one worker, its data in a folder that goes afterwards."""
    from deployments.local_platform import LocalPlatform, PlatformOptions
    from deployments.processes import Processes, free_port

    with tempfile.TemporaryDirectory(prefix="qcpaas-start-") as folder, Processes() as processes:
        Path(folder).chmod(0o755)
        options = PlatformOptions(
            Path(folder), port=free_port(), gateway_port=free_port(), warm=warm
        )
        yield LocalPlatform(options, processes, lambda part, seconds: None).start()


def start_together(platform: PlatformAddresses) -> list[Start]:
    from benchmarks.start_workload import FirstLine
    from qcpaas.packing import pack

    # Python 3.11 cannot parse in several threads at once; users do not share a process.
    bundle = pack(FirstLine)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda _: start_one(platform, bundle), range(AT_ONCE)))


def start_one(platform: PlatformAddresses, bundle: Bundle | None = None) -> Start:
    """Submit a job, wait for it, and read when it passed each station.

    Args:
        bundle: The workload, packed before.
    """
    from benchmarks.start_workload import FirstLine
    from qcpaas.prefect_api import PrefectApi
    from qcpaas.provider import RuntimeProvider

    with RuntimeProvider(platform.api_url) as provider:
        asked = time.time()
        job = provider.run(FirstLine, bundle=bundle)
        submitted = time.time()
        answer = job.result(timeout=300)
        flow_run_id = job.record().flow_run_id
    api = PrefectApi(platform.prefect_url)
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
