"""A Prefect server of our own: its settings, and starting it."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import httpx

from deployments.prefect_tables import write_sqlite
from deployments.processes import Child, Command, Processes
from flows import engine
from qcpaas.errors import PlatformError

START_DEADLINE_S = 300.0
MAX_PARAMETER_BYTES = 64 * 1024 * 1024


def prefect_environment(
    data_dir: Path, api_url: str | None = None, database_url: str | None = None
) -> dict[str, str]:
    """The variables that a server, a worker and a client of one platform share.

    Args:
        data_dir: Everything of Prefect's is kept in ``data_dir/prefect``.
        api_url: Of the server, ending in ``/api``; a server's own UI finds it there too.
        database_url: SQLAlchemy URL of Prefect's database; SQLite in ``data_dir`` unless given.

    Source: settings of Prefect 3.8.8.
    """
    home = data_dir.resolve() / "prefect"
    database = database_url or f"sqlite+aiosqlite:///{home / 'prefect.db'}"
    address = {} if api_url is None else {"PREFECT_API_URL": api_url, "PREFECT_UI_API_URL": api_url}
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "results"),
        "PREFECT_API_DATABASE_CONNECTION_URL": database,
        "NO_PROXY": _no_proxy(),
        **address,
        **_PRIVACY,
        **_DURABILITY,
        **_THROUGHPUT,
        **_QUIET,
    }


def start_server(
    processes: Processes,
    host: str,
    port: int,
    data_dir: Path,
    database_url: str | None = None,
    *,
    ui: bool = True,
) -> str:
    """Start a Prefect server and wait until it answers; returns its address, without ``/api``.

    Several may share one ``data_dir``. As long as its database is new they start one after the
    other, because two migrations of one SQLite file break each other.

    Raises:
        PlatformError: It did not come up; with the end of its log.
    """
    home = data_dir.resolve() / "prefect"
    home.mkdir(parents=True, exist_ok=True)
    address = f"http://{reachable(host)}:{port}"
    with _migrating_alone(home):
        if database_url is None:
            write_sqlite(home / "prefect.db")
        server = _spawn(processes, host, port, data_dir, database_url, ui=ui)
        processes.wait_healthy(server, START_DEADLINE_S)
    return address


@contextmanager
def _migrating_alone(home: Path) -> Iterator[None]:
    """Hold others back until the database in ``home`` has this Prefect's tables."""
    marker = home / f"migrated-{version('prefect')}"
    if marker.exists() and (home / "prefect.db").exists():
        yield
        return
    with (home / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        marker.touch()


def _spawn(
    processes: Processes,
    host: str,
    port: int,
    data_dir: Path,
    database_url: str | None,
    *,
    ui: bool,
) -> Child:
    home = data_dir.resolve() / "prefect"
    api_url = f"http://{reachable(host)}:{port}/api"
    return processes.start(
        Command(
            "the Prefect server",
            [
                *(sys.executable, "-m", "prefect", "server", "start"),
                *("--host", host, "--port", str(port)),
            ],
            log_file=data_dir / "logs" / "prefect-server.log",
            env={
                **prefect_environment(data_dir, api_url, database_url),
                "PREFECT_SERVER_UI_ENABLED": str(ui).lower(),
                # Blocks of Prefect's own for its pages to offer: writing 54 kinds takes seconds.
                "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": str(ui).lower(),
                # Beside the database, not in the installed package: that may be read-only.
                "PREFECT_UI_STATIC_DIRECTORY": str(home / "ui"),
            },
            cwd=home,
            healthy=lambda _: healthy(api_url),
        )
    )


def healthy(api_url: str) -> bool:
    """Whether a Prefect API answers at this address and finds itself well."""
    try:
        return httpx.get(f"{api_url}/health", timeout=5.0, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def reachable(host: str) -> str:
    """The address for a client on this machine of a server that listens on ``host``."""
    if ":" in host:
        raise PlatformError(f"asked to listen on {host!r}: give a host name or an IPv4 address.")
    return "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104


def _no_proxy() -> str:
    """The user's own list, and this machine: a proxy cannot reach the server on it."""
    named = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    own = ("127.0.0.1", "localhost")
    return ",".join([*filter(None, named.split(",")), *(one for one in own if one not in named)])


_PRIVACY = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}

_DURABILITY = {
    # Slots kept in memory are lost when the server restarts, and their holders with them.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
        "prefect.server.concurrency.lease_storage.filesystem"
    ),
    # Prefect's own five give up after a minute.
    "PREFECT_CLIENT_MAX_RETRIES": engine.RETRIES,
    # What the server answers while its database is away.
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
}

_THROUGHPUT = {
    # One task run at a time costs the server about four times the CPU of a batch of 100.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TRIGGERS_READ_BATCH_SIZE": "100",
    # A job's circuits travel as the flow run's parameter; Prefect's own limit is 512 kB.
    "PREFECT_SERVER_API_MAX_PARAMETER_SIZE": str(MAX_PARAMETER_BYTES),
}

_QUIET = {
    # Runs log at INFO to the API, where the UI reads them; the terminal is spared.
    "PREFECT_LOGGING_LEVEL": "INFO",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_CLI_COLORS": "false",
}
