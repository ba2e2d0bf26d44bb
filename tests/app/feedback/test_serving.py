"""A reader's own list: what is due, what has been reached, and which pass of a scan is at hand."""

from __future__ import annotations

from dataclasses import fields

from sqlalchemy import select

from app.feedback.assignments import close_batch, make_batch
from app.feedback.database import Store, transaction
from app.feedback.models import CaseRead
from app.feedback.reads import EventKind, add_event
from app.feedback.serving import Served, current_pass, due, reached, serving
from app.feedback.writing import columns, new_id, now_utc
from tests.app.feedback.readings import first, hash_of, reader, second
from tests.app.feedback.test_assignments import CASES, batch_of

A, B, C = (one.case_id for one in CASES[:3])


def study(store: Store, **changes: object) -> int:
    """Ada reads a, b, c and a again; her id."""
    make_batch(store, batch_of(store, "Ada", cases=CASES[:3], repeat_fraction=1 / 3, **changes))
    return reader(store, "Ada")


def event(store: Store, who: int, case_id: str, kind: EventKind, pass_number: int = 1) -> None:
    add_event(
        store,
        id=new_id(),
        reader_id=who,
        case_id=case_id,
        input_hash=hash_of(case_id),
        kind=kind,
        pass_number=pass_number,
    )


def passes(store: Store, who: int) -> list[int]:
    """Current pass of a, b and c."""
    return [current_pass(store, reader_id=who, case_id=one, input_hash=hash_of(one)) for one in (A, B, C)]


def line(store: Store, who: int) -> list[tuple[str, int, bool]]:
    return [(one.case_id, one.pass_number, one.done) for one in serving(store, who)]


def next_up(store: Store, who: int) -> tuple[str, int] | None:
    found = due(serving(store, who))
    return None if found is None else (found.case_id, found.pass_number)


def test_what_a_scan_is_served_for_is_not_in_the_list() -> None:
    assert "kind" not in {one.name for one in fields(Served)}


def test_a_list_is_read_in_order_and_the_repeat_comes_at_its_place(store: Store) -> None:
    ada = study(store)
    assert line(store, ada) == [(A, 1, False), (B, 1, False), (C, 1, False), (A, 2, False)]
    assert next_up(store, ada) == (A, 1)
    second(store, ada, A)
    assert line(store, ada)[0] == (A, 1, True)
    assert next_up(store, ada) == (B, 1)
    assert passes(store, ada) == [1, 1, 1], "going back to a is still pass 1"
    first(store, ada, B, "inadequate")
    assert next_up(store, ada) == (C, 1)
    first(store, ada, C)
    assert next_up(store, ada) == (C, 1), "locked is not done"
    second(store, ada, C)
    assert next_up(store, ada) == (A, 2)
    assert passes(store, ada) == [2, 1, 1]
    second(store, ada, A, pass_number=2)
    assert next_up(store, ada) is None
    assert passes(store, ada) == [2, 1, 1], "the last reading stays the one on screen"


def test_skipped_scans_let_the_list_go_on_but_not_to_their_own_repeat(store: Store) -> None:
    ada = study(store)
    event(store, ada, A, "opened")
    event(store, ada, A, "skipped")
    assert next_up(store, ada) == (B, 1)
    for one in (B, C):
        second(store, ada, one)
    assert next_up(store, ada) is None
    assert [one.skipped for one in serving(store, ada)] == [True, False, False, False]
    assert passes(store, ada) == [1, 1, 1]
    event(store, ada, A, "resumed")
    assert next_up(store, ada) == (A, 1)
    second(store, ada, A)
    assert next_up(store, ada) == (A, 2)


def test_reached_is_what_was_opened_or_is_due(store: Store) -> None:
    ada = study(store)
    second(store, ada, A)
    event(store, ada, C, "opened")  # ahead of its place, by a link
    assert [(one.case_id, one.pass_number) for one in reached(serving(store, ada))] == [
        (A, 1),
        (B, 1),
        (C, 1),
    ]


def test_without_a_batch_it_is_the_first_reading_or_the_last_finished(store: Store) -> None:
    ada = reader(store, "Ada")
    assert serving(store, ada) == []
    assert passes(store, ada) == [1, 1, 1]
    given = batch_of(store, "Ada", cases=CASES[:3], repeat_fraction=1 / 3)
    make_batch(store, given)
    for one in (A, B, C):
        second(store, ada, one)
    first(store, ada, A, pass_number=2)
    assert passes(store, ada) == [2, 1, 1]
    close_batch(store, given.id, given.created_by)
    assert serving(store, ada) == []
    assert passes(store, ada) == [1, 1, 1], "the second reading was called off half-way"


def test_scans_that_are_gone_hold_nothing_up(store: Store) -> None:
    ada = study(store)
    second(store, ada, A)
    second(store, ada, C)
    there = {(A, hash_of(A)), (C, hash_of(C))}
    scan = {"reader_id": ada, "case_id": A, "input_hash": hash_of(A)}
    assert current_pass(store, **scan) == 1  # type: ignore[arg-type]
    assert current_pass(store, **scan, there=lambda: there) == 2  # type: ignore[arg-type]


def test_two_batches_are_one_list_and_ask_for_each_reading_once(store: Store) -> None:
    ada = study(store)
    make_batch(store, batch_of(store, "Ada", cases=(CASES[1], CASES[3]), seed=9))
    assert [one[:2] for one in line(store, ada)] == [(A, 1), (B, 1), (C, 1), (A, 2), (CASES[3].case_id, 1)]


def test_a_second_read_taken_back_is_to_be_read_again(store: Store) -> None:
    ada = study(store)
    second(store, ada, A)
    second(store, ada, A, "1A")  # changed once
    for _ in range(2):
        assert serving(store, ada)[0].done
        take_back(store, ada)
    assert not serving(store, ada)[0].done
    assert next_up(store, ada) == (A, 1)


def take_back(store: Store, who: int) -> None:
    """Take back the standing second read of a."""
    with transaction(store, write=True) as session:
        rows = session.scalars(select(CaseRead).where(CaseRead.reader_id == who).order_by(CaseRead.seq)).all()
        content = columns(rows[-1]) | {"id": new_id(), "seq": len(rows) + 1, "supersedes": rows[-1].id}
        session.add(CaseRead(**(content | {"retracted": True, "created_utc": now_utc()})))


def test_a_list_is_the_reader_s_own(store: Store) -> None:
    make_batch(store, batch_of(store, "Ada", "Ben", readers_per_case=1))
    ada, ben = reader(store, "Ada"), reader(store, "Ben")
    mine, other = ({one.case_id for one in serving(store, who)} for who in (ada, ben))
    assert len(mine) == len(other) == 3
    assert not mine & other
    second(store, ben, sorted(mine)[0])  # Ben's reading is not Ada's
    assert not any(one.done for one in serving(store, ada))


def test_what_was_read_before_counts(store: Store) -> None:
    ada = reader(store, "Ada")
    second(store, ada, A)
    study(store)
    assert next_up(store, ada) == (B, 1)
