"""A whole machine dies: a worker with all that it started, in a process id namespace of its own.

Nobody outside can tell by process ids whether what runs in there lives, as on another machine. The
kernel ends all of it at once with the namespace's first process.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np

from benchmarks.chaos_scene import Scene, add_faults
from benchmarks.chaos_verdict import Strike
from benchmarks.report import Report, median
from deployments.local_platform import PROJECT_DIR
from deployments.prefect_setup import worker_online
from qcpaas.prefect_api import PrefectApi

NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
STEPS_BEFORE = 5
METRIC = "machine_death_to_running_p50"


def add_machine_deaths(
    scene: Scene, machines: int, report: Report, tell: Callable[[str], None]
) -> None:
    """Kill a second worker's tree, again and again; the first takes its job over."""
    if not can_imitate():
        note = "unshare --pid needs root and Linux: no machine's death was imitated"
        report.add("machine_deaths", 0, "count", note=note)
        return
    rng = np.random.default_rng(scene.seed)
    strikes = [_machine_death(scene, number, rng, tell) for number in range(1, machines + 1)]
    trials = scene.lane("loop").trials[-machines:]
    recoveries = scene.judge.recoveries(scene.platform.qpu.log(), strikes, trials)
    seconds = [one.seconds for one in recoveries if one.seconds is not None]
    how = "a worker and its engine in a pid namespace of their own; another worker lives on"
    if seconds:
        found = median(seconds, scene.seed)
        note = f"{found}; {len(seconds)} of {machines} deaths, at most {max(seconds):.0f} s; {how}"
        report.add(METRIC, found.value, "s", aim=150, note=note)
    add_faults(report, "machine_death", scene.verdict(trials), f"{machines} deaths")


def can_imitate() -> bool:
    if shutil.which(NAMESPACE[0]) is None:
        return False
    tried = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)
    return tried.returncode == 0


def _machine_death(
    scene: Scene, number: int, rng: np.random.Generator, tell: Callable[[str], None]
) -> Strike:
    platform, lane = scene.platform, scene.lane("loop")
    with _machine(scene, f"machine-{number}") as machine:
        began = time.time()
        with _halted(platform.parts("worker")):  # so that the other machine takes the job
            lane.start(once=True)
            scene.wait_until(
                lambda: scene.accepted_since(began) >= STEPS_BEFORE, "the other machine has begun"
            )
        time.sleep(rng.uniform(0, 4))
        at = time.time()
        machine.kill()
        machine.wait()
    scene.disturbed()
    tell(f"machine {number} is dead")
    lane.finish()
    return Strike("machine", at, lanes=frozenset({lane.name}))


@contextmanager
def _machine(scene: Scene, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that nobody restarts, with the settings of the platform's own."""
    platform = scene.platform
    command = [*NAMESPACE, sys.executable, "-m", "flows.worker", "--name", name]
    since = datetime.now(UTC)
    with platform.log_of(name).open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=platform.environment("worker"),
            cwd=PROJECT_DIR,
        )
    api = PrefectApi(platform.prefect_url)
    try:
        scene.wait_until(lambda: worker_online(api, name, since), f"{name} is online")
        yield process
    finally:
        api.close()
        process.kill()
        process.wait()


@contextmanager
def _halted(pids: Sequence[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
