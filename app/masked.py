"""An evaluation without the names of scans that a reader has still to read: groups tell the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace
from secrets import token_bytes

from app.cases import Case
from app.feedback.owed import unfinished_by
from app.feedback.store import SavedReader, Store
from app.review.progress import NOBODY, standing
from core.config import settings
from core.evaluation.report import Evaluation

UNREAD = "a scan that you have still to read"
_salt = token_bytes(16)  # of this process: numbers tell nothing of names


def unread_by(
    cases: Collection[Case], store: Store | None, reader: SavedReader | None, appointed: bool
) -> frozenset[str]:
    """Case ids of ``cases`` that may not be named to a reader.

    All of which no first read of theirs is locked; to an ``appointed`` coordinator, who need not read, those
    that they have begun or been given. ``store`` None: it can't be read, and nothing is known of anybody.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    if not settings().unaided_read:
        return frozenset()
    scans = {(case.record.case_id, case.record.input_hash) for case in cases}
    where = NOBODY if store is None else standing(store, reader, scans)
    unread = frozenset(case.record.case_id for case in cases if not where.revealed(case))
    if appointed and store is not None and reader is not None:
        return unread & {case_id for case_id, _ in unfinished_by(store, reader.id)}
    return unread


def masked(evaluation: Evaluation, unread: Collection[str]) -> tuple[Evaluation, int]:
    """The evaluation with numbers for names of ``unread`` case ids, without their sheets; and how many."""
    subjects = evaluation.tables["subjects"]
    here = sorted(
        set(subjects["case"]) & set(unread), key=lambda name: hashlib.sha256(_salt + name.encode()).digest()
    )
    if not here:
        return evaluation, 0
    told = {name: f"{UNREAD} ({number})" for number, name in enumerate(here, 1)}
    hidden = subjects.assign(case=[told.get(name, name) for name in subjects["case"]])
    sheets = {
        name: sheet
        for name, sheet in evaluation.sheets.items()
        if not any(case in str(sheet.layout.title.text) for case in here)
    }
    facts = evaluation.facts
    left_out = {told.get(name, name): why for name, why in facts.left_out.items()}
    return (
        replace(
            evaluation,
            facts=replace(facts, left_out=left_out),
            tables={**evaluation.tables, "subjects": hidden},
            sheets=sheets,
        ),
        len(here),
    )
