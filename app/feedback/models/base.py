"""What all tables share: names of constraints, and who reads."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, MetaData, String, UniqueConstraint
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
