"""Tables of the feedback store. Verdicts and missed findings are append-only (see ``store``)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)


class Reader(Base):
    """Who gave a verdict, and how we know: a typed name is only a claim."""

    __tablename__ = "reader"
    __table_args__ = (
        UniqueConstraint("source", "name"),
        CheckConstraint("source IN ('typed', 'oidc', 'header')", name="source"),
        CheckConstraint("length(name) BETWEEN 1 AND 200", name="name"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    source: Mapped[str] = mapped_column(String(10))
    created_utc: Mapped[str] = mapped_column(String(32))


class Verdict(Base):
    """One answer to one flagged region; a later row supersedes, and a retracted row takes back."""

    __tablename__ = "verdict"
    __table_args__ = (
        UniqueConstraint("reader_id", "seq"),
        UniqueConstraint("supersedes"),
        CheckConstraint("verdict IN ('agree', 'disagree', 'unsure')", name="verdict"),
        CheckConstraint("map IN ('volume', 'normative')", name="map"),
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
    note: Mapped[str] = mapped_column(Text)
    session_id: Mapped[str] = mapped_column(String(100))
    created_utc: Mapped[str] = mapped_column(String(32))
    supersedes: Mapped[str | None] = mapped_column(ForeignKey("verdict.id"))
    retracted: Mapped[bool]


class MissedFinding(Base):
    """A finding that no flag marks: a sphere in the scan's world space, with a note."""

    __tablename__ = "missed_finding"
    __table_args__ = (
        UniqueConstraint("reader_id", "seq"),
        UniqueConstraint("supersedes"),
        CheckConstraint("map IN ('volume', 'normative')", name="map"),
        CheckConstraint("radius_mm > 0 AND radius_mm <= 100", name="radius_mm"),
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


APPEND_ONLY = (Verdict.__tablename__, MissedFinding.__tablename__)
