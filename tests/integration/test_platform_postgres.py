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


def test_data_survives_a_restart_and_no_process_is_left(tmp_path):
    with Processes() as processes:
        postgres = start_postgres(processes, tmp_path)
        with connect(postgres, "prefect") as connection:
            connection.execute("CREATE EXTENSION pg_trgm")  # Prefect's migrations need it
            connection.execute("CREATE TABLE t AS SELECT 'kept' AS word")
    assert marked_processes(processes.mark) == []
    with pytest.raises(psycopg.OperationalError):
        connect(postgres, "prefect")
    with Processes() as processes, connect(start_postgres(processes, tmp_path), "prefect") as again:
        assert again.execute("SELECT word FROM t").fetchone() == ("kept",)


def test_the_store_opens_under_a_path_too_long_for_a_socket(tmp_path):
    folder = tmp_path / ("long" * 30)
    with Processes() as processes:
        postgres = start_postgres(processes, folder)
        with open_store(postgres.store_url) as store:
            assert not store.is_sqlite


def test_a_broken_data_folder_is_told_with_the_log(tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("9\n")
    with (
        Processes() as processes,
        pytest.raises(PlatformError, match=r"(?s)PostgreSQL ended.*postgresql.conf"),
    ):
        start_postgres(processes, tmp_path)
