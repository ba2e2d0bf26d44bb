"""Another title for a lesson, and away with one that nobody has joined."""

from __future__ import annotations

from sqlalchemy import select

from app.feedback.database import Store, StoreError, transaction
from app.feedback.lesson_rows import SavedLesson
from app.feedback.lessons import lesson_row, saved_lesson, title_of
from app.feedback.models import Learner
from app.feedback.writing import now_utc


def rename_lesson(store: Store, id: str, title: str) -> SavedLesson:
    """Give a lesson another title.

    Raises
    ------
    StoreError
        Where the title lacks or there is no such lesson.
    """
    with transaction(store, write=True) as session:
        row = lesson_row(session, id)
        row.title, row.version, row.updated_utc = title_of(title), row.version + 1, now_utc()
        session.flush()
        return saved_lesson(row)


def delete_lesson(store: Store, id: str) -> None:
    """Remove a lesson that nobody has joined; one with learners holds their answers and stays.

    Raises
    ------
    StoreError
        Where the lesson is open, somebody has joined it, or there is none.
    """
    with transaction(store, write=True) as session:
        row = lesson_row(session, id)
        if row.state == "open":
            raise StoreError("An open lesson is not deleted. Close it first.")
        if session.scalars(select(Learner.id).where(Learner.lesson_id == id).limit(1)).first() is not None:
            raise StoreError("Somebody has joined this lesson: it keeps what they answered.")
        session.delete(row)
