"""Other readers' answers: the one place that hands them out, and only once they can sway nobody.

A scan is closed when everybody who is to read it has saved the second read, in every pass that is asked for.
Who that is, the assignments say; where a scan is assigned to nobody, it is closed once two readers or more
have finished it and nobody who has begun it is unfinished. Others' answers to a closed scan are visible to a
reader who has finished it, and to a coordinator; never to one who has still to read it, in any pass.
One's own answers are always visible. Answers count once their reader has finished the scan.

To whom others' answers to a scan were handed out is kept (``app.feedback.seen``): they read it no more, and
what they change afterwards counts in no statistics of agreement.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, FromClause, Select, func, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.feedback.database import Store, transaction
from app.feedback.models import (
    Adjudication,
    Assignment,
    AssignmentBatch,
    CaseRead,
    MissedFinding,
    Reader,
    Verdict,
)
from app.feedback.reads import SavedRead
from app.feedback.rows import Missed, SavedVerdict, standing_missed, standing_verdicts
from app.feedback.seen import Seen, first_seen, note_seen

Scan = tuple[str, str]  # case id, input hash
Sitting = tuple[int, str, str, int]  # reader, case id, input hash, pass

Answer = SavedRead | SavedVerdict | Missed
T = TypeVar("T", SavedRead, SavedVerdict, Missed)

LEAST_READERS = 2  # of a scan that is assigned to nobody


@dataclass(frozen=True)
class Answers:
    """What one person may know: standing answers of readers who have finished the scan.

    ``scans``: whose answers by others are among them. ``reads``: of both phases, in order. ``kinds``: of
    assigned sittings, "case", "repeat" or "planted". ``known``: what an assignment says of a scan: a class,
    "normal" or "abnormal". ``waiting``: scans that the viewer has begun or been assigned, and not finished.
    ``late``: rows left out because their reader had seen others' answers to the scan.
    """

    viewer: int | None
    scans: frozenset[Scan]
    names: dict[int, str]
    reads: list[SavedRead]
    verdicts: list[SavedVerdict]
    marks: list[Missed]
    kinds: dict[Sitting, str]
    known: dict[str, str]
    waiting: frozenset[Scan]
    late: int = 0


@dataclass(frozen=True)
class Course:
    """How far readings are, without a word of what was said: for whoever distributes them.

    ``finished``: sittings with the active seconds of their reads. ``asked``: by assignments that run.
    """

    finished: dict[Sitting, float]
    begun: frozenset[Sitting]
    asked: frozenset[Sitting]
    closed: frozenset[Scan]


@dataclass(frozen=True)
class _Everything:
    """All standing answers, and who is to give any: never leaves this module."""

    reads: list[SavedRead]
    verdicts: list[SavedVerdict]
    marks: list[Missed]
    asked: frozenset[Sitting]  # by assignments that run
    kinds: dict[Sitting, str]  # of every assignment ever
    known: dict[str, str]
    names: dict[int, str]
    late: tuple[Sitting, ...]  # of each row that came after its reader had seen others' answers

    @property
    def finished(self) -> frozenset[Sitting]:
        """Sittings with a standing second read, or whose first found the image inadequate: that ends them."""
        return frozenset(
            sitting(row) for row in self.reads if row.phase == "second" or row.classification == "inadequate"
        )

    @property
    def begun(self) -> frozenset[Sitting]:
        """Sittings with an answer; but a later pass that was called off can't go on, and waits for nobody."""
        rows = frozenset(sitting(row) for rows in (self.reads, self.verdicts, self.marks) for row in rows)
        return frozenset(one for one in rows if one[3] == 1 or one in self.asked or one in self.finished)


def sitting(row: Answer) -> Sitting:
    """Whose reading of what a row belongs to."""
    return row.reader_id, row.case_id, row.input_hash, row.pass_number


def closed_scans(store: Store) -> frozenset[Scan]:
    """Scans whose answers can sway none of their readers any more."""
    with transaction(store, write=False) as session:
        return _closed(_everything(session))


