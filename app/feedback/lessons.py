"""Lessons: a teacher's scans, shown to a class one after the other. Kept apart from clinical reads.

A lesson is a draft, then open (one can join), then closed; a closed one can be opened again. Learners' marks
on a scan (``app.feedback.learners``) change until they are committed: by the learner, by the end of the time,
or by the teacher who reveals, goes on or closes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.feedback.database import Store, StoreError, transaction
from app.feedback.lesson_rows import LessonCase, LessonInput, SavedLesson
from app.feedback.models import Learner, LearnerCommit, Lesson
from app.feedback.owed import held_back
from app.feedback.seen import note_seen
from app.feedback.writing import check_id, columns, new_id, now_utc, same

# Letters and digits that are not taken for one another, read from afar or heard; no vowels, so no words.
CODE_LETTERS = "BCDFGHJKMNPQRTVWXYZ346789"
CODE_LENGTH = 5
# What a mark may be late by: it was made in time and then travelled.
GRACE = timedelta(seconds=2)


def code_of(typed: str) -> str:
    """A join code as typed, in capitals and without spaces or hyphens."""
    return "".join(letter for letter in typed.upper() if letter.isalnum())


def title_of(typed: str) -> str:
    """A title as typed, without spare spaces.

    Raises
    ------
    StoreError
        Where nothing is left.
    """
    title = " ".join(typed.split())[:200]
    if title == "":
        raise StoreError("The lesson needs a title.")
    return title


def create_lesson(store: Store, given: LessonInput) -> SavedLesson:
    """Keep a lesson as a draft with a join code of its own. Twice the same id: one lesson.

    Raises
    ------
    StoreError
        Where title or cases lack, a value is not allowed, or the database refuses.
    """
    check_id(given.id)
    title = title_of(given.title)
    if not given.cases:
        raise StoreError("The lesson needs at least one scan.")
    if len({(case.case_id, case.input_hash) for case in given.cases}) < len(given.cases):
        raise StoreError("A scan is in the lesson twice.")
    if not 0 < given.tolerance_mm <= 100:
        raise StoreError(f"Tolerance of {given.tolerance_mm} mm; expected more than 0 and at most 100.")
    cases = list(given.cases)
    if given.seed is not None:
        Random(given.seed).shuffle(cases)
    content: dict[str, Any] = {
        "title": title,
        "teacher_id": given.teacher_id,
        "cases": [asdict(case) for case in cases],
        "seed": given.seed,
        "seconds_per_case": given.seconds_per_case,
        "tolerance_mm": float(given.tolerance_mm),
        "reveal": list(given.reveal),
    }
    with transaction(store, write=True) as session:
        before = session.get(Lesson, given.id)
        if before is not None:
            return saved_lesson(same(before, content))
        taken = set(session.scalars(select(Lesson.join_code)))
        code = _code()
        while code in taken:
            code = _code()
        now = now_utc()
        row = Lesson(
            **content,
            id=given.id,
            join_code=code,
            state="draft",
            case_index=-1,
            case_started_utc=None,
            revealed=False,
            pointer=None,
            version=1,
            created_utc=now,
            updated_utc=now,
        )
        session.add(row)
        session.flush()
        return saved_lesson(row)


def find_lesson(store: Store, id: str) -> SavedLesson | None:
    with transaction(store, write=False) as session:
        row = session.get(Lesson, id)
        return None if row is None else saved_lesson(row)


def lesson_by_code(store: Store, typed: str) -> SavedLesson | None:
    """The lesson whose join code was typed."""
    with transaction(store, write=False) as session:
        row = session.scalars(select(Lesson).where(Lesson.join_code == code_of(typed))).one_or_none()
        return None if row is None else saved_lesson(row)


def lessons_of(store: Store, teacher_id: int) -> list[SavedLesson]:
    """A teacher's lessons, the newest first."""
    query = select(Lesson).where(Lesson.teacher_id == teacher_id).order_by(Lesson.created_utc.desc())
    with transaction(store, write=False) as session:
        return [saved_lesson(row) for row in session.scalars(query)]


def open_lesson(store: Store, id: str) -> SavedLesson:
    """Let learners join, a first time or again."""

    def change(session: Session, row: Lesson) -> None:
        row.state = "open"

    return _change(store, id, change)


def close_lesson(store: Store, id: str) -> SavedLesson:
    """End joining and marking; what is marked on the scan at hand is committed."""

    def change(session: Session, row: Lesson) -> None:
        _commit_rest(session, row)
        row.state, row.pointer = "closed", None

    return _change(store, id, change)


def advance(store: Store, id: str, *, after: int, leave_out: bool = False) -> SavedLesson:
    """Show the scan that follows number ``after``; a second press of the same button changes nothing.

    ``leave_out``: go past scans that are held back (``app.feedback.owed``).

    Raises
    ------
    StoreError
        Where the lesson is not open, has no more scans, or the next is held back.
    """
    lesson = find_lesson(store, id)
    held = {} if lesson is None or lesson.case_index != after else held_back(store, lesson)
    to = after + 1
    while to in held:
        if not leave_out:
            raise StoreError(held[to])
        to += 1

    def change(session: Session, row: Lesson) -> None:
        if row.case_index != after:
            return
        check_open(row)
        if to >= len(row.cases):
            raise StoreError(
                "That was the lesson's last scan."
                if to == after + 1
                else "No scan of this lesson is left: the others are held back."
            )
        _commit_rest(session, row)
        row.case_index, row.case_started_utc, row.revealed, row.pointer = to, now_utc(), False, None

    return _change(store, id, change)


