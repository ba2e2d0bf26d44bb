"""Scans that readers still owe an unaided read, or are reading: a lesson would spoil it."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from app.feedback.blinding import Course, Scan, closed_scans, course
from app.feedback.database import Store, transaction
from app.feedback.drafts import reads_under_way, scan_key
from app.feedback.models import Assignment, AssignmentBatch


def owed_scans(store: Store, among: Iterable[Scan] = ()) -> frozenset[Scan]:
    """Scans of running assignments that not all their readers have finished, and reads under way.

    ``among``: where to look for reads of which nothing is saved yet; drafts don't name their scan.
    """
    query = (
        select(Assignment.case_id, Assignment.input_hash)
        .join(AssignmentBatch, Assignment.batch_id == AssignmentBatch.id)
        .where(AssignmentBatch.closed_utc.is_(None))
        .distinct()
    )
    with transaction(store, write=False) as session:
        assigned = {(case, scan) for case, scan in session.execute(query)}
    now = course(store)
    begun = {one[1:3] for one in now.begun - now.finished.keys()}
    return frozenset((assigned - closed_scans(store)) | begun | _drafted(store, among, now))


def finished_by(store: Store, reader_id: int) -> frozenset[Scan]:
    """Scans that a reader has finished, and has not to read again: their answer spoils nothing for them."""
    now = course(store)
    finished = {one for one in now.finished if one[0] == reader_id}
    waiting = {one[1:3] for one in (now.begun | now.asked) - finished if one[0] == reader_id}
    return frozenset({one[1:3] for one in finished} - waiting)


def _drafted(store: Store, among: Iterable[Scan], now: Course) -> set[Scan]:
    # Later passes are assigned ones, which are owed until they are finished.
    first_pass = {scan_key(*scan, 1): scan for scan in among}
    return {
        first_pass[key]
        for who, key in reads_under_way(store)
        if key in first_pass and (who, *first_pass[key], 1) not in now.finished
    }