def answers_visible(
    store: Store,
    viewer_id: int,
    *,
    coordinator: bool = False,
    cases: Collection[str] | None = None,
    independent: bool = False,
) -> Answers:
    """What the reader ``viewer_id`` may know of all answers; that others' are handed out is kept.

    ``cases``: only of these case ids, so that no other scan counts as seen. ``independent``: of each reader
    and scan as it stood before others' answers were first shown to them; which scans are closed, and which
    wait, goes by all rows.

    Raises
    ------
    StoreError
        Where the database refuses.
    """
    with transaction(store, write=False) as session:
        everything = _everything(session, cases)
        before = _everything(session, cases, first_seen(session)) if independent else everything
    mine = {one for one in everything.begun | everything.asked if one[0] == viewer_id}
    finished = {one for one in everything.finished if one[0] == viewer_id}
    waiting = {one[1:3] for one in mine - finished}
    done = {one[1:3] for one in finished}
    scans = {scan for scan in _closed(everything) if scan not in waiting and (coordinator or scan in done)}
    found = _answers(before, frozenset(scans), viewer_id, frozenset(waiting))
    if independent:
        late = sum(at in everything.finished and at[1:3] in scans for at in before.late)
        found = replace(found, late=late)
    rows: list[Answer] = [*found.reads, *found.verdicts, *found.marks]
    note_seen(store, viewer_id, {sitting(row)[1:3] for row in rows if row.reader_id != viewer_id})
    return found


def course(store: Store, cases: Collection[str] | None = None) -> Course:
    """How far everybody is, with all scans or with those of the case ids ``cases``."""
    with transaction(store, write=False) as session:
        everything = _everything(session, cases)
    seconds = dict.fromkeys(everything.finished, 0.0)
    for row in everything.reads:
        if sitting(row) in seconds:
            seconds[sitting(row)] += row.active_seconds
    return Course(seconds, everything.begun, everything.asked, _closed(everything))


def answers_closed(store: Store) -> Answers:
    """Answers to every closed scan, for exports that no reader sees."""
    with transaction(store, write=False) as session:
        everything = _everything(session)
    return _answers(everything, _closed(everything), None, frozenset())


def answers_finished(store: Store) -> Answers:
    """Every finished reader's answers, of scans not closed too: for whoever keeps the database."""
    with transaction(store, write=False) as session:
        everything = _everything(session)
    return _answers(everything, frozenset(one[1:3] for one in everything.finished), None, frozenset())


def version(store: Store) -> tuple[int, ...]:
    """Changes whenever any answer, assignment or decision does: these tables only grow."""
    tables = (CaseRead, Verdict, MissedFinding, Assignment, Adjudication)
    called_off = select(func.count()).where(AssignmentBatch.closed_utc.is_not(None))
    with transaction(store, write=False) as session:
        counts = [session.scalar(select(func.count()).select_from(table)) for table in tables]
        return tuple(int(count or 0) for count in [*counts, session.scalar(called_off)])


def _closed(everything: _Everything) -> frozenset[Scan]:
    finished, begun = everything.finished, everything.begun
    asked: dict[Scan, set[Sitting]] = {}
    for one in everything.asked:
        asked.setdefault(one[1:3], set()).add(one)
    started: dict[Scan, set[Sitting]] = {}
    for one in begun:
        started.setdefault(one[1:3], set()).add(one)
    closed = {scan for scan, sittings in asked.items() if sittings <= finished}
    for scan, sittings in started.items():
        readers = {one[0] for one in sittings}
        if scan not in asked and sittings <= finished and len(readers) >= LEAST_READERS:
            closed.add(scan)
    return frozenset(closed)


