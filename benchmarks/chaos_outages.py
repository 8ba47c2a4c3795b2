"""The Prefect server, or PostgreSQL, is away for minutes while jobs run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import psycopg

from benchmarks.chaos_platform import ChaosPlatform, kill
from benchmarks.chaos_scene import Scene, add_faults
from benchmarks.report import Report
from deployments.prefect_server import healthy

SLOT_WITHIN_S = 60.0
STEPS_BEFORE = 5
STEPS_DURING = 40  # the loop's steps take so long that it outlasts the outage
START_S = 25.0  # of a server, on a loaded machine


@dataclass(frozen=True)
class Outage:
    """Seconds since 1970.

    Attributes:
        back: When it answered again; it was let start at ``up``.
    """

    down: float
    up: float
    back: float


def add_server_outage(
    scene: Scene, seconds: float, report: Report, tell: Callable[[str], None]
) -> None:
    """Prefect's server is killed, and started again after ``seconds``."""
    platform = scene.platform

    def stop() -> None:
        kill(frozenset(platform.parts("server")))

    tell(f"the server goes for {seconds:.0f} s")
    answers = partial(healthy, platform.prefect_url)
    _add_outage(scene, report, "server", seconds, stop=stop, answers=answers)


def add_database_outage(
    scene: Scene, seconds: float, report: Report, tell: Callable[[str], None]
) -> None:
    """PostgreSQL ends its sessions and itself, and is started again after ``seconds``."""
    platform = scene.platform

    def stop() -> None:
        os.kill(platform.part("database"), signal.SIGINT)

    tell(f"the database goes for {seconds:.0f} s")
    answers = partial(_database_answers, platform)
    _add_outage(scene, report, "database", seconds, stop=stop, answers=answers)


def _add_outage(
    scene: Scene,
    report: Report,
    name: str,
    seconds: float,
    *,
    stop: Callable[[], None],
    answers: Callable[[], bool],
) -> None:
    qpu = scene.platform.qpu
    usual_s = qpu.set().delay_s
    delay_s = max(usual_s, (seconds + START_S) / STEPS_DURING)
    qpu.set(delay_s=delay_s)
    outage = _through_outage(scene, seconds, stop, answers)
    time.sleep(max(0.0, outage.back + SLOT_WITHIN_S - time.time()))
    leaked = max(0, scene.platform.slots_taken() - sum(lane.busy for lane in scene.lanes))
    qpu.set(delay_s=usual_s)
    for lane in scene.lanes:
        lane.finish()
    left = _slots_left(scene.platform)
    meanwhile = sum(outage.down < job.accepted_at < outage.back for job in qpu.log())
    away = f"{outage.back - outage.down:.0f} s until it answered again"
    add_faults(
        report,
        f"{name}_outage",
        scene.verdict([lane.trials[-1] for lane in scene.lanes]),
        f"a loop and a batch; {away}, {meanwhile} submissions meanwhile",
    )
    report.add(
        f"{name}_outage_slots_left",
        leaked + left,
        "count",
        aim=0,
        better="equal",
        note="taken by nobody 60 s after the outage, or 60 s after the last job",
    )
    after = [job.accepted_at for job in qpu.log() if job.accepted_at > outage.back]
    if after:
        note = f"to the next submission; the QPU takes {delay_s:.1f} s for one"
        report.add(f"{name}_outage_to_running", min(after) - outage.back, "s", aim=60, note=note)


def _through_outage(
    scene: Scene, seconds: float, stop: Callable[[], None], answers: Callable[[], bool]
) -> Outage:
    platform = scene.platform
    began = time.time()
    for lane in scene.lanes:
        lane.start(once=True)
    for name, submissions in (("loop", STEPS_BEFORE), ("batch", 1)):
        scene.wait_for_submissions(submissions, began, name)
    scene.disturbed(seconds)
    with platform.unattended():
        down = time.time()
        stop()
        time.sleep(seconds)
    up = time.time()
    scene.wait_until(answers, "it is back")
    scene.disturbed()
    return Outage(down, up, time.time())


def _slots_left(platform: ChaosPlatform) -> int:
    """How many are taken a minute after the last job has ended, at the latest."""
    deadline = time.monotonic() + SLOT_WITHIN_S
    while (taken := platform.slots_taken()) and time.monotonic() < deadline:
        time.sleep(1.0)
    return taken


def _database_answers(platform: ChaosPlatform) -> bool:
    url = platform.store_url.replace("+psycopg", "")
    try:
        with closing(psycopg.connect(url, connect_timeout=5)):
            return True
    except psycopg.OperationalError:
        return False
