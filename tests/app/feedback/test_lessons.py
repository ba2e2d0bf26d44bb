"""A lesson from draft to closed: order, code, states, what is committed when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import update

from app.feedback.database import transaction
from app.feedback.learners import add_mark, commits, join, marks
from app.feedback.lesson_rows import LessonCase, LessonInput, MarkInput, SavedLesson
from app.feedback.lessons import (
    CODE_LENGTH,
    CODE_LETTERS,
    advance,
    close_lesson,
    create_lesson,
    expire,
    find_lesson,
    lesson_by_code,
    lessons_of,
    open_lesson,
    point,
    reveal,
)
from app.feedback.models import Lesson
from app.feedback.store import Store, StoreError, new_id, open_store, reader_for

CASES = tuple(LessonCase(f"sub-{n}_ses-01", n * 64, n * 64, "vae") for n in "abcde")


def made(store: Store, **changes: object) -> SavedLesson:
    teacher = reader_for(store, "Tea", "typed")
    given = LessonInput(new_id(), "Cysts", teacher.id, CASES[:2])
    return create_lesson(store, replace(given, **changes))  # type: ignore[arg-type]


def begun(store: Store, **changes: object) -> SavedLesson:
    lesson = made(store, **changes)
    open_lesson(store, lesson.id)
    return advance(store, lesson.id, after=-1)


def test_a_lesson_is_kept_whole(store: Store) -> None:
    lesson = made(
        store, title="  Cysts   and bleeds ", tolerance_mm=4.5, seconds_per_case=90, reveal=("truth",)
    )
    assert (lesson.title, lesson.state, lesson.case_index, lesson.revealed) == (
        "Cysts and bleeds",
        "draft",
        -1,
        False,
    )
    assert (lesson.cases, lesson.seed, lesson.tolerance_mm) == (CASES[:2], None, 4.5)
    assert (lesson.seconds_per_case, lesson.reveal, lesson.case) == (90, ("truth",), None)
    assert find_lesson(open_store(store.url), lesson.id) == lesson, "another process finds it"
    assert lessons_of(store, lesson.teacher_id) == [lesson]
    assert lessons_of(store, lesson.teacher_id + 1) == []


def test_the_code_is_short_clear_and_found_as_typed(store: Store) -> None:
    lesson = made(store)
    assert len(lesson.join_code) == CODE_LENGTH
    assert set(lesson.join_code) <= set(CODE_LETTERS)
    assert not set(CODE_LETTERS) & set("0O1ILS5U2EA"), "letters that are taken for one another, and vowels"
    typed = f" {lesson.join_code[:2].lower()}-{lesson.join_code[2:].lower()} "
    assert lesson_by_code(store, typed) == lesson
    assert lesson_by_code(store, "") is None
    assert made(store).join_code != lesson.join_code


def test_a_seed_fixes_a_random_order(store: Store) -> None:
    expected = list(CASES)
    Random(7).shuffle(expected)
    assert expected != list(CASES)
    lesson = made(store, cases=CASES, seed=7)
    assert (list(lesson.cases), lesson.seed) == (expected, 7)
    assert made(store, cases=CASES, seed=7).cases == lesson.cases


def test_the_same_form_gives_one_lesson(store: Store) -> None:
    id = new_id()
    first = made(store, id=id)
    assert made(store, id=id) == first
    with pytest.raises(StoreError, match="another answer"):
        made(store, id=id, title="Other")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"title": "  "}, "title"),
        ({"cases": ()}, "at least one scan"),
        ({"cases": (CASES[0], CASES[0])}, "twice"),
        ({"tolerance_mm": 0.0}, "Tolerance"),
        ({"id": "x"}, "UUID"),
    ],
)
def test_what_makes_no_lesson(store: Store, changes: dict[str, object], message: str) -> None:
    with pytest.raises(StoreError, match=message):
        made(store, **changes)


def test_scans_follow_one_another_once(store: Store) -> None:
    lesson = begun(store)
    assert (lesson.case_index, lesson.case) == (0, CASES[0])
    assert advance(store, lesson.id, after=-1) == lesson, "a second press changes nothing"
    second = advance(store, lesson.id, after=0)
    assert (second.case_index, second.revealed) == (1, False)
    assert second.version > lesson.version
    with pytest.raises(StoreError, match="last scan"):
        advance(store, lesson.id, after=1)
    with pytest.raises(StoreError, match="another scan"):
        reveal(store, lesson.id, index=0)


def test_a_draft_shows_nothing(store: Store) -> None:
    lesson = made(store)
    with pytest.raises(StoreError, match="not open yet"):
        advance(store, lesson.id, after=-1)


def test_reveal_next_and_close_commit_what_is_there(store: Store) -> None:
    lesson = begun(store)
    ann, bob = join(store, lesson.id, "Ann"), join(store, lesson.id, "Bob")
    add_mark(store, MarkInput(new_id(), ann.id, 0, 1.0, 2.0, 3.0))
    shown = reveal(store, lesson.id, index=0)
    assert shown.revealed
    assert {one.learner_id for one in commits(store, lesson.id)} == {ann.id, bob.id}
    assert {one.automatic for one in commits(store, lesson.id)} == {True}
    late = join(store, lesson.id, "Late")
    reveal(store, lesson.id, index=0)
    assert late.id not in {one.learner_id for one in commits(store, lesson.id)}, "absent from that scan"
    advance(store, lesson.id, after=0)
    closed = close_lesson(store, lesson.id)
    assert (closed.state, closed.pointer) == ("closed", None)
    assert {one.learner_id for one in commits(store, lesson.id) if one.case_index == 1} == {
        ann.id,
        bob.id,
        late.id,
    }
    assert [one.mm for one in marks(store, lesson.id)] == [(1.0, 2.0, 3.0)]


def test_a_closed_lesson_opens_again_where_it_was(store: Store) -> None:
    lesson = begun(store)
    close_lesson(store, lesson.id)
    with pytest.raises(StoreError, match="not open for joining"):
        join(store, lesson.id, "Ann")
    again = open_lesson(store, lesson.id)
    assert (again.state, again.case_index) == ("open", 0)
    join(store, lesson.id, "Ann")
    assert advance(store, lesson.id, after=0).case_index == 1


def test_time_runs_out(store: Store) -> None:
    lesson = begun(store, seconds_per_case=60)
    ann = join(store, lesson.id, "Ann")
    mark = add_mark(store, MarkInput(new_id(), ann.id, 0, 1.0, 2.0, 3.0))
    started = datetime.fromisoformat(str(lesson.case_started_utc))
    assert lesson.ends == started + timedelta(seconds=60)
    assert not expire(store, lesson.id, started + timedelta(seconds=61)), "what travelled may still arrive"
    assert expire(store, lesson.id, started + timedelta(seconds=63))
    assert not expire(store, lesson.id, started + timedelta(seconds=64)), "once"
    assert [one.learner_id for one in commits(store, lesson.id)] == [ann.id]
    assert marks(store, lesson.id) == [mark]


def test_no_mark_after_the_time(store: Store) -> None:
    lesson = begun(store, seconds_per_case=60)
    ann = join(store, lesson.id, "Ann")
    with transaction(store, write=True) as session:
        past = (datetime.now(UTC) - timedelta(seconds=63)).isoformat()
        session.execute(update(Lesson).where(Lesson.id == lesson.id).values(case_started_utc=past))
    with pytest.raises(StoreError, match="time for this scan is over"):
        add_mark(store, MarkInput(new_id(), ann.id, 0, 1.0, 2.0, 3.0))


def test_without_limit_time_never_runs_out(store: Store) -> None:
    lesson = begun(store)
    join(store, lesson.id, "Ann")
    assert not expire(store, lesson.id, datetime(2999, 1, 1, tzinfo=UTC))


def test_the_pointer_is_kept_and_goes_with_the_scan(store: Store) -> None:
    lesson = begun(store)
    where = {"mm": [1.0, 2.0, 3.0], "cross": [0.0, 0.0, 0.0], "plane": 0}
    point(store, lesson.id, where)
    found = find_lesson(store, lesson.id)
    assert found is not None
    assert found.pointer == where
    assert advance(store, lesson.id, after=0).pointer is None
