"""Drafts of notes: the one table whose rows change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "draft",
        sa.Column("reader_id", sa.Integer(), nullable=False),
        sa.Column("analysis", sa.String(64), nullable=False),
        sa.Column("region_id", sa.String(100), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("updated_utc", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(["reader_id"], ["reader.id"], name=op.f("fk_draft_reader_id_reader")),
        sa.PrimaryKeyConstraint("reader_id", "analysis", "region_id", name=op.f("pk_draft")),
    )