def reveal(store: Store, id: str, *, index: int) -> SavedLesson:
    """Show the answer to scan ``index``; learners who have not committed commit what is there.

    The teacher has seen it then, and is asked to read that scan no more (``app.feedback.seen``).

    Raises
    ------
    StoreError
        Where the lesson is not open or at another scan, or the scan is held back (``app.feedback.owed``).
    """
    lesson = find_lesson(store, id)
    if lesson is not None and (why := held_back(store, lesson).get(index, "")) != "":
        raise StoreError(why)

    def change(session: Session, row: Lesson) -> None:
        check_open(row)
        if row.case_index != index or index < 0:
            raise StoreError("The class is at another scan.")
        _commit_rest(session, row)
        row.revealed = True

    shown = _change(store, id, change)
    case = shown.cases[index]
    note_seen(store, shown.teacher_id, {(case.case_id, case.input_hash)})
    return shown


def expire(store: Store, id: str, now: datetime | None = None) -> bool:
    """Commit what is there once the time for the scan is over; whether that changed anything."""
    now = datetime.now(UTC) if now is None else now
    lesson = find_lesson(store, id)
    if lesson is None or not over(lesson, now) or lesson.revealed:
        return False
    with transaction(store, write=True) as session:
        row = lesson_row(session, id)
        if row.case_index != lesson.case_index or row.revealed or row.state != "open":
            return False
        if not _commit_rest(session, row):
            return False
        row.version, row.updated_utc = row.version + 1, now_utc()
        return True


def point(store: Store, id: str, pointer: dict[str, Any] | None) -> None:
    """Keep where the teacher's pointer was last, for followers of a server that was started again."""

    def change(session: Session, row: Lesson) -> None:
        row.pointer = pointer

    _change(store, id, change)


def _code() -> str:
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))


def saved_lesson(row: Lesson) -> SavedLesson:
    values = columns(row) | {
        "cases": tuple(LessonCase(**case) for case in row.cases),
        "reveal": tuple(row.reveal),
    }
    return SavedLesson(**{field.name: values[field.name] for field in fields(SavedLesson)})


def lesson_row(session: Session, id: str) -> Lesson:
    row = session.scalars(select(Lesson).where(Lesson.id == id).with_for_update()).one_or_none()
    if row is None:
        raise StoreError("There is no such lesson.")
    return row


def _change(store: Store, id: str, change: Callable[[Session, Lesson], None]) -> SavedLesson:
    with transaction(store, write=True) as session:
        row = lesson_row(session, id)
        change(session, row)
        if session.is_modified(row):
            row.version, row.updated_utc = row.version + 1, now_utc()
        session.flush()
        return saved_lesson(row)


def check_open(row: Lesson) -> None:
    if row.state != "open":
        raise StoreError(
            "This lesson is closed." if row.state == "closed" else "This lesson is not open yet."
        )


def over(lesson: SavedLesson, now: datetime) -> bool:
    return lesson.state == "open" and lesson.ends is not None and now > lesson.ends + GRACE


def commit_rows(
    session: Session, lesson_id: str, learner_id: str | None = None, case_index: int | None = None
) -> Sequence[LearnerCommit]:
    query = select(LearnerCommit).where(LearnerCommit.lesson_id == lesson_id)
    if learner_id is not None:
        query = query.where(LearnerCommit.learner_id == learner_id)
    if case_index is not None:
        query = query.where(LearnerCommit.case_index == case_index)
    return session.scalars(query.order_by(LearnerCommit.case_index, LearnerCommit.created_utc)).all()


def new_commit(lesson: Lesson, learner_id: str, active_seconds: float, *, automatic: bool) -> LearnerCommit:
    return LearnerCommit(
        id=new_id(),
        lesson_id=lesson.id,
        learner_id=learner_id,
        case_index=lesson.case_index,
        classification="",
        active_seconds=max(0.0, float(active_seconds)),
        created_utc=now_utc(),
        automatic=automatic,
    )


def _commit_rest(session: Session, lesson: Lesson) -> int:
    """Commit what is there for everybody who has joined and not committed; how many that were.

    Once the answer is shown nobody is added: who joins then was absent.
    """
    if lesson.case_index < 0 or lesson.revealed:
        return 0
    done = {row.learner_id for row in commit_rows(session, lesson.id, None, lesson.case_index)}
    everybody = session.scalars(select(Learner.id).where(Learner.lesson_id == lesson.id)).all()
    rest = [learner for learner in everybody if learner not in done]
    session.add_all(new_commit(lesson, learner, 0.0, automatic=True) for learner in rest)
    return len(rest)
