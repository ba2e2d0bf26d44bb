"""Lessons, their learners, and what these mark."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.feedback.migrations.triggers import append_only

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lesson",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("teacher_id", sa.Integer(), nullable=False),
        sa.Column("join_code", sa.String(12), nullable=False),
        sa.Column("cases", sa.JSON(), nullable=False),
        sa.Column("seconds_per_case", sa.Integer(), nullable=False),
        sa.Column("reveal", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("case_index", sa.Integer(), nullable=False),
        sa.Column("case_started_utc", sa.String(32), nullable=True),
        sa.Column("revealed", sa.Boolean(), nullable=False),
        sa.Column("pointer", sa.JSON(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_utc", sa.String(32), nullable=False),
        sa.Column("updated_utc", sa.String(32), nullable=False),
        sa.CheckConstraint("case_index >= -1", name=op.f("ck_lesson_case_index")),
        sa.CheckConstraint("length(id) = 36", name=op.f("ck_lesson_id")),
        sa.CheckConstraint("seconds_per_case >= 0", name=op.f("ck_lesson_seconds_per_case")),
        sa.CheckConstraint("state IN ('draft', 'open', 'closed')", name=op.f("ck_lesson_state")),
        sa.CheckConstraint("length(title) BETWEEN 1 AND 200", name=op.f("ck_lesson_title")),
        sa.ForeignKeyConstraint(["teacher_id"], ["reader.id"], name=op.f("fk_lesson_teacher_id_reader")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lesson")),
        sa.UniqueConstraint("join_code", name=op.f("uq_lesson_join_code")),
    )
    op.create_table(
        "learner",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("lesson_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("joined_utc", sa.String(32), nullable=False),
        sa.Column("seen_utc", sa.String(32), nullable=False),
        sa.CheckConstraint("length(id) = 36", name=op.f("ck_learner_id")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 200", name=op.f("ck_learner_name")),
        sa.ForeignKeyConstraint(["lesson_id"], ["lesson.id"], name=op.f("fk_learner_lesson_id_lesson")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_learner")),
        sa.UniqueConstraint("lesson_id", "name", name=op.f("uq_learner_lesson_id_name")),
    )
    op.create_table(
        "learner_mark",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("lesson_id", sa.String(36), nullable=False),
        sa.Column("learner_id", sa.String(36), nullable=False),
        sa.Column("case_index", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(200), nullable=False),
        sa.Column("input_hash", sa.String(64), nullable=False),
        sa.Column("x_mm", sa.Double(), nullable=False),
        sa.Column("y_mm", sa.Double(), nullable=False),
        sa.Column("z_mm", sa.Double(), nullable=False),
        sa.Column("radius_mm", sa.Double(), nullable=False),
        sa.Column("finding_type", sa.String(60), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_utc", sa.String(32), nullable=False),
        sa.Column("supersedes", sa.String(36), nullable=True),
        sa.Column("retracted", sa.Boolean(), nullable=False),
        sa.CheckConstraint("length(id) = 36", name=op.f("ck_learner_mark_id")),
        sa.CheckConstraint("radius_mm > 0 AND radius_mm <= 100", name=op.f("ck_learner_mark_radius_mm")),
        sa.CheckConstraint("NOT retracted OR supersedes IS NOT NULL", name=op.f("ck_learner_mark_retracted")),
        sa.ForeignKeyConstraint(
            ["learner_id"], ["learner.id"], name=op.f("fk_learner_mark_learner_id_learner")
        ),
        sa.ForeignKeyConstraint(["lesson_id"], ["lesson.id"], name=op.f("fk_learner_mark_lesson_id_lesson")),
        sa.ForeignKeyConstraint(
            ["supersedes"], ["learner_mark.id"], name=op.f("fk_learner_mark_supersedes_learner_mark")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_learner_mark")),
        sa.UniqueConstraint("learner_id", "seq", name=op.f("uq_learner_mark_learner_id_seq")),
        sa.UniqueConstraint("supersedes", name=op.f("uq_learner_mark_supersedes")),
    )
    op.create_index(op.f("ix_learner_mark_lesson_id"), "learner_mark", ["lesson_id"])
    append_only("learner_mark", ("supersedes",), ("learner_id", "seq"))
    op.create_table(
        "learner_commit",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("lesson_id", sa.String(36), nullable=False),
        sa.Column("learner_id", sa.String(36), nullable=False),
        sa.Column("case_index", sa.Integer(), nullable=False),
        sa.Column("classification", sa.String(10), nullable=False),
        sa.Column("active_seconds", sa.Double(), nullable=False),
        sa.Column("created_utc", sa.String(32), nullable=False),
        sa.CheckConstraint("active_seconds >= 0", name=op.f("ck_learner_commit_active_seconds")),
        sa.CheckConstraint("length(id) = 36", name=op.f("ck_learner_commit_id")),
        sa.ForeignKeyConstraint(
            ["learner_id"], ["learner.id"], name=op.f("fk_learner_commit_learner_id_learner")
        ),
        sa.ForeignKeyConstraint(
            ["lesson_id"], ["lesson.id"], name=op.f("fk_learner_commit_lesson_id_lesson")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_learner_commit")),
        sa.UniqueConstraint("learner_id", "case_index", name=op.f("uq_learner_commit_learner_id_case_index")),
    )
    op.create_index(op.f("ix_learner_commit_lesson_id"), "learner_commit", ["lesson_id"])
    append_only("learner_commit", ("learner_id", "case_index"))
