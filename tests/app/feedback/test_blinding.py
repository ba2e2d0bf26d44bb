"""When others' answers may be seen."""

from __future__ import annotations

import ast

import pytest

from app.feedback.blinding import answers_closed, answers_finished, answers_visible, closed_scans, course
from app.feedback.database import Store, transaction
from app.feedback.models import CaseRead
from app.feedback.reads import current_reads
from app.feedback.store import undo_last
from app.feedback.writing import columns, new_id, now_utc
from core.config import ROOT
from tests.app.feedback.readings import SCAN, assign, first, hash_of, judge, miss, reader, second

THE_SCAN = (SCAN, hash_of(SCAN))


@pytest.fixture
def readers(store: Store) -> tuple[int, int, int]:
    return reader(store, "Ada"), reader(store, "Ben"), reader(store, "Cleo")


def others(store: Store, viewer: int, coordinator: bool = False) -> set[int]:
    """Whose answers the viewer gets, but for their own."""
    found = answers_visible(store, viewer, coordinator=coordinator)
    return {row.reader_id for rows in (found.reads, found.verdicts, found.marks) for row in rows} - {viewer}


def test_the_course_of_some_scans_is_that_of_all(store: Store, readers: tuple[int, int, int]) -> None:
    ada, ben, cleo = readers
    for case_id in (SCAN, "sub-b_ses-01"):
        assign(store, [ada, ben], case_id)
        judge(store, cleo, "agree", case_id)
        second(store, ada, case_id)
    whole, part = course(store), course(store, {SCAN})
    assert part.asked == {one for one in whole.asked if one[1] == SCAN} != frozenset()
    assert part.begun == {one for one in whole.begun if one[1] == SCAN} != frozenset()
    assert part.finished == {(ada, *THE_SCAN, 1): 20.0}
    assert course(store, set()).begun == frozenset()


def test_without_assignment_two_must_have_finished(store: Store, readers: tuple[int, int, int]) -> None:
    ada, ben, cleo = readers
    judge(store, ben, "agree")
    second(store, ben)
    assert closed_scans(store) == frozenset()
    second(store, ada)
    assert closed_scans(store) == {THE_SCAN}
    assert others(store, ada) == {ben}
    # Someone begins: closed no more, and hidden from all until they have finished.
    first(store, cleo)
    assert closed_scans(store) == frozenset()
    assert others(store, ada) == set()
    assert others(store, cleo, coordinator=True) == set()
    second(store, cleo)
    assert others(store, ada) == {ben, cleo}


def test_assigned_scans_wait_for_everybody_assigned(store: Store, readers: tuple[int, int, int]) -> None:
    ada, ben, cleo = readers
    assign(store, [ada, ben, cleo])
    second(store, ada)
    second(store, ben)
    assert closed_scans(store) == frozenset()
    assert others(store, ada, coordinator=True) == set()
    second(store, cleo)
    assert closed_scans(store) == {THE_SCAN}


def test_one_assigned_reader_is_enough(store: Store, readers: tuple[int, int, int]) -> None:
    ada, ben, _ = readers
    assign(store, [ada])
    second(store, ada)
    assert closed_scans(store) == {THE_SCAN}
    assert others(store, ben) == set()  # has not read it
    assert others(store, ben, coordinator=True) == {ada}


def test_a_second_pass_still_to_come_keeps_it_hidden(store: Store, readers: tuple[int, int, int]) -> None:
    ada, ben, _ = readers
    assign(store, [ada, ben])
    assign(store, [ada], pass_number=2, kind="repeat")
    second(store, ada)
    second(store, ben)
    assert closed_scans(store) == frozenset()
    assert others(store, ada) == set()
    second(store, ada, pass_number=2)
    assert others(store, ada) == {ben}


def test_a_batch_called_off_asks_nobody(store: Store, readers: tuple[int, int, int]) -> None:
    ada, ben, cleo = readers
    assign(store, [ada, ben, cleo], closed=True)
    second(store, ada)
    second(store, ben)
    assert closed_scans(store) == {THE_SCAN}


