"""What readers said: append, never change. Reader-scoped queries never show another reader's rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.feedback.database import Store, StoreError, open_store, transaction
from app.feedback.marks import add_missed, list_missed, missed_input, provenance, retract_missed
from app.feedback.models import MissedFinding, Reader, Verdict
from app.feedback.rows import (
    CaseProgress,
    Missed,
    MissedInput,
    ReaderSource,
    SavedReader,
    SavedVerdict,
    VerdictInput,
    VerdictValue,
    standing_missed,
    standing_verdicts,
)
from app.feedback.writing import check_id, columns, lock_reader, new_id, next_seq, now_utc, same
from core.io.derivatives import CaseRecord, Region

__all__ = [
    "CaseProgress",
    "Missed",
    "MissedInput",
    "ReaderSource",
    "SavedReader",
    "SavedVerdict",
    "Store",
    "StoreError",
    "VerdictInput",
    "VerdictValue",
    "add_missed",
    "add_verdict",
    "case_progress",
    "current_verdicts",
    "history",
    "list_missed",
    "list_readers",
    "missed_input",
    "new_id",
    "open_store",
    "reader_for",
    "retract_missed",
    "undo_last",
    "verdict_input",
]


def verdict_input(
    record: CaseRecord,
    region: Region,
    *,
    id: str,
    reader_id: int,
    verdict: VerdictValue,
    note: str = "",
    session_id: str = "",
    finding_type: str = "",
    confidence: int | None = None,
    pass_number: int = 1,
) -> VerdictInput:
    """A verdict on ``region`` of the analysis ``record``."""
    return VerdictInput(
        id=id,
        reader_id=reader_id,
        **provenance(record),
        region=region,
        verdict=verdict,
        note=note,
        session_id=session_id,
        finding_type=finding_type,
        confidence=confidence,
        pass_number=pass_number,
    )


def reader_for(store: Store, name: str, source: ReaderSource) -> SavedReader:
    """The reader of that name and source, added when new.

    Raises
    ------
    StoreError
        On an empty name, one over 200 characters, or a database error.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= 200:
        raise StoreError("A reader's name has 1 to 200 characters.")
    try:
        return _reader(store, name, source)
    except StoreError as error:
        if not isinstance(error.__cause__, IntegrityError):
            raise
        return _reader(store, name, source)  # another session added it between our look and our insert


def _reader(store: Store, name: str, source: ReaderSource) -> SavedReader:
    query = select(Reader).where(Reader.name == name, Reader.source == source)
    with transaction(store, write=True) as session:
        row = session.scalars(query).one_or_none()
        if row is None:
            row = Reader(name=name, source=source, created_utc=now_utc())
            session.add(row)
            session.flush()
        return SavedReader(row.id, row.name, source)


def list_readers(store: Store, source: ReaderSource) -> list[SavedReader]:
    """Readers of one source, whoever saved last first."""
    last = select(func.max(Verdict.created_utc)).where(Verdict.reader_id == Reader.id).scalar_subquery()
    order = func.coalesce(last, Reader.created_utc).desc()
    with transaction(store, write=False) as session:
        rows = session.scalars(select(Reader).where(Reader.source == source).order_by(order, Reader.id))
        return [SavedReader(row.id, row.name, source) for row in rows]


def add_verdict(store: Store, given: VerdictInput) -> SavedVerdict:
    """Append a verdict; it supersedes the reader's former one on the region. Twice the same id: one row.

    Raises
    ------
    StoreError
        Where the id was used for other content, a value is not allowed, or the database refuses.
    """
    check_id(given.id)
    content = {**asdict(given), "map": given.region.map, "region_id": given.region.id}
    with transaction(store, write=True) as session:
        before = session.get(Verdict, given.id)
        if before is not None:
            return _saved_verdict(same(before, content))
        lock_reader(session, given.reader_id)
        chain = (
            select(Verdict)
            .where(
                Verdict.reader_id == given.reader_id,
                Verdict.case_id == given.case_id,
                Verdict.model == given.model,
                Verdict.case_key == given.case_key,
                Verdict.map == given.region.map,
                Verdict.region_id == given.region.id,
                Verdict.pass_number == given.pass_number,
            )
            .order_by(Verdict.seq.desc())
        )
        head = session.scalars(chain).first()
        row = Verdict(
            **content,
            seq=next_seq(session, Verdict, given.reader_id),
            created_utc=now_utc(),
            supersedes=None if head is None else head.id,
            retracted=False,
        )
        session.add(row)
        session.flush()
        return _saved_verdict(row)


