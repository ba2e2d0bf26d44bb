"""What each follower may know, and when."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any

from app.cases import address
from app.feedback.database import transaction
from app.feedback.learners import add_mark, commit, join
from app.feedback.lesson_rows import LessonInput, MarkInput
from app.feedback.lessons import advance, close_lesson, create_lesson, find_lesson, open_lesson, reveal
from app.feedback.models import LearnerCommit
from app.feedback.store import new_id, reader_for
from app.teach import hub
from app.teach.results import overview, results, table
from app.teach.snapshot import Follower, snapshot
from core.config import settings
from core.io.derivatives import CasePaths
from tests.app.feedback.readings import assign, first, judge, second
from tests.app.teach.cohort import LEFT_MM, SICK
from tests.app.teach.conftest import Class


def seen(given: Class, role: str = "learner", learner: str | None = None) -> dict[str, Any]:
    id = "" if role != "learner" else given.ann.id if learner is None else learner
    found = snapshot(given.store, Follower(role, given.lesson.id, id), "TOKEN")  # type: ignore[arg-type]
    assert found is not None
    return found


def unpacked(text: str) -> str:
    """What base64 in ``text`` says: an address' signed token is signed, not sealed."""
    parts = re.findall(r"[A-Za-z0-9_-]{16,}", text)
    return "".join(base64.urlsafe_b64decode(part[: len(part) // 4 * 4]).decode("latin1") for part in parts)


def put(given: Class, learner: str, *points: tuple[float, ...], index: int = 0) -> None:
    for x, y, z in points:
        add_mark(given.store, MarkInput(new_id(), learner, index, x, y, z))


def test_before_the_reveal_nobody_gets_the_answer(lesson_class: Class) -> None:
    record = lesson_class.cases[SICK]
    put(lesson_class, lesson_class.ann.id, LEFT_MM)
    commit(lesson_class.store, learner_id=lesson_class.ann.id, case_index=0)
    for role in ("learner", "teacher", "projector"):
        found = seen(lesson_class, role)
        text = json.dumps(found)
        assert "answer" not in found
        assert set(found["case"]) == {"number", "id", "synthetic", "age", "base"}
        assert (found["case"]["id"], found["case"]["age"]) == ("", record.age_weeks)
        assert record.age_weeks is not None
        for secret in (record.case_id, "z-volume", "z-normative", "truth", "outcome", address(record)):
            assert secret not in text, (role, secret)
            assert secret not in unpacked(text), (role, secret)
        assert found["case"]["base"]["url"].startswith("/fontanelle/lesson/TOKEN/base-")
    learner = seen(lesson_class)
    assert (learner["committed"], learner["total"]["scans"]) == (True, 0)
    assert [mark["mm"] for mark in learner["marks"]] == [list(LEFT_MM)]
    assert "roster" not in learner
    assert seen(lesson_class, "teacher")["roster"][0] == {
        "name": "Ann",
        "here": False,
        "committed": True,
        "automatic": False,
        "answered": True,
        "score": None,
        "total": [0, 0, 0],
    }
    assert seen(lesson_class, "teacher")["counts"] == {
        "joined": 2,
        "here": 0,
        "committed": 1,
        "unanswered": 0,
    }


def test_the_reveal_shows_truth_model_and_scores(lesson_class: Class) -> None:
    x, y, z = LEFT_MM
    put(lesson_class, lesson_class.ann.id, LEFT_MM, (x + 2, y, z), (x, y + 60, z))
    commit(lesson_class.store, learner_id=lesson_class.bob.id, case_index=0)
    reveal(lesson_class.store, lesson_class.lesson.id, index=0)
    found = seen(lesson_class)
    answer = found["answer"]
    assert answer["score"] == [1, 1, 1]
    assert [mark["outcome"] for mark in found["marks"]] == ["hit", "again", "false"]
    lesions = [(one["label"], one["type"], one["found"]) for one in answer["truth"]["lesions"]]
    assert lesions == [(1, "Cyst", 1), (2, "Punctate dark", 0)]
    assert answer["truth"]["of"] == 2, "Bob had joined too, and missed both"
    assert answer["truth"]["volume"]["url"].startswith("/fontanelle/lesson/TOKEN/truth-")
    assert (answer["model"]["name"], answer["model"]["map"]) == ("vae_8x8_512", "Volume z")
    assert answer["readers"] is None
    assert found["case"]["id"] == lesson_class.cases[SICK].case_id
    wall = seen(lesson_class, "projector")
    assert "Ann" not in json.dumps(wall), "no names on the wall"
    assert len(wall["answer"]["marks"]) == 3
    roster = seen(lesson_class, "teacher")["roster"]
    assert [(row["name"], row["score"]) for row in roster] == [("Ann", [1, 1, 1]), ("Bob", [0, 2, 0])]


def test_an_answer_is_held_back_while_a_reader_owes_the_scan(lesson_class: Class) -> None:
    record, lesson = lesson_class.cases[SICK], lesson_class.lesson
    put(lesson_class, lesson_class.ann.id, LEFT_MM)
    reveal(lesson_class.store, lesson.id, index=0)
    reader = reader_for(lesson_class.store, "Ada", "typed").id
    assign(lesson_class.store, [reader], record.case_id, input_hash=record.input_hash)
    for role in ("learner", "teacher", "projector"):
        found = seen(lesson_class, role)
        assert "answer" not in found
        assert (found["revealed"], found["case"]["id"]) == (False, "")
        assert ("held" in found) == (role == "teacher")
    assert "1 reader has still to finish" in seen(lesson_class, "teacher")["held"]["reveal"]
    advance(lesson_class.store, lesson.id, after=0)
    assert seen(lesson_class)["total"]["scans"] == 0, "hits and misses would tell of it too"
    later = find_lesson(lesson_class.store, lesson.id)
    assert later is not None
    found_now = results(lesson_class.store, later)
    assert overview(found_now, 0).set_index("Learner").loc["Ann"].tolist() == ["held back", 0, 0, 0]
    assert table(found_now, 0)["answer_known"].tolist() == [False, False]


def test_only_what_the_teacher_chose_is_shown(lesson_class: Class) -> None:
    old = lesson_class.lesson
    made = create_lesson(
        lesson_class.store, LessonInput(new_id(), "Bare", old.teacher_id, old.cases, reveal=("readers",))
    )
    open_lesson(lesson_class.store, made.id)
    ann = join(lesson_class.store, made.id, "Ann")
    advance(lesson_class.store, made.id, after=-1)
    add_mark(lesson_class.store, MarkInput(new_id(), ann.id, 0, *LEFT_MM))
    reveal(lesson_class.store, made.id, index=0)
    found = seen(replace(lesson_class, lesson=made, ann=ann))
    assert "truth" not in found["answer"]
    assert "model" not in found["answer"]
    assert "outcome" not in found["marks"][0], "that would tell where the truth is"


def test_who_comes_late_is_absent(lesson_class: Class) -> None:
    reveal(lesson_class.store, lesson_class.lesson.id, index=0)
    late = join(lesson_class.store, lesson_class.lesson.id, "Late")
    found = seen(lesson_class, learner=late.id)
    assert found["answer"]["score"] is None
    assert not found["committed"]


def test_a_closed_lesson_tells_the_total_only(lesson_class: Class) -> None:
    put(lesson_class, lesson_class.ann.id, LEFT_MM)
    commit(lesson_class.store, learner_id=lesson_class.bob.id, case_index=0)
    advance(lesson_class.store, lesson_class.lesson.id, after=0)
    put(lesson_class, lesson_class.ann.id, LEFT_MM, index=1)
    close_lesson(lesson_class.store, lesson_class.lesson.id)
    found = seen(lesson_class)
    assert "case" not in found
    reveal_open = seen(lesson_class, "teacher")["roster"]
    assert [row["total"] for row in reveal_open] == [[1, 1, 1], [0, 2, 0]]


def test_results_as_table_and_download(lesson_class: Class) -> None:
    put(lesson_class, lesson_class.ann.id, LEFT_MM)
    for one in (lesson_class.ann, lesson_class.bob):
        commit(lesson_class.store, learner_id=one.id, case_index=0)
    advance(lesson_class.store, lesson_class.lesson.id, after=0)
    late = join(lesson_class.store, lesson_class.lesson.id, "Late")
    put(lesson_class, lesson_class.bob.id, LEFT_MM, index=1)
    for one in (lesson_class.ann, lesson_class.bob, late):
        commit(lesson_class.store, learner_id=one.id, case_index=1)
    lesson = close_lesson(lesson_class.store, lesson_class.lesson.id)
    found = results(lesson_class.store, lesson)
    shown = overview(found, 1).set_index("Learner")
    assert shown.loc["Ann"].tolist() == ["1 of 2 found, 0 false", "normal, 0 false", 1, 1, 0]
    assert shown.loc["Bob"].tolist() == ["0 of 2 found, 0 false", "normal, 1 false", 0, 2, 1]
    assert shown.loc["Late"].tolist() == ["absent", "normal, 0 false", 0, 0, 0]
    rows = table(found, 1).set_index(["learner", "scan"])
    assert rows.loc[("Ann", 1), ["marks", "hits", "misses", "false_marks"]].tolist() == [1, 1, 1, 0]
    assert rows.loc[("Late", 1), "hits"] is None or rows["hits"].isna()[("Late", 1)]
    assert set(rows["tolerance_mm"]) == {3.0}
    assert len(table(found, 0)) == 3, "the scan at hand stays out"


def test_a_scan_that_is_gone_is_told(lesson_class: Class) -> None:
    record = lesson_class.cases[SICK]
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    paths.mask.write_bytes(b"changed")
    error = seen(lesson_class)["case"]["error"]
    assert "gone or changed" in error
    assert record.subject not in error
    paths.case_json(record.model).unlink()
    assert "no longer on disk" in seen(lesson_class)["case"]["error"]


def test_a_learner_of_another_lesson_sees_nothing(lesson_class: Class) -> None:
    assert snapshot(lesson_class.store, Follower("learner", lesson_class.lesson.id, new_id()), "T") is None
    assert snapshot(lesson_class.store, Follower("teacher", new_id()), "T") is None


def test_readers_findings_are_told_in_words(lesson_class: Class) -> None:
    record, store = lesson_class.cases[SICK], lesson_class.store
    for name in ("Ada", "Ben"):
        one = reader_for(store, name, "typed").id
        first(store, one, record=record)
        judge(store, one, "agree", record=record, finding_type="white_matter_injury")
        second(store, one, record=record)
    reveal(store, lesson_class.lesson.id, index=0)
    readers = seen(lesson_class, "teacher")["answer"]["readers"]
    told = [(one["types"], one["side"], one["volume_mm3"], one["by"]) for one in readers["findings"]]
    assert told == [(("White-matter injury",), "left", 640.5, 2)]


def test_a_reveal_leads_to_the_largest_lesion(lesson_class: Class) -> None:
    id = lesson_class.lesson.id
    assert "place" not in seen(lesson_class)
    reveal(lesson_class.store, id, index=0)
    expected = {"id": "reveal-0", "case": 0, "mm": [1.0, 2.0, 3.0]}
    for role in ("learner", "teacher", "projector"):
        found = seen(lesson_class, role)
        lesions = found["answer"]["truth"]["lesions"]
        largest = max(lesions, key=lambda one: one["volume_mm3"])
        assert (largest["label"], len(lesions)) == (1, 2)
        assert found["place"] == expected | {"mm": list(largest["mm"])}
    hub.send_to(id, expected | {"id": "a"})
    assert seen(lesson_class)["place"] == expected | {"id": "a"}
    advance(lesson_class.store, id, after=0)
    assert "place" not in seen(lesson_class)
    reveal(lesson_class.store, id, index=1)
    assert seen(lesson_class)["place"] is None, "a normal scan, and the former scan's place is over"


def test_who_did_not_answer_is_told_from_who_did(lesson_class: Class) -> None:
    """Ann found one of two lesions without committing, Bob marked nothing and did not commit."""
    store, id = lesson_class.store, lesson_class.lesson.id
    put(lesson_class, lesson_class.ann.id, LEFT_MM)
    reveal(store, id, index=0)
    told = seen(lesson_class, "teacher")
    assert told["counts"]["unanswered"] == 1
    assert [(row["automatic"], row["answered"], row["score"]) for row in told["roster"]] == [
        (True, True, [1, 1, 0]),
        (True, False, None),
    ]
    assert told["answer"]["truth"]["of"] == 1, "who did not answer did not miss it"
    bob = seen(lesson_class, learner=lesson_class.bob.id)
    assert (bob["committed"], bob["answered"], bob["answer"]["score"]) == (True, False, None)
    # The normal scan: Ann says that there is nothing, Bob is silent again.
    advance(store, id, after=0)
    commit(store, learner_id=lesson_class.ann.id, case_index=1)
    found = results(store, close_lesson(store, id))
    shown = overview(found, 1).set_index("Learner")
    assert shown.loc["Ann"].tolist() == ["1 of 2 found, 0 false (automatic)", "normal, 0 false", 1, 1, 0]
    assert shown.loc["Bob"].tolist() == ["no answer", "no answer", 0, 0, 0]
    assert (found.total(lesson_class.ann.id).scans, found.total(lesson_class.bob.id).scans) == (2, 0)
    rows = table(found, 1)
    assert rows["automatic"].tolist() == [True, False, True, True]
    assert rows["answered"].tolist() == [True, True, False, False]
    assert rows["false_marks"].isna().tolist() == [False, False, True, True]


def test_a_commit_of_before_counts_as_it_did(lesson_class: Class) -> None:
    """Whose it was, was not kept then."""
    store, id, bob = lesson_class.store, lesson_class.lesson.id, lesson_class.bob.id
    with transaction(store, write=True) as session:
        session.add(
            LearnerCommit(
                id=new_id(),
                lesson_id=id,
                learner_id=bob,
                case_index=0,
                classification="",
                active_seconds=0.0,
                created_utc="2026-01-01T00:00:00+00:00",
                automatic=None,
            )
        )
    found = results(store, reveal(store, id, index=0))
    assert overview(found, 0).set_index("Learner").loc["Bob"].tolist() == ["0 of 2 found, 0 false", 0, 2, 0]
    assert table(found, 0).set_index("learner")["automatic"].isna().tolist() == [False, True]
