"""Analyses that somebody's answers point at: done anew, the answers would point at nothing."""

from __future__ import annotations

from app.feedback.database import Store, transaction
from core.judged import judged_in


def judged_analyses(store: Store, case_id: str) -> frozenset[tuple[str, str]]:
    """Model and key of each analysis of a scan that a verdict, mark, read or decision names, by anybody.

    What was taken back counts too: the rows stay.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    with transaction(store, write=False) as session:
        return judged_in(session.connection(), case_id)