def _answers(
    everything: _Everything, scans: frozenset[Scan], viewer: int | None, waiting: frozenset[Scan]
) -> Answers:
    finished = everything.finished

    def shown(one: Sitting) -> bool:
        return one in finished and (one[1:3] in scans or one[0] == viewer)

    reads = [row for row in everything.reads if shown(sitting(row))]
    verdicts = [row for row in everything.verdicts if shown(sitting(row))]
    marks = [row for row in everything.marks if shown(sitting(row))]
    seen = {one[0] for one in finished if shown(one)}
    return Answers(
        viewer=viewer,
        scans=scans,
        names={id: name for id, name in everything.names.items() if id in seen},
        reads=reads,
        verdicts=verdicts,
        marks=marks,
        # What an open scan is served for is not told: a planted scan must look like any other.
        kinds={one: kind for one, kind in everything.kinds.items() if one[1:3] in scans},
        known={case: known for case, known in everything.known.items() if case in {one[0] for one in scans}},
        waiting=waiting,
    )


def _rows(session: Session, query: Select[Any]) -> Iterable[dict[str, Any]]:
    return (dict(row) for row in session.execute(query).mappings())


def _standing_reads(rows: Iterable[SavedRead]) -> list[SavedRead]:
    """Locked first reads, and of second reads the last that is not taken back."""
    firsts: list[SavedRead] = []
    stacks: dict[Sitting, list[SavedRead]] = {}
    for row in rows:
        if row.phase == "first":
            firsts.append(row)
        elif row.retracted:
            stacks[sitting(row)].pop()
        else:
            stacks.setdefault(sitting(row), []).append(row)
    return firsts + [stack[-1] for stack in stacks.values() if stack]


def _by_reader(verdicts: list[SavedVerdict]) -> list[SavedVerdict]:
    """Standing verdicts of every reader; chains are each reader's own."""
    chains: dict[int, list[SavedVerdict]] = {}
    for row in verdicts:
        chains.setdefault(row.reader_id, []).append(row)
    return [row for rows in chains.values() for row in standing_verdicts(rows)]


def _everything(
    session: Session, cases: Collection[str] | None = None, until: Mapping[Seen, str] | None = None
) -> _Everything:
    """``until``: the UTC times after which rows of a reader on a scan are left out."""
    late: list[Sitting] = []

    def early(rows: Iterable[T]) -> Iterable[T]:
        for row in rows:
            end = None if until is None else until.get(sitting(row)[:3])
            if end is None or row.created_utc <= end:
                yield row
            else:
                late.append(sitting(row))

    reads, verdicts, marks = CaseRead.__table__, Verdict.__table__, MissedFinding.__table__

    def of(case_id: ColumnElement[str] | InstrumentedAttribute[str]) -> ColumnElement[bool]:
        return true() if cases is None else case_id.in_(cases)

    def in_order(table: FromClause) -> Iterable[dict[str, Any]]:
        query = select(table).where(of(table.c.case_id)).order_by(table.c.reader_id, table.c.seq)
        return _rows(session, query)

    batches = list(
        session.execute(select(AssignmentBatch.id, AssignmentBatch.settings, AssignmentBatch.closed_utc))
    )
    running = {id for id, _, closed in batches if closed is None}
    assignments = [
        ((row.reader_id, row.case_id, row.input_hash, row.pass_number), row.kind, row.batch_id)
        for row in session.execute(
            select(
                Assignment.batch_id,
                Assignment.reader_id,
                Assignment.case_id,
                Assignment.input_hash,
                Assignment.pass_number,
                Assignment.kind,
            ).where(of(Assignment.case_id))
        )
    ]
    return _Everything(
        reads=_standing_reads(early(SavedRead(**row) for row in in_order(reads))),
        verdicts=_by_reader([*early(SavedVerdict(**row) for row in in_order(verdicts))]),
        marks=standing_missed(early(Missed(**row) for row in in_order(marks))),
        asked=frozenset(one for one, _, batch in assignments if batch in running),
        # Where batches differ, one that runs counts.
        kinds={one: kind for one, kind, batch in sorted(assignments, key=lambda row: row[2] in running)},
        known={case: str(known) for _, given, _ in batches for case, known in given.get("known", {}).items()},
        names={id: name for id, name in session.execute(select(Reader.id, Reader.name))},
        late=tuple(late),
    )
