from __future__ import annotations

import pytest

from deployments.migrate_prefect import connection_string, migrate
from qcpaas.errors import InputError, PlatformUnavailable


def test_a_url_of_prefects_is_read_as_libpq_reads_it():
    found = connection_string("postgresql+asyncpg://qcpaas:s%40fe@db:5432/prefect?ssl=require")
    assert found == "postgresql://qcpaas:s%40fe@db:5432/prefect?sslmode=require"


@pytest.mark.parametrize("url", ["", "sqlite+aiosqlite:///prefect.db", "not a url with hunter2"])
def test_what_is_no_postgresql_is_refused_without_showing_it(url: str):
    with pytest.raises(InputError) as raised:
        connection_string(url)
    assert "hunter2" not in str(raised.value)


def test_a_database_that_is_away_is_said_to_be_without_its_password():
    with pytest.raises(PlatformUnavailable) as raised:
        migrate("postgresql+asyncpg://qcpaas:hunter2@127.0.0.1:1/prefect", wait_s=0.0)
    assert "hunter2" not in str(raised.value)
