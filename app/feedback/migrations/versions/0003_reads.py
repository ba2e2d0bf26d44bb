"""Finding type, confidence and pass of each answer; reads of whole scans, vocabulary, assignments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from app.feedback.migrations.triggers import append_only

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ANSWERS = ("verdict", "missed_finding")
ROW_KEYS = (("supersedes",), ("reader_id", "seq"))
CHECKS = {
    "map": "length(map) BETWEEN 1 AND 20",
    "confidence": "confidence IS NULL OR confidence BETWEEN 1 AND 5",
    "pass_number": "pass_number >= 1",
}
OWN_CHECKS = {
    "verdict": {"verdict": "verdict IN ('agree', 'disagree', 'unsure')"},
    "missed_finding": {
        "phase": "phase IN ('first', 'second')",
        "radius_mm": "radius_mm > 0 AND radius_mm <= 100",
    },
}
# Added to the answers of before: none had a type, a confidence or a second pass.
NEW = {"finding_type": "''", "confidence": "NULL", "pass_number": "1"}
TERMS = (
    ("white_matter_injury", "White-matter injury"),
    ("haemorrhage", "Haemorrhage"),
    ("infarct", "Infarct"),
    ("cyst", "Cyst"),
    ("ventriculomegaly", "Ventriculomegaly"),
    ("extra_axial_fluid", "Extra-axial fluid"),
    ("asymmetry", "Asymmetry"),
    ("artefact", "Artefact"),
    ("normal_variant", "Normal variant"),
)


def added(table: str) -> dict[str, str]:
    """New columns of an answer table, and what they hold in the rows of before, as SQL."""
    return {"phase": "'second'", **NEW} if table == "missed_finding" else NEW


def column(name: str) -> sa.Column[Any]:
    types: dict[str, sa.types.TypeEngine[Any]] = {
        "phase": sa.String(10),
        "finding_type": sa.String(60),
        "confidence": sa.Integer(),
        "pass_number": sa.Integer(),
    }
    return sa.Column(name, types[name], nullable=name == "confidence")


def answer_columns(table: str) -> list[sa.Column[Any]]:
    """Columns of an answer table as they are from here on."""
    own: list[sa.Column[Any]] = (
        [
            sa.Column("region_id", sa.String(100), nullable=False),
            sa.Column("region", sa.JSON(), nullable=False),
            sa.Column("verdict", sa.String(10), nullable=False),
        ]
        if table == "verdict"
        else [sa.Column(name, sa.Double(), nullable=False) for name in ("x_mm", "y_mm", "z_mm", "radius_mm")]
    )
    return [
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("reader_id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(200), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("model_hash", sa.String(64), nullable=False),
        sa.Column("input_hash", sa.String(64), nullable=False),
        sa.Column("case_key", sa.String(64), nullable=False),
        sa.Column("map", sa.String(20), nullable=False),
        *own,
        *(column(name) for name in added(table)),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("session_id", sa.String(100), nullable=False),
        sa.Column("created_utc", sa.String(32), nullable=False),
        sa.Column("supersedes", sa.String(36), nullable=True),
        sa.Column("retracted", sa.Boolean(), nullable=False),
    ]


def rebuild(table: str) -> None:
    """SQLite can't change a CHECK: copy the rows into a new table of the old name."""
    for what in ("update", "delete", "replace"):
        op.execute(f"DROP TRIGGER {table}_no_{what}")
    op.drop_index(op.f(f"ix_{table}_case_id"), table)
    checks = {
        **OWN_CHECKS[table],
        **CHECKS,
        "id": "length(id) = 36",
        "retracted": "NOT retracted OR supersedes IS NOT NULL",
    }
    columns = answer_columns(table)
    op.create_table(
        f"{table}_new",
        *columns,
        *(sa.CheckConstraint(text, name=op.f(f"ck_{table}_{name}")) for name, text in checks.items()),
        sa.ForeignKeyConstraint(["reader_id"], ["reader.id"], name=op.f(f"fk_{table}_reader_id_reader")),
        sa.ForeignKeyConstraint(["supersedes"], [f"{table}.id"], name=op.f(f"fk_{table}_supersedes_{table}")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint("reader_id", "seq", name=op.f(f"uq_{table}_reader_id_seq")),
        sa.UniqueConstraint("supersedes", name=op.f(f"uq_{table}_supersedes")),
    )
    names = [one.name for one in columns]
    values = [added(table).get(name, name) for name in names]
    op.execute(f"INSERT INTO {table}_new ({', '.join(names)}) SELECT {', '.join(values)} FROM {table}")
    op.drop_table(table)
    op.rename_table(f"{table}_new", table)
    op.create_index(op.f(f"ix_{table}_case_id"), table, ["case_id"])
    append_only(table, *ROW_KEYS)


def extend(table: str) -> None:
    """PostgreSQL changes the table in place."""
    for name, value in added(table).items():
        new = column(name)
        new.server_default = None if value == "NULL" else sa.DefaultClause(sa.text(value))
        op.add_column(table, new)
        op.alter_column(table, name, server_default=None)
    op.drop_constraint(op.f(f"ck_{table}_map"), table, type_="check")
    for name, text in CHECKS.items():
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, text)
    if table == "missed_finding":
        op.create_check_constraint(
            op.f("ck_missed_finding_phase"), table, OWN_CHECKS["missed_finding"]["phase"]
        )


