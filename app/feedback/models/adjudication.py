"""What follows from answers: final decisions where readers disagree, and who has seen others' answers."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.feedback.models.base import Base


class Adjudication(Base):
    """One decision, with its reason, on a flagged region or on a scan's class."""

    __tablename__ = "adjudication"
    __table_args__ = (
        UniqueConstraint("reader_id", "seq"),
        UniqueConstraint("supersedes"),
        CheckConstraint("subject IN ('region', 'class')", name="subject"),
        CheckConstraint("length(trim(reason)) > 0", name="reason"),
        CheckConstraint("length(decision) BETWEEN 1 AND 20", name="decision"),
        CheckConstraint("length(id) = 36", name="id"),
        CheckConstraint("NOT retracted OR supersedes IS NOT NULL", name="retracted"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    seq: Mapped[int]
    reader_id: Mapped[int] = mapped_column(ForeignKey("reader.id"))  # who decided
    case_id: Mapped[str] = mapped_column(String(200), index=True)
    input_hash: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(10))
    # Of a region; empty where the scan's class was decided.
    model: Mapped[str] = mapped_column(String(100))
    case_key: Mapped[str] = mapped_column(String(64))
    map: Mapped[str] = mapped_column(String(20))
    region_id: Mapped[str] = mapped_column(String(100))
    region: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    decision: Mapped[str] = mapped_column(String(20))  # a verdict, or a class
    finding_type: Mapped[str] = mapped_column(String(60))
    reason: Mapped[str] = mapped_column(Text)
    session_id: Mapped[str] = mapped_column(String(100))
    created_utc: Mapped[str] = mapped_column(String(32))
    supersedes: Mapped[str | None] = mapped_column(ForeignKey("adjudication.id"))
    retracted: Mapped[bool]


class AnswersSeen(Base):
    """A person to whom others' answers to a scan were handed out: no unaided reader of it any more."""

    __tablename__ = "answers_seen"
    __table_args__ = (
        UniqueConstraint("reader_id", "case_id", "input_hash"),
        CheckConstraint("length(id) = 36", name="id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    reader_id: Mapped[int] = mapped_column(ForeignKey("reader.id"))
    case_id: Mapped[str] = mapped_column(String(200))
    input_hash: Mapped[str] = mapped_column(String(64))
    created_utc: Mapped[str] = mapped_column(String(32))  # of the first time
