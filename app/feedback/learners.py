"""Learners of a lesson: joining, marks, commits. Kept apart from clinical reads."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.feedback.database import Store, StoreError, transaction
from app.feedback.lesson_rows import MarkInput, SavedCommit, SavedLearner, SavedMark
from app.feedback.lessons import check_open, commit_rows, lesson_row, new_commit, over, saved_lesson
from app.feedback.models import Learner, LearnerMark, Lesson
from app.feedback.writing import check_id, columns, new_id, now_utc, same

NAME_CHARACTERS = 80
NOTE_CHARACTERS = 500
MOST_MARKS = 50


def join(store: Store, id: str, name: str, present: frozenset[str] = frozenset()) -> SavedLearner:
    """Take part under a name. A name that is there already is taken up again, unless it is ``present``.

    ``present`` are ids of learners who are connected now. A name is a claim: nothing checks it.

    Raises
    ------
    StoreError
        Where the lesson is not open, the name lacks or is too long, or somebody present has it.
    """
    name = " ".join(name.split())
    if not 0 < len(name) <= NAME_CHARACTERS:
        raise StoreError(f"Give a name of 1 to {NAME_CHARACTERS} characters.")
    with transaction(store, write=True) as session:
        lesson = lesson_row(session, id)
        if lesson.state != "open":
            raise StoreError("This lesson is not open for joining. Ask your teacher.")
        known = session.scalars(select(Learner).where(Learner.lesson_id == id)).all()
        row = next((one for one in known if one.name.casefold() == name.casefold()), None)
        now = now_utc()
        if row is not None and row.id in present:
            raise StoreError(f"Somebody named {row.name} is in this lesson already. Add an initial.")
        if row is None:
            row = Learner(id=new_id(), lesson_id=id, name=name, joined_utc=now, seen_utc=now)
            session.add(row)
            lesson.version, lesson.updated_utc = lesson.version + 1, now
        row.seen_utc = now
        session.flush()
        return SavedLearner(**columns(row))


def find_learner(store: Store, learner_id: str) -> SavedLearner | None:
    with transaction(store, write=False) as session:
        row = session.get(Learner, learner_id)
        return None if row is None else SavedLearner(**columns(row))


def learners(store: Store, id: str) -> list[SavedLearner]:
    """Who has joined, in the order of joining."""
    query = select(Learner).where(Learner.lesson_id == id).order_by(Learner.joined_utc, Learner.name)
    with transaction(store, write=False) as session:
        return [SavedLearner(**columns(row)) for row in session.scalars(query)]


def add_mark(store: Store, given: MarkInput, *, supersedes: str | None = None) -> SavedMark:
    """Append a mark, or a new wording of the learner's mark ``supersedes``. Twice the same id: one row.

    Raises
    ------
    StoreError
        Where the scan is not the class's own now, was committed or revealed, its time is over, or the
        database refuses.
    """
    check_id(given.id)
    with transaction(store, write=True) as session:
        learner, lesson = _at_work(session, given.learner_id, given.case_index, given.id)
        case = lesson.cases[given.case_index]
        content = asdict(given) | {
            "note": given.note.strip()[:NOTE_CHARACTERS],
            "lesson_id": lesson.id,
            "case_id": case["case_id"],
            "input_hash": case["input_hash"],
            "radius_mm": lesson.tolerance_mm,
            "supersedes": supersedes,
            "retracted": False,
        }
        before = session.get(LearnerMark, given.id)
        if before is not None:
            return SavedMark(**columns(same(before, content)))
        standing = _standing(session, lesson.id, learner.id, given.case_index)
        if supersedes is not None and supersedes not in {mark.id for mark in standing}:
            raise StoreError("That mark was changed or removed already.")
        if supersedes is None and len(standing) >= MOST_MARKS:
            raise StoreError(f"{MOST_MARKS} marks on one scan are the most.")
        return _append(session, content)


def remove_mark(store: Store, *, id: str, mark_id: str, learner_id: str, case_index: int) -> SavedMark:
    """Take back one of the learner's marks, by a new row under the key ``id``.

    Raises
    ------
    StoreError
        As ``add_mark``.
    """
    check_id(id)
    with transaction(store, write=True) as session:
        learner, lesson = _at_work(session, learner_id, case_index, id)
        before = session.get(LearnerMark, id)
        if before is not None:
            return SavedMark(**columns(same(before, {"learner_id": learner_id, "supersedes": mark_id})))
        standing = _standing(session, lesson.id, learner.id, case_index)
        old = next((mark for mark in standing if mark.id == mark_id), None)
        if old is None:
            raise StoreError("That mark was changed or removed already.")
        content = asdict(old) | {"id": id, "supersedes": mark_id, "retracted": True}
        del content["seq"], content["created_utc"]
        return _append(session, content)


def marks(
    store: Store, id: str, *, learner_id: str | None = None, case_index: int | None = None
) -> list[SavedMark]:
    """Standing marks of a lesson in the order in which each learner made them."""
    with transaction(store, write=False) as session:
        return _standing(session, id, learner_id, case_index)


def commit(
    store: Store, *, learner_id: str, case_index: int, active_seconds: float = 0.0, automatic: bool = False
) -> SavedCommit:
    """A learner is done with a scan: the marks there count and change no more. Twice: the first counts.

    ``automatic``: their browser commits at the end of the time, not they.

    Raises
    ------
    StoreError
        Where the class is at another scan or the database refuses.
    """
    with transaction(store, write=True) as session:
        learner = session.get(Learner, learner_id)
        if learner is None:
            raise StoreError("You are not in this lesson; join it again.")
        lesson = lesson_row(session, learner.lesson_id)
        before = commit_rows(session, lesson.id, learner_id, case_index)
        if before:
            return SavedCommit(**columns(before[0]))
        check_open(lesson)
        if case_index != lesson.case_index:
            raise StoreError("The class is at another scan.")
        row = new_commit(lesson, learner_id, active_seconds, automatic=automatic)
        session.add(row)
        lesson.version, lesson.updated_utc = lesson.version + 1, now_utc()
        session.flush()
        return SavedCommit(**columns(row))


def commits(store: Store, id: str) -> list[SavedCommit]:
    """All commits of a lesson, by scan and time."""
    with transaction(store, write=False) as session:
        return [SavedCommit(**columns(row)) for row in commit_rows(session, id)]


def _at_work(session: Session, learner_id: str, case_index: int, key: str) -> tuple[Learner, Lesson]:
    """Learner and lesson, where a mark under ``key`` may still be made on that scan, or was made before."""
    learner = session.get(Learner, learner_id)
    if learner is None:
        raise StoreError("You are not in this lesson; join it again.")
    lesson = lesson_row(session, learner.lesson_id)
    if session.get(LearnerMark, key) is not None:
        return learner, lesson
    check_open(lesson)
    if case_index != lesson.case_index or case_index < 0:
        raise StoreError("The class is at another scan.")
    if lesson.revealed:
        raise StoreError("The answer is shown already; marks change no more.")
    if commit_rows(session, lesson.id, learner_id, case_index):
        raise StoreError("You have committed this scan; marks change no more.")
    if over(saved_lesson(lesson), datetime.now(UTC)):
        raise StoreError("The time for this scan is over.")
    return learner, lesson


def _append(session: Session, content: dict[str, Any]) -> SavedMark:
    rows = session.scalars(select(LearnerMark.seq).where(LearnerMark.learner_id == content["learner_id"]))
    row = LearnerMark(**content, seq=max(rows, default=0) + 1, created_utc=now_utc())
    session.add(row)
    session.flush()
    return SavedMark(**columns(row))


def _standing(
    session: Session, lesson_id: str, learner_id: str | None, case_index: int | None
) -> list[SavedMark]:
    query = select(LearnerMark).where(LearnerMark.lesson_id == lesson_id)
    if learner_id is not None:
        query = query.where(LearnerMark.learner_id == learner_id)
    if case_index is not None:
        query = query.where(LearnerMark.case_index == case_index)
    rows = [SavedMark(**columns(row)) for row in session.scalars(query.order_by(LearnerMark.seq))]
    superseded = {row.supersedes for row in rows}
    # A mark with a new note stays in the place of the first.
    place: dict[str, int] = {}
    for row in rows:
        place[row.id] = row.seq if row.supersedes is None else place[row.supersedes]
    standing = [row for row in rows if row.id not in superseded and not row.retracted]
    return sorted(standing, key=lambda row: (row.learner_id, place[row.id]))
