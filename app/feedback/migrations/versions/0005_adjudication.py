"""Final decisions where readers disagree."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.feedback.migrations.triggers import append_only

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "adjudication",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("reader_id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(200), nullable=False),
        sa.Column("input_hash", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(10), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("case_key", sa.String(64), nullable=False),
        sa.Column("map", sa.String(20), nullable=False),
        sa.Column("region_id", sa.String(100), nullable=False),
        sa.Column("region", sa.JSON(), nullable=True),
        sa.Column("decision", sa.String(20), nullable=False),
        sa.Column("finding_type", sa.String(60), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("session_id", sa.String(100), nullable=False),
        sa.Column("created_utc", sa.String(32), nullable=False),
        sa.Column("supersedes", sa.String(36), nullable=True),
        sa.Column("retracted", sa.Boolean(), nullable=False),
        sa.CheckConstraint("length(decision) BETWEEN 1 AND 20", name=op.f("ck_adjudication_decision")),
        sa.CheckConstraint("length(id) = 36", name=op.f("ck_adjudication_id")),
        sa.CheckConstraint("length(trim(reason)) > 0", name=op.f("ck_adjudication_reason")),
        sa.CheckConstraint("NOT retracted OR supersedes IS NOT NULL", name=op.f("ck_adjudication_retracted")),
        sa.CheckConstraint("subject IN ('region', 'class')", name=op.f("ck_adjudication_subject")),
        sa.ForeignKeyConstraint(["reader_id"], ["reader.id"], name=op.f("fk_adjudication_reader_id_reader")),
        sa.ForeignKeyConstraint(
            ["supersedes"], ["adjudication.id"], name=op.f("fk_adjudication_supersedes_adjudication")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adjudication")),
        sa.UniqueConstraint("reader_id", "seq", name=op.f("uq_adjudication_reader_id_seq")),
        sa.UniqueConstraint("supersedes", name=op.f("uq_adjudication_supersedes")),
    )
    op.create_index(op.f("ix_adjudication_case_id"), "adjudication", ["case_id"])
    append_only("adjudication", ("supersedes",), ("reader_id", "seq"))