def upgrade() -> None:
    for table in ANSWERS:
        if op.get_bind().dialect.name == "sqlite":
            rebuild(table)
        else:
            extend(table)
    op.create_table(
        "case_read",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("reader_id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(200), nullable=False),
        sa.Column("input_hash", sa.String(64), nullable=False),
        sa.Column("pass_number", sa.Integer(), nullable=False),
        sa.Column("phase", sa.String(10), nullable=False),
        sa.Column("unaided", sa.Boolean(), nullable=False),
        sa.Column("classification", sa.String(10), nullable=False),
        sa.Column("confidence", sa.Integer(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("active_seconds", sa.Double(), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("model_hash", sa.String(64), nullable=False),
        sa.Column("case_key", sa.String(64), nullable=False),
        sa.Column("map", sa.String(20), nullable=False),
        sa.Column("session_id", sa.String(100), nullable=False),
        sa.Column("created_utc", sa.String(32), nullable=False),
        sa.Column("supersedes", sa.String(36), nullable=True),
        sa.Column("retracted", sa.Boolean(), nullable=False),
        sa.CheckConstraint("active_seconds >= 0", name=op.f("ck_case_read_active_seconds")),
        sa.CheckConstraint(
            "classification IN ('normal', '1A', '1B', '2A', '2B', '3', 'inadequate')",
            name=op.f("ck_case_read_classification"),
        ),
        sa.CheckConstraint(
            "confidence IS NULL OR confidence BETWEEN 1 AND 5", name=op.f("ck_case_read_confidence")
        ),
        sa.CheckConstraint("length(id) = 36", name=op.f("ck_case_read_id")),
        sa.CheckConstraint("phase = 'second' OR supersedes IS NULL", name=op.f("ck_case_read_locked")),
        sa.CheckConstraint("pass_number >= 1", name=op.f("ck_case_read_pass_number")),
        sa.CheckConstraint("phase IN ('first', 'second')", name=op.f("ck_case_read_phase")),
        sa.CheckConstraint("NOT retracted OR supersedes IS NOT NULL", name=op.f("ck_case_read_retracted")),
        sa.ForeignKeyConstraint(["reader_id"], ["reader.id"], name=op.f("fk_case_read_reader_id_reader")),
        sa.ForeignKeyConstraint(
            ["supersedes"], ["case_read.id"], name=op.f("fk_case_read_supersedes_case_read")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_read")),
        sa.UniqueConstraint("reader_id", "seq", name=op.f("uq_case_read_reader_id_seq")),
        sa.UniqueConstraint("supersedes", name=op.f("uq_case_read_supersedes")),
    )
    op.create_index(op.f("ix_case_read_case_id"), "case_read", ["case_id"])
    op.create_index(
        op.f("ix_case_read_first"),
        "case_read",
        ["reader_id", "case_id", "input_hash", "pass_number"],
        unique=True,
        sqlite_where=sa.text("phase = 'first'"),
        postgresql_where=sa.text("phase = 'first'"),
    )
    append_only("case_read", *ROW_KEYS)
    op.create_table(
        "case_event",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("reader_id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(200), nullable=False),
        sa.Column("input_hash", sa.String(64), nullable=False),
        sa.Column("pass_number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("session_id", sa.String(100), nullable=False),
        sa.Column("created_utc", sa.String(32), nullable=False),
        sa.CheckConstraint("length(id) = 36", name=op.f("ck_case_event_id")),
        sa.CheckConstraint("kind IN ('opened', 'skipped', 'resumed')", name=op.f("ck_case_event_kind")),
        sa.CheckConstraint("pass_number >= 1", name=op.f("ck_case_event_pass_number")),
        sa.ForeignKeyConstraint(["reader_id"], ["reader.id"], name=op.f("fk_case_event_reader_id_reader")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_event")),
        sa.UniqueConstraint("reader_id", "seq", name=op.f("uq_case_event_reader_id_seq")),
    )
    op.create_index(op.f("ix_case_event_case_id"), "case_event", ["case_id"])
    append_only("case_event", ("reader_id", "seq"))
    op.create_table(
        "assignment_batch",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_by", sa.Integer(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("ordering", sa.String(10), nullable=False),
        sa.Column("readers_per_case", sa.Integer(), nullable=False),
        sa.Column("repeat_fraction", sa.Double(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created_utc", sa.String(32), nullable=False),
        sa.Column("closed_utc", sa.String(32), nullable=True),
        sa.CheckConstraint("length(id) = 36", name=op.f("ck_assignment_batch_id")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 200", name=op.f("ck_assignment_batch_name")),
        sa.CheckConstraint(
            "ordering IN ('random', 'score', 'given')", name=op.f("ck_assignment_batch_ordering")
        ),
        sa.CheckConstraint("readers_per_case >= 1", name=op.f("ck_assignment_batch_readers_per_case")),
        sa.CheckConstraint(
            "repeat_fraction BETWEEN 0 AND 1", name=op.f("ck_assignment_batch_repeat_fraction")
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["reader.id"], name=op.f("fk_assignment_batch_created_by_reader")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignment_batch")),
    )
    op.create_table(
        "assignment",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("batch_id", sa.String(36), nullable=False),
        sa.Column("reader_id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(200), nullable=False),
        sa.Column("input_hash", sa.String(64), nullable=False),
        sa.Column("pass_number", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("created_utc", sa.String(32), nullable=False),
        sa.CheckConstraint("length(id) = 36", name=op.f("ck_assignment_id")),
        sa.CheckConstraint("kind IN ('case', 'repeat', 'planted')", name=op.f("ck_assignment_kind")),
        sa.CheckConstraint("pass_number >= 1", name=op.f("ck_assignment_pass_number")),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["assignment_batch.id"], name=op.f("fk_assignment_batch_id_assignment_batch")
        ),
        sa.ForeignKeyConstraint(["reader_id"], ["reader.id"], name=op.f("fk_assignment_reader_id_reader")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignment")),
        sa.UniqueConstraint(
            "batch_id",
            "reader_id",
            "case_id",
            "input_hash",
            "pass_number",
            name=op.f("uq_assignment_serving"),
        ),
        sa.UniqueConstraint(
            "batch_id", "reader_id", "position", name=op.f("uq_assignment_batch_id_reader_id_position")
        ),
    )
    op.create_index(op.f("ix_assignment_case_id"), "assignment", ["case_id"])
    op.create_index(op.f("ix_assignment_reader_id"), "assignment", ["reader_id"])
    append_only(
        "assignment",
        ("batch_id", "reader_id", "position"),
        ("batch_id", "reader_id", "case_id", "input_hash", "pass_number"),
    )
    terms = op.create_table(
        "finding_type",
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("label", sa.String(100), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.Column("created_utc", sa.String(32), nullable=False),
        sa.CheckConstraint("length(label) BETWEEN 1 AND 100", name=op.f("ck_finding_type_label")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 60", name=op.f("ck_finding_type_name")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_finding_type")),
    )
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    op.bulk_insert(
        terms,
        [
            {"name": name, "label": label, "position": at, "retired": False, "created_utc": now}
            for at, (name, label) in enumerate(TERMS, 1)
        ],
    )
