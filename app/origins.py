"""Where scans come from, for whoever may know: split and site can tell that a scan is normal.

Models are trained and calibrated on normals only, and a site may scan patients, or volunteers. Of a scan that
somebody has still to read unaided neither is shown, filtered by or counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from app.cases import Case
from app.facts import Facts, facts
from app.feedback.owed import unfinished_by
from app.feedback.store import SavedReader, Store
from app.review.progress import Standing
from core.config import settings

HIDDEN = "Split and site of a scan are shown once you have locked your first read of it."


def read_unaided(cases: Iterable[Case], where: Standing) -> frozenset[str]:
    """Case ids of ``cases`` whose origin tells their reader nothing any more: the first read is locked."""
    every = list(cases)
    unread = {case.record.case_id for case in every if not where.revealed(case)}
    return frozenset(case.record.case_id for case in every) - unread


def facts_told(cases: Iterable[Case], where: Standing) -> dict[str, Facts]:
    """What may be told of each of ``cases``, by case id; the label that an upload was given always."""
    every, known = list(cases), facts()
    open_ = read_unaided(every, where)
    found = {case.record.case_id: known.get(case.record.subject, Facts()) for case in every}
    return {name: one if name in open_ else replace(one, split="", site="") for name, one in found.items()}


def splits_told(
    split_of: Mapping[str, str],
    cases: Iterable[Case],
    where: Standing,
    store: Store | None,
    coordinator: SavedReader | None,
) -> dict[str, str]:
    """Splits by case id, of those that may be told.

    To readers those of scans that they have read; to a ``coordinator`` all but those of scans that they have
    still to read themselves. ``store`` None: it can't be read, and nothing is known of anybody.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    if not settings().unaided_read:
        return dict(split_of)
    open_ = read_unaided(cases, where)
    if coordinator is None or store is None:
        return {name: split for name, split in split_of.items() if name in open_}
    owed = {case_id for case_id, _ in unfinished_by(store, coordinator.id)} - open_
    return {name: split for name, split in split_of.items() if name not in owed}
