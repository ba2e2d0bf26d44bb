"""Batches in the store: made whole, once, with all that fixes them; how far readers are; called off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from app.feedback.assignments import BatchInput, assigned_rows, batches, close_batch, make_batch
from app.feedback.blinding import answers_visible, closed_scans, course
from app.feedback.database import Store, StoreError, transaction
from app.feedback.models import Assignment, AssignmentBatch
from app.feedback.owed import owed_scans
from app.feedback.planning import PlanCase, plan
from app.feedback.reads import add_event
from app.feedback.store import current_verdicts
from app.feedback.writing import new_id
from tests.app.feedback.readings import first, hash_of, judge, reader, second


def case(name: str, score: float | None = None) -> PlanCase:
    return PlanCase(name, hash_of(name), score)


CASES = tuple(
    case(f"sub-{letter}_ses-01", score) for letter, score in zip("abcdef", (3, 1, 2, 6, 5, 4), strict=True)
)


def batch_of(store: Store, *names: str, **changes: Any) -> BatchInput:
    """A batch for these readers; Cora coordinates."""
    readers = tuple(reader(store, name) for name in names or ("Ada", "Ben"))
    values: dict[str, Any] = {
        "id": new_id(),
        "name": "Study one",
        "created_by": reader(store, "Cora"),
        "cases": CASES,
        "readers": readers,
        "readers_per_case": len(readers),
        "ordering": "given",
        "seed": 7,
        "gap": 2,
        "model": "vae_8x8_512",
    }
    return BatchInput(**(values | changes))


def rows(store: Store) -> list[tuple[int, int, str, int, str]]:
    with transaction(store, write=False) as session:
        query = select(Assignment).order_by(Assignment.reader_id, Assignment.position)
        return [
            (row.reader_id, row.position, row.case_id, row.pass_number, row.kind)
            for row in session.scalars(query)
        ]


def test_a_batch_holds_the_plan_and_all_that_fixes_it(store: Store) -> None:
    given = batch_of(
        store,
        ordering="score",
        readers_per_case=1,
        repeat_fraction=0.4,
        planted=(case("sub-p_ses-01"),),
        known={"sub-p_ses-01": "2A"},
        score="mse",
        chosen={"split": ["test"]},
    )
    make_batch(store, given)
    found = batches(store)[0]
    assert (found.name, found.created_by, found.ordering, found.seed) == ("Study one", "Cora", "score", 7)
    assert found.settings["known"] == {"sub-p_ses-01": "2A"}
    assert found.settings["chosen"] == {"split": ["test"]}
    # The settings alone give the same plan again.
    logged = found.settings
    again = plan(
        [PlanCase(*one) for one in logged["cases"]],
        len(logged["readers"]),
        found.readers_per_case,
        "score",
        found.repeat_fraction,
        [PlanCase(*one) for one in logged["planted"]],
        found.seed,
        logged["gap"],
    )
    replayed = [
        (logged["readers"][row.reader], row.position, row.case_id, row.pass_number, row.kind) for row in again
    ]
    assert sorted(replayed) == rows(store)
    assert {row[4] for row in replayed} == {"case", "repeat", "planted"}


def test_the_same_form_makes_one_batch(store: Store) -> None:
    given = batch_of(store)
    assert make_batch(store, given) == make_batch(store, given) == given.id
    assert len(rows(store)) == 12
    for other in (replace(given, seed=8), replace(given, cases=CASES[:3]), replace(given, name="Another")):
        with pytest.raises(StoreError, match="used for another"):
            make_batch(store, other)
    close_batch(store, given.id, given.created_by)
    assert make_batch(store, given) == given.id  # a late retry opens nothing again
    assert batches(store)[0].closed_utc is not None
    assert len(rows(store)) == 12


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": " "}, "needs a name"),
        ({"readers": (1, 1)}, "twice"),
        ({"readers": (98, 99)}, "Unknown reader"),
        ({"created_by": 99}, "Unknown reader"),
        ({"readers_per_case": 3}, "expected 1 to 2"),
        ({"planted": (case("sub-p"),)}, "sub-p is planted: say what is known"),
        ({"planted": (case("sub-p"),), "known": {"sub-p": "inadequate"}}, "say what is known"),
        ({"id": "x"}, "not a UUID"),
    ],
)
def test_what_cannot_be_leaves_nothing_behind(store: Store, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(StoreError, match=words):
        make_batch(store, batch_of(store, **changes))
    assert rows(store) == []
    with transaction(store, write=False) as session:
        assert session.scalars(select(AssignmentBatch)).all() == []


def test_progress_counts_what_each_reader_finished(store: Store) -> None:
    given = batch_of(store, repeat_fraction=1 / 6)
    make_batch(store, given)
    ada, ben = given.readers
    second(store, ada, CASES[0].case_id)
    first(store, ada, CASES[1].case_id)  # locked, not finished
    first(store, ada, CASES[2].case_id, "inadequate")
    first(store, ben, "sub-elsewhere")
    one = CASES[4]
    add_event(
        store,
        id=new_id(),
        reader_id=ben,
        case_id=one.case_id,
        input_hash=one.input_hash,
        kind="skipped",
        detail="motion",
    )
    found = {who.name: (who.assigned, who.done, who.skipped) for who in batches(store)[0].progress}
    assert found == {"Ada": (7, 2, 0), "Ben": (7, 0, 1)}
    second(store, ben, one.case_id)
    assert {who.name: who.skipped for who in batches(store)[0].progress} == {"Ada": 0, "Ben": 0}
    done = [
        row["case_id"] for row in assigned_rows(store, given.id) if row["reader"] == "Ada" and row["done"]
    ]
    assert done == [CASES[0].case_id, CASES[2].case_id]


def test_a_batch_is_called_off_once(store: Store) -> None:
    given = batch_of(store)
    make_batch(store, given)
    close_batch(store, given.id, given.readers[0])
    at = batches(store)[0].closed_utc
    close_batch(store, given.id, given.readers[1])
    found = batches(store)[0]
    assert (found.closed_utc, found.settings["closed_by"]) == (at, given.readers[0])
    with pytest.raises(StoreError, match="no such batch"):
        close_batch(store, new_id(), given.created_by)


def test_a_batch_called_off_holds_no_scan(store: Store) -> None:
    given = batch_of(store, cases=CASES[:2], repeat_fraction=0.5, gap=1)
    make_batch(store, given)
    ada, ben = given.readers
    scan = (CASES[0].case_id, CASES[0].input_hash)
    for one in given.readers:
        second(store, one, CASES[0].case_id)
    first(store, ada, CASES[0].case_id, pass_number=2)
    assert scan in owed_scans(store)
    assert scan not in closed_scans(store)
    close_batch(store, given.id, given.created_by)
    assert owed_scans(store) == frozenset()
    # Ada's second pass was begun and can't go on: it waits for nobody.
    assert closed_scans(store) == {scan}
    assert {row.reader_id for row in answers_visible(store, ada).reads} == {ada, ben}


def test_the_course_tells_how_far_readings_are_and_how_long_they_took(store: Store) -> None:
    given = batch_of(store, cases=CASES[:2])
    make_batch(store, given)
    ada, ben = given.readers
    scan = (CASES[0].case_id, CASES[0].input_hash)
    first(store, ada, CASES[0].case_id, seconds=40)
    second(store, ada, CASES[0].case_id, seconds=25)
    first(store, ben, CASES[0].case_id, seconds=90)
    found = course(store)
    assert found.finished == {(ada, *scan, 1): 65.0}
    assert found.begun == {(ada, *scan, 1), (ben, *scan, 1)}
    assert len(found.asked) == 4
    assert found.closed == frozenset()


def test_a_scan_planted_in_a_batch_called_off_and_given_again_is_a_case(store: Store) -> None:
    known = {CASES[0].case_id: "abnormal"}
    old = batch_of(store, "Ada", cases=CASES[1:2], planted=CASES[:1], known=known)
    make_batch(store, old)
    close_batch(store, old.id, old.created_by)
    new = batch_of(store, "Ada", cases=CASES[:1])
    make_batch(store, new)
    ada = new.readers[0]
    judge(store, ada, "agree", CASES[0].case_id)
    second(store, ada, CASES[0].case_id)
    assert set(answers_visible(store, ada).kinds.values()) == {"case"}
    key = f"k{CASES[0].case_id:0<63}"[:64]
    standing = current_verdicts(
        store, case_id=CASES[0].case_id, model="vae_8x8_512", case_key=key, map="volume", reader_id=ada
    )
    assert len(standing) == 1
