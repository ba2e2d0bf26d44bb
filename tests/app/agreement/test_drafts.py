"""Drafts of decisions: one for each coordinator and question, gone when emptied."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.agreement.drafts import (
    DecisionDraft,
    address,
    draft_of,
    forget,
    keep,
    place,
    question_of,
    under_way,
)
from app.feedback.adjudications import Dispute
from app.feedback.store import Store, reader_for

OF_CLASS = Dispute("class", "sub-a_ses-01", "h" * 64, "vae", "k" * 64, "volume", "", {}, ())
FLAG = replace(OF_CLASS, subject="region", region_id="vr01")


def test_each_question_has_an_address_of_its_own_that_names_no_scan() -> None:
    others = [
        FLAG,
        replace(FLAG, region_id="vr02"),
        replace(FLAG, map="fused"),
        replace(OF_CLASS, case_id="b"),
    ]
    assert len({address(one) for one in (OF_CLASS, *others)}) == 5
    # Which analysis was open when the class was read is not part of the question.
    assert address(replace(OF_CLASS, model="restorer")) == address(OF_CLASS)
    assert "sub-a" not in address(OF_CLASS)


def test_a_place_is_its_reader_s_alone() -> None:
    told = place(12, FLAG)
    assert question_of(told, 12) == address(FLAG)
    assert question_of(told, 1) is None
    assert question_of("12.short", 12) is None


def test_a_draft_is_kept_replaced_and_forgotten(store: Store) -> None:
    ada, ben = (reader_for(store, name, "typed").id for name in ("Ada", "Ben"))
    at, other = address(FLAG), address(OF_CLASS)
    keep(store, ada, at, DecisionDraft("agree", "infarct", "ri"))
    keep(store, ada, at, DecisionDraft("agree", "infarct", "rim"))
    assert under_way(store, ada, at) == DecisionDraft("agree", "infarct", "rim")
    assert under_way(store, ben, at) is None
    assert under_way(store, ada, other) is None
    keep(store, ada, at, DecisionDraft())
    assert under_way(store, ada, at) is None
    forget(store, ada, at)  # nothing is there: no error


@pytest.mark.parametrize("told", [{}, {"decision": "agree", "finding_type": None, "reason": "x"}])
def test_what_is_no_draft_is_refused_by_name(told: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"(decision|finding_type) is None; expected a text"):
        draft_of(told)
