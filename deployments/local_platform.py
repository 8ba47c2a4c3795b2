"""The whole platform on one machine, part by part in the order in which they need each other."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from deployments import prefect_setup
from deployments.data_folder import PlatformAddresses
from deployments.postgres import start_postgres
from deployments.prefect_server import prefect_environment, start_server
from deployments.processes import Child, Processes, port_taken
from qcpaas.errors import PlatformError
from qcpaas.prefect_api import PrefectApi
from qcpaas.schemas import ErrorReport, JobState
from store.database import Store, open_store
from store.jobs import Jobs

PROJECT_DIR = Path(__file__).resolve().parent.parent
WORKER_QUERY_S = 1.0
WORKER_DEADLINE_S = 180.0
FIRST_RUNS = ("register-worker/register-worker", "refresh-calibration/refresh-calibration")

T = TypeVar("T")
Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class PlatformOptions:
    """Attributes:
    workers: Process workers.
    runs_per_worker: Flow runs that one works on at once.
    """

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 4200
    workers: int = 1
    runs_per_worker: int = 4


class LocalPlatform:
    """Starts the parts; `Processes` stops them.

    Args:
        tell: Called with a part's name and the seconds that it took.
    """

    def __init__(self, options: PlatformOptions, processes: Processes, tell: Tell) -> None:
        self._options = options
        self._processes = processes
        self._tell = tell

    def start(self) -> PlatformAddresses:
        """Start everything and wait until jobs can be submitted.

        Raises:
            PlatformError: The port is taken, or a part did not come up.
        """
        options = self._options
        if port_taken(options.host, options.port):
            raise PlatformError(
                f"port {options.port} of {options.host} is taken. Stop what listens there, or "
                "choose another: --port, or `make up PORT=...`."
            )
        postgres = self._timed(
            "PostgreSQL", lambda: start_postgres(self._processes, self._data_dir)
        )
        address = self._timed("Prefect server", lambda: self._server(postgres.prefect_url))
        api = PrefectApi(address)
        store = self._timed("Store", lambda: open_store(postgres.store_url))
        with store:
            self._tidy(api, store)
        env = self._environment(f"{address}/api", postgres.prefect_url, postgres.store_url)
        self._timed("Deployments and workers", lambda: self._deploy_and_work(api, env))
        self._timed("Devices and calibrations", lambda: self._first_runs(api))
        api.close()
        return PlatformAddresses(f"{address}/api", address, postgres.store_url, os.getpid())

    @property
    def _data_dir(self) -> Path:
        return self._options.data_dir

    def _server(self, database_url: str) -> str:
        options = self._options
        return start_server(
            self._processes, options.host, options.port, self._data_dir, database_url
        )

    def _tidy(self, api: PrefectApi, store: Store) -> None:
        """Settle what an earlier platform on this folder left open."""
        prefect_setup.ensure_pool(api)
        prefect_setup.drop_missed_runs(api)
        jobs = Jobs(store)
        ids = {record.job_id for record in jobs.all(1000) if not record.state.finished}
        report = ErrorReport(
            type="JobFailed", message="the platform went down while the job ran. Submit it again."
        )
        orphans = prefect_setup.crash_orphans(api)
        for run in orphans:
            if run["name"] in ids:
                jobs.finish(run["name"], JobState.FAILED, report)
        ended = {run["id"] for run in orphans}
        prefect_setup.release_slots(api, self._data_dir / "prefect", ended.__contains__)

    def _environment(self, api_url: str, database_url: str, store_url: str) -> dict[str, str]:
        return {
            **prefect_environment(self._data_dir, api_url, database_url),
            "QCPAAS_DATA_DIR": str(self._data_dir),
            "QCPAAS_STORE_URL": store_url,
            "PREFECT_WORKER_QUERY_SECONDS": str(WORKER_QUERY_S),
        }

    def _deploy_and_work(self, api: PrefectApi, env: dict[str, str]) -> None:
        """Side by side: each spends most of its time on imports, on a core of its own."""
        since = datetime.now(UTC)
        deploy = self._processes.start(
            "prefect deploy",
            [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
            log_file=self._data_dir / "logs" / "deploy.log",
            env=env,
            cwd=PROJECT_DIR,
        )
        workers = [self._start_worker(number, env) for number in range(self._options.workers)]
        self._processes.wait_done(deploy)
        for worker in workers:
            self._processes.wait_healthy(
                worker,
                lambda: prefect_setup.workers_online(api, since) >= len(workers),
                WORKER_DEADLINE_S,
            )

    def _start_worker(self, number: int, env: dict[str, str]) -> Child:
        return self._processes.start(
            f"worker {number + 1}",
            [
                *(sys.executable, "-m", "prefect", "worker", "start"),
                *("--pool", prefect_setup.POOL, "--type", "process", "--install-policy", "never"),
                *("--name", f"worker-{number + 1}"),
                *("--limit", str(self._options.runs_per_worker)),
            ],
            log_file=self._data_dir / "logs" / f"worker-{number + 1}.log",
            env={**env, "QCPAAS_PROJECT_DIR": str(PROJECT_DIR)},
            cwd=self._data_dir,
        )

    def _first_runs(self, api: PrefectApi) -> None:
        """Afterwards clients know the worker, and the store a calibration of every device."""
        runs = [prefect_setup.start_run(api, deployment) for deployment in FIRST_RUNS]
        prefect_setup.wait_for_runs(api, runs, self._processes.check)

    def _timed(self, part: str, start: Callable[[], T]) -> T:
        began = time.monotonic()
        result = start()
        self._tell(part, time.monotonic() - began)
        return result
