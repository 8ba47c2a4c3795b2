"""Bringing a database to this version's tables, in order and once."""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from qcpaas.errors import PlatformError

# Oldest first; the last one is what this version works with. Kept here so that opening a
# database that is up to date, which every command does, need not import Alembic.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010")

# A name of its own: the store may share a database with Prefect, which uses Alembic too.
VERSION_TABLE = "store_version"

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('qcpaas.store.migrations', 0))")
# Alembic keeps the migration that runs in a global of its own.
_ONE_AT_A_TIME = threading.Lock()


def revision(connection: Connection) -> str | None:
    """What the database is at; ``None`` when it is new."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
    return found


def prepare(engine: Engine) -> None:
    """Migrate to the newest revision, safely while other processes do the same.

    Raises:
        PlatformError: The database is at a revision that this version does not know.
    """
    with engine.execution_options(reads_only=True).connect() as connection:
        if _is_current(engine, connection):
            return
    with _ONE_AT_A_TIME, engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(_LOCK)  # SQLite's writing transaction is a lock already
        if not _is_current(engine, connection):  # another process may have been first
            upgrade(connection)


def upgrade(connection: Connection, target: str = "head") -> None:
    """Run the migrations up to ``target`` in the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)


def _is_current(engine: Engine, connection: Connection) -> bool:
    found = revision(connection)
    if found is not None and found not in REVISIONS:
        raise PlatformError(
            f"the store {engine.url.database!r} is at revision {found}; this version of the "
            f"platform knows revisions up to {REVISIONS[-1]}. Upgrade the platform, or use "
            "another database (QCPAAS_STORE_URL)."
        )
    return found == REVISIONS[-1]
