"""``python -m benchmarks.scheduler``: the platform's own policy code, on a simulated clock.

Nine twins that drift, 200 users, three priorities, loops that hold a device, reserved windows.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.report import Better, Options, Report, ratio_of_sums, run_benchmark
from benchmarks.scheduler_peers import Adaptive, BestDevice, LeastQueue, PairwiseTrade
from benchmarks.scheduler_run import Outcome, Simulation
from benchmarks.scheduler_world import HOUR_S, SESSIONS, World, busiest, make_world
from benchmarks.side_by_side import side_by_side_kept, workers_here
from gateway.scheduling.fair import FairPolicy, FairWeights
from gateway.scheduling.policy import SchedulingPolicy
from qcpaas.scheduling import Priority

LOADS = (0.6, 0.85)
POLICIES: dict[str, Callable[[], SchedulingPolicy]] = {
    "ours": FairPolicy,
    "no_fair_share": lambda: FairPolicy(FairWeights(share=0.0)),
    "best_device_fifo": BestDevice,
    "least_queue": LeastQueue,
    "ravi_2021": Adaptive,
    "qos_2024": PairwiseTrade,
}
INTERLEAVED = "interleaved"
Figures = dict[str, float]


def measure(options: Options, report: Report) -> None:
    """Waits, fidelity, utilisation, forecasts, limits and windows of each policy and load."""
    hours, seeds = (3.0, 2) if options.quick else (8.0, 5)
    loads = LOADS[:1] if options.quick else LOADS
    names = (*POLICIES, INTERLEAVED)
    tasks = [
        (load, hours, options.seed + number, name)
        for load in loads
        for name in names
        for number in range(seeds)
    ]
    kept = side_by_side_kept(figures_of, tasks, options.own.workers, options.own.keep)
    found = dict(zip(tasks, kept, strict=True))
    for load in loads:
        by_policy = {
            name: [found[(load, hours, options.seed + number, name)] for number in range(seeds)]
            for name in names
        }
        _add_rows(report, load, by_policy, options.seed)
    if options.own.record is not None:
        from benchmarks.scheduler_record import replay

        replay(report, options.own.record)


def figures_of(task: tuple[float, float, int, str]) -> Figures:
    """One policy in one world: load, hours, seed, name."""
    load, hours, seed, name = task
    world = make_world(load, hours * HOUR_S, seed)
    policy = POLICIES.get(name, FairPolicy)()
    outcomes = Simulation(world, policy, sessions=name != INTERLEAVED).run()
    return _figures(world, outcomes)


def _figures(world: World, outcomes: Sequence[Outcome]) -> Figures:
    heavy = busiest(world.jobs)
    waits = sorted(one.waited_s for one in outcomes)
    length_s = max(one.ended_s for one in outcomes)
    sessions = [one.ended_s - one.job.at_s for one in outcomes if one.job.iterations > 1]
    within = [one for one in outcomes if one.started_s <= world.length_s]
    figures = {
        "jobs": float(len(outcomes)),
        "wait_min": statistics.fmean(waits) / 60,
        "wait_p95_min": waits[int(0.95 * (len(waits) - 1))] / 60,
        "fidelity": statistics.fmean(one.fidelity for one in outcomes),
        "utilisation": sum(one.busy_s for one in within) / len(world.devices) / world.length_s,
        "starts_in": statistics.fmean(one.well_foretold for one in outcomes),
        "windows": float(sum(one.broken_window for one in outcomes)),
        "limits": float(sum(one.broken_limit for one in outcomes)),
        "session_min": statistics.fmean(sessions) / 60 if sessions else 0.0,
        "cleared_h": length_s / HOUR_S,
        "wait_light_min": _mean_min([one for one in outcomes if one.job.user not in heavy]),
        "wait_heavy_min": _mean_min([one for one in outcomes if one.job.user in heavy]),
    }
    for priority in Priority:
        of_class = [one for one in outcomes if one.job.priority is priority]
        figures[f"wait_{priority.value}_min"] = _mean_min(of_class)
    return figures


def _mean_min(outcomes: Sequence[Outcome]) -> float:
    return statistics.fmean(one.waited_s for one in outcomes) / 60 if outcomes else 0.0


def _add_rows(report: Report, load: float, by_policy: dict[str, list[Figures]], seed: int) -> None:
    ours = by_policy["ours"]
    label = f"load_{load:g}".replace(".", "_")
    wanted = load == LOADS[0]

    def add(metric: str, key: str, unit: str, aim: float | None, better: Better = "lower") -> None:
        values = [one[key] for one in ours]
        interval = ratio_of_sums(values, [1.0] * len(values), seed)
        jobs = sum(one["jobs"] for one in ours)
        note = f"{interval}; {len(ours)} seeds, {jobs:.0f} jobs"
        report.add(
            metric, interval.value, unit, aim=aim if wanted else None, better=better, note=note
        )

    add(f"mean_wait_min_{label}", "wait_min", "min", 5.0)
    add(f"relative_fidelity_{label}", "fidelity", "ratio", 0.88, "higher")
    foretold = "starts_in_accuracy" if wanted else f"starts_in_accuracy_{label}"
    add(foretold, "starts_in", "share", 0.8, "higher")
    add(f"wait_p95_min_{label}", "wait_p95_min", "min", None)
    add(f"utilisation_{label}", "utilisation", "share", None, "higher")
    for key in ("windows", "limits"):
        metric = f"{key}_broken" if wanted else f"{key}_broken_{label}"
        report.add(metric, sum(one[key] for one in ours), "count", aim=0.0, better="equal")
    _add_sessions(report, label, ours, by_policy[INTERLEAVED], seed, wanted=wanted)
    for name, figures in by_policy.items():
        _add_peer(report, name, label, figures)


def _add_sessions(
    report: Report,
    label: str,
    ours: Sequence[Figures],
    interleaved: Sequence[Figures],
    seed: int,
    *,
    wanted: bool,
) -> None:
    ratio = ratio_of_sums(
        [one["session_min"] for one in interleaved], [one["session_min"] for one in ours], seed
    )
    report.add(
        f"session_speedup_{label}",
        ratio.value,
        "ratio of completion times",
        aim=2.0 if wanted else None,
        better="higher",
        peer="each iteration waits anew",
        note=f"{ratio}; loops are {SESSIONS:.0%} of the jobs",
    )


def _add_peer(report: Report, name: str, label: str, figures: Sequence[Figures]) -> None:
    """One row a policy, its mean wait, with the rest in the note."""

    def mean(key: str) -> float:
        return statistics.fmean(one[key] for one in figures)

    report.add(
        f"wait_min_{name}_{label}",
        mean("wait_min"),
        "min",
        peer=name,
        note=f"p95 {mean('wait_p95_min'):.1f}; fidelity {mean('fidelity'):.3f}; low, normal, high "
        f"{mean('wait_low_min'):.1f}, {mean('wait_normal_min'):.1f}, {mean('wait_high_min'):.1f}; "
        f"light, heavy users {mean('wait_light_min'):.1f}, {mean('wait_heavy_min'):.1f}; "
        f"starts in {mean('starts_in'):.2f}; utilisation {mean('utilisation'):.2f}; "
        f"cleared after {mean('cleared_h'):.1f} h",
    )


def _own_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, default=workers_here(), help="processes")
    parser.add_argument(
        "--keep", type=Path, help="file of finished simulations: what it holds is not run again"
    )
    parser.add_argument(
        "--record", type=Path, help="folder of a published scheduler's log to replay"
    )


def main() -> None:
    run_benchmark("scheduler", measure, extend=_own_options)


if __name__ == "__main__":
    main()
