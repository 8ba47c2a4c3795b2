"""Write the tables of the installed Prefect beside this file, in place of another version's."""

from __future__ import annotations

import tempfile
from pathlib import Path

from deployments.postgres import start_postgres
from deployments.prefect_tables import FOLDER, tables_file
from deployments.prefect_tables.migrated import migrated_postgresql, migrated_sqlite
from deployments.processes import Processes


def main() -> None:
    for old in FOLDER.glob("*.sql"):
        old.unlink()  # or PostgreSQL would start with them instead of empty
    with tempfile.TemporaryDirectory(prefix="qcpaas-") as name, Processes() as processes:
        folder = Path(name)
        postgres = start_postgres(processes, folder)
        tables_file("sqlite").write_text(migrated_sqlite(folder / "sqlite"))
        tables_file("postgresql").write_text(migrated_postgresql(folder / "postgresql", postgres))


if __name__ == "__main__":
    main()
