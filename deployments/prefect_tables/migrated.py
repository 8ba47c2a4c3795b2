"""What the installed Prefect's own migrations make of an empty database, as statements."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from deployments.postgres import Postgres, dump
from deployments.prefect_server import prefect_environment


def migrated_sqlite(folder: Path) -> str:
    """Migrate a new database in an empty folder."""
    _migrate(folder)
    with closing(sqlite3.connect(folder / "prefect" / "prefect.db")) as database:
        return "\n".join(database.iterdump()) + "\n"


def migrated_postgresql(folder: Path, postgres: Postgres) -> str:
    """Migrate the database of a server whose ``prefect`` is empty."""
    _migrate(folder, postgres.prefect_url)
    lines = dump(postgres, "prefect").splitlines()
    # Comments name the server's version; `\restrict` is for psql, with a key drawn for each dump.
    kept = [line for line in lines if line and not line.startswith(("--", "\\"))]
    return "\n".join(kept) + "\n"


def _migrate(folder: Path, database_url: str | None = None) -> None:
    home = folder / "prefect"
    home.mkdir(parents=True)
    subprocess.run(
        [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"],
        env={**os.environ, **prefect_environment(folder, database_url=database_url)},
        cwd=home,
        check=True,
        stdout=subprocess.DEVNULL,
    )
