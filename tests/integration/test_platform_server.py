import re
import threading

import httpx
import pytest

from deployments import prefect_tables
from deployments.postgres import start_postgres
from deployments.prefect_server import start_server
from deployments.prefect_tables.migrated import migrated_postgresql, migrated_sqlite
from deployments.processes import Processes, free_port

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(params=["written", "migrated"])
def tables(request, monkeypatch, tmp_path_factory):
    if request.param == "migrated":  # as where Prefect is of a version without written tables
        monkeypatch.setattr(prefect_tables, "FOLDER", tmp_path_factory.mktemp("none"))


@pytest.mark.usefixtures("tables")
def test_two_servers_share_one_new_data_folder(tmp_path):
    """As two embedded jobs do that are started at the same moment."""
    addresses = {}

    def start(name, processes):
        addresses[name] = start_server(processes, "127.0.0.1", free_port(), tmp_path, ui=False)

    with Processes() as first, Processes() as second:
        threads = [
            threading.Thread(target=start, args=("first", first)),
            threading.Thread(target=start, args=("second", second)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number in range(20):
            for address in addresses.values():
                body = {"name": f"flow-{number}-{address[-5:]}"}
                httpx.post(f"{address}/api/flows/", json=body).raise_for_status()
        counts = [httpx.post(f"{address}/api/flows/count").json() for address in addresses.values()]
    assert counts == [40, 40]


def words(statements):
    """Of each statement, in no order: migrations of SQLite write a table's constraints in any."""
    return sorted(sorted(re.findall(r"\w+|\S", one)) for one in statements.split(";\n"))


def test_the_written_tables_of_sqlite_are_what_migrations_make(tmp_path):
    assert words(prefect_tables.tables("sqlite")) == words(migrated_sqlite(tmp_path))


@pytest.mark.postgres
def test_the_written_tables_of_postgresql_are_what_migrations_make(open_folder, monkeypatch):
    folder = open_folder / "migrated"
    folder.mkdir()
    with Processes() as processes, monkeypatch.context() as patch:
        patch.setattr(prefect_tables, "FOLDER", folder)  # it starts empty
        postgres = start_postgres(processes, folder)
        made = migrated_postgresql(folder / "migrating", postgres)
    assert prefect_tables.tables("postgresql") == made
