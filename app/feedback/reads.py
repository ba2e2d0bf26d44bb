"""Reads of whole scans, the first locked before the flags show; scans opened, skipped, taken up again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.feedback.database import Store, StoreError, transaction
from app.feedback.models import CaseEvent, CaseRead
from app.feedback.rows import Phase, clock
from app.feedback.writing import check_id, columns, lock_reader, next_seq, now_utc, same

Classification = Literal["normal", "1A", "1B", "2A", "2B", "3", "inadequate"]
EventKind = Literal["opened", "skipped", "resumed"]


@dataclass(frozen=True)
class ReadInput:
    """A read as given. ``id`` is made when the form is shown (``new_id``)."""

    id: str
    reader_id: int
    case_id: str
    input_hash: str
    classification: Classification
    model: str  # the analysis that was open, hidden or shown
    model_hash: str
    case_key: str
    map: str
    unaided: bool  # whether the flags were hidden until a first read was locked
    confidence: int | None = None  # 1 to 5
    note: str = ""
    active_seconds: float = 0.0
    session_id: str = ""
    pass_number: int = 1  # the reader's nth reading of the scan


@dataclass(frozen=True)
class SavedRead:
    id: str
    seq: int
    reader_id: int
    case_id: str
    input_hash: str
    pass_number: int
    phase: Phase
    unaided: bool
    classification: Classification
    confidence: int | None
    note: str
    active_seconds: float
    model: str
    model_hash: str
    case_key: str
    map: str
    session_id: str
    created_utc: str
    supersedes: str | None
    retracted: bool

    @property
    def saved_at(self) -> str:
        """Local time of day, as in "saved 14:03:21"."""
        return clock(self.created_utc)


@dataclass(frozen=True)
class Event:
    """A scan opened, skipped or taken up again by a reader."""

    case_id: str
    input_hash: str
    pass_number: int
    kind: EventKind
    detail: str  # why it was skipped; in which order of the worklist it was opened
    created_utc: str
    seq: int


Scan = tuple[str, str, int]  # case id, input hash, pass


def lock_first(store: Store, given: ReadInput) -> SavedRead:
    """Keep the first read of a scan, for good. Twice the same id: one row.

    Raises
    ------
    StoreError
        Where a first read of this scan and pass is locked already, the id was used for other content, a value
        is not allowed, or the database refuses.
    """
    return _append(store, given, "first")


def save_second(store: Store, given: ReadInput) -> SavedRead:
    """Keep the second read of a scan, which supersedes the reader's former one. Twice the same id: one row.

    Raises
    ------
    StoreError
        Where ``unaided`` but no first read is locked, the id was used for other content, a value is not
        allowed, or the database refuses.
    """
    return _append(store, given, "second")


def _append(store: Store, given: ReadInput, phase: Phase) -> SavedRead:
    check_id(given.id)
    content = {**asdict(given), "phase": phase}
    with transaction(store, write=True) as session:
        before = session.get(CaseRead, given.id)
        if before is not None:
            # Time runs on between a save whose answer was lost and its retry.
            return _saved(same(before, content, free=("session_id", "active_seconds")))
        lock_reader(session, given.reader_id)
        rows = _rows(session, given.reader_id, given.case_id, given.input_hash, given.pass_number)
        first = next((row for row in rows if row.phase == "first"), None)
        if phase == "first" and first is not None:
            raise StoreError(f"The first read of this scan was locked at {first.saved_at}; it can't change.")
        if phase == "second" and given.unaided and first is None:
            raise StoreError("The first read of this scan is not locked yet; nothing was saved.")
        heads = [row for row in rows if row.phase == "second"]
        row = CaseRead(
            **content,
            seq=next_seq(session, CaseRead, given.reader_id),
            created_utc=now_utc(),
            supersedes=heads[-1].id if phase == "second" and heads else None,
            retracted=False,
        )
        session.add(row)
        session.flush()
        return _saved(row)


def current_reads(
    store: Store, *, reader_id: int, case_id: str, input_hash: str, pass_number: int = 1
) -> tuple[SavedRead | None, SavedRead | None]:
    """The reader's first and standing second read of one scan in one pass."""
    with transaction(store, write=False) as session:
        return _standing(_rows(session, reader_id, case_id, input_hash, pass_number))


def reads_of(store: Store, reader_id: int) -> dict[Scan, tuple[SavedRead | None, SavedRead | None]]:
    """First and standing second read of every scan and pass that a reader has read."""
    query = select(CaseRead).where(CaseRead.reader_id == reader_id).order_by(CaseRead.seq)
    found: dict[Scan, list[SavedRead]] = {}
    with transaction(store, write=False) as session:
        for row in session.scalars(query):
            found.setdefault((row.case_id, row.input_hash, row.pass_number), []).append(_saved(row))
    return {scan: _standing(rows) for scan, rows in found.items()}


def add_event(
    store: Store,
    *,
    id: str,
    reader_id: int,
    case_id: str,
    input_hash: str,
    kind: EventKind,
    detail: str = "",
    session_id: str = "",
    pass_number: int = 1,
) -> None:
    """Note that a reader opened, skipped or took up a scan. Twice the same id: one row.

    Raises
    ------
    StoreError
        Where the database refuses.
    """
    check_id(id)
    with transaction(store, write=True) as session:
        if session.get(CaseEvent, id) is not None:
            return
        lock_reader(session, reader_id)
        session.add(
            CaseEvent(
                id=id,
                seq=next_seq(session, CaseEvent, reader_id),
                reader_id=reader_id,
                case_id=case_id,
                input_hash=input_hash,
                pass_number=pass_number,
                kind=kind,
                detail=detail,
                session_id=session_id,
                created_utc=now_utc(),
            )
        )


def events_of(store: Store, reader_id: int) -> list[Event]:
    """What one reader opened, skipped and took up, oldest first."""
    query = select(CaseEvent).where(CaseEvent.reader_id == reader_id).order_by(CaseEvent.seq)
    with transaction(store, write=False) as session:
        return [
            Event(
                row.case_id,
                row.input_hash,
                row.pass_number,
                _kind(row.kind),
                row.detail or "",
                row.created_utc,
                row.seq,
            )
            for row in session.scalars(query)
        ]


def _kind(stored: str) -> EventKind:
    kinds: dict[str, EventKind] = {"opened": "opened", "skipped": "skipped", "resumed": "resumed"}
    return kinds[stored]


def _rows(
    session: Session, reader_id: int, case_id: str, input_hash: str, pass_number: int
) -> list[SavedRead]:
    query = select(CaseRead).where(
        CaseRead.reader_id == reader_id,
        CaseRead.case_id == case_id,
        CaseRead.input_hash == input_hash,
        CaseRead.pass_number == pass_number,
    )
    return [_saved(row) for row in session.scalars(query.order_by(CaseRead.seq))]


def _standing(rows: list[SavedRead]) -> tuple[SavedRead | None, SavedRead | None]:
    first = next((row for row in rows if row.phase == "first"), None)
    seconds: list[SavedRead] = []
    for row in rows:
        if row.phase == "second" and row.retracted:
            seconds.pop()
        elif row.phase == "second":
            seconds.append(row)
    return first, seconds[-1] if seconds else None


def _saved(row: CaseRead) -> SavedRead:
    values: dict[str, Any] = columns(row)
    return SavedRead(**values)
