"""The whole platform on one machine, part by part in the order in which they need each other."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from deployments import prefect_setup
from deployments.automations import ensure_automations
from deployments.data_folder import PlatformAddresses
from deployments.local_gateway import LocalGateway
from deployments.postgres import start_postgres
from deployments.prefect_server import prefect_environment, start_server
from deployments.processes import Child, Command, Processes, port_taken
from qcpaas.errors import PlatformError
from qcpaas.prefect_api import PrefectApi
from qcpaas.settings import Settings
from store.database import open_store
from store.workers import Workers

HOST = "127.0.0.1"  # of what is the platform's own business
PROJECT_DIR = Path(__file__).resolve().parent.parent
WORKER_QUERY_S = 1.0
# For what asks again and again anyway: 2 + 4 + 8 + 16 s outlast a server's restart, and the next
# question is at most seconds away once the server is back.
SOON_BACK = {"PREFECT_CLIENT_MAX_RETRIES": "4"}
WORKER_DEADLINE_S = 180.0
FIRST_RUNS = ("register-worker/register-worker", "refresh-calibration/refresh-calibration")

T = TypeVar("T")
Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class PlatformOptions:
    """Attributes:
    host, gateway_port: Where the gateway listens, for clients.
    port: Of the Prefect server and its UI, which only this machine reaches.
    workers: Worker processes.
    runs_per_worker: Flow runs that one works on at once.
    warm: Whether they fork runs, rather than start an interpreter for each.
    """

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 4200
    workers: int = 1
    runs_per_worker: int = 4
    warm: bool = True
    gateway_port: int = 4300


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
        gateway = LocalGateway(self._options.host, self._options.gateway_port, self._data_dir)
        gateway.check()
        self._check_ports()
        postgres = self._timed(
            "PostgreSQL", lambda: start_postgres(self._processes, self._data_dir)
        )
        address = self._timed("Prefect server", lambda: self._server(postgres.prefect_url))
        api = PrefectApi(address)
        self._timed("Store", lambda: open_store(postgres.store_url).close())
        prefect_setup.ensure_pool(api)
        prefect_setup.drop_missed_runs(api)
        env = self._environment(f"{address}/api", postgres.prefect_url, postgres.store_url)
        self._timed("Deployments and workers", lambda: self._deploy_and_work(api, env))
        started = gateway.start(self._processes, f"{address}/api", env)
        self._timed("Devices and calibrations", lambda: self._first_runs(api))
        self._timed("Gateway", lambda: self._processes.wait_healthy(started))
        self._timed("Registration of workers", lambda: self._registered(postgres.store_url))
        return PlatformAddresses(
            api_url=gateway.url,
            ui_url=address,
            prefect_url=f"{address}/api",
            store_url=postgres.store_url,
            pid=os.getpid(),
        )

    @property
    def _data_dir(self) -> Path:
        return self._options.data_dir

    def _check_ports(self) -> None:
        options = self._options
        for host, port, option in (
            (HOST, options.port, "--port, or `make up PORT=...`"),
            (options.host, options.gateway_port, "--gateway-port, or `make up GATEWAY_PORT=...`"),
        ):
            if port_taken(host, port):
                raise PlatformError(
                    f"port {port} of {host} is taken. Stop what listens there, or choose another: "
                    f"{option}."
                )

    def _server(self, database_url: str) -> str:
        port = self._options.port
        return start_server(self._processes, HOST, port, self._data_dir, database_url)

    def _environment(self, api_url: str, database_url: str, store_url: str) -> dict[str, str]:
        return {
            **prefect_environment(self._data_dir, api_url, database_url),
            "QCPAAS_DATA_DIR": str(self._data_dir),
            "QCPAAS_STORE_URL": store_url,
            "PREFECT_WORKER_QUERY_SECONDS": str(WORKER_QUERY_S),
        }

    def _deploy_and_work(self, api: PrefectApi, env: dict[str, str]) -> None:
        """Side by side: each spends most of its time on imports, on a core of its own."""
        deploy = self._processes.start(
            Command(
                "prefect deploy",
                [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
                log_file=self._data_dir / "logs" / "deploy.log",
                env=env,
                cwd=PROJECT_DIR,
            )
        )
        host = socket.gethostname().replace("/", "-").replace("%", "-")
        numbers = range(1, self._options.workers + 1)
        names = {number: f"worker-{number}.{host}" for number in numbers}
        workers = [self._start_worker(api, number, names[number], env) for number in numbers]
        self._processes.wait_done(deploy)
        notify_url = Settings().notify_url
        ensure_automations(api, notify_url.get_secret_value() if notify_url else None)
        self._start_maintenance(list(names.values()), env)
        for worker in workers:
            self._processes.wait_healthy(worker, WORKER_DEADLINE_S)

    def _start_worker(self, api: PrefectApi, number: int, name: str, env: dict[str, str]) -> Child:
        return self._processes.start(
            Command(
                f"worker {number}",
                [
                    *(sys.executable, "-m", "flows.worker"),
                    *("--name", name, "--limit", str(self._options.runs_per_worker)),
                    "--warm" if self._options.warm else "--process",
                ],
                log_file=self._data_dir / "logs" / f"worker-{number}.log",
                env={**env, "QCPAAS_PROJECT_DIR": str(PROJECT_DIR), **SOON_BACK},
                cwd=PROJECT_DIR,
                healthy=lambda since: prefect_setup.worker_online(api, name, since),
                keeps_children=True,
                needed=False,
            )
        )

    def _start_maintenance(self, workers: Sequence[str], env: dict[str, str]) -> None:
        self._processes.start(
            Command(
                "maintenance",
                [
                    *(sys.executable, "-m", "flows.maintenance", "--here", ",".join(workers)),
                    *("--slots", str(self._data_dir / "prefect" / "concurrency_leases")),
                ],
                log_file=self._data_dir / "logs" / "maintenance.log",
                env={**env, **SOON_BACK},
                cwd=PROJECT_DIR,
                needed=False,
            )
        )

    def _first_runs(self, api: PrefectApi) -> None:
        """Afterwards clients know the worker, and the store a calibration of every device."""
        runs = [prefect_setup.start_run(api, deployment) for deployment in FIRST_RUNS]
        prefect_setup.wait_for_runs(api, runs, self._processes.check)

    def _registered(self, store_url: str) -> None:
        """Wait until every worker has told what it has: before that jobs are refused."""
        deadline = time.monotonic() + WORKER_DEADLINE_S
        with open_store(store_url) as store:
            while len(Workers(store).living()) < self._options.workers:
                self._processes.check()
                if time.monotonic() > deadline:
                    raise PlatformError(
                        f"a worker has not registered after {WORKER_DEADLINE_S:.0f} s. See "
                        f"{self._data_dir / 'logs'}."
                    )
                time.sleep(0.2)

    def _timed(self, part: str, start: Callable[[], T]) -> T:
        began = time.monotonic()
        result = start()
        self._tell(part, time.monotonic() - began)
        return result
