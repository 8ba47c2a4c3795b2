"""``python -m deployments.migrate_prefect``: brings Prefect's database to this Prefect's tables.

Replicas of a server start together, and two migrations of one database break each other: here one
at a time migrates, and those after it find nothing to do. The database is the one that
``PREFECT_SERVER_DATABASE_CONNECTION_URL`` names; it has to be PostgreSQL.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from qcpaas.errors import InputError, PlatformError, PlatformUnavailable, QCPaaSError

VARIABLE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
WAITS_S = 300.0
_LOCK = 7_238_115_404  # any number that nobody else in this database locks


def migrate(url: str, wait_s: float = WAITS_S) -> None:
    """Migrate the database at an SQLAlchemy URL; others who do so meanwhile wait.

    Raises:
        InputError: The URL names no PostgreSQL.
        PlatformUnavailable: The database does not answer in ``wait_s`` seconds.
        PlatformError: Prefect's migration failed; what it said stands on standard error.
    """
    with _alone(connection_string(url), wait_s):
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"],
            env={**os.environ, VARIABLE: url},
            check=False,
        )
    if done.returncode:
        raise PlatformError("`prefect server database upgrade` has failed; its words stand above.")


def connection_string(url: str) -> str:
    """A URL of SQLAlchemy's as libpq reads it.

    Raises:
        InputError: It names no PostgreSQL; its text may hold a password and is not shown.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() != "postgresql":
        raise InputError(f"{VARIABLE} is postgresql+asyncpg://USER:PASSWORD@HOST/prefect.")
    query = {"sslmode" if key == "ssl" else key: value for key, value in parsed.query.items()}
    plain = parsed.set(drivername="postgresql", query=query)
    return plain.render_as_string(hide_password=False)


@contextmanager
def _alone(target: str, wait_s: float) -> Iterator[None]:
    """A lock in the database; its connection's end gives it back, however this process ends."""
    with _connected(target, wait_s) as connection:
        # Asked for again and again: a statement that waits for it would hold a snapshot, which the
        # migrations' CREATE INDEX CONCURRENTLY waits for in turn.
        while not _locked(connection):
            time.sleep(1.0)
        yield


def _locked(connection: psycopg.Connection) -> bool:
    found = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    return found is not None and bool(found[0])


def _connected(target: str, wait_s: float) -> psycopg.Connection:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return psycopg.connect(target, autocommit=True, connect_timeout=10)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise PlatformUnavailable(
                    f"Prefect's database does not answer after {wait_s:.0f} s. Check that it runs, "
                    f"and the address in {VARIABLE}."
                ) from None  # a driver's text may show the password
            time.sleep(1.0)


def main() -> int:
    """The exit code."""
    try:
        migrate(os.environ.get(VARIABLE, ""))
    except QCPaaSError as error:
        sys.stderr.write(f"migrate: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
