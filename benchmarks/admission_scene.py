"""Who takes part in the admission benchmark: devices, users and their limits, and a server."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from sqlalchemy import func, select, text

from benchmarks.admission_log import Rules, install_log
from deployments.postgres import start_postgres
from deployments.processes import Processes
from gateway.settings import GatewaySettings
from qcpaas.devices import DeviceInfo
from qcpaas.scheduling import Limits, UserInfo
from qcpaas.schemas import CircuitItem, CircuitJob, CircuitPayload, ExecutionSettings
from store.admission_rows import ADMISSION
from store.database import Store, open_store
from store.devices import Devices
from store.jobs import JOB
from store.people import People

PLATFORM_LIMITS = Limits(running_jobs=3, queued_jobs=600)
SETTINGS = GatewaySettings(limits=PLATFORM_LIMITS, released_per_device=1, auth="none")
USERS = [f"user-{number}" for number in range(40)]
GREEDY = "greedy"  # submits a tenth of all jobs, and has a short queue
OWN = {
    GREEDY: Limits(running_jobs=2, queued_jobs=100),
    "user-1": Limits(running_jobs=8, queued_jobs=600),
    **{
        f"user-{number}": Limits(running_jobs=3, queued_jobs=600, qpu_s_a_day=15.0)
        for number in range(2, 8)
    },
}
SLOTS = {f"device-{number}": 1 + number % 2 for number in range(8)}
RULES = Rules(
    users=OWN,
    others=PLATFORM_LIMITS,
    devices={name: slots + SETTINGS.released_per_device for name, slots in SLOTS.items()},
)
_CIRCUIT = CircuitPayload(format="qasm2", text="OPENQASM 2.0; qreg q[2]; creg c[2]; h q[0];")


def circuit_job(device: str) -> CircuitJob:
    return CircuitJob(
        job_id=uuid.uuid4().hex,  # the usual ids are for fewer jobs a second
        execution=ExecutionSettings(backend=device, seed=1),
        items=(CircuitItem(circuit=_CIRCUIT),),
    )


@contextmanager
def database() -> Iterator[tuple[Store, str]]:
    """A store on PostgreSQL with devices, users and the log."""
    with tempfile.TemporaryDirectory(prefix="qcpaas-admission-") as folder, Processes() as server:
        Path(folder).chmod(0o755)  # PostgreSQL runs as a user of its own where this one is root
        url = start_postgres(server, Path(folder)).store_url
        with open_store(url) as store:
            install_log(store)
            for name, slots in SLOTS.items():
                Devices(store).register(
                    DeviceInfo(name=name, adapter="none", num_qubits=5, concurrent_jobs=slots)
                )
            for name in (GREEDY, *USERS):
                People(store).keep(UserInfo(name=name, limits=OWN.get(name, Limits())))
            yield store, url


def waiting(store: Store) -> int:
    with store.read() as connection:
        query = select(func.count()).select_from(ADMISSION)
        return int(connection.scalar(query.where(ADMISSION.c.state == "waiting")) or 0)


class Actors:
    """Forks that are killed without a word now and then, and started again.

    Forks, since a new interpreter would spend longer on its imports than it lives here.
    """

    def __init__(self, kinds: Mapping[str, Callable[..., None]], url: str, seed: int) -> None:
        self._kinds = kinds
        self._url = url
        self._draw = np.random.default_rng(seed)
        self._alive: dict[tuple[str, ...], BaseProcess] = {}
        self.kills = 0

    def start(self, kind: str, *arguments: str) -> None:
        process = multiprocessing.get_context("fork").Process(
            target=_act, args=(self._kinds[kind], self._url, *arguments)
        )
        process.start()
        self._alive[kind, *arguments] = process

    def kill_one(self, kind: str) -> None:
        """SIGKILL to one of a kind, and another in its place."""
        those = self._of(kind)
        one = those[self._draw.integers(len(those))]
        process = self._alive.pop(one)
        process.kill()
        process.join()
        self.kills += 1
        self.start(*one)

    def end(self, kind: str, within_s: float = 60.0) -> None:
        """In order."""
        ending = [self._alive.pop(one) for one in self._of(kind)]
        for process in ending:
            process.terminate()
        until = time.monotonic() + within_s
        for process in ending:
            process.join(max(0.1, until - time.monotonic()))
            process.kill()
            process.join()

    def wait(self, kind: str) -> None:
        """Until all of a kind have ended by themselves."""
        for one in self._of(kind):
            self._alive.pop(one).join()

    def close(self) -> None:
        for process in self._alive.values():
            process.kill()
            process.join()

    def _of(self, kind: str) -> list[tuple[str, ...]]:
        return [one for one in self._alive if one[0] == kind]


def _act(play: Callable[..., None], *arguments: str) -> None:
    """Without the parent's exit handlers: its connections are not this process's to close."""
    try:
        play(*arguments)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def top_up(store: Store, count: int) -> None:
    """Copies of one job, so many that ``count`` wait; without what a submission checks."""
    missing = count - waiting(store)
    if missing <= 0:
        return
    with store.write() as connection:
        for table in (JOB, ADMISSION):
            own = {"job_id": "'copy-' || n", "client_key": "NULL"}
            own["owner"] = f"'user-' || (n % {len(USERS)})"
            own["device"] = f"'device-' || (n % {len(SLOTS)})"
            own["submitted_at"] = "clock_timestamp()"
            names = ", ".join(f'"{column.name}"' for column in table.c)
            values = ", ".join(own.get(column.name, f'one."{column.name}"') for column in table.c)
            connection.execute(
                text(
                    f"INSERT INTO {table.name} ({names}) SELECT {values} FROM "  # noqa: S608
                    f"generate_series(1, :missing) n, (SELECT t.* FROM {table.name} t "
                    "JOIN admission a USING (job_id) WHERE a.state = 'waiting' LIMIT 1) one"
                ),
                {"missing": missing},
            )
