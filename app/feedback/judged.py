"""Analyses that somebody's answers point at: done anew, the answers would point at nothing."""

from __future__ import annotations

from sqlalchemy import select

from app.feedback.database import Store, transaction
from app.feedback.models import Adjudication, CaseRead, MissedFinding, Verdict


def judged_analyses(store: Store, case_id: str) -> frozenset[tuple[str, str]]:
    """Model and key of each analysis of a scan that a verdict, mark, read or decision names, by anybody.

    What was taken back counts too: the rows stay.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    found: set[tuple[str, str]] = set()
    with transaction(store, write=False) as session:
        for table in (Verdict, MissedFinding, CaseRead, Adjudication):
            query = select(table.model, table.case_key).where(table.case_id == case_id).distinct()
            found |= {(model, key) for model, key in session.execute(query) if model != ""}
    return frozenset(found)
