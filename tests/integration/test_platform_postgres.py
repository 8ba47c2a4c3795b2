import psycopg
import pytest

from deployments.guardian import marked_processes
from deployments.postgres import start_postgres
from deployments.processes import Processes
from qcpaas.errors import PlatformError
from store.database import open_store

pytestmark = pytest.mark.postgres


def connect(postgres, database):
    return psycopg.connect(
        host=str(postgres.socket_dir), user="postgres", dbname=database, autocommit=True
    )


@pytest.fixture
def folder(open_folder, request):
    own = open_folder / request.node.name
    own.mkdir()
    return own


def test_data_survives_a_restart_and_no_process_is_left(folder):
    with Processes() as processes:
        postgres = start_postgres(processes, folder)
        with connect(postgres, "prefect") as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchone()
            connection.execute("CREATE TABLE t AS SELECT 'kept' AS word")
    assert marked_processes(processes.mark) == []
    with pytest.raises(psycopg.OperationalError):
        connect(postgres, "prefect")
    with Processes() as processes, connect(start_postgres(processes, folder), "prefect") as again:
        assert again.execute("SELECT word FROM t").fetchone() == ("kept",)


def test_the_store_opens_under_a_path_too_long_for_a_socket(folder):
    folder = folder / ("long" * 30)
    with Processes() as processes:
        postgres = start_postgres(processes, folder)
        with open_store(postgres.store_url) as store:
            assert not store.is_sqlite


def test_a_broken_data_folder_is_told_with_the_log(folder):
    (folder / "postgres").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("9\n")
    with (
        Processes() as processes,
        pytest.raises(PlatformError, match=r"(?s)PostgreSQL ended.*postgresql.conf"),
    ):
        start_postgres(processes, folder)
