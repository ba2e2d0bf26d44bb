"""An empty file becomes exactly what the models say, and so does a second opening."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

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


def texts(constraints: Iterable[object]) -> list[str]:
    """Constraints as text; the condition of a partial index as written."""
    return sorted(str(one).replace(repr(text), str(text)) for one in constraints for text in [where(one)])


def where(constraint: object) -> object:
    options = constraint.get("dialect_options", {}) if isinstance(constraint, dict) else {}
    return options.get("sqlite_where", "")


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
            first, second = (texts(getattr(one, constraints)(table)) for one in (migrated, modelled))
            assert first == second, (table, constraints)
    assert len(migrated.get_check_constraints("verdict")) == 6, "SQLite reports checks"
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
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0009",)]
    connection.close()


def test_half_a_migration_leaves_nothing(url: str) -> None:
    store = open_store(url)
    with store.engine.connect().execution_options(write=True) as connection:
        transaction_ = connection.begin()
        connection.exec_driver_sql("CREATE TABLE later (id INTEGER)")
        transaction_.rollback()
    assert "later" not in inspect(store.engine).get_table_names(), "DDL is part of the transaction"


def test_answers_of_before_survive_the_new_columns(url: str, tmp_path: Path) -> None:
    """Symptom to avoid: rebuilding a table whose rows supersede each other drops or orphans them."""
    path = tmp_path / "new" / "feedback.sqlite"
    path.parent.mkdir()
    head = "app.feedback.database.ScriptDirectory.get_current_head"
    with mock.patch(head, return_value="0002"):
        open_store(url)
    provenance = ("sub-a_ses-01", "vae_8x8_512", "m" * 64, "i" * 64, "k" * 64, "volume")
    first, second = "a" * 36, "b" * 36
    with sqlite3.connect(path) as old:
        old.execute("PRAGMA foreign_keys = ON")
        old.execute("INSERT INTO reader VALUES (7, 'Ada', 'typed', '2026-01-01')")
        for seq, (key, verdict, before) in enumerate(((first, "agree", None), (second, "unsure", first)), 1):
            row = (key, seq, 7, *provenance, "r01", "{}", verdict, "a note", "s", "2026-01-01", before, 0)
            old.execute(f"INSERT INTO verdict VALUES ({', '.join('?' * len(row))})", row)
        mark = (first, 1, 7, *provenance, 1.5, -2.0, 3.25, 4.0, "", "s", "2026-01-01", None, 0)
        old.execute(f"INSERT INTO missed_finding VALUES ({', '.join('?' * len(mark))})", mark)
    old.close()

    store = open_store(url)
    with store.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT id, verdict, supersedes, finding_type, confidence, pass_number FROM verdict ORDER BY seq"
        ).fetchall()
        marks = connection.exec_driver_sql(
            "SELECT x_mm, radius_mm, phase, pass_number FROM missed_finding"
        ).fetchall()
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall() == []
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    assert rows == [(first, "agree", None, "", None, 1), (second, "unsure", first, "", None, 1)]
    assert marks == [(1.5, 4.0, "second", 1)]
