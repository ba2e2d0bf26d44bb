"""Batches of scans for readers: made whole, called off, and how far each reader is.

What a scan is served for (case, repeat, planted) leaves this module for coordinators only; a reader's own
list is in ``serving``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.feedback.blinding import course
from app.feedback.database import Store, StoreError, transaction
from app.feedback.models import Assignment, AssignmentBatch, CaseEvent, Reader
from app.feedback.planning import GAP, Ordering, PlanCase, PlanError, plan
from app.feedback.reads import Classification
from app.feedback.seen import refuse_seen
from app.feedback.writing import check_id, columns, lock_reader, new_id, now_utc, same
from core import __version__

# What can be known of a planted scan: a class, or only that there is something.
KNOWN: tuple[str, ...] = (
    "normal",
    "abnormal",
    *(one for one in get_args(Classification) if one not in ("normal", "inadequate")),
)
CLOSED_BY = "closed_by"


@dataclass(frozen=True)
class BatchInput:
    """A batch as chosen. ``id`` is made when the form is shown (``new_id``).

    ``known``: of each planted scan by case id, one of ``KNOWN``. ``model``: whose flags readers are shown.
    ``score``: which score the cases hold. ``chosen``: how the cases were chosen, in words; for the log.
    """

    id: str
    name: str
    created_by: int
    cases: tuple[PlanCase, ...]
    readers: tuple[int, ...]
    readers_per_case: int
    ordering: Ordering
    seed: int
    repeat_fraction: float = 0.0
    gap: int = GAP
    planted: tuple[PlanCase, ...] = ()
    known: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    score: str = ""
    chosen: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """How far one reader is with a batch: scans by number, nothing of what was said."""

    reader_id: int
    name: str
    assigned: int
    done: int
    skipped: int


@dataclass(frozen=True)
class Batch:
    id: str
    name: str
    created_by: str  # name of the coordinator
    seed: int
    ordering: str
    readers_per_case: int
    repeat_fraction: float
    settings: dict[str, Any]
    created_utc: str
    closed_utc: str | None
    progress: tuple[Progress, ...]


def make_batch(store: Store, given: BatchInput) -> str:
    """Plan a batch and keep it with all its assignments, or nothing. Twice the same id: one batch. Its id.

    The settings hold everything that fixes the plan.

    Raises
    ------
    StoreError
        Where it can't be planned, a reader is unknown or there twice, or has seen others' answers to a scan
        that they would read, a planted scan's answer is not known, the id was used for another batch, or the
        database refuses.
    """
    check_id(given.id)
    name = " ".join(given.name.split())
    if not 1 <= len(name) <= 200:
        raise StoreError("A batch needs a name of 1 to 200 characters.")
    if len(set(given.readers)) < len(given.readers):
        raise StoreError("A reader is there twice.")
    for case in given.planted:
        if given.known.get(case.case_id) not in KNOWN:
            raise StoreError(f"{case.case_id} is planted: say what is known of it ({', '.join(KNOWN)}).")
    try:
        rows = plan(
            given.cases,
            len(given.readers),
            given.readers_per_case,
            given.ordering,
            given.repeat_fraction,
            given.planted,
            given.seed,
            given.gap,
        )
    except PlanError as error:
        raise StoreError(str(error)) from error
    content = _content(given, name)
    finished = course(store, {row.case_id for row in rows}).finished
    with transaction(store, write=True) as session:
        before = session.get(AssignmentBatch, given.id)
        if before is not None:
            kept = {key: value for key, value in before.settings.items() if key != CLOSED_BY}
            same(before, content, free=("settings",))
            if kept != content["settings"]:
                raise StoreError("This form's key was used for another batch; reload the page.")
            return given.id
        lock_reader(session, given.created_by)
        asked = [(given.readers[row.reader], row.case_id, row.input_hash, row.pass_number) for row in rows]
        refuse_seen(session, asked, finished)
        now = now_utc()
        session.add(AssignmentBatch(**content, created_utc=now, closed_utc=None))
        session.flush()
        session.add_all(
            Assignment(
                id=new_id(),
                batch_id=given.id,
                reader_id=given.readers[row.reader],
                case_id=row.case_id,
                input_hash=row.input_hash,
                pass_number=row.pass_number,
                position=row.position,
                kind=row.kind,
                created_utc=now,
            )
            for row in rows
        )
    return given.id


def _content(given: BatchInput, name: str) -> dict[str, Any]:
    def listed(cases: Iterable[PlanCase]) -> list[list[Any]]:
        return [[case.case_id, case.input_hash, case.score] for case in cases]

    return {
        "id": given.id,
        "name": name,
        "created_by": given.created_by,
        "seed": given.seed,
        "ordering": given.ordering,
        "readers_per_case": given.readers_per_case,
        "repeat_fraction": float(given.repeat_fraction),
        "settings": {
            "cases": listed(given.cases),
            "readers": list(given.readers),
            "gap": given.gap,
            "planted": listed(given.planted),
            "known": {case.case_id: given.known[case.case_id] for case in given.planted},
            "model": given.model,
            "score": given.score,
            "chosen": dict(given.chosen),
            "software": f"fontanelle {__version__}",
        },
    }


def close_batch(store: Store, id: str, by: int) -> None:
    """Call a batch off: it asks nobody any more, and what was read stays. Twice: the first counts.

    Raises
    ------
    StoreError
        Where there is no such batch, or the database refuses.
    """
    with transaction(store, write=True) as session:
        row = session.scalars(
            select(AssignmentBatch).where(AssignmentBatch.id == id).with_for_update()
        ).one_or_none()
        if row is None:
            raise StoreError("There is no such batch.")
        if row.closed_utc is None:
            row.closed_utc, row.settings = now_utc(), row.settings | {CLOSED_BY: by}


def batches(store: Store) -> list[Batch]:
    """Every batch, the newest first, with how far each reader is."""
    finished = course(store).finished
    with transaction(store, write=False) as session:
        names = {row.id: row.name for row in session.scalars(select(Reader))}
        skipped = _skipped(session)
        mine: dict[str, dict[int, list[tuple[int, str, str, int]]]] = {}
        for row in session.scalars(select(Assignment).order_by(Assignment.reader_id, Assignment.position)):
            one = (row.reader_id, row.case_id, row.input_hash, row.pass_number)
            mine.setdefault(row.batch_id, {}).setdefault(row.reader_id, []).append(one)
        query = select(AssignmentBatch).order_by(AssignmentBatch.created_utc.desc(), AssignmentBatch.id)
        return [
            Batch(
                **(columns(batch) | {"created_by": names[batch.created_by]}),
                progress=tuple(
                    Progress(
                        reader,
                        names[reader],
                        len(asked),
                        sum(one in finished for one in asked),
                        sum(one in skipped and one not in finished for one in asked),
                    )
                    for reader, asked in sorted(mine.get(batch.id, {}).items(), key=lambda row: names[row[0]])
                ),
            )
            for batch in session.scalars(query)
        ]


def _skipped(session: Session) -> set[tuple[int, str, str, int]]:
    """Sittings that their reader put aside last."""
    last: dict[tuple[int, str, str, int], str] = {}
    for row in session.scalars(select(CaseEvent).order_by(CaseEvent.reader_id, CaseEvent.seq)):
        last[row.reader_id, row.case_id, row.input_hash, row.pass_number] = row.kind
    return {one for one, kind in last.items() if kind == "skipped"}


def assigned_rows(store: Store, batch_id: str) -> list[dict[str, Any]]:
    """The whole plan of a batch, with what each scan is served for: for coordinators who don't read in it."""
    finished = course(store).finished
    query = (
        select(Assignment, Reader.name)
        .join(Reader, Assignment.reader_id == Reader.id)
        .where(Assignment.batch_id == batch_id)
        .order_by(Reader.name, Assignment.position)
    )
    with transaction(store, write=False) as session:
        return [
            {
                "reader": name,
                "position": row.position,
                "case_id": row.case_id,
                "input_hash": row.input_hash,
                "pass_number": row.pass_number,
                "kind": row.kind,
                "done": (row.reader_id, row.case_id, row.input_hash, row.pass_number) in finished,
            }
            for row, name in session.execute(query)
        ]