def history(store: Store, *, case_id: str, model: str, reader_id: int) -> list[SavedVerdict]:
    """Every row of one reader on one case and model, oldest first, superseded and retracting ones too."""
    with transaction(store, write=False) as session:
        return [_saved_verdict(row) for row in _verdict_rows(session, reader_id, case_id, model)]


def current_verdicts(
    store: Store, *, case_id: str, model: str, case_key: str, map: str, reader_id: int, pass_number: int = 1
) -> dict[str, SavedVerdict]:
    """One reader's standing verdict for each region id of one map of one analysis, in one pass."""
    rows = history(store, case_id=case_id, model=model, reader_id=reader_id)
    here = [
        row for row in rows if row.case_key == case_key and row.map == map and row.pass_number == pass_number
    ]
    return {row.region_id: row for row in standing_verdicts(here)}


def undo_last(
    store: Store,
    *,
    id: str,
    case_id: str,
    model: str,
    case_key: str,
    reader_id: int,
    session_id: str = "",
    pass_number: int = 1,
) -> SavedVerdict | None:
    """Take back the reader's newest standing verdict on an analysis, by a new row that supersedes it.

    The verdict before it, if there is one, stands again. ``id`` is the idempotency key of the undo.
    Returns the retracting row, or None where nothing stands.
    """
    check_id(id)
    with transaction(store, write=True) as session:
        before = session.get(Verdict, id)
        if before is not None:
            if not before.retracted or (before.reader_id, before.case_id) != (reader_id, case_id):
                raise StoreError("This form's key was used for another answer; reload the page.")
            return _saved_verdict(before)
        lock_reader(session, reader_id)
        rows = [_saved_verdict(row) for row in _verdict_rows(session, reader_id, case_id, model)]
        rows = [row for row in rows if row.case_key == case_key and row.pass_number == pass_number]
        standing = standing_verdicts(rows)
        if not standing:
            return None
        last = max(standing, key=lambda row: row.seq)
        chain = [row for row in rows if (row.map, row.region_id) == (last.map, last.region_id)]
        content = {**asdict(last), "id": id, "session_id": session_id, "created_utc": now_utc()}
        content |= {
            "seq": next_seq(session, Verdict, reader_id),
            "supersedes": chain[-1].id,
            "retracted": True,
        }
        row = Verdict(**content)
        session.add(row)
        session.flush()
        return _saved_verdict(row)


def case_progress(
    store: Store, reader_id: int, passes: Mapping[tuple[str, str], int] | None = None
) -> dict[str, CaseProgress]:
    """One reader's standing answers by case id; cases without any are absent.

    ``passes``: which reading of a scan (case id, input hash) counts, where it is not the first.
    """
    counts_of = {} if passes is None else passes

    def counted(row: SavedVerdict | Missed) -> bool:
        return row.pass_number == counts_of.get((row.case_id, row.input_hash), 1)

    with transaction(store, write=False) as session:
        query = select(Verdict).where(Verdict.reader_id == reader_id).order_by(Verdict.seq)
        verdicts = standing_verdicts(_saved_verdict(row) for row in session.scalars(query))
        verdicts = [row for row in verdicts if counted(row)]
        missed_query = (
            select(MissedFinding).where(MissedFinding.reader_id == reader_id).order_by(MissedFinding.seq)
        )
        marks = standing_missed(Missed(**columns(row)) for row in session.scalars(missed_query))
        missed = [row for row in marks if counted(row)]
    progress = {}
    for case_id in {row.case_id for row in verdicts} | {row.case_id for row in missed}:
        judged: dict[tuple[str, str], frozenset[str]] = {}
        counts: dict[str, int] = {"agree": 0, "disagree": 0, "unsure": 0}
        mine = [row for row in verdicts if row.case_id == case_id]
        found = [row for row in missed if row.case_id == case_id]
        for row in mine:
            place = (row.case_key, row.map)
            judged[place] = judged.get(place, frozenset()) | {row.region_id}
            counts[row.verdict] += 1
        last = max([row.created_utc for row in mine] + [row.created_utc for row in found])
        progress[case_id] = CaseProgress(judged, counts, len(found), last)
    return progress


def _saved_verdict(row: Verdict) -> SavedVerdict:
    return SavedVerdict(**columns(row))


def _verdict_rows(session: Session, reader_id: int, case_id: str, model: str) -> Iterable[Verdict]:
    query = select(Verdict).where(
        Verdict.reader_id == reader_id, Verdict.case_id == case_id, Verdict.model == model
    )
    return session.scalars(query.order_by(Verdict.seq))
