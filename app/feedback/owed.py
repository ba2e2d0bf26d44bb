"""Scans that readers still owe an unaided read: a lesson would spoil it."""

from __future__ import annotations

from sqlalchemy import select

from app.feedback.blinding import Scan, closed_scans
from app.feedback.database import Store, transaction
from app.feedback.models import Assignment, AssignmentBatch


def owed_scans(store: Store) -> frozenset[Scan]:
    """Scans of running assignments that not all their readers have finished."""
    query = (
        select(Assignment.case_id, Assignment.input_hash)
        .join(AssignmentBatch, Assignment.batch_id == AssignmentBatch.id)
        .where(AssignmentBatch.closed_utc.is_(None))
        .distinct()
    )
    with transaction(store, write=False) as session:
        assigned = {(case, scan) for case, scan in session.execute(query)}
    return frozenset(assigned - closed_scans(store))
