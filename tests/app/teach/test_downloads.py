"""Tables that a teacher takes home."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest

from app.feedback.learners import add_mark
from app.feedback.lesson_rows import MarkInput
from app.feedback.lessons import advance, find_lesson, reveal
from app.feedback.store import new_id, reader_for
from app.teach.downloads import MARK_COLUMNS, dictionary, marks_csv, results_csv
from app.teach.results import COLUMNS
from tests.app.feedback.readings import assign
from tests.app.teach.cohort import LEFT_MM, SICK
from tests.app.teach.conftest import Class


def read(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), keep_default_na=False)


def put(given: Class, mm: tuple[float, float, float], type: str = "", note: str = "", index: int = 0) -> None:
    add_mark(given.store, MarkInput(new_id(), given.ann.id, index, *mm, type, note))


def test_marks_have_place_type_and_the_lesion_that_they_are_on(lesson_class: Class) -> None:
    """The left lesion is voxels 4 to 7 of 2 mm along x: its edge lies 4 mm beside its middle."""
    store, id, (x, y, z) = lesson_class.store, lesson_class.lesson.id, LEFT_MM
    put(lesson_class, LEFT_MM, "cyst", "=1+1")
    put(lesson_class, (x - 6, y, z))
    put(lesson_class, (x, y + 60, z), "other")
    assert marks_csv(store, id).strip() == ",".join(MARK_COLUMNS), "nothing before the reveal"
    reveal(store, id, index=0)
    rows = read(marks_csv(store, id))
    assert rows["learner"].tolist() == ["Ann"] * 3
    assert rows["mark"].tolist() == [1, 2, 3]
    assert rows.loc[1, ["x_mm", "y_mm", "z_mm"]].tolist() == [x - 6, y, z]
    assert rows["finding_type"].tolist() == ["cyst", "", "other"]
    assert rows["note"].tolist() == ["'=1+1", "", ""], "text runs in no spreadsheet"
    assert rows["outcome"].tolist() == ["hit", "again", "false"]
    assert rows["lesion"].tolist() == ["1", "1", ""]
    assert rows["lesion_type"].tolist() == ["Cyst", "Cyst", ""]
    assert rows["distance_mm"].tolist()[:2] == [0.0, 2.0]
    assert set(rows["tolerance_mm"]) == {3.0}
    # On a normal scan nothing is near.
    advance(store, id, after=0)
    put(lesson_class, LEFT_MM, index=1)
    reveal(store, id, index=1)
    last = read(marks_csv(store, id)).iloc[-1]
    assert last[["scan", "outcome", "lesion", "distance_mm"]].tolist() == [2, "false", "", ""]


def test_results_name_the_lesions_that_are_known(lesson_class: Class) -> None:
    store, id = lesson_class.store, lesson_class.lesson.id
    reveal(store, id, index=0)
    advance(store, id, after=0)
    reveal(store, id, index=1)
    rows = read(results_csv(store, id))
    assert rows["lesions"].tolist() == ["L1 Cyst; L2 Punctate dark", "normal"] * 2
    record = lesson_class.cases[SICK]
    reader = reader_for(store, "Ada", "typed").id
    assign(store, [reader], record.case_id, input_hash=record.input_hash)
    rows = read(results_csv(store, id))
    assert rows["lesions"].tolist() == ["", "normal"] * 2, "held back while a reader owes the scan"


def test_every_column_is_explained(lesson_class: Class) -> None:
    told = json.loads(dictionary())
    assert (list(told["results"]), list(told["marks"])) == (COLUMNS, MARK_COLUMNS)
    assert all(len(text) > 10 for part in told.values() for text in part.values())
    lesson = find_lesson(lesson_class.store, lesson_class.lesson.id)
    assert lesson is not None
    assert results_csv(lesson_class.store, lesson.id).strip() == ",".join(COLUMNS)


@pytest.mark.parametrize("written", [results_csv, marks_csv])
def test_a_lesson_that_is_gone_gives_nothing(lesson_class: Class, written: object) -> None:
    assert callable(written)
    assert written(lesson_class.store, new_id()) == ""
