"""The tables of a new Prefect database as its migrations leave them, written in one go.

Prefect 3.8.8 makes them by over a hundred migrations, which were half of what a server's first
start cost (SQLite: 15 of 32 s of CPU on a busy machine; PostgreSQL: 8 of 17 s). Each file is for
one version of Prefect and one kind of database; where there is none, Prefect migrates.

``python -m deployments.prefect_tables`` writes the files of the installed version.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Literal

FOLDER = Path(__file__).parent

Kind = Literal["sqlite", "postgresql"]


def tables_file(kind: Kind) -> Path:
    """Where the tables of the installed Prefect are, if they are kept."""
    return FOLDER / f"{kind}-{version('prefect')}.sql"


def tables(kind: Kind) -> str | None:
    """The statements that make them in an empty database; ``None``: Prefect has to migrate."""
    try:
        return tables_file(kind).read_text()
    except FileNotFoundError:
        return None


def write_sqlite(path: Path) -> None:
    """Write a server's database where there is none yet.

    It appears whole: of a process that is killed on the way ``path`` shows nothing.
    """
    statements = tables("sqlite")
    if statements is None or path.exists():
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft)) as database:
        database.executescript(statements)
    draft.replace(path)
