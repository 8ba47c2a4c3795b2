"""``python -m benchmarks.admission``: many gateways at one backlog, some of them killed."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import numpy as np
from sqlalchemy import select

from benchmarks.admission_actors import ACTORS, recording_platform
from benchmarks.admission_log import Rules, Verdict, judge
from benchmarks.admission_scene import (
    RULES,
    SETTINGS,
    USERS,
    Actors,
    circuit_job,
    database,
    top_up,
    waiting,
)
from benchmarks.report import Interval, Options, Report, median, run_benchmark
from gateway.admission.foretelling import Foretelling
from gateway.admission.releaser import Releaser
from gateway.admission.situation import situation
from gateway.answers import GatewayAnswers
from gateway.person import Person
from gateway.scheduling.fair import FairPolicy
from qcpaas.scheduling import Choice, JobEstimate, Limits, Role
from store.admission_rows import ADMISSION
from store.admissions import Admissions
from store.database import Store
from store.releases import Releases

BACKLOG = 10_000
QUICK_SUBMISSIONS = 1_500  # the rest of the backlog is copied
SUBMITTERS = 8
RELEASERS = 4
KILL_EVERY_S = 1.5
NOT_PREFECT = "an idempotent recorder stands where Prefect makes the flow run; all else is real"


@dataclass(frozen=True)
class Filling:
    """Attributes:
    accepted: Submissions that were answered with a job id.
    lost: Ids of those that the store does not have.
    """

    seconds: float
    accepted: int
    refused: int
    lost: int
    kills: int


def measure(options: Options, report: Report) -> None:
    """10,000 queued jobs, 8 submitters, 4 releasers and kill -9 among them, on PostgreSQL."""
    drained_s = 20.0 if options.quick else 120.0
    with database() as (store, url):
        with closing(Actors(ACTORS, url, options.seed)) as actors:
            start_gateways(actors)
            filling = fill(store, actors, QUICK_SUBMISSIONS if options.quick else BACKLOG)
            actors.end("release")
            top_up(store, BACKLOG)
            queries(store, options, report)
            for number in range(RELEASERS):
                actors.start("release", str(number))
            kill_now_and_then(actors, "release", lambda: False, drained_s)
            actors.end("release")
            settle(store)
            actors.end("work")
        verdict = judge(store, RULES)
        kills = actors.kills
    tell(report, verdict, filling, kills)
    with database() as (store, _):
        without = without_locks(store, rounds=5 if options.quick else 20)
    report.add(
        "limits_broken_without_locks",
        without,
        "count",
        peer="the same statements, no advisory lock",
        note="shows that the judge sees a broken limit where there is one",
    )


def start_gateways(actors: Actors) -> None:
    actors.start("work")
    for number in range(RELEASERS):
        actors.start("release", str(number))


def fill(store: Store, actors: Actors, count: int) -> Filling:
    """Let clients submit until so many jobs wait, killing them and releasers in between."""
    with tempfile.TemporaryDirectory(prefix="qcpaas-submitters-") as folder:
        logs = [Path(folder) / f"answers-{number}" for number in range(SUBMITTERS)]
        began = time.monotonic()
        for number in range(SUBMITTERS):
            actors.start("submit", str(number), folder)
        kill_now_and_then(actors, "submit", lambda: waiting(store) >= count, 600.0)
        seconds = time.monotonic() - began
        (Path(folder) / "stop").touch()
        actors.wait("submit")
        # The last line of a killed process may be cut short; its job was not answered.
        lines = [line for log in logs for line in log.read_text().split("\n")[:-1]]
    answered = {line for line in lines if line != "refused"}
    with store.read() as connection:
        known = set(connection.scalars(select(ADMISSION.c.job_id)))
    return Filling(
        seconds, len(answered), lines.count("refused"), len(answered - known), actors.kills
    )


def kill_now_and_then(
    actors: Actors, kind: str, ended: Callable[[], bool], within_s: float
) -> None:
    """Kill one of a kind, or a releaser, by turns, until the end has come."""
    until = time.monotonic() + within_s
    killed_at, kinds = time.monotonic(), (kind, "release")
    while time.monotonic() < until and not ended():
        if time.monotonic() - killed_at > KILL_EVERY_S:
            actors.kill_one(kinds[actors.kills % 2])
            killed_at = time.monotonic()
        time.sleep(0.1)


def settle(store: Store) -> None:
    """Another gateway's releaser finishes what killed ones left half done."""
    releaser = Releaser(recording_platform(store), FairPolicy())
    until = time.monotonic() + 60.0
    while Releases(store).without_run(timedelta(0)) and time.monotonic() < until:
        time.sleep(1.0)
        releaser.look()


