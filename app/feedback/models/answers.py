"""Verdicts on flagged regions, marks of the readers' own, and notes still being written."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.feedback.models.base import Base


class Verdict(Base):
    """One answer to one flagged region; a later row supersedes, and a retracted row takes back."""

    __tablename__ = "verdict"
    __table_args__ = (
        UniqueConstraint("reader_id", "seq"),
        UniqueConstraint("supersedes"),
        CheckConstraint("verdict IN ('agree', 'disagree', 'unsure')", name="verdict"),
        CheckConstraint("length(map) BETWEEN 1 AND 20", name="map"),
        CheckConstraint("confidence IS NULL OR confidence BETWEEN 1 AND 5", name="confidence"),
        CheckConstraint("pass_number >= 1", name="pass_number"),
        CheckConstraint("length(id) = 36", name="id"),
        CheckConstraint("NOT retracted OR supersedes IS NOT NULL", name="retracted"),
    )

    # UUID made when the form is shown: the idempotency key.
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    # Counts the reader's rows, so that order doesn't hang on clocks.
    seq: Mapped[int]
    reader_id: Mapped[int] = mapped_column(ForeignKey("reader.id"))
    case_id: Mapped[str] = mapped_column(String(200), index=True)
    model: Mapped[str] = mapped_column(String(100))
    model_hash: Mapped[str] = mapped_column(String(64))
    input_hash: Mapped[str] = mapped_column(String(64))
    # Content address of the analysis: a region id means nothing beyond it.
    case_key: Mapped[str] = mapped_column(String(64))
    map: Mapped[str] = mapped_column(String(20))
    region_id: Mapped[str] = mapped_column(String(100))
    region: Mapped[dict[str, Any]] = mapped_column(JSON)
    verdict: Mapped[str] = mapped_column(String(10))
    # Term of the vocabulary (FindingType.name); empty where none was chosen.
    finding_type: Mapped[str] = mapped_column(String(60))
    confidence: Mapped[int | None]
    # The reader's nth reading of the scan: more than 1 where it was served again.
    pass_number: Mapped[int]
    note: Mapped[str] = mapped_column(Text)
    session_id: Mapped[str] = mapped_column(String(100))
    created_utc: Mapped[str] = mapped_column(String(32))
    supersedes: Mapped[str | None] = mapped_column(ForeignKey("verdict.id"))
    retracted: Mapped[bool]


class MissedFinding(Base):
    """What a reader marked: a sphere in the scan's world space, with a note.

    Phase "first" was marked before the model's flags were shown, "second" is missed by them.
    """

    __tablename__ = "missed_finding"
    __table_args__ = (
        UniqueConstraint("reader_id", "seq"),
        UniqueConstraint("supersedes"),
        CheckConstraint("length(map) BETWEEN 1 AND 20", name="map"),
        CheckConstraint("phase IN ('first', 'second')", name="phase"),
        CheckConstraint("radius_mm > 0 AND radius_mm <= 100", name="radius_mm"),
        CheckConstraint("confidence IS NULL OR confidence BETWEEN 1 AND 5", name="confidence"),
        CheckConstraint("pass_number >= 1", name="pass_number"),
        CheckConstraint("length(id) = 36", name="id"),
        CheckConstraint("NOT retracted OR supersedes IS NOT NULL", name="retracted"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    seq: Mapped[int]
    reader_id: Mapped[int] = mapped_column(ForeignKey("reader.id"))
    case_id: Mapped[str] = mapped_column(String(200), index=True)
    model: Mapped[str] = mapped_column(String(100))
    model_hash: Mapped[str] = mapped_column(String(64))
    input_hash: Mapped[str] = mapped_column(String(64))
    case_key: Mapped[str] = mapped_column(String(64))
    map: Mapped[str] = mapped_column(String(20))
    x_mm: Mapped[float]
    y_mm: Mapped[float]
    z_mm: Mapped[float]
    radius_mm: Mapped[float]
    phase: Mapped[str] = mapped_column(String(10))
    # Term of the vocabulary (FindingType.name); empty where none was chosen.
    finding_type: Mapped[str] = mapped_column(String(60))
    confidence: Mapped[int | None]
    # The reader's nth reading of the scan: more than 1 where it was served again.
    pass_number: Mapped[int]
    note: Mapped[str] = mapped_column(Text)
    session_id: Mapped[str] = mapped_column(String(100))
    created_utc: Mapped[str] = mapped_column(String(32))
    supersedes: Mapped[str | None] = mapped_column(ForeignKey("missed_finding.id"))
    retracted: Mapped[bool]


class Draft(Base):
    """A note still being written, so that a reload does not lose it; the one table whose rows change."""

    __tablename__ = "draft"

    reader_id: Mapped[int] = mapped_column(ForeignKey("reader.id"), primary_key=True)
    analysis: Mapped[str] = mapped_column(String(64), primary_key=True)  # its address
    region_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    note: Mapped[str] = mapped_column(Text)
    updated_utc: Mapped[str] = mapped_column(String(32))
