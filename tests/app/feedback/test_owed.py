"""Scans that a lesson would spoil for readers who still have to read them."""

from __future__ import annotations

import pytest

from app.feedback.drafts import change_read, scan_key
from app.feedback.learners import join
from app.feedback.lesson_rows import LessonCase, LessonInput, SavedLesson
from app.feedback.lessons import advance, create_lesson, find_lesson, open_lesson, reveal
from app.feedback.owed import Owing, held_back, owed_scans, owing, taught
from app.feedback.seen import seen_by
from app.feedback.store import Store, StoreError, new_id
from tests.app.feedback.readings import SCAN, assign, first, hash_of, judge, reader, second

THE_SCAN = (SCAN, hash_of(SCAN))


def test_a_scan_is_owed_until_everybody_assigned_has_read_it(store: Store) -> None:
    ada, ben = reader(store, "Ada"), reader(store, "Ben")
    assert owed_scans(store) == frozenset()
    assign(store, [ada, ben])
    assert owed_scans(store) == {THE_SCAN}
    for one in (ada, ben):
        first(store, one)
        assert owed_scans(store) == {THE_SCAN}
        second(store, one)
    assert owed_scans(store) == frozenset()


def test_a_batch_called_off_owes_nothing(store: Store) -> None:
    assign(store, [reader(store, "Ada")], closed=True)
    assert owed_scans(store) == frozenset()


OTHER, LAST = "sub-b_ses-01", "sub-c_ses-01"


def lesson_of(store: Store, *owed: str) -> SavedLesson:
    """An open lesson of three scans, those of ``owed`` chosen although somebody had to read them."""
    cases = [
        LessonCase(name, hash_of(name), hash_of(name), "vae_8x8_512", name in owed)
        for name in (SCAN, OTHER, LAST)
    ]
    made = create_lesson(store, LessonInput(new_id(), "Cysts", reader(store, "Tea"), tuple(cases)))
    return open_lesson(store, made.id)


def test_owing_names_who_of_each_scan(store: Store) -> None:
    ada, ben, cyd, dan = (reader(store, name) for name in ("Ada", "Ben", "Cyd", "Dan"))
    assign(store, [ada, ben])
    first(store, ben)
    second(store, ben)
    judge(store, cyd, "agree")  # begun, never finished
    change_read(
        store, reader_id=dan, scan=scan_key(OTHER, hash_of(OTHER), 1), phase="first", classification="1A"
    )
    everything = [THE_SCAN, (OTHER, hash_of(OTHER)), (LAST, hash_of(LAST)), (SCAN, "f" * 64)]
    assert owing(store, everything) == {
        THE_SCAN: Owing(frozenset({ada}), frozenset({cyd})),
        (OTHER, hash_of(OTHER)): Owing(frozenset(), frozenset({dan})),
    }


def test_a_scan_assigned_since_is_neither_revealed_nor_shown(store: Store) -> None:
    lesson = lesson_of(store)
    advance(store, lesson.id, after=-1)
    ada = reader(store, "Ada")
    assign(store, [ada])
    with pytest.raises(StoreError, match="Scan 1 is held back: 1 reader has still to finish"):
        reveal(store, lesson.id, index=0)
    assign(store, [ada], OTHER)
    with pytest.raises(StoreError, match="Scan 2 is held back"):
        advance(store, lesson.id, after=0)
    now = find_lesson(store, lesson.id)
    assert now is not None
    assert (now.case_index, now.revealed) == (0, False)
    first(store, ada)
    with pytest.raises(StoreError, match="held back"):  # the truth would sway the second read
        reveal(store, lesson.id, index=0)
    second(store, ada)
    assert reveal(store, lesson.id, index=0).revealed
    assert advance(store, lesson.id, after=0, leave_out=True).case_index == 2
    assert advance(store, lesson.id, after=0).case_index == 2, "a second press changes nothing"


def test_where_all_that_is_left_is_held_back_that_is_said(store: Store) -> None:
    lesson = lesson_of(store)
    for name in (SCAN, OTHER, LAST):
        assign(store, [reader(store, "Ada")], name)
    with pytest.raises(StoreError, match="No scan of this lesson is left"):
        advance(store, lesson.id, after=-1, leave_out=True)


def test_a_scan_chosen_though_owed_waits_for_those_who_are_there(store: Store) -> None:
    ada, ben = reader(store, "Ada"), reader(store, "Ben")
    assign(store, [ada])
    assign(store, [ben], OTHER)
    assign(store, [reader(store, "Tea")], LAST)
    lesson = lesson_of(store, SCAN, OTHER, LAST)
    assert list(held_back(store, lesson)) == [2], "the teacher reads it too"
    join(store, lesson.id, "ada")
    assert list(held_back(store, lesson)) == [0, 2]
    first(store, ada)
    second(store, ada)
    assert list(held_back(store, lesson)) == [2]


def test_what_a_lesson_showed_is_remembered(store: Store) -> None:
    lesson = lesson_of(store)
    assert taught(store) == frozenset()
    advance(store, lesson.id, after=-1)
    assert taught(store) == {THE_SCAN}
    assert seen_by(store, lesson.teacher_id) == frozenset()
    reveal(store, lesson.id, index=0)
    assert seen_by(store, lesson.teacher_id) == {THE_SCAN}, "the teacher has seen its answer"
