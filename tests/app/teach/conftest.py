from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from app import state
from app.feedback.learners import join
from app.feedback.lesson_rows import LessonInput, SavedLearner, SavedLesson
from app.feedback.lessons import advance, create_lesson, open_lesson
from app.feedback.store import SavedReader, Store, new_id, open_store, reader_for
from core.io.derivatives import CaseRecord
from tests.app.teach.cohort import NORMAL, SICK, lesson_case, write_cohort


@dataclass(frozen=True)
class Class:
    """A lesson of two scans, one with two lesions and one normal, at the first of them, with two learners."""

    store: Store
    cases: dict[str, CaseRecord]
    teacher: SavedReader
    lesson: SavedLesson
    ann: SavedLearner
    bob: SavedLearner


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path / 'new' / 'feedback.sqlite'}")


@pytest.fixture
def lesson_class(data_dir: Path) -> Class:
    cases = write_cohort(data_dir)
    store = state.feedback()
    teacher = reader_for(store, "Tea", "typed")
    made = create_lesson(
        store,
        LessonInput(
            new_id(),
            "Cysts",
            teacher.id,
            (lesson_case(cases[SICK]), lesson_case(cases[NORMAL])),
            tolerance_mm=3.0,
        ),
    )
    open_lesson(store, made.id)
    ann, bob = join(store, made.id, "Ann"), join(store, made.id, "Bob")
    return Class(store, cases, teacher, advance(store, made.id, after=-1), ann, bob)
