"""Engine, transactions and migrations of the feedback store."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    IntegrityError,
    NoSuchModuleError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

BUSY_SECONDS = 10
MIGRATIONS = Path(__file__).parent / "migrations"
# Alembic's op and context are process-wide.
_migrating = threading.Lock()


class StoreError(RuntimeError):
    """The feedback store could not do as asked; the text is meant for the reader."""


class StoreUnreachable(StoreError):
    """The database could not be asked (busy, gone, full, damaged): the same may succeed later."""


# What the database says to the content itself: the same will be refused again.
FOR_GOOD = (IntegrityError, DataError, ProgrammingError)


@dataclass(frozen=True)
class Store:
    """An opened, migrated feedback store."""

    url: str
    engine: Engine


def _configure_sqlite(engine: Engine) -> None:
    """Foreign keys, waiting writers, and a BEGIN of our own (the driver would begin too late)."""

    def connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")

    def begin(connection: Connection) -> None:
        # IMMEDIATE takes the write lock before the first read: read-then-insert can't fail half-way.
        write = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", begin)


def _set_wal(path: str) -> None:
    """Switch the file to write-ahead logging; the switch ignores busy_timeout, hence the loop."""
    deadline = time.monotonic() + BUSY_SECONDS
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
    finally:
        connection.close()


def _plain(error: Exception) -> str:
    """One sentence for what the database said."""
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    if "locked" in reason or "busy" in reason:
        return "The feedback database is busy; nothing was saved. Please try again."
    if "readonly" in reason or "read-only" in reason:
        return "The feedback database can't be written; nothing was saved. Check the file's permissions."
    if "not a database" in reason or "malformed" in reason:
        return "The feedback database is damaged; nothing was saved. Restore it from a copy."
    if isinstance(error, IntegrityError) and "foreign key" in reason.lower():
        return "Unknown reader or superseded row; nothing was saved."
    return f"The feedback database refused: {reason}."


@contextmanager
def transaction(store: Store, *, write: bool) -> Iterator[Session]:
    """One short transaction on a connection of its own; commits at the end, rolls back on any error.

    Raises
    ------
    StoreError
        For everything that the database raises; StoreUnreachable where the same may succeed later.
    """
    try:
        with (
            store.engine.connect().execution_options(write=write) as connection,
            connection.begin(),
            Session(connection, expire_on_commit=False) as session,
        ):
            yield session
            session.flush()
    except FOR_GOOD as error:
        raise StoreError(_plain(error)) from error
    except SQLAlchemyError as error:
        raise StoreUnreachable(_plain(error)) from error


def _migrate(engine: Engine) -> None:
    """Bring the schema to the newest revision; whoever comes second waits and finds it done."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    head = ScriptDirectory.from_config(config).get_current_head()
    with engine.connect() as connection:
        if MigrationContext.configure(connection).get_current_revision() == head:
            return
    with _migrating, engine.connect().execution_options(write=True) as connection:
        if engine.dialect.name == "sqlite":
            _suspend_foreign_keys(connection)
        with connection.begin():
            _upgrade(connection, config, head)


def _suspend_foreign_keys(connection: Connection) -> None:
    """Rebuilding a table drops it, which foreign keys forbid; the pragma is deaf inside a transaction."""
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.execute("PRAGMA foreign_keys = OFF")


def _upgrade(connection: Connection, config: Config, head: str | None) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(38430)"))
    if MigrationContext.configure(connection).get_current_revision() == head:
        return
    config.attributes["connection"] = connection
    command.upgrade(config, head or "head")
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise StoreError(
                f"The feedback database could not be brought up to date: {len(broken)} rows point nowhere."
            )


def open_store(url: str) -> Store:
    """Open the store at an SQLAlchemy URL, creating and migrating it where needed.

    Raises
    ------
    StoreError
        On an unusable URL, an in-memory database, or a file that is no feedback database.
    """
    try:
        parsed = make_url(url)
        sqlite = parsed.get_backend_name() == "sqlite"
        if sqlite:
            if parsed.database in (None, "", ":memory:"):
                raise StoreError(
                    "The feedback store needs a database file; an in-memory one forgets verdicts."
                )
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
            _set_wal(str(parsed.database))
        engine = (
            create_engine(parsed, poolclass=NullPool) if sqlite else create_engine(parsed, pool_pre_ping=True)
        )
        if sqlite:
            _configure_sqlite(engine)
        _migrate(engine)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise StoreError(f"FONTANELLE_DATABASE_URL is not usable: {error}") from error
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise StoreError(_plain(error)) from error
    return Store(url, engine)