def test_an_unfinished_reader_of_a_closed_scan_sees_nothing(
    store: Store, readers: tuple[int, int, int]
) -> None:
    ada, ben, cleo = readers
    assign(store, [ada, ben])
    second(store, ada)
    second(store, ben)
    judge(store, cleo, "disagree")  # nobody asked for it
    assert closed_scans(store) == {THE_SCAN}
    assert others(store, cleo, coordinator=True) == set()
    assert others(store, ada) == {ben}  # and nobody gets half a reading
    assert answers_visible(store, cleo).waiting == {THE_SCAN}


def test_an_answer_taken_back_is_no_beginning(store: Store, readers: tuple[int, int, int]) -> None:
    ada, ben, cleo = readers
    second(store, ada)
    second(store, ben)
    judge(store, cleo, "agree")
    assert closed_scans(store) == frozenset()
    key = f"k{SCAN:0<63}"[:64]
    undo_last(store, id=new_id(), case_id=SCAN, model="vae_8x8_512", case_key=key, reader_id=cleo)
    assert closed_scans(store) == {THE_SCAN}


def test_a_second_read_taken_back_opens_the_scan(store: Store, readers: tuple[int, int, int]) -> None:
    ada, ben, _ = readers
    first(store, ada)
    second(store, ada)
    second(store, ben)
    _, standing = current_reads(store, reader_id=ada, case_id=SCAN, input_hash=hash_of(SCAN))
    assert standing is not None
    with transaction(store, write=True) as session:
        row = session.get(CaseRead, standing.id)
        content = columns(row) | {"id": new_id(), "seq": 9, "supersedes": standing.id, "retracted": True}
        session.add(CaseRead(**(content | {"created_utc": now_utc()})))
    assert closed_scans(store) == frozenset()


def test_an_inadequate_image_ends_the_reading(store: Store, readers: tuple[int, int, int]) -> None:
    ada, ben, _ = readers
    first(store, ada, classification="inadequate")
    second(store, ben)
    assert closed_scans(store) == {THE_SCAN}


def test_one_s_own_answers_show_and_planted_scans_look_like_others(
    store: Store, readers: tuple[int, int, int]
) -> None:
    ada, ben, _ = readers
    assign(store, [ada, ben], kind="planted", known={SCAN: "abnormal"})
    judge(store, ada, "agree")
    miss(store, ada)
    second(store, ada)
    found = answers_visible(store, ada)
    assert (len(found.reads), len(found.verdicts), len(found.marks)) == (1, 1, 1)
    assert found.scans == frozenset()
    assert found.kinds == {}
    assert found.known == {}
    second(store, ben)
    found = answers_visible(store, ada)
    assert set(found.kinds.values()) == {"planted"}
    assert found.known == {SCAN: "abnormal"}
    assert set(found.names.values()) == {"Ada", "Ben"}


def test_exports_take_closed_scans_or_finished_readers(store: Store, readers: tuple[int, int, int]) -> None:
    ada, ben, cleo = readers
    assign(store, [ada, ben])
    second(store, ada)
    first(store, ben)
    judge(store, cleo, "agree", "sub-b_ses-01")
    assert answers_closed(store).reads == []
    finished = answers_finished(store)
    assert {row.reader_id for row in finished.reads} == {ada}
    assert finished.verdicts == []


# Tables of answers, and ways to query them without naming one.
ANSWERS = {"Verdict", "MissedFinding", "CaseRead", "CaseEvent", "Draft", "Adjudication", "Base", "text"}


def test_only_the_feedback_package_reads_answers() -> None:
    """So a page gets others' answers through blinding.py or not at all."""
    for path in sorted((ROOT / "app").rglob("*.py")):
        if ROOT / "app" / "feedback" in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                whole = {name.name.split(".")[0] for name in node.names if "sqlite" in name.name}
                whole |= {name.name for name in node.names if name.name.startswith("app.feedback.models")}
                assert not whole, path
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                ("app.feedback.models", "sqlalchemy", "sqlite")
            ):
                assert not {name.name for name in node.names} & ANSWERS, path
