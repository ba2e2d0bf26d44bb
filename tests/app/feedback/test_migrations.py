"""An empty file becomes exactly what the models say, and so does a second opening."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from app.feedback.database import transaction
from app.feedback.models import APPEND_ONLY, Base
from app.feedback.store import Store, open_store


def test_migrated_schema_is_the_models(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_migrated_constraints_are_the_models(store: Store, tmp_path: Path) -> None:
    made = create_engine(f"sqlite:///{tmp_path / 'made.sqlite'}")
    Base.metadata.create_all(made)
    migrated, modelled = inspect(store.engine), inspect(made)
    for table in Base.metadata.tables:
        for constraints in (
            "get_check_constraints",
            "get_unique_constraints",
            "get_foreign_keys",
            "get_indexes",
        ):
            first = sorted(map(str, getattr(migrated, constraints)(table)))
            assert first == sorted(map(str, getattr(modelled, constraints)(table))), (table, constraints)
    assert len(migrated.get_check_constraints("verdict")) == 4, "SQLite reports checks"
    made.dispose()


def test_append_only_tables_have_their_triggers(store: Store) -> None:
    with transaction(store, write=False) as session:
        rows = session.connection().exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        names = {row[0] for row in rows}
    assert names == {
        f"{table}_no_{what}" for table in APPEND_ONLY for what in ("update", "delete", "replace")
    }


def test_connections_are_set_up(store: Store) -> None:
    with store.engine.connect() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    assert values == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000}


def test_many_openers_migrate_once(url: str) -> None:
    barrier = threading.Barrier(16)
    opened: list[Store] = []

    def work() -> None:
        barrier.wait(10)
        opened.append(open_store(url))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 16
    path = opened[0].engine.url.database
    assert path is not None
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0002",)]
    connection.close()


def test_half_a_migration_leaves_nothing(url: str) -> None:
    store = open_store(url)
    with store.engine.connect().execution_options(write=True) as connection:
        transaction_ = connection.begin()
        connection.exec_driver_sql("CREATE TABLE later (id INTEGER)")
        transaction_.rollback()
    assert "later" not in inspect(store.engine).get_table_names(), "DDL is part of the transaction"
