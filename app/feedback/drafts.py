"""Notes still being written: one row a region and reader, overwritten as it goes. Never exported."""

from __future__ import annotations

from dataclasses import dataclass

from app.feedback.database import Store, transaction
from app.feedback.models import Draft
from app.feedback.store import now_utc


@dataclass(frozen=True)
class SavedDraft:
    note: str
    updated_utc: str


def keep_draft(store: Store, *, reader_id: int, analysis: str, region_id: str, note: str) -> None:
    """Remember a note that no verdict carries yet. ``analysis`` is its address, 64 characters.

    Raises
    ------
    StoreError
        Where the database refuses.
    """
    with transaction(store, write=True) as session:
        session.merge(
            Draft(
                reader_id=reader_id, analysis=analysis, region_id=region_id, note=note, updated_utc=now_utc()
            )
        )


def find_draft(store: Store, *, reader_id: int, analysis: str, region_id: str) -> SavedDraft | None:
    """The reader's own draft on one region, or None."""
    with transaction(store, write=False) as session:
        row = session.get(Draft, (reader_id, analysis, region_id))
        return None if row is None else SavedDraft(row.note, row.updated_utc)
