from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, cast

import pytest

from gateway.auth.authenticator import Authenticator
from gateway.engine.prefect import PrefectEngine
from gateway.platform import Platform
from gateway.settings import GatewaySettings
from qcpaas.devices import DeviceInfo
from qcpaas.errors import InputError, PlatformUnavailable
from qcpaas.scheduling import Choice, JobEstimate, Limits, Scheduling
from qcpaas.schemas import Bundle, CircuitJob, ExecutionSettings, WorkloadJob
from store.admissions import Admissions
from store.database import Store
from store.devices import Devices


class Runs:
    """Flow runs by their idempotency key, as an engine makes them.

    Attributes:
        away: Pools that take nothing now.
        refused: Jobs that the server will never take.
        asked: Every request, in order.
    """

    def __init__(self) -> None:
        self.made: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.away: set[str] = set()
        self.refused: set[str] = set()
        self.asked: list[str] = []

    def create_run(self, job: CircuitJob | WorkloadJob, pool: str = "", flow: str = "") -> str:
        self.asked.append(job.job_id)
        if pool in self.away:
            raise PlatformUnavailable("the engine is away.")
        if job.job_id in self.refused:
            raise InputError("the job is larger than the engine takes.")
        self.states.setdefault(job.job_id, "SCHEDULED")
        return self.made.setdefault(job.job_id, f"run-{len(self.made)}")

    def run(self, job_id: str) -> dict[str, str] | None:
        state = self.states.get(job_id)
        return None if state is None else {"state_type": state}


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def platform(store: Store, runs: Runs) -> Platform:
    """A platform with a device of one slot, and one that takes two jobs at once."""
    for name, slots in (("alpha", 1), ("beta", 2)):
        Devices(store).register(
            DeviceInfo(name=name, adapter="none", num_qubits=5, concurrent_jobs=slots)
        )
    settings = GatewaySettings(limits=Limits(running_jobs=4), released_per_device=1)
    engine = cast("PrefectEngine", runs)
    return Platform(settings, store, engine, cast("Authenticator", None))


@pytest.fixture
def submit(store: Store) -> Callable[..., str]:
    """Let a job of ten device seconds wait; answers its id."""

    def submitted(owner: str = "ada", device: str = "alpha", **changed: Any) -> str:
        job = WorkloadJob(
            job_id=uuid.uuid4().hex,
            execution=ExecutionSettings(backend=device, seed=1),
            bundle=Bundle(entry="a:B", modules={}),
            scheduling=changed.pop("scheduling", Scheduling()),
        )
        estimate = JobEstimate(device=device, qpu_s=10.0, qpu_s_hi=15.0, wall_s=20.0)
        told = {
            "owner": owner,
            "client_key": None,
            "content_key": "content",
            "device": device,
            "pool": "pool",
            "session": False,
            "estimate": estimate,
            "choice": Choice(device=device, explanation="as asked."),
            "limits": Limits(),
        }
        return Admissions(store).add(None, job, **(told | changed))[0]

    return submitted
