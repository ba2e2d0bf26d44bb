"""A reader's own list: the scans of the batches that run, in order, and which reading of each is due.

A scan that is served again looks like a new one: pass 2 begins when its place in the list has come, and not
before. What a scan is served for (case, repeat, planted) is never read here.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.feedback.blinding import Scan
from app.feedback.database import Store, transaction
from app.feedback.models import Assignment, AssignmentBatch, CaseEvent, CaseRead

INADEQUATE = "inadequate"


@dataclass(frozen=True)
class Served:
    """One scan in a reader's list, without what it is served for.

    ``done``: read to the end, in this pass. ``skipped``: put aside last. ``begun``: opened once or more.
    """

    batch_id: str
    position: int
    case_id: str
    input_hash: str
    pass_number: int
    model: str
    done: bool
    skipped: bool
    begun: bool

    @property
    def scan(self) -> Scan:
        return self.case_id, self.input_hash


@dataclass(frozen=True)
class _Done:
    """Readings by scan and pass: ``over``, with a read, and what the reader did with the scan last."""

    over: frozenset[tuple[str, str, int]]
    read: frozenset[tuple[str, str, int]]
    last: dict[tuple[str, str, int], str]


def _done(session: Session, reader_id: int) -> _Done:
    """Columns only: this is asked at every step of a reading."""
    seconds: dict[tuple[str, str, int], int] = {}
    ended, read = set(), set()
    rows = select(
        CaseRead.case_id,
        CaseRead.input_hash,
        CaseRead.pass_number,
        CaseRead.phase,
        CaseRead.classification,
        CaseRead.retracted,
    ).where(CaseRead.reader_id == reader_id)
    for case_id, input_hash, number, phase, classification, retracted in session.execute(rows):
        one = (case_id, input_hash, number)
        read.add(one)
        if phase == "first" and classification == INADEQUATE:
            ended.add(one)
        elif phase == "second":  # a row that takes one back uncovers the one before
            seconds[one] = seconds.get(one, 0) + (-1 if retracted else 1)
    ended |= {one for one, count in seconds.items() if count > 0}
    acts = (
        select(CaseEvent.case_id, CaseEvent.input_hash, CaseEvent.pass_number, CaseEvent.kind)
        .where(CaseEvent.reader_id == reader_id)
        .order_by(CaseEvent.seq)
    )
    last = {(case, scan, number): kind for case, scan, number, kind in session.execute(acts)}
    return _Done(frozenset(ended), frozenset(read), last)


def serving(store: Store, reader_id: int) -> list[Served]:
    """The reader's list: every scan of the batches that run, in order, each pass once."""
    with transaction(store, write=False) as session:
        return _serving(session, reader_id, _done(session, reader_id))


def _serving(session: Session, reader_id: int, done: _Done) -> list[Served]:
    query = (
        select(
            Assignment.batch_id,
            Assignment.position,
            Assignment.case_id,
            Assignment.input_hash,
            Assignment.pass_number,
            AssignmentBatch.settings["model"].as_string(),
        )
        .join(AssignmentBatch, Assignment.batch_id == AssignmentBatch.id)
        .where(Assignment.reader_id == reader_id, AssignmentBatch.closed_utc.is_(None))
        .order_by(AssignmentBatch.created_utc, AssignmentBatch.id, Assignment.position)
    )
    found: dict[tuple[str, str, int], Served] = {}
    for batch, position, case_id, input_hash, number, model in session.execute(query):
        one = (case_id, input_hash, number)
        served = Served(
            batch_id=batch,
            position=position,
            case_id=case_id,
            input_hash=input_hash,
            pass_number=number,
            model=model or "",
            done=one in done.over,
            skipped=one not in done.over and done.last.get(one) == "skipped",
            begun=one in done.last or one in done.read,
        )
        found.setdefault(one, served)
    return list(found.values())


def due(items: Sequence[Served]) -> Served | None:
    """The scan whose turn it is: the first neither done nor skipped; no later pass before the earlier."""
    owed = {(one.scan, one.pass_number) for one in items if not one.done}
    for one in items:
        earlier = any((one.scan, number) in owed for number in range(1, one.pass_number))
        if not (one.done or one.skipped or earlier):
            return one
    return None


def reached(items: Sequence[Served]) -> list[Served]:
    """The part of the list that the reader has come to."""
    now = due(items)
    return [one for one in items if one.done or one.begun or one is now]


def current_passes(store: Store, reader_id: int, there: Container[Scan] | None = None) -> dict[Scan, int]:
    """Of each scan that the reader has read or been given, which reading of it is the current one.

    That is the last one reached in the list; of a scan that no batch gives, the last one finished.
    ``there``: scans that can be shown; others hold nothing up.
    """
    with transaction(store, write=False) as session:
        done = _done(session, reader_id)
        every = _serving(session, reader_id, done)
    found: dict[Scan, int] = {}
    for case_id, input_hash, number in done.over:
        found[case_id, input_hash] = max(number, found.get((case_id, input_hash), 1))
    items = [one for one in every if there is None or one.scan in there]
    for one in reached(items):
        found[one.scan] = max(one.pass_number, found.get(one.scan, 1))
    for one in items:
        found.setdefault(one.scan, min(other.pass_number for other in items if other.scan == one.scan))
    return found


def current_pass(
    store: Store,
    *,
    reader_id: int,
    case_id: str,
    input_hash: str,
    there: Callable[[], Container[Scan]] | None = None,
) -> int:
    """Which reading of a scan the reader is at, from 1; see ``current_passes``.

    ``there`` is asked only where the scan is served again.
    """
    if not _again(store, reader_id, case_id, input_hash):
        return 1
    return current_passes(store, reader_id, None if there is None else there()).get((case_id, input_hash), 1)


def _again(store: Store, reader_id: int, case_id: str, input_hash: str) -> bool:
    """Whether a later reading of the scan than the first is asked for by a batch that runs, or was begun."""
    with transaction(store, write=False) as session:
        asked = (
            select(Assignment.id)
            .join(AssignmentBatch, Assignment.batch_id == AssignmentBatch.id)
            .where(
                AssignmentBatch.closed_utc.is_(None),
                Assignment.reader_id == reader_id,
                Assignment.case_id == case_id,
                Assignment.input_hash == input_hash,
                Assignment.pass_number > 1,
            )
        )
        begun = select(CaseRead.id).where(
            CaseRead.reader_id == reader_id,
            CaseRead.case_id == case_id,
            CaseRead.input_hash == input_hash,
            CaseRead.pass_number > 1,
        )
        return any(session.scalar(one.limit(1)) is not None for one in (asked, begun))
