"""What Adjudicate's viewer gets: the flag in question alone, readers' marks by number, no read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from app.agreement.look import question, scene, spots
from app.agreement.pictures import case_of
from app.feedback.adjudications import Dispute, disputes
from app.feedback.blinding import Answers, answers_visible
from app.feedback.store import open_store, reader_for
from app.review.scene import material
from app.viewer.component import looking, payload
from core.config import settings
from core.io.derivatives import CasePaths, CaseRecord, read_regions
from tests.app.feedback.readings import judge, miss, second
from tests.casefactory import write_case


@pytest.fixture
def record(data_dir: object) -> CaseRecord:
    return write_case(settings().derivatives_dir)


@pytest.fixture
def answers(record: CaseRecord) -> Answers:
    """Ada and Ben differ on the class and on the dark flag; each has marked a finding."""
    store = open_store(settings().store_url)
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    dark = next(one for one in read_regions(paths.regions(record.model)) if one.id == "vr02")
    for name, verdict, x in (("Ada Adler", "agree", 7.0), ("Ben Brook", "disagree", -7.0)):
        who = reader_for(store, name, "typed").id
        judge(store, who, verdict, record=record, region_=dark)  # type: ignore[arg-type]
        miss(store, who, record=record, at=(x, -3.0, 5.0))
        second(store, who, record=record, classification="2A" if x > 0 else "normal")
    return answers_visible(store, reader_for(store, "Cleo", "typed").id, coordinator=True)


def sent(dispute: Dispute, answers: Answers, place: int | None = None) -> dict[str, Any]:
    case = case_of(dispute)
    assert case is not None
    paths = CasePaths(settings().derivatives_dir, case.record.subject, case.record.session)
    return payload(scene(case, dispute, material(paths, case.record), spots(dispute, answers), place, 0))


def test_of_a_flag_its_own_map_and_its_peak(answers: Answers) -> None:
    flag = next(one for one in disputes(answers) if one.subject == "region")
    got = sent(flag, answers)
    assert set(got["volumes"]) == {"base", "mask", "reconstruction", "z-volume"}
    assert [one["id"] for one in got["regions"]] == ["vr02"] == [got["selected"]]
    # Voxel (13, 7, 7) of 2 × 2 × 2.5 mm around the grid's middle.
    assert got["jump"]["mm"] == pytest.approx((7.0, -11.0, -8.75))
    assert (got["phase"], got["health"], got["blind"], got["weak"]) == ("", "", False, False)
    assert got["look"] == question(flag)


def test_of_a_class_no_flag_and_the_mark_that_is_asked_for(answers: Answers) -> None:
    of_class = next(one for one in disputes(answers) if one.subject == "class")
    got = sent(of_class, answers, 1)
    assert (got["regions"], got["selected"]) == ([], None)
    assert {"z-volume", "z-normative"} <= set(got["volumes"])
    marked = got["missed"]
    assert [one["label"] for one in marked] == ["1", "2"]
    assert got["jump"]["mm"] == marked[1]["mm"]
    assert sent(of_class, answers)["jump"] is None


def test_no_name_leaves_for_the_browser(answers: Answers) -> None:
    for dispute in disputes(answers):
        text = json.dumps(sent(dispute, answers))
        assert "Ada" not in text
        assert "Ben" not in text


def test_looking_counts_no_seconds_and_asks_a_question(answers: Answers) -> None:
    dispute = disputes(answers)[0]
    case = case_of(dispute)
    assert case is not None
    paths = CasePaths(settings().derivatives_dir, case.record.subject, case.record.session)
    shown = scene(case, dispute, material(paths, case.record), [], None, 0)
    for wrong in (replace(shown, look=""), replace(shown, phase="second")):
        with pytest.raises(ValueError, match="expected a question and no phase"):
            looking(wrong, key="k", on_unsupported=lambda: None)
