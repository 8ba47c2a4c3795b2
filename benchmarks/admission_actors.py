"""What the processes of the admission benchmark do; each may be killed at any instruction."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
from sqlalchemy import insert, text

from benchmarks.admission_scene import GREEDY, PLATFORM_LIMITS, RULES, SETTINGS, USERS, circuit_job
from gateway.admission.releaser import Releaser
from gateway.auth.authenticator import Authenticator
from gateway.engine.prefect import PrefectEngine
from gateway.platform import Platform
from gateway.scheduling.fair import FairPolicy
from qcpaas.errors import LimitReached
from qcpaas.scheduling import Choice, JobEstimate
from qcpaas.schemas import CircuitJob, JobState, WorkloadJob
from store.admissions import Admissions
from store.database import Store, open_store
from store.jobs import Jobs
from store.ledger_rows import SUBMISSION

RUN_S = 0.3  # that every run takes


class Recorder:
    """Stands where Prefect would make a flow run: one for each idempotency key, however often."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._draw = np.random.default_rng()

    def create_run(self, job: CircuitJob | WorkloadJob, pool: str = "") -> str:
        asked = text("INSERT INTO run_request (job_id, releaser) VALUES (:job_id, :releaser)")
        with self._store.write() as connection:
            connection.execute(asked, {"job_id": job.job_id, "releaser": os.getpid()})
        time.sleep(self._draw.uniform(0.0, 0.02))  # as a request takes, so that kills fall into it
        made = text("INSERT INTO flow_run (idempotency_key) VALUES (:key) ON CONFLICT DO NOTHING")
        found = text("SELECT run_id FROM flow_run WHERE idempotency_key = :key")
        with self._store.write() as connection:
            connection.execute(made, {"key": job.job_id})
            return str(connection.scalar(found, {"key": job.job_id}))

    def run(self, job_id: str) -> dict[str, str]:
        return {"state_type": "SCHEDULED"}


def recording_platform(store: Store) -> Platform:
    engine = cast("PrefectEngine", Recorder(store))
    return Platform(SETTINGS, store, engine, cast("Authenticator", None))


def release(url: str, _: str) -> None:
    """A gateway's releaser, until it is told to end, or killed."""
    with open_store(url) as store:
        releaser = Releaser(recording_platform(store), FairPolicy())
        releaser.start()
        _until_told()
        releaser.close()


def submit(url: str, number: str, folder: str) -> None:
    """A client that submits until told to stop; killed, it repeats what was not answered.

    Args:
        folder: Where each answered job is noted; a new process goes on behind what is there.
    """
    answers = Path(folder) / f"answers-{number}"
    done = answers.read_text().count("\n") if answers.exists() else 0
    with open_store(url) as store, answers.open("a") as log:
        admissions = Admissions(store)
        while not (Path(folder) / "stop").exists():
            log.write(f"{_submitted(admissions, int(number), done)}\n")
            log.flush()
            done += 1


def _submitted(admissions: Admissions, number: int, count: int) -> str:
    """The job's id, or why it was refused. The same number and count make the same job."""
    draw = np.random.default_rng([number, count])
    owner = GREEDY if draw.random() < 0.1 else str(draw.choice(USERS))
    device = str(draw.choice(sorted(RULES.devices)))
    qpu_s = float(draw.uniform(0.5, 2.0))
    limits = RULES.users.get(owner, PLATFORM_LIMITS)
    try:
        job_id, _ = admissions.add(
            None,
            circuit_job(device),  # under a new id: a client that lost the answer may do so
            owner=owner,
            client_key=f"{number}-{count}",
            content_key="content",
            device=device,
            pool="qcpaas",
            session=False,
            estimate=JobEstimate(device=device, qpu_s=qpu_s, qpu_s_hi=2 * qpu_s, wall_s=qpu_s),
            choice=Choice(device=device, explanation="as asked."),
            limits=limits,
        )
    except LimitReached:
        return "refused"
    return job_id


def work(url: str) -> None:
    """Runs what was handed over, each once, as a worker does."""
    with open_store(url) as store:
        ended = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
        while not ended.is_set():
            for job_id in _taken(store):
                _run(store, job_id)
            ended.wait(0.05)


def _taken(store: Store) -> list[str]:
    due = text(
        "UPDATE flow_run SET taken = true WHERE NOT taken "
        "AND at < clock_timestamp() - make_interval(secs => :run_s) RETURNING idempotency_key"
    )
    with store.write() as connection:
        return [str(key) for key in connection.scalars(due, {"run_s": RUN_S})]


def _run(store: Store, job_id: str) -> None:
    jobs = Jobs(store)
    jobs.start(job_id)
    spent_s = float(np.random.default_rng().uniform(0.3, 2.5))
    with store.write() as connection:
        connection.execute(
            text("INSERT INTO execution (job_id) VALUES (:job_id)"), {"job_id": job_id}
        )
        connection.execute(insert(SUBMISSION).values(**_submission(job_id, spent_s)))
    jobs.finish(job_id, JobState.COMPLETED)


def _submission(job_id: str, qpu_s: float) -> dict[str, object]:
    return {
        "job_id": job_id,
        "call": 0,
        "part": 0,
        "attempt": 0,
        "token": uuid.uuid4().hex,
        "device": "recorded",
        "state": "done",
        "content_key": "content",
        "seed": 1,
        "submitted_at": datetime.now(UTC),
        "qpu_s": qpu_s,
        "request": b"",
    }


def _until_told() -> None:
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    told.wait()


ACTORS: dict[str, Callable[..., None]] = {"submit": submit, "release": release, "work": work}
