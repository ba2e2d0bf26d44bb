"""Disagreements and the decisions that end them."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from app.feedback.adjudications import (
    Dispute,
    SavedDecision,
    decide,
    decisions,
    disputes,
    labels,
    undo_decision,
)
from app.feedback.blinding import answers_visible
from app.feedback.database import Store, StoreError, transaction
from app.feedback.writing import new_id
from tests.app.feedback.conftest import region
from tests.app.feedback.readings import SCAN, assign, first, hash_of, judge, reader, second


@pytest.fixture
def three(store: Store) -> tuple[int, int, int]:
    """Three readers who differ on the class and on one of two regions."""
    ada, ben, cleo = reader(store, "Ada"), reader(store, "Ben"), reader(store, "Cleo")
    for one, verdict in ((ada, "agree"), (ben, "agree"), (cleo, "disagree")):
        judge(store, one, verdict, region_=region("r01", map="volume"), note=f"note {verdict}")  # type: ignore[arg-type]
        judge(store, one, "agree", region_=region("r02", map="volume"))
        second(store, one, classification="2A" if one == ada else "normal")
    return ada, ben, cleo


def found(store: Store, viewer: int) -> list[Dispute]:
    return disputes(answers_visible(store, viewer, coordinator=True))


def standing(store: Store, viewer: int) -> list[SavedDecision]:
    return list(decisions(store, answers_visible(store, viewer, coordinator=True)).values())


def test_only_disagreements_and_no_names(store: Store, three: tuple[int, int, int]) -> None:
    of_class, of_region = found(store, three[0])
    assert (of_class.subject, of_class.region_id) == ("class", "")
    assert sorted(vote.value for vote in of_class.votes) == ["2A", "normal", "normal"]
    assert (of_region.subject, of_region.region_id) == ("region", "r01")
    assert of_region.region["band"] == "4+"
    assert [vote.label for vote in of_region.votes] == ["Reader 1", "Reader 2", "Reader 3"]
    assert "Ada" not in repr([of_class, of_region])


def test_labels_are_the_same_within_a_scan_and_shuffled_between_scans() -> None:
    orders = {tuple(labels(f"sub-{n}", "h", [1, 2, 3]).items()) for n in range(30)}
    assert len(orders) == 6  # every order of three occurs
    assert labels("sub-1", "h", [3, 1, 2]) == labels("sub-1", "h", [1, 2, 3])


def test_open_scans_are_not_listed(store: Store, three: tuple[int, int, int]) -> None:
    dan = reader(store, "Dan")
    first(store, dan)
    assert found(store, three[0]) == []
    assert found(store, dan) == []


def test_a_reader_alone_disagrees_with_nobody_and_repeats_are_no_votes(store: Store) -> None:
    ada = reader(store, "Ada")
    assign(store, [ada])
    assign(store, [ada], pass_number=2, kind="repeat")
    judge(store, ada, "agree")
    judge(store, ada, "disagree", pass_number=2)
    second(store, ada)
    second(store, ada, classification="3", pass_number=2)
    assert found(store, ada) == []


def test_a_decision_needs_a_reason_and_an_allowed_value(store: Store, three: tuple[int, int, int]) -> None:
    of_class, of_region = found(store, three[0])
    with pytest.raises(StoreError, match="reason first"):
        decide(store, of_region, id=new_id(), reader_id=three[0], decision="agree", reason="  ")
    with pytest.raises(StoreError, match="'2A'; expected agree, disagree, unsure"):
        decide(store, of_region, id=new_id(), reader_id=three[0], decision="2A", reason="x")
    with pytest.raises(StoreError, match="'agree'; expected normal, 1A"):
        decide(store, of_class, id=new_id(), reader_id=three[0], decision="agree", reason="x")
    assert standing(store, three[0]) == []


def test_who_has_still_to_read_it_cannot_decide(store: Store, three: tuple[int, int, int]) -> None:
    of_class, _ = found(store, three[0])
    dan = reader(store, "Dan")
    first(store, dan)
    with pytest.raises(StoreError, match="not closed, or you have still to read it"):
        decide(store, of_class, id=new_id(), reader_id=dan, decision="2A", reason="x")


def test_decide_again_and_undo_twice(store: Store, three: tuple[int, int, int]) -> None:
    ada, ben, _ = three
    _, of_region = found(store, ada)
    key = new_id()
    one = decide(store, of_region, id=key, reader_id=ada, decision="agree", reason=" Seen on T1 ")
    assert decide(store, of_region, id=key, reader_id=ada, decision="agree", reason="Seen on T1") == one
    assert (one.reason, one.supersedes, one.region_id) == ("Seen on T1", None, "r01")
    two = decide(store, of_region, id=new_id(), reader_id=ada, decision="disagree", reason="Motion")
    assert two.supersedes == one.id
    assert [row.decision for row in standing(store, ada)] == ["disagree"]
    back = undo_decision(store, id=new_id(), reader_id=ada)
    assert back is not None
    assert back.retracted
    assert [row.decision for row in standing(store, ada)] == ["agree"]
    assert undo_decision(store, id=new_id(), reader_id=ben) is None  # not Ben's
    undo_decision(store, id=new_id(), reader_id=ada)
    assert standing(store, ada) == []
    assert undo_decision(store, id=new_id(), reader_id=ada) is None


def test_rows_are_never_changed(store: Store, three: tuple[int, int, int]) -> None:
    of_class, _ = found(store, three[0])
    decide(store, of_class, id=new_id(), reader_id=three[0], decision="2A", reason="x")
    for statement in ("UPDATE adjudication SET decision = '3'", "DELETE FROM adjudication"):
        with pytest.raises(StoreError), transaction(store, write=True) as session:
            session.execute(text(statement))


def test_decisions_on_a_scan_that_opened_again_are_hidden(store: Store, three: tuple[int, int, int]) -> None:
    of_class, _ = found(store, three[0])
    decide(store, of_class, id=new_id(), reader_id=three[0], decision="2A", reason="x")
    first(store, reader(store, "Dan"))
    assert standing(store, three[0]) == []
    assert of_class.case_id == SCAN
    assert of_class.input_hash == hash_of(SCAN)
