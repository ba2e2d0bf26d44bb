"""Readers, verdicts, missed findings; the last two refuse UPDATE, DELETE and REPLACE."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def provenance() -> list[sa.Column[str]]:
    """Columns that tell which analysis a row speaks of."""
    return [
        sa.Column("case_id", sa.String(200), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("model_hash", sa.String(64), nullable=False),
        sa.Column("input_hash", sa.String(64), nullable=False),
        sa.Column("case_key", sa.String(64), nullable=False),
        sa.Column("map", sa.String(20), nullable=False),
    ]


def append_only(table: str) -> list[str]:
    """Statements that make the database itself refuse changes to ``table``."""
    if op.get_bind().dialect.name == "postgresql":
        function = (
            f"CREATE FUNCTION {table}_append_only() RETURNS trigger AS $$ BEGIN "
            f"RAISE EXCEPTION '{table} is append-only'; END $$ LANGUAGE plpgsql"
        )
        trigger = (
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
        )
        return [function, trigger]
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    # INSERT OR REPLACE deletes without firing DELETE triggers, hence the third.
    clash = (
        f"EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id OR supersedes = NEW.supersedes "
        "OR (reader_id = NEW.reader_id AND seq = NEW.seq))"
    )
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {clash} {refuse}",
    ]


def upgrade() -> None:
    op.create_table(
        "reader",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("created_utc", sa.String(32), nullable=False),
        sa.CheckConstraint("source IN ('typed', 'oidc', 'header')", name=op.f("ck_reader_source")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 200", name=op.f("ck_reader_name")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reader")),
        sa.UniqueConstraint("source", "name", name=op.f("uq_reader_source_name")),
    )
    op.create_table(
        "verdict",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("reader_id", sa.Integer(), nullable=False),
        *provenance(),
        sa.Column("region_id", sa.String(100), nullable=False),
        sa.Column("region", sa.JSON(), nullable=False),
        sa.Column("verdict", sa.String(10), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("session_id", sa.String(100), nullable=False),
        sa.Column("created_utc", sa.String(32), nullable=False),
        sa.Column("supersedes", sa.String(36), nullable=True),
        sa.Column("retracted", sa.Boolean(), nullable=False),
        sa.CheckConstraint("verdict IN ('agree', 'disagree', 'unsure')", name=op.f("ck_verdict_verdict")),
        sa.CheckConstraint("map IN ('volume', 'normative')", name=op.f("ck_verdict_map")),
        sa.CheckConstraint("length(id) = 36", name=op.f("ck_verdict_id")),
        sa.CheckConstraint("NOT retracted OR supersedes IS NOT NULL", name=op.f("ck_verdict_retracted")),
        sa.ForeignKeyConstraint(["reader_id"], ["reader.id"], name=op.f("fk_verdict_reader_id_reader")),
        sa.ForeignKeyConstraint(["supersedes"], ["verdict.id"], name=op.f("fk_verdict_supersedes_verdict")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdict")),
        sa.UniqueConstraint("reader_id", "seq", name=op.f("uq_verdict_reader_id_seq")),
        sa.UniqueConstraint("supersedes", name=op.f("uq_verdict_supersedes")),
    )
    op.create_table(
        "missed_finding",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("reader_id", sa.Integer(), nullable=False),
        *provenance(),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("x_mm", "y_mm", "z_mm", "radius_mm")),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("session_id", sa.String(100), nullable=False),
        sa.Column("created_utc", sa.String(32), nullable=False),
        sa.Column("supersedes", sa.String(36), nullable=True),
        sa.Column("retracted", sa.Boolean(), nullable=False),
        sa.CheckConstraint("map IN ('volume', 'normative')", name=op.f("ck_missed_finding_map")),
        sa.CheckConstraint("radius_mm > 0 AND radius_mm <= 100", name=op.f("ck_missed_finding_radius_mm")),
        sa.CheckConstraint("length(id) = 36", name=op.f("ck_missed_finding_id")),
        sa.CheckConstraint(
            "NOT retracted OR supersedes IS NOT NULL", name=op.f("ck_missed_finding_retracted")
        ),
        sa.ForeignKeyConstraint(
            ["reader_id"], ["reader.id"], name=op.f("fk_missed_finding_reader_id_reader")
        ),
        sa.ForeignKeyConstraint(
            ["supersedes"], ["missed_finding.id"], name=op.f("fk_missed_finding_supersedes_missed_finding")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_missed_finding")),
        sa.UniqueConstraint("reader_id", "seq", name=op.f("uq_missed_finding_reader_id_seq")),
        sa.UniqueConstraint("supersedes", name=op.f("uq_missed_finding_supersedes")),
    )
    for table in ("verdict", "missed_finding"):
        op.create_index(op.f(f"ix_{table}_case_id"), table, ["case_id"])
        for statement in append_only(table):
            op.execute(statement)
