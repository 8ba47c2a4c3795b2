"""``python -m benchmarks.loop``: what a step of a workload costs more than the bare loop's."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from benchmarks.report import Options, Report, median, ratio_of_sums, run_benchmark

if TYPE_CHECKING:
    from prefect.client.schemas.objects import TaskRun

BARE = "bare Python loop, same simulator"
PEER = "prefect-qiskit 0.2.1"
FULL = {"steps": 500, "block": 10, "peer_every": 5, "watched_steps": 200}
QUICK = {"steps": 100, "block": 5, "peer_every": 5, "watched_steps": 40}


def measure(options: Options, report: Report, sizes: dict[str, int] | None = None) -> None:
    """A VQE as a workload job against the bare loop and prefect-qiskit, interleaved."""
    from benchmarks.loop_workload import InterleavedLoop
    from deployments.embedded import EmbeddedTransport
    from qcpaas import RuntimeProvider
    from qcpaas.settings import Settings

    inputs = sizes or (QUICK if options.quick else FULL)
    with tempfile.TemporaryDirectory(prefix="qcpaas-loop-") as folder:
        transport = EmbeddedTransport(Settings(data_dir=Path(folder)))
        with RuntimeProvider(transport=transport) as provider:
            job = provider.run(InterleavedLoop, inputs=inputs, seed=options.seed)
            answer = job.result()
            record = job.record()
            task_runs = count_task_runs(UUID(record.flow_run_id))
    steps = inputs["steps"]
    add_against_bare(report, answer, steps, options.seed)
    add_against_peer(report, answer, steps, options.seed)
    add_explanations(report, answer, steps, task_runs)


def add_against_bare(report: Report, answer: dict[str, Any], steps: int, seed: int) -> None:
    platform, bare = answer["platform"], answer["bare"]
    blocks = len(bare["wall_s"])
    wall = ratio_of_sums(platform["wall_s"], bare["wall_s"], seed)
    typical = median(ratios(platform["wall_s"], bare["wall_s"]), seed)
    cpu = ratio_of_sums(platform["cpu_s"], bare["cpu_s"], seed)
    report.add(
        "loop_overhead_vs_bare",
        wall.value,
        "ratio of wall time",
        aim=1.05,
        peer=BARE,
        note=f"{wall}; {steps} steps in {blocks} pairs of blocks",
    )
    report.add(
        "loop_overhead_vs_bare_median",
        typical.value,
        "ratio of wall time",
        peer=BARE,
        note=f"median over the pairs of blocks, {typical}",
    )
    report.add("loop_cpu_vs_bare", cpu.value, "ratio of CPU time", peer=BARE, note=str(cpu))
    report.add(
        "energy_difference",
        answer["largest_difference"],
        "hartree",
        aim=1e-12,
        peer=BARE,
        note="largest over all steps: both run the same circuits with the same seeds",
    )


def add_against_peer(report: Report, answer: dict[str, Any], steps: int, seed: int) -> None:
    """Overhead a step of ours over that of prefect-qiskit, each against its own bare steps."""
    if not answer["peer_s"]:
        return
    own_s = (sum(answer["platform"]["wall_s"]) - sum(answer["bare"]["wall_s"])) / steps
    peer_s = differences(answer["peer_s"], answer["peer_bare_s"])
    typical = median(peer_s, seed)
    report.add(
        "step_overhead_vs_prefect_qiskit",
        own_s / typical.value,
        "ratio of overhead a step",
        aim=0.2,
        peer=PEER,
        note=f"{1e3 * own_s:.2f} ms over {1e3 * typical.value:.0f} ms, "
        f"theirs {1e3 * typical.low:.0f} to {1e3 * typical.high:.0f}; "
        f"{steps} steps of ours, {len(peer_s)} of theirs",
    )
    report.add(
        "step_overhead_prefect_qiskit",
        1e3 * typical.value,
        "ms a step",
        peer=PEER,
        note="median over its own estimator run bare; it looks for a result every 0.5 s",
    )


def add_explanations(report: Report, answer: dict[str, Any], steps: int, task_runs: int) -> None:
    platform, bare = answer["platform"], answer["bare"]
    bare_ms = 1e3 * sum(bare["wall_s"]) / steps
    report.add("step_bare", bare_ms, "ms a step", note="H2, 5 circuits of 4,096 shots, noisy")
    report.add("step_platform", 1e3 * sum(platform["wall_s"]) / steps, "ms a step")
    for label, seconds in sorted(answer["parts_s"].items(), key=lambda part: -part[1]):
        report.add(f"part: {label}", 1e3 * seconds, "ms a step", note="measured by itself")
    report.add(
        "task_runs", task_runs, "count", note="Prefect task runs of the job for all its steps"
    )
    report.add(
        "memory_growth",
        sum(platform["grown_bytes"]) / steps / 1e3,
        "kB a step",
        note=f"resident, after warm-up; bare {sum(bare['grown_bytes']) / steps / 1e3:.2f}",
    )


def count_task_runs(flow_run_id: UUID) -> int:
    """The platform's own, once the server has recorded them, which it does seconds later."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    found = -1
    with get_client(sync_client=True) as client:
        while (seen := sum(map(is_own, client.read_task_runs(flow_run_filter=run)))) != found:
            found = seen
            time.sleep(3.0)
    return found


def is_own(task_run: TaskRun) -> bool:
    """Not the one that stands for a sub-flow of the peer."""
    return task_run.name.startswith("iterations")


def differences(first: list[float], second: list[float]) -> list[float]:
    return [a - b for a, b in zip(first, second, strict=True)]


def ratios(first: list[float], second: list[float]) -> list[float]:
    return [a / b for a, b in zip(first, second, strict=True)]


def main() -> None:
    run_benchmark("loop", measure)


if __name__ == "__main__":
    main()
