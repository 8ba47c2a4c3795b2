import re
import sqlite3
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from deployments import prefect_tables
from deployments.prefect_tables import tables, write_sqlite


def newest_migration(kind):
    """The one that none of the installed Prefect's comes after."""
    package = Path(find_spec("prefect").origin).parent
    found = package.glob(f"server/database/_migrations/versions/{kind}/*.py")
    texts = [path.read_text() for path in found]
    assign = r'^{} = "(\w+)"'
    made, followed = (
        {match for text in texts for match in re.findall(assign.format(word), text, re.MULTILINE)}
        for word in ("revision", "down_revision")
    )
    (newest,) = made - followed
    return newest


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_tables_are_those_after_the_installed_prefects_newest_migration(kind):
    (written,) = re.findall(r"INSERT INTO .*alembic_version.* VALUES ?\('(\w+)'\)", tables(kind))
    assert written == newest_migration(kind)


def test_a_database_that_is_there_stays_as_it_is(tmp_path):
    path = tmp_path / "prefect.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE older (n)")
    write_sqlite(path)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("older",)]
    assert list(tmp_path.iterdir()) == [path]


def test_another_version_of_prefect_makes_its_tables_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(prefect_tables, "version", lambda name: "99.0")
    write_sqlite(tmp_path / "prefect.db")
    assert list(tmp_path.iterdir()) == []
    assert tables("postgresql") is None
