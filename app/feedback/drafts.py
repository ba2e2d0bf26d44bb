"""What is not said for good yet: notes, a class chosen, time spent. Rows are overwritten, never exported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sqlalchemy import select

from app.feedback.database import Store, transaction
from app.feedback.models import Draft
from app.feedback.rows import Phase
from app.feedback.writing import now_utc

PREFERENCES = "preferences"
# A scan that was opened and left alone is counted for half a minute (app/viewer/presence.js).
LEAST_SECONDS = 40.0


@dataclass(frozen=True)
class SavedDraft:
    note: str
    updated_utc: str


@dataclass(frozen=True)
class ReadDraft:
    """A read under way."""

    classification: str = ""
    confidence: int | None = None
    note: str = ""
    # Active seconds by run of the viewer: each only grows, so that a report that comes twice does no harm.
    active: dict[str, float] = field(default_factory=dict)

    @property
    def under_way(self) -> bool:
        """Whether something was done: a class, a confidence, a note, or more than opening the scan."""
        said = self.classification != "" or self.confidence is not None or self.note != ""
        return said or max(self.active.values(), default=0.0) >= LEAST_SECONDS

    @property
    def active_seconds(self) -> float:
        return round(sum(self.active.values()), 1)


@dataclass(frozen=True)
class AnswerDraft:
    """Finding type and confidence chosen for a region that has no verdict yet."""

    finding_type: str = ""
    confidence: int | None = None


def scan_key(case_id: str, input_hash: str, pass_number: int) -> str:
    """Names one reading of a scan, whichever model is open, as an analysis' address names an analysis."""
    return hashlib.sha256(json.dumps([case_id, input_hash, pass_number]).encode()).hexdigest()


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


def drop_draft(store: Store, *, reader_id: int, analysis: str, region_id: str) -> None:
    """Forget the reader's draft on one region, where there is one.

    Raises
    ------
    StoreError
        Where the database refuses.
    """
    with transaction(store, write=True) as session:
        row = session.get(Draft, (reader_id, analysis, region_id))
        if row is not None:
            session.delete(row)


def read_draft(store: Store, *, reader_id: int, scan: str, phase: Phase) -> ReadDraft:
    """The reader's read under way of one scan (``scan_key``); empty where there is none."""
    found = find_draft(store, reader_id=reader_id, analysis=scan, region_id=_place(phase))
    return ReadDraft() if found is None else _loaded(found.note)


def change_read(store: Store, *, reader_id: int, scan: str, phase: Phase, **changes: Any) -> ReadDraft:
    """Change fields of a read under way, the others stay. ``active`` is merged by run, the larger counts.

    Raises
    ------
    StoreError
        Where the database refuses.
    """
    key = (reader_id, scan, _place(phase))
    with transaction(store, write=True) as session:
        row = session.get(Draft, key)
        draft = ReadDraft() if row is None else _loaded(row.note)
        for run, seconds in changes.pop("active", {}).items():
            draft.active[run] = max(float(seconds), draft.active.get(run, 0.0))
        draft = replace(draft, **changes)
        note = json.dumps(asdict(draft))
        if row is None:
            session.add(
                Draft(
                    reader_id=reader_id,
                    analysis=scan,
                    region_id=_place(phase),
                    note=note,
                    updated_utc=now_utc(),
                )
            )
        elif row.note != note:
            row.note, row.updated_utc = note, now_utc()
    return draft


def drafted_scans(store: Store, reader_id: int) -> frozenset[str]:
    """Keys of the scans of which a reader's read is under way; opening one is not enough."""
    return frozenset(key for who, key in reads_under_way(store) if who == reader_id)


def reads_under_way(store: Store, scans: Collection[str] | None = None) -> frozenset[tuple[int, str]]:
    """Reader and scan key of each draft of a read in which something was done; ``scans``: of these keys."""
    query = select(Draft.reader_id, Draft.analysis, Draft.note).where(
        Draft.region_id.in_([_place("first"), _place("second")])
    )
    if scans is not None:
        query = query.where(Draft.analysis.in_(scans))
    with transaction(store, write=False) as session:
        rows = session.execute(query).all()
    return frozenset((who, key) for who, key, note in rows if _loaded(note).under_way)


def answer_draft(store: Store, *, reader_id: int, analysis: str, region_id: str) -> AnswerDraft:
    """Type and confidence chosen for a region before its verdict."""
    found = find_draft(store, reader_id=reader_id, analysis=analysis, region_id=f"{region_id}@answer")
    return AnswerDraft() if found is None else AnswerDraft(**json.loads(found.note))


def keep_answer(store: Store, *, reader_id: int, analysis: str, region_id: str, answer: AnswerDraft) -> None:
    """Remember type and confidence chosen for a region before its verdict."""
    place, note = f"{region_id}@answer", json.dumps(asdict(answer))
    keep_draft(store, reader_id=reader_id, analysis=analysis, region_id=place, note=note)


def preference(store: Store, reader_id: int, name: str) -> str:
    """What the reader chose for themselves, as the worklist's order; empty where nothing."""
    found = find_draft(store, reader_id=reader_id, analysis=PREFERENCES, region_id=name)
    return "" if found is None else found.note


def keep_preference(store: Store, reader_id: int, name: str, value: str) -> None:
    """Remember a reader's choice."""
    keep_draft(store, reader_id=reader_id, analysis=PREFERENCES, region_id=name, note=value)


def _place(phase: Phase) -> str:
    return f"@{phase}"


def _loaded(note: str) -> ReadDraft:
    return ReadDraft(**json.loads(note))