def queries(store: Store, options: Options, report: Report) -> None:
    """How long a client's question for its place takes, with the whole backlog there."""
    platform = recording_platform(store)
    policy = FairPolicy()
    began = time.perf_counter()
    seen = situation(store, datetime.now(UTC), SETTINGS.limits, policy.usage_half_life_s())
    seen_s = time.perf_counter() - began
    Foretelling(store, policy, platform.outlook).look(seen)
    foretold_s = time.perf_counter() - began - seen_s
    draw = np.random.default_rng(options.seed)
    ids = [job.job_id for job in seen.waiting]
    asked = [ids[index] for index in draw.integers(len(ids), size=300)]
    answers = GatewayAnswers(platform, Person("judge", Role.ADMINISTRATOR))

    def record(job_id: str) -> None:
        schedule = answers.job(job_id).schedule
        assert schedule is not None
        assert schedule.starts_in is not None
        assert 1 <= schedule.starts_in.position <= len(ids)

    admissions = Admissions(store)
    whole = timed(record, asked, options.seed)
    by_age = timed(admissions.position, asked, options.seed)
    report.add(
        "position_query_p50_10k",
        whole.value,
        "ms",
        aim=20.0,
        note=f"{whole}; {len(ids)} waiting; what GET /v1/jobs/ID answers, its place from the "
        "ranking that each releaser keeps in memory",
    )
    report.add(
        "position_by_age_p50_10k",
        by_age.value,
        "ms",
        note=f"{by_age}; one SQL count over the partial index, before any releaser has looked",
    )
    report.add("situation_10k", 1e3 * seen_s, "ms", note="the backlog as the policy sees it")
    report.add(
        "foretelling_10k", 1e3 * foretold_s, "ms", note="the first: every forecast is recorded too"
    )


def timed(ask: Callable[[str], object], job_ids: list[str], seed: int) -> Interval:
    """Milliseconds."""
    ask(job_ids[0])
    taken = []
    for job_id in job_ids:
        began = time.perf_counter()
        ask(job_id)
        taken.append(1e3 * (time.perf_counter() - began))
    return median(taken, seed)


def without_locks(store: Store, rounds: int) -> int:
    """Limits that are broken where claims count without a lock."""
    rules = Rules({}, Limits(running_jobs=5), dict.fromkeys(RULES.devices, SUBMITTERS * rounds))
    admissions, releases = Admissions(store), Releases(store)
    with (
        patch.object(Store, "serialise", lambda *_: None),
        ThreadPoolExecutor(SUBMITTERS) as pool,
    ):
        for number in range(rounds):
            jobs = [submitted(admissions, f"{USERS[0]}-{number}") for _ in range(SUBMITTERS)]
            together = threading.Barrier(SUBMITTERS)

            def claim(job_id: str, together: threading.Barrier = together) -> None:
                together.wait()
                releases.claim(job_id, rules.others)

            list(pool.map(claim, jobs))
    return len(judge(store, rules).broken)


def submitted(admissions: Admissions, owner: str) -> str:
    device = sorted(RULES.devices)[0]
    job_id, _ = admissions.add(
        None,
        circuit_job(device),
        owner=owner,
        client_key=None,
        content_key="content",
        device=device,
        pool="qcpaas",
        session=False,
        estimate=JobEstimate(device=device),
        choice=Choice(device=device, explanation="as asked."),
        limits=Limits(),
    )
    return job_id


def tell(report: Report, verdict: Verdict, filling: Filling, kills: int) -> None:
    of = f"{verdict.released} releases of {verdict.submitted} jobs, {kills} kill -9"
    double = verdict.double_releases + verdict.double_executions
    report.add(
        "double_releases", double, "count", aim=0, better="equal", note=f"{of}; {NOT_PREFECT}"
    )
    report.add(
        "limits_broken",
        len(verdict.broken),
        "count",
        aim=0,
        better="equal",
        note="; ".join(
            verdict.broken[:3]
            or ["queued, running and daily limits of 41 users, 8 devices; by the database's log"]
        ),
    )
    report.add("released_without_run", verdict.released_without_run, "count", aim=0, better="equal")
    report.add("lost_jobs", filling.lost, "count", aim=0, better="equal", note="answered, not kept")
    report.add(
        "submissions_a_second",
        filling.accepted / filling.seconds,
        "1/s",
        better="higher",
        note=f"{filling.accepted} by {SUBMITTERS} processes in {filling.seconds:.0f} s beside "
        f"{RELEASERS} releasers; {filling.refused} refused by limits, {filling.kills} kills",
    )


if __name__ == "__main__":
    run_benchmark("admission", measure)
