"""Learners: names, marks that can be changed until they are committed, distance from clinical reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.feedback import export, export_rows
from app.feedback.blinding import answers_finished
from app.feedback.database import transaction
from app.feedback.learners import (
    MOST_MARKS,
    add_mark,
    commit,
    commits,
    find_learner,
    join,
    learners,
    marks,
    remove_mark,
)
from app.feedback.lesson_rows import MarkInput, SavedLearner
from app.feedback.lessons import advance, close_lesson, open_lesson, reveal
from app.feedback.models import TEACHING, Base
from app.feedback.store import Store, StoreError, case_progress, new_id, reader_for
from tests.app.feedback.test_lessons import begun, made


def mark(learner: SavedLearner, x: float = 1.0, *, index: int = 0, note: str = "", id: str = "") -> MarkInput:
    return MarkInput(id or new_id(), learner.id, index, x, 2.0, 3.0, "cyst", note)


def test_a_name_is_taken_up_again_unless_somebody_present_has_it(store: Store) -> None:
    lesson = made(store)
    open_lesson(store, lesson.id)
    ann = join(store, lesson.id, "  Ann  B. ")
    assert ann.name == "Ann B."
    assert join(store, lesson.id, "ann b.").id == ann.id
    with pytest.raises(StoreError, match="is in this lesson already"):
        join(store, lesson.id, "Ann B.", frozenset({ann.id}))
    assert [one.name for one in learners(store, lesson.id)] == ["Ann B."]
    found = find_learner(store, ann.id)
    assert found is not None
    assert found.name == "Ann B."
    assert find_learner(store, new_id()) is None
    for name in ("", "x" * 81):
        with pytest.raises(StoreError, match="1 to 80 characters"):
            join(store, lesson.id, name)


def test_marks_are_added_worded_and_removed(store: Store) -> None:
    lesson = begun(store)
    ann, bob = join(store, lesson.id, "Ann"), join(store, lesson.id, "Bob")
    first = add_mark(store, mark(ann, 1.0))
    add_mark(store, mark(ann, 5.0))
    add_mark(store, mark(bob, 9.0))
    assert first.radius_mm == lesson.tolerance_mm
    worded = add_mark(store, mark(ann, 1.0, note=" cyst? "), supersedes=first.id)
    mine = marks(store, lesson.id, learner_id=ann.id, case_index=0)
    assert [(one.x_mm, one.note) for one in mine] == [(1.0, "cyst?"), (5.0, "")], "in its former place"
    with pytest.raises(StoreError, match="changed or removed"):
        add_mark(store, mark(ann), supersedes=first.id)
    with pytest.raises(StoreError, match="changed or removed"):
        remove_mark(store, id=new_id(), mark_id=worded.id, learner_id=bob.id, case_index=0)
    remove_mark(store, id=new_id(), mark_id=worded.id, learner_id=ann.id, case_index=0)
    assert [one.x_mm for one in marks(store, lesson.id, learner_id=ann.id)] == [5.0]
    assert [one.x_mm for one in marks(store, lesson.id, learner_id=bob.id)] == [9.0]


def test_a_retry_makes_no_second_mark(store: Store) -> None:
    lesson = begun(store)
    ann = join(store, lesson.id, "Ann")
    given = mark(ann)
    first = add_mark(store, given)
    commit(store, learner_id=ann.id, case_index=0)
    assert add_mark(store, given) == first, "its answer was lost on the way, and the scan committed since"
    with pytest.raises(StoreError, match="another answer"):
        add_mark(store, mark(ann, 7.0, id=given.id))
    assert len(marks(store, lesson.id)) == 1


def test_after_the_commit_marks_stay(store: Store) -> None:
    lesson = begun(store)
    ann = join(store, lesson.id, "Ann")
    kept = add_mark(store, mark(ann))
    done = commit(store, learner_id=ann.id, case_index=0, active_seconds=12.5)
    assert commit(store, learner_id=ann.id, case_index=0, active_seconds=99.0) == done, "the first counts"
    assert [(one.active_seconds, one.automatic) for one in commits(store, lesson.id)] == [(12.5, False)]
    with pytest.raises(StoreError, match="committed this scan"):
        add_mark(store, mark(ann, 4.0))
    with pytest.raises(StoreError, match="committed this scan"):
        remove_mark(store, id=new_id(), mark_id=kept.id, learner_id=ann.id, case_index=0)


def test_marks_are_of_the_scan_at_hand(store: Store) -> None:
    lesson = begun(store)
    ann = join(store, lesson.id, "Ann")
    with pytest.raises(StoreError, match="another scan"):
        add_mark(store, mark(ann, index=1))
    reveal(store, lesson.id, index=0)
    late = join(store, lesson.id, "Late")
    with pytest.raises(StoreError, match="answer is shown"):
        add_mark(store, mark(late))
    advance(store, lesson.id, after=0)
    with pytest.raises(StoreError, match="another scan"):
        commit(store, learner_id=late.id, case_index=0)
    add_mark(store, mark(late, index=1))
    close_lesson(store, lesson.id)
    with pytest.raises(StoreError, match="closed"):
        add_mark(store, mark(late, index=1))


def test_marks_have_an_end(store: Store) -> None:
    ann = join(store, begun(store).id, "Ann")
    for number in range(MOST_MARKS):
        add_mark(store, mark(ann, float(number)))
    with pytest.raises(StoreError, match="are the most"):
        add_mark(store, mark(ann, 99.0))


def test_nothing_of_a_lesson_is_among_clinical_reads(store: Store, tmp_path: Path) -> None:
    lesson = begun(store)
    ann = join(store, lesson.id, "Ann Learner")
    # Also where the learner is a reader of the same name, and the scan one that is read.
    reader = reader_for(store, "Ann Learner", "typed")
    add_mark(store, mark(ann, note="learner's secret"))
    commit(store, learner_id=ann.id, case_index=0)
    with transaction(store, write=False) as session:
        for table in Base.metadata.sorted_tables:
            rows = session.execute(table.select()).all()
            if table.name not in (*TEACHING, "reader", "finding_type"):
                assert rows == [], table.name
    assert case_progress(store, reader.id) == {}
    everything = answers_finished(store)
    assert (everything.reads, everything.verdicts, everything.marks) == ([], [], [])
    written = export.write(export_rows.take(store), tmp_path / "out", "all")
    names = {path.stem for path in written}
    assert not names & set(TEACHING)
    for path in written:
        text = path.read_bytes().decode("utf-8", errors="replace")
        assert "learner's secret" not in text
        assert lesson.join_code not in text
        assert ann.id not in text
    assert not set(json.loads((tmp_path / "out" / "json" / "feedback.json").read_text())) & set(TEACHING)
