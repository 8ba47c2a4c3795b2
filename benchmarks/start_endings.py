"""What becomes of runs of a warm worker when a process of theirs ends, and what one takes up."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import children
from benchmarks.report import Report, median

if TYPE_CHECKING:
    from deployments.data_folder import PlatformAddresses
    from qcpaas.jobs import RuntimeJob
    from qcpaas.prefect_api import PrefectApi

WITHIN_S = 120.0
MIB = 1024 * 1024


@dataclass(frozen=True)
class Waiting:
    """A job that runs until something ends it.

    Attributes:
        pid: Of its process.
    """

    job: RuntimeJob
    run_id: str
    pid: int


def measure_endings(
    platform: PlatformAddresses, report: Report, rounds: int, seed: int, supervisor: int
) -> None:
    """Add the rows on killed children, a killed zygote, cancelled jobs and memory.

    Args:
        supervisor: Process id of the platform's; its descendants are looked through.
    """
    from qcpaas.prefect_api import PrefectApi

    api = PrefectApi(platform.prefect_url)
    deaths = [_death(platform, api) for _ in range(rounds)]
    told = median(deaths, seed)
    note = f"kill -9 of the run's process, until CRASHED; {told}"
    report.add("child_death_known_p50", told.value, "s", aim=1.0, note=note)
    polite = median([_cancelled(platform, api, deaf=False) for _ in range(rounds)], seed)
    report.add(
        "cancel_p50", polite.value, "s", aim=5.0, note=f"until its process is gone; {polite}"
    )
    deaf = max(_cancelled(platform, api, deaf=True) for _ in range(rounds))
    report.add("cancel_of_a_deaf_run_max", deaf, "s", aim=5.0, note="the run ignores SIGTERM")
    _add_zygote(platform, api, report, supervisor)
    api.close()


def _add_zygote(
    platform: PlatformAddresses, api: PrefectApi, report: Report, supervisor: int
) -> None:
    with _waiting(platform, api) as run:
        memory = {name: _memory(run.pid, name) / MIB for name in ("Pss", "Private_Dirty")}
        zygote = _zygote(supervisor)
        report.add("child_pss", memory["Pss"], "MiB", note=f"{memory['Private_Dirty']:.0f} private")
        report.add("zygote_pss", _memory(zygote, "Pss") / MIB, "MiB", note="once a worker")
        at = time.monotonic()
        os.kill(zygote, signal.SIGKILL)
        with _waiting(platform, api, device="FakeLima"):  # the other job holds its own
            back = time.monotonic() - at
        lost = float(not _lives(run.pid))
    note = "from its kill to a run that was submitted then"
    report.add("zygote_back", back, "s", aim=10.0, note=note)
    report.add("runs_lost_with_a_zygote", lost, "", aim=0.0, better="equal")


def _death(platform: PlatformAddresses, api: PrefectApi) -> float:
    """Seconds from a kill to the state that tells of it."""
    from benchmarks.start import state_times

    with _waiting(platform, api) as run:
        at = time.time()
        os.kill(run.pid, signal.SIGKILL)
        _until(lambda: "CRASHED" in state_times(api, run.run_id))
        return state_times(api, run.run_id)["CRASHED"] - at


def _cancelled(platform: PlatformAddresses, api: PrefectApi, *, deaf: bool) -> float:
    """Seconds from a cancellation to the end of the process."""
    with _waiting(platform, api, deaf=deaf) as run:
        at = time.monotonic()
        run.job.cancel()
        _until(lambda: not _lives(run.pid), every_s=0.01)
        return time.monotonic() - at


@contextmanager
def _waiting(
    platform: PlatformAddresses,
    api: PrefectApi,
    *,
    deaf: bool = False,
    device: str = "statevector",
) -> Iterator[Waiting]:
    from benchmarks.start_workload import Waits
    from flows.run_processes import run_processes
    from qcpaas.errors import QCPaaSError
    from qcpaas.provider import RuntimeProvider

    with RuntimeProvider(platform.api_url) as provider:
        job = provider.run(Waits, {"deaf": deaf}, device)
        _until(lambda: job.record().progress.done > 0)
        run_id = str(job.record().flow_run_id)
        (pid,) = (run_processes() or {})[run_id]
        try:
            yield Waiting(job, run_id, pid)
        finally:
            with suppress(QCPaaSError):
                job.cancel()
            _until(lambda: job.record().state.finished)


def _zygote(supervisor: int) -> int:
    """The process that forks; a run that has outlived another zygote leads a session."""
    workers = [pid for pid in children(supervisor) if "flows.worker" in _command(pid)]
    return max(
        pid
        for worker in workers
        for pid in _direct(worker)
        if "flows.warm" in _command(pid) and os.getsid(pid) != pid
    )


def _direct(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def _memory(pid: int, name: str) -> int:
    """Bytes, of a kind in the kernel's sums over a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _until(true: Callable[[], bool], every_s: float = 0.05) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"what was waited for did not come within {WITHIN_S:.0f} s")
        time.sleep(every_s)
