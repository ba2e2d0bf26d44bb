"""Triggers that make the database itself refuse changes to a table."""

from __future__ import annotations

from alembic import op


def append_only(table: str, *keys: tuple[str, ...]) -> None:
    """Refuse UPDATE, DELETE and REPLACE on ``table``; ``keys`` are its unique keys beside ``id``."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE OR REPLACE FUNCTION {table}_append_only() RETURNS trigger AS $$ BEGIN "
            f"RAISE EXCEPTION '{table} is append-only'; END $$ LANGUAGE plpgsql"
        )
        op.execute(f"DROP TRIGGER IF EXISTS {table}_append_only ON {table}")
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
        )
        return
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    # INSERT OR REPLACE deletes without firing DELETE triggers, hence the third.
    same = ["(" + " AND ".join(f"{name} = NEW.{name}" for name in key) + ")" for key in (("id",), *keys)]
    clash = f"EXISTS (SELECT 1 FROM {table} WHERE {' OR '.join(same)})"
    op.execute(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}")
    op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}")
    op.execute(f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {clash} {refuse}")
