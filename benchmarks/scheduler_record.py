"""A published scheduler's log: its jobs, one after the other, on the twins that it had."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks.report import Report
from benchmarks.scheduler_peers import BestDevice
from benchmarks.scheduler_run import Outcome, Simulation
from benchmarks.scheduler_world import (
    ESTIMATE_ERROR,
    SimulatedDevice,
    SimulatedJob,
    World,
    device_of,
)
from gateway.scheduling.fair import FairPolicy
from gateway.scheduling.policy import SchedulingPolicy
from qcpaas.scheduling import Priority

SMALL = 7  # qubits of the smallest twins: every job of the log could run on each
SPREAD = 0.5


def replay(report: Report, folder: Path) -> None:
    """Completion time and fidelity beside first come, first served, ours and as published."""
    world = read_world(folder)
    ours = _figures(world, FairPolicy)
    fifo = _figures(world, BestDevice)
    published, published_fifo = (
        _published(folder / f"jct_fidelity_{name}.csv") for name in ("1500", "fcfs")
    )
    report.add(
        "record_completion_vs_best_device",
        fifo[0] / ours[0],
        "ratio of mean completion times",
        better="higher",
        peer="first come, first served on the best device",
        note=f"{len(world.jobs)} jobs on {len(world.devices)} twins; published, against its own "
        f"baseline: {published_fifo[0] / published[0]:.2f}",
    )
    report.add(
        "record_fidelity_vs_best_device",
        ours[1] / fifo[1],
        "ratio of mean fidelities",
        better="higher",
        peer="first come, first served on the best device",
        note=f"published: {published[1] / published_fifo[1]:.3f}. Its jobs' circuits are not in "
        "the log: sizes are drawn, times are its devices' means",
    )


def read_world(folder: Path) -> World:
    """Arrivals by the log's clock, device seconds by its busy times."""
    arrivals = json.loads((folder / "queue_size.json").read_text())
    moments = [datetime.fromisoformat(one["time"]) for one in arrivals]
    busy = json.loads((folder / "backend_times.json").read_text())
    mean_s = sum(busy.values()) / len(arrivals)
    rng = np.random.default_rng(0)
    jobs = []
    for number, at in enumerate(moments):
        qubits = int(rng.integers(3, SMALL + 1))
        jobs.append(
            SimulatedJob(
                job_id=f"job{number:05d}",
                user="log",
                at_s=(at - moments[0]).total_seconds(),
                priority=Priority.NORMAL,
                qubits=qubits,
                two_qubit_gates=int(qubits * rng.integers(2, 13)),
                qpu_s=mean_s * float(rng.lognormal(-(SPREAD**2) / 2, SPREAD)),
                actual=float(rng.lognormal(0.0, ESTIMATE_ERROR)),
            )
        )
    return World(tuple(map(_device, busy)), tuple(jobs), jobs[-1].at_s)


def _device(name: str) -> SimulatedDevice:
    twin = "Fake" + name.removeprefix("fake_").capitalize()
    return device_of(twin, speed=1.0, drift=np.ones(2))


def _figures(world: World, policy: Callable[[], SchedulingPolicy]) -> tuple[float, float]:
    outcomes: list[Outcome] = Simulation(world, policy(), limits=None).run()
    return (
        statistics.fmean(one.ended_s - one.job.at_s for one in outcomes),
        statistics.fmean(one.fidelity for one in outcomes),
    )


def _published(file: Path) -> tuple[float, float]:
    rows = list(csv.DictReader(file.read_text().splitlines()))
    return (
        statistics.fmean(float(row["JCT"]) for row in rows),
        statistics.fmean(float(row["fidelity"]) for row in rows),
    )
