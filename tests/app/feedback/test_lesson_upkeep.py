"""Renaming a lesson, and deleting one that nobody has joined."""

from __future__ import annotations

import pytest

from app.feedback.learners import join
from app.feedback.lesson_upkeep import delete_lesson, rename_lesson
from app.feedback.lessons import close_lesson, find_lesson, open_lesson
from app.feedback.store import Store, StoreError
from tests.app.feedback.test_lessons import begun, made


def test_a_lesson_is_renamed_and_deleted_while_nobody_has_joined(store: Store) -> None:
    lesson = made(store)
    assert rename_lesson(store, lesson.id, "  Bleeds  and  cysts ").title == "Bleeds and cysts"
    with pytest.raises(StoreError, match="needs a title"):
        rename_lesson(store, lesson.id, "  ")
    open_lesson(store, lesson.id)
    with pytest.raises(StoreError, match="Close it first"):
        delete_lesson(store, lesson.id)
    close_lesson(store, lesson.id)
    delete_lesson(store, lesson.id)
    assert find_lesson(store, lesson.id) is None
    with pytest.raises(StoreError, match="no such lesson"):
        delete_lesson(store, lesson.id)
    kept = begun(store)
    join(store, kept.id, "Ann")
    close_lesson(store, kept.id)
    with pytest.raises(StoreError, match="keeps what they answered"):
        delete_lesson(store, kept.id)
    assert find_lesson(store, kept.id) is not None
