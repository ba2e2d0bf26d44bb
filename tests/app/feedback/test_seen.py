"""Whoever was shown others' answers to a scan is asked for no reading of it."""

from __future__ import annotations

import pytest

from app.feedback.adjudications import final_reads
from app.feedback.assignments import BatchInput, make_batch
from app.feedback.blinding import answers_visible
from app.feedback.export_rows import of_reader, take, visible
from app.feedback.planning import PlanCase
from app.feedback.seen import note_seen, seen_by
from app.feedback.store import Store, StoreError, new_id
from tests.app.feedback.readings import SCAN, assign, first, hash_of, judge, reader, second

OTHER = "sub-b_ses-01"
THE_SCAN = (SCAN, hash_of(SCAN))


def read(store: Store, who: int, case_id: str = SCAN) -> None:
    first(store, who, case_id)
    judge(store, who, "agree", case_id)
    second(store, who, case_id)


def batch(store: Store, *readers: int, cases: tuple[str, ...] = (SCAN,), repeats: float = 0.0) -> str:
    given = tuple(PlanCase(name, hash_of(name), None) for name in cases)
    return make_batch(
        store,
        BatchInput(new_id(), "test", readers[0], given, readers, len(readers), "given", 1, repeats, gap=1),
    )


def test_what_is_handed_out_is_kept_once_and_by_scan(store: Store) -> None:
    ada, ben, chief = (reader(store, name) for name in ("Ada", "Ben", "Chief"))
    read(store, ada)
    read(store, ada, OTHER)
    answers_visible(store, chief, coordinator=True)
    assert seen_by(store, chief) == frozenset(), "neither scan is closed"
    read(store, ben)
    answers_visible(store, chief)
    assert seen_by(store, chief) == frozenset(), "no coordinator, and has not read it"
    for _ in range(2):
        assert answers_visible(store, chief, coordinator=True).scans == {THE_SCAN}
    assert seen_by(store, chief) == {THE_SCAN}
    answers_visible(store, ada)
    assert seen_by(store, ada) == {THE_SCAN}, "Ben's"
    assert seen_by(store, ben) == frozenset(), "who has looked at nothing"
    assert len(take(store).tables["answers_seen"]) == 2


def test_one_s_own_answers_are_no_others(store: Store) -> None:
    ada = reader(store, "Ada")
    assign(store, [ada])
    read(store, ada)
    assert answers_visible(store, ada).scans == {THE_SCAN}
    assert seen_by(store, ada) == frozenset()


def test_a_reader_who_saw_answers_is_not_asked_to_read(store: Store) -> None:
    ada, ben, chief = (reader(store, name) for name in ("Ada", "Ben", "Chief"))
    for who in (ada, ben):
        read(store, who)
    answers_visible(store, chief, coordinator=True)
    with pytest.raises(StoreError, match=f"Chief: {SCAN}"):
        batch(store, chief)
    assert take(store).tables["assignment"] == []
    batch(store, chief, cases=(OTHER,))
    batch(store, reader(store, "Dan"))


def test_a_reading_that_is_over_is_asked_of_nobody_again_but_a_repeat_is(store: Store) -> None:
    ada, ben = reader(store, "Ada"), reader(store, "Ben")
    names = (SCAN, OTHER, "sub-c_ses-01")
    for who in (ada, ben):
        for name in names:
            read(store, who, name)
    answers_visible(store, ada)
    batch(store, ada, cases=names)
    with pytest.raises(StoreError, match="shown what others said"):
        batch(store, ada, cases=names, repeats=0.34)


def test_many_scans_are_named_by_a_few(store: Store) -> None:
    ada = reader(store, "Ada")
    names = tuple(f"sub-{n}_ses-01" for n in range(7))
    note_seen(store, ada, {(name, hash_of(name)) for name in names})
    with pytest.raises(StoreError, match="sub-4_ses-01 and 2 more"):
        batch(store, ada, cases=names)


def test_a_name_that_is_gone_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="Unknown reader"):
        note_seen(store, 99, {THE_SCAN})


def test_exports_tell_it_of_closed_scans_and_of_oneself(store: Store) -> None:
    ada, ben, chief = (reader(store, name) for name in ("Ada", "Ben", "Chief"))
    for who in (ada, ben):
        read(store, who)
    note_seen(store, chief, {THE_SCAN, (OTHER, hash_of(OTHER))})
    taken = take(store)
    assert {row["case_id"] for row in of_reader(taken, chief).tables["answers_seen"]} == {SCAN, OTHER}
    assert of_reader(taken, ada).tables["answers_seen"] == []
    told = visible(taken, answers_visible(store, ada)).tables["answers_seen"]
    assert [(row["reader_id"], row["case_id"]) for row in told] == [(chief, SCAN)]


def test_what_is_said_after_others_answers_were_seen_is_not_independent(store: Store) -> None:
    ada, ben, chief = (reader(store, name) for name in ("Ada", "Ben", "Chief"))
    read(store, ada)
    read(store, ben)
    answers_visible(store, ada)
    answers_visible(store, chief, coordinator=True)
    judge(store, ada, "disagree")
    second(store, ada, classification="2A")
    second(store, ben, classification="1A")  # has seen nothing
    read(store, chief)
    last = answers_visible(store, ada, coordinator=True)
    assert {row.reader_id: row.classification for row in final_reads(last.reads).values()} == {
        ada: "2A",
        ben: "1A",
        chief: "normal",
    }
    assert last.late == 0
    found = answers_visible(store, ada, coordinator=True, independent=True)
    assert {row.reader_id: row.classification for row in final_reads(found.reads).values()} == {
        ada: "normal",
        ben: "1A",
    }
    assert {row.reader_id: row.verdict for row in found.verdicts} == {ada: "agree", ben: "agree"}
    assert found.late == 2 + 3, "Ada's two, and the Chief's first read, verdict and second read"
    assert found.scans == last.scans == {THE_SCAN}


def test_only_the_cases_asked_for_count_as_seen(store: Store) -> None:
    ada, ben = reader(store, "Ada"), reader(store, "Ben")
    for who in (ada, ben):
        read(store, who)
        read(store, who, OTHER)
    found = answers_visible(store, ada, cases=[OTHER])
    assert found.scans == {(OTHER, hash_of(OTHER))} == seen_by(store, ada)
    assert {row.case_id for row in found.verdicts} == {OTHER}
