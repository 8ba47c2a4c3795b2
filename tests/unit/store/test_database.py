"""Opening, migrating and sharing the configuration database."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, inspect, select, text
from sqlalchemy.exc import IntegrityError, StatementError

import store.migrations
from qcpaas.errors import PlatformError, PlatformUnavailable
from qcpaas.schemas import CircuitItem, CircuitJob, CircuitPayload, ExecutionSettings
from store.database import Store, open_store
from store.jobs import Jobs
from store.migrations import REVISIONS, VERSION_TABLE, upgrade
from store.tables import Compiled, Row, table

ROOT = Path(store.migrations.__file__).parents[2]
JOBS_A_PROCESS = 10


def job(job_id: str) -> CircuitJob:
    circuit = CircuitPayload(format="qasm2", text="OPENQASM 2.0; qreg q[1];")
    return CircuitJob(
        job_id=job_id,
        execution=ExecutionSettings(backend="FakeKolkata", seed=1),
        items=(CircuitItem(circuit=circuit),),
    )


def test_opening_creates_the_folder_and_every_table(new_url: str) -> None:
    with open_store(new_url) as opened:
        names = set(inspect(opened.engine).get_table_names())
    assert names == {t.name for t in Row.metadata.sorted_tables} | {VERSION_TABLE}


def test_migrations_make_exactly_the_tables_that_the_code_uses(new_url: str) -> None:
    with open_store(new_url) as opened, opened.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, Row.metadata) == []


def test_known_revisions_are_those_of_the_migration_scripts() -> None:
    scripts = ScriptDirectory(str(Path(store.migrations.__file__).parent))
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(REVISIONS)
    assert scripts.get_current_head() == REVISIONS[-1]


def test_opening_again_keeps_what_was_written(new_url: str) -> None:
    with open_store(new_url) as opened:
        Jobs(opened).create(job("kept"))
    with open_store(new_url) as opened:
        assert Jobs(opened).get("kept").backend == "FakeKolkata"


def test_an_up_to_date_store_opens_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    open_store(url).close()
    code = (
        "import sys; from store.database import open_store; "
        f"open_store({url!r}).close(); print('alembic' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"


def test_a_database_of_a_newer_version_is_refused_untouched(new_url: str) -> None:
    with open_store(new_url) as opened, opened.write() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(PlatformError, match=rf"revision 9999.*up to {REVISIONS[-1]}") as caught:
        open_store(new_url)
    assert not caught.value.retryable


def test_a_migration_that_fails_leaves_nothing_behind(
    new_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def migrate_then_die(connection: object, target: str = "head") -> None:
        upgrade(connection, target)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(store.migrations, "upgrade", migrate_then_die)
    with pytest.raises(KeyboardInterrupt):
        open_store(new_url)
    monkeypatch.undo()
    with open_store(new_url) as opened:
        assert Jobs(opened).all() == []


def test_sqlite_runs_in_wal_mode_with_foreign_keys(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened, opened.read() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "busy_timeout", "foreign_keys", "synchronous")
        }
    assert pragmas == {
        "journal_mode": "wal",
        "busy_timeout": 30_000,
        "foreign_keys": 1,
        "synchronous": 1,
    }


def test_a_session_commits_at_its_end(store: Store) -> None:
    now = datetime.now(UTC)
    with store.begin() as session:
        session.add(Compiled(key="k", payload=b"p", size_bytes=1, created_at=now, used_at=now))
    with store.begin() as session:
        row = session.get(Compiled, "k")
    assert row is not None
    assert row.payload == b"p"


def test_an_exception_rolls_back_the_transaction(store: Store) -> None:
    now = datetime.now(UTC)

    def add_then_fail() -> None:
        with store.begin() as session:
            session.add(Compiled(key="k", payload=b"p", size_bytes=1, created_at=now, used_at=now))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        add_then_fail()
    with store.begin() as session:
        assert session.get(Compiled, "k") is None


def test_instants_come_back_in_utc_to_the_microsecond(store: Store) -> None:
    kyiv = timezone(timedelta(hours=2))
    moment = datetime(2026, 11, 23, 1, 30, 0, 123457, tzinfo=kyiv)
    with store.begin() as session:
        session.add(Compiled(key="k", payload=b"", size_bytes=0, created_at=moment, used_at=moment))
    with store.read() as connection:
        found = connection.scalar(select(table(Compiled).c.created_at))
    assert found == datetime(2026, 11, 22, 23, 30, 0, 123457, tzinfo=UTC)
    assert found.tzinfo is UTC


def test_an_instant_without_a_time_zone_is_refused(store: Store) -> None:
    naive = datetime(2026, 11, 23)  # noqa: DTZ001
    with pytest.raises(StatementError, match="no time zone"), store.write() as connection:
        connection.execute(
            insert(table(Compiled)),
            {"key": "k", "payload": b"", "size_bytes": 0, "created_at": naive, "used_at": naive},
        )


def test_a_query_does_not_wait_for_a_writer(store: Store) -> None:
    read = threading.Event()

    def look() -> None:
        assert Jobs(store).all() == []
        read.set()

    with store.write() as connection:
        now = datetime.now(UTC)
        connection.execute(
            insert(table(Compiled)),
            {"key": "k", "payload": b"", "size_bytes": 0, "created_at": now, "used_at": now},
        )
        thread = threading.Thread(target=look)
        thread.start()
        assert read.wait(10)
    thread.join()


def test_constraint_violations_are_not_taken_for_an_outage(store: Store) -> None:
    now = datetime.now(UTC)
    row = {"key": "k", "payload": b"", "size_bytes": 0, "created_at": now, "used_at": now}
    with pytest.raises(IntegrityError), store.write() as connection:
        connection.execute(insert(table(Compiled)), [row, row])


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:s3cr%40t@127.0.0.1:1/store",
        "postgres://ada:s3cr%40t@127.0.0.1:1/store",
        "postgresql://ada@127.0.0.1:1/store?password=s3cr%40t",
    ],
)
def test_an_unreachable_database_is_named_without_its_password(url: str) -> None:
    with pytest.raises(PlatformUnavailable, match=r"127\.0\.0\.1.*QCPAAS_STORE_URL") as caught:
        open_store(url)
    assert caught.value.retryable
    trace: BaseException | None = caught.value
    while trace is not None:
        assert "s3cr" not in f"{trace!r} {trace}"
        trace = trace.__cause__


def test_the_text_of_a_store_hides_the_password(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        assert "store.db" in repr(opened)
        opened.url = opened.url.set(password="s3cret", query={"sslpassword": "s3cret"})
        assert "s3cret" not in repr(opened)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://ada:s3cret@host/db", "SQLite or PostgreSQL"),
        ("s3cret", "cannot be read"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_a_url_of_another_kind_is_refused(url: str, reason: str) -> None:
    with pytest.raises(PlatformError, match=reason) as caught:
        open_store(url)
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"not a database at all, " * 100)
    with pytest.raises(PlatformError, match="not a database") as caught:
        open_store(f"sqlite:///{path}")
    assert not caught.value.retryable


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlatformUnavailable, match=r"file"):
        open_store(f"sqlite:///{tmp_path / 'file' / 'store.db'}")


@pytest.mark.postgres
def test_a_connection_lost_in_the_middle_is_retryable(
    postgres_database: Callable[[], str],
) -> None:
    with open_store(postgres_database()) as opened:
        with pytest.raises(PlatformUnavailable) as caught, opened.write() as connection:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        assert caught.value.retryable
        assert Jobs(opened).all() == []  # the pool replaced it


def _create_jobs(url: str, number: int, barrier: multiprocessing.synchronize.Barrier) -> None:
    barrier.wait()
    with open_store(url) as opened:
        jobs = Jobs(opened)
        for index in range(JOBS_A_PROCESS):
            jobs.create(job(f"job-{number}-{index}"))
            jobs.create(job(f"shared-{index}"))


def test_eight_processes_open_a_new_database_at_once_and_lose_nothing(
    new_url: str, fork: Callable[..., BaseProcess]
) -> None:
    barrier = multiprocessing.get_context("fork").Barrier(8)
    processes = [fork(_create_jobs, new_url, number, barrier) for number in range(8)]
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 8
    with open_store(new_url) as opened:
        found = {record.job_id for record in Jobs(opened).all(limit=1000)}
    expected = {f"job-{number}-{index}" for number in range(8) for index in range(JOBS_A_PROCESS)}
    assert found == expected | {f"shared-{index}" for index in range(JOBS_A_PROCESS)}


def test_eight_threads_open_a_new_database_at_once(new_url: str) -> None:
    errors: list[BaseException] = []
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        try:
            _create_jobs(new_url, number, barrier)  # type: ignore[arg-type]
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with open_store(new_url) as opened:
        assert len(Jobs(opened).all(limit=1000)) == 9 * JOBS_A_PROCESS


def test_two_new_databases_migrate_side_by_side(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / f'{number}.db'}" for number in range(4)]
    threads = [threading.Thread(target=lambda url=url: open_store(url).close()) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for url in urls:
        with open_store(url) as opened:
            assert "device" in inspect(opened.engine).get_table_names()


def test_a_fork_does_not_use_its_parents_connection(
    store: Store, fork: Callable[..., BaseProcess]
) -> None:
    Jobs(store).create(job("parent"))
    process = fork(lambda: Jobs(store).create(job("child")))
    process.join(60)
    assert process.exitcode == 0
    assert {record.job_id for record in Jobs(store).all()} == {"parent", "child"}


def test_a_pool_without_a_free_connection_is_a_reason_to_try_again(
    new_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(new_url) as opened, ExitStack() as held:
        monkeypatch.setattr(opened.engine.pool, "_timeout", 0.01)

        def take(connections: int) -> None:
            for _ in range(connections):
                held.enter_context(opened.read())

        with pytest.raises(PlatformUnavailable, match="every connection of this process"):
            take(100)
