"""What every writer of the store shares: keys, times, order, and what a retry may repeat."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.feedback.database import Store, StoreError, transaction
from app.feedback.models import CaseRead, MissedFinding, Reader, Verdict


def new_id() -> str:
    """A fresh idempotency key."""
    return str(uuid4())


def now_utc() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def check_id(id: str) -> None:
    """Refuse what is no UUID.

    Raises
    ------
    StoreError
    """
    try:
        valid = str(UUID(id)) == id
    except ValueError:
        valid = False
    if not valid:
        raise StoreError(f"{id!r} is not a UUID such as new_id() makes.")


def kept_ids(store: Store, ids: Collection[str]) -> frozenset[str]:
    """Those of the keys under which a read, a verdict or a mark is in the store.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    if not ids:
        return frozenset()
    with transaction(store, write=False) as session:
        return frozenset(
            id
            for table in (CaseRead, Verdict, MissedFinding)
            for id in session.scalars(select(table.id).where(table.id.in_(ids)))
        )


def columns(row: Any) -> dict[str, Any]:
    """A row's values by column."""
    return {column.key: getattr(row, column.key) for column in row.__table__.columns}


def same(before: Any, content: dict[str, Any], free: tuple[str, ...] = ("session_id",)) -> Any:
    """``before`` where it holds ``content`` but for the columns ``free``.

    A retry may come from another browser session.

    Raises
    ------
    StoreError
        Where it holds something else: the key was used twice.
    """
    stored = columns(before)
    differing = [name for name, value in content.items() if name not in free and stored[name] != value]
    if differing:
        raise StoreError(
            f"This form's key was used for another answer ({', '.join(differing)}); reload the page."
        )
    return before


def lock_reader(session: Session, reader_id: int) -> None:
    """One writer per reader where the database locks rows (SQLite has the whole file already).

    Raises
    ------
    StoreError
        Where there is no such reader.
    """
    if session.scalars(select(Reader).where(Reader.id == reader_id).with_for_update()).one_or_none() is None:
        raise StoreError("Unknown reader; nothing was saved. Give your name again.")


def next_seq(session: Session, table: Any, reader_id: int) -> int:
    """Number of the reader's next row of a table that counts them."""
    return (session.scalar(select(func.max(table.seq)).where(table.reader_id == reader_id)) or 0) + 1
