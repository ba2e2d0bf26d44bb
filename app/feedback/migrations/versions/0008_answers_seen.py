"""Who has been shown what others said of a scan."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.feedback.migrations.triggers import append_only

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "answers_seen",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("reader_id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(200), nullable=False),
        sa.Column("input_hash", sa.String(64), nullable=False),
        sa.Column("created_utc", sa.String(32), nullable=False),
        sa.CheckConstraint("length(id) = 36", name=op.f("ck_answers_seen_id")),
        sa.ForeignKeyConstraint(["reader_id"], ["reader.id"], name=op.f("fk_answers_seen_reader_id_reader")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answers_seen")),
        sa.UniqueConstraint(
            "reader_id", "case_id", "input_hash", name=op.f("uq_answers_seen_reader_id_case_id_input_hash")
        ),
    )
    append_only("answers_seen", ("reader_id", "case_id", "input_hash"))
