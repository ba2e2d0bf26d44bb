"""Lessons, who takes part, and what they mark: never part of clinical reads."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.feedback.models.base import Base


class Lesson(Base):
    """A teacher's session; the row changes as the lesson goes on."""

    __tablename__ = "lesson"
    __table_args__ = (
        UniqueConstraint("join_code"),
        CheckConstraint("length(title) BETWEEN 1 AND 200", name="title"),
        CheckConstraint("state IN ('draft', 'open', 'closed')", name="state"),
        CheckConstraint("seconds_per_case >= 0", name="seconds_per_case"),
        CheckConstraint("case_index >= -1", name="case_index"),
        CheckConstraint("length(id) = 36", name="id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    teacher_id: Mapped[int] = mapped_column(ForeignKey("reader.id"))
    join_code: Mapped[str] = mapped_column(String(12))
    # In order: {"case_id", "input_hash", "address" of the analysis}.
    cases: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    # Of the random order; null where the order is the teacher's.
    seed: Mapped[int | None]
    seconds_per_case: Mapped[int]  # 0: no limit
    # A mark this near to a lesion is on it.
    tolerance_mm: Mapped[float | None]
    # Of "truth", "readers", "model": what a reveal shows.
    reveal: Mapped[list[str]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(10))
    case_index: Mapped[int]  # -1 before the first
    case_started_utc: Mapped[str | None] = mapped_column(String(32))
    revealed: Mapped[bool]
    # The teacher's laser pointer: {"mm", "plane", "on"}; null while it is off.
    pointer: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    version: Mapped[int]  # counts changes, so that followers see them
    created_utc: Mapped[str] = mapped_column(String(32))
    updated_utc: Mapped[str] = mapped_column(String(32))


class Learner(Base):
    """One participant of one lesson."""

    __tablename__ = "learner"
    __table_args__ = (
        UniqueConstraint("lesson_id", "name"),
        CheckConstraint("length(name) BETWEEN 1 AND 200", name="name"),
        CheckConstraint("length(id) = 36", name="id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    lesson_id: Mapped[str] = mapped_column(ForeignKey("lesson.id"))
    name: Mapped[str] = mapped_column(String(200))
    joined_utc: Mapped[str] = mapped_column(String(32))
    seen_utc: Mapped[str] = mapped_column(String(32))


class LearnerMark(Base):
    """A finding that a learner marked: a sphere in the scan's world space."""

    __tablename__ = "learner_mark"
    __table_args__ = (
        UniqueConstraint("learner_id", "seq"),
        UniqueConstraint("supersedes"),
        CheckConstraint("radius_mm > 0 AND radius_mm <= 100", name="radius_mm"),
        CheckConstraint("length(id) = 36", name="id"),
        CheckConstraint("NOT retracted OR supersedes IS NOT NULL", name="retracted"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    seq: Mapped[int]
    lesson_id: Mapped[str] = mapped_column(ForeignKey("lesson.id"), index=True)
    learner_id: Mapped[str] = mapped_column(ForeignKey("learner.id"))
    case_index: Mapped[int]
    case_id: Mapped[str] = mapped_column(String(200))
    input_hash: Mapped[str] = mapped_column(String(64))
    x_mm: Mapped[float]
    y_mm: Mapped[float]
    z_mm: Mapped[float]
    radius_mm: Mapped[float]
    finding_type: Mapped[str] = mapped_column(String(60))
    note: Mapped[str] = mapped_column(Text)
    created_utc: Mapped[str] = mapped_column(String(32))
    supersedes: Mapped[str | None] = mapped_column(ForeignKey("learner_mark.id"))
    retracted: Mapped[bool]


class LearnerCommit(Base):
    """A learner's "done" on one scan of the lesson: their marks count from then on and change no more."""

    __tablename__ = "learner_commit"
    __table_args__ = (
        UniqueConstraint("learner_id", "case_index"),
        CheckConstraint("active_seconds >= 0", name="active_seconds"),
        CheckConstraint("length(id) = 36", name="id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    lesson_id: Mapped[str] = mapped_column(ForeignKey("lesson.id"), index=True)
    learner_id: Mapped[str] = mapped_column(ForeignKey("learner.id"))
    case_index: Mapped[int]
    classification: Mapped[str] = mapped_column(String(10))  # empty where none was asked
    active_seconds: Mapped[float]
    created_utc: Mapped[str] = mapped_column(String(32))
    # By the reveal, the next scan or the end of the time; null in rows from before this was kept.
    automatic: Mapped[bool | None]
