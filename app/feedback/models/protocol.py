"""Reads of whole scans, what became of them, the vocabulary, and who is to read what."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.feedback.models.base import Base

FIRST = text("phase = 'first'")


class CaseRead(Base):
    """A reader's judgement of a whole scan: the first before the flags are shown, the second after.

    A first read is locked: nothing supersedes it. The classes are the scheme of the paper's reference 33.
    """

    __tablename__ = "case_read"
    __table_args__ = (
        UniqueConstraint("reader_id", "seq"),
        UniqueConstraint("supersedes"),
        Index(
            "ix_case_read_first",
            "reader_id",
            "case_id",
            "input_hash",
            "pass_number",
            unique=True,
            sqlite_where=FIRST,
            postgresql_where=FIRST,
        ),
        CheckConstraint("phase IN ('first', 'second')", name="phase"),
        CheckConstraint(
            "classification IN ('normal', '1A', '1B', '2A', '2B', '3', 'inadequate')", name="classification"
        ),
        CheckConstraint("confidence IS NULL OR confidence BETWEEN 1 AND 5", name="confidence"),
        CheckConstraint("pass_number >= 1", name="pass_number"),
        CheckConstraint("active_seconds >= 0", name="active_seconds"),
        CheckConstraint("length(id) = 36", name="id"),
        CheckConstraint("phase = 'second' OR supersedes IS NULL", name="locked"),
        CheckConstraint("NOT retracted OR supersedes IS NOT NULL", name="retracted"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    seq: Mapped[int]
    reader_id: Mapped[int] = mapped_column(ForeignKey("reader.id"))
    case_id: Mapped[str] = mapped_column(String(200), index=True)
    input_hash: Mapped[str] = mapped_column(String(64))
    pass_number: Mapped[int]
    phase: Mapped[str] = mapped_column(String(10))
    # Whether the flags were hidden until a first read was locked.
    unaided: Mapped[bool]
    classification: Mapped[str] = mapped_column(String(10))
    confidence: Mapped[int | None]
    note: Mapped[str] = mapped_column(Text)
    # While the tab was visible and the reader at work, in this phase.
    active_seconds: Mapped[float]
    # The analysis that was open, hidden or shown.
    model: Mapped[str] = mapped_column(String(100))
    model_hash: Mapped[str] = mapped_column(String(64))
    case_key: Mapped[str] = mapped_column(String(64))
    map: Mapped[str] = mapped_column(String(20))
    session_id: Mapped[str] = mapped_column(String(100))
    created_utc: Mapped[str] = mapped_column(String(32))
    supersedes: Mapped[str | None] = mapped_column(ForeignKey("case_read.id"))
    retracted: Mapped[bool]


class CaseEvent(Base):
    """What a reader did with a scan beside reading it."""

    __tablename__ = "case_event"
    __table_args__ = (
        UniqueConstraint("reader_id", "seq"),
        CheckConstraint("kind IN ('opened', 'skipped', 'resumed')", name="kind"),
        CheckConstraint("pass_number >= 1", name="pass_number"),
        CheckConstraint("length(id) = 36", name="id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    seq: Mapped[int]
    reader_id: Mapped[int] = mapped_column(ForeignKey("reader.id"))
    case_id: Mapped[str] = mapped_column(String(200), index=True)
    input_hash: Mapped[str] = mapped_column(String(64))
    pass_number: Mapped[int]
    kind: Mapped[str] = mapped_column(String(10))
    # Why it was skipped; in which order of the worklist it was opened.
    detail: Mapped[str | None] = mapped_column(Text)
    session_id: Mapped[str] = mapped_column(String(100))
    created_utc: Mapped[str] = mapped_column(String(32))


class FindingType(Base):
    """A term for findings. Terms are retired, never removed: answers hold their names."""

    __tablename__ = "finding_type"
    __table_args__ = (
        CheckConstraint("length(name) BETWEEN 1 AND 60", name="name"),
        CheckConstraint("length(label) BETWEEN 1 AND 100", name="label"),
    )

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    label: Mapped[str] = mapped_column(String(100))
    position: Mapped[int]
    retired: Mapped[bool]
    created_utc: Mapped[str] = mapped_column(String(32))


class AssignmentBatch(Base):
    """One distribution of scans among readers, with everything that fixes it."""

    __tablename__ = "assignment_batch"
    __table_args__ = (
        CheckConstraint("ordering IN ('random', 'score', 'given')", name="ordering"),
        CheckConstraint("readers_per_case >= 1", name="readers_per_case"),
        CheckConstraint("repeat_fraction BETWEEN 0 AND 1", name="repeat_fraction"),
        CheckConstraint("length(name) BETWEEN 1 AND 200", name="name"),
        CheckConstraint("length(id) = 36", name="id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    created_by: Mapped[int] = mapped_column(ForeignKey("reader.id"))
    seed: Mapped[int]
    ordering: Mapped[str] = mapped_column(String(10))
    readers_per_case: Mapped[int]
    repeat_fraction: Mapped[float]
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_utc: Mapped[str] = mapped_column(String(32))
    # Set when the batch is called off; its scans are then free again.
    closed_utc: Mapped[str | None] = mapped_column(String(32))


class Assignment(Base):
    """One scan for one reader: a first time, again ("repeat"), or with a known answer ("planted")."""

    __tablename__ = "assignment"
    __table_args__ = (
        UniqueConstraint("batch_id", "reader_id", "position"),
        # A name of its own: PostgreSQL cuts the conventional one.
        UniqueConstraint(
            "batch_id", "reader_id", "case_id", "input_hash", "pass_number", name="uq_assignment_serving"
        ),
        CheckConstraint("kind IN ('case', 'repeat', 'planted')", name="kind"),
        CheckConstraint("pass_number >= 1", name="pass_number"),
        CheckConstraint("length(id) = 36", name="id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    batch_id: Mapped[str] = mapped_column(ForeignKey("assignment_batch.id"))
    reader_id: Mapped[int] = mapped_column(ForeignKey("reader.id"), index=True)
    case_id: Mapped[str] = mapped_column(String(200), index=True)
    input_hash: Mapped[str] = mapped_column(String(64))
    pass_number: Mapped[int]
    position: Mapped[int]  # in the reader's own order, from 1
    kind: Mapped[str] = mapped_column(String(10))
    created_utc: Mapped[str] = mapped_column(String(32))
