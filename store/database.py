"""Opening the configuration database: SQLite in a file, or PostgreSQL by URL."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlmodel import Session

from qcpaas.errors import PlatformError, PlatformUnavailable, StoreFull
from store.migrations import prepare
from store.recent import Recent

if TYPE_CHECKING:
    from store.layout import Layout

LAYOUTS_KEPT = 64
BUSY_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 10

# While a connection is set up, sqlite3's own errors come through as they are.
_OUTAGES = (OperationalError, InterfaceError, sqlite3.OperationalError)
_DATABASE_ERRORS = (DatabaseError, InterfaceError, sqlite3.DatabaseError)


class Store:
    """An open configuration database; one a process, shared by its threads.

    Attributes:
        engine: Its transactions write: on SQLite they begin IMMEDIATE, so that two writers wait
            for each other in place of one failing half-way.
        url: As SQLAlchemy understands it; its text hides the password.
        layouts: What the columns of snapshots stand for, by layout id, as far as it was read.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.url = engine.url
        self.layouts: Recent[str, Layout] = Recent(LAYOUTS_KEPT)
        self._reader = _reader(engine)
        driver: Any = engine.dialect.dbapi
        self._outages = (*_OUTAGES, driver.OperationalError, driver.InterfaceError)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A session in one transaction, committed at the end unless an exception leaves it."""
        with (
            self.translated(),
            Session(self.engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction without the object mapper, for statements on tables."""
        with self.translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for queries, which never waits for a writer.

        Each query sees what was committed when it began.
        """
        with self.translated(), self._reader.connect() as connection:
            yield connection

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def serialise(self, connection: Connection, name: str) -> None:
        """Let transactions that name the same thing run one after the other."""
        if not self.is_sqlite:  # there every writing transaction already does
            connection.execute(_ADVISORY_LOCK, {"name": name})

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({_shown(self.url)!r})"

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise this platform's errors for what a database or its driver reports.

        Raises:
            PlatformUnavailable: The database cannot be reached, or is too busy.
            StoreFull: It has no space left.
        """
        try:
            yield
        except NoConnectionFree as error:
            raise PlatformUnavailable(
                "the platform is busy: every connection of this process to its database stayed in "
                "use until the time to wait for one was over. Try again in a few seconds."
            ) from error
        except self._outages as error:
            raise _unavailable(self.url, error) from None


_DISK_FULL = "53100"  # PostgreSQL's code
_ADVISORY_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


def open_store(url: str) -> Store:
    """Connect, create what is missing, and bring the tables to this version.

    Any number of processes may open a new database at the same time.

    Args:
        url: ``sqlite:///path/to/file.db`` or ``postgresql://user:password@host/database``.

    Raises:
        PlatformUnavailable: The database cannot be reached; never shows the password.
        PlatformError: The URL cannot be used, or the database belongs to a newer version.
    """
    parsed = _parse(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    engine = _sqlite_engine(parsed) if is_sqlite else _postgresql_engine(parsed)
    try:
        if is_sqlite:
            _create_file(engine)
        prepare(engine)
    except (OSError, *_DATABASE_ERRORS) as error:
        engine.dispose()
        raise _unavailable(parsed, error) from None  # a driver's text may show the password
    except BaseException:
        engine.dispose()
        raise
    return Store(engine)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The text may hold a password.
        raise PlatformError(
            "the store's URL cannot be read. Write sqlite:///path/to/file.db or "
            "postgresql://user:password@host/database (QCPAAS_STORE_URL)."
        ) from None
    if parsed.drivername in {"postgres", "postgresql"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"}:
        raise PlatformError(
            f"the store can be SQLite or PostgreSQL, not {parsed.drivername!r}. "
            "Write sqlite:///path/to/file.db or postgresql://user:password@host/database."
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise PlatformError(
            "the store outlives its processes, and an SQLite database in memory does not. "
            "Write sqlite:///path/to/file.db."
        )
    return parsed


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, record: object) -> None:
        # Python's sqlite3 begins transactions by its own rules; ours begin below.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
        connection.execute("PRAGMA foreign_keys = ON")
        # Survives a killed process; a power cut may lose the last commits, never the database.
        connection.execute("PRAGMA synchronous = NORMAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not connection.get_execution_options().get("reads_only", False):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _reader(engine: Engine) -> Engine:
    """The same pool without transactions, whose BEGIN and ROLLBACK would triple a query's cost."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(reads_only=True)
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _create_file(engine: Engine) -> None:
    """Make the file and its folder, in WAL mode: readers then never wait for a writer."""
    Path(engine.url.database or "").parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        raw = engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA journal_mode = WAL").close()
            return
        except sqlite3.OperationalError as error:
            # SQLite does not apply busy_timeout here while another process switches too.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        finally:
            raw.close()


def _postgresql_engine(url: URL) -> Engine:
    defaults = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "application_name": "qcpaas",
        # A server whose machine is gone is noticed within the half minute, not after hours.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }
    # Pinged before use: a connection that idled through a server's restart is replaced.
    return create_engine(
        url,
        pool_pre_ping=True,
        connect_args={key: value for key, value in defaults.items() if key not in url.query},
    )


def _shown(url: URL) -> str:
    hidden = {key: "***" for key in url.query if "password" in key}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


def _unavailable(url: URL, error: BaseException) -> PlatformError:
    """The error to raise; retryable when the way to the database failed, not its content."""
    # The first line; PostgreSQL's others guess at the reason.
    cause = str(getattr(error, "orig", None) or error).strip().partition("\n")[0].rstrip(".")
    secrets = [url.password, *(str(url.query[key]) for key in url.query if "password" in key)]
    for secret in filter(None, secrets):
        cause = cause.replace(str(secret), "***")
    if _is_full(getattr(error, "orig", None) or error):
        return StoreFull(
            f"the store {_shown(url)} has no space left: {cause}. Make space on its disk "
            "(qcpaas gc removes old results); what was kept so far is safe, and interrupted jobs "
            "go on from there."
        )
    broken = isinstance(error, _DATABASE_ERRORS) and not isinstance(error, _OUTAGES)
    kind = PlatformError if broken else PlatformUnavailable
    return kind(
        f"the store {_shown(url)} cannot be used: {cause}. "
        "Check that the database runs, and the address in QCPAAS_STORE_URL."
    )


def _is_full(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return getattr(error, "sqlstate", None) == _DISK_FULL
