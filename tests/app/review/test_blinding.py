"""Before the first read is locked, nothing that a model made of the scan reaches the reader's browser."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import routes
from app.feedback.store import StoreError, reader_for
from app.review import marks, protocol
from core.config import settings
from core.io.derivatives import CasePaths, CaseRecord, read_regions
from tests.app.review.helpers import (
    components,
    flags_at_once,
    keyed,
    loaded,
    mark_at,
    marked,
    page,
    ran,
    reads,
    store,
    text,
    typed,
)
from tests.casefactory import DARK_RIGHT, write_case


@pytest.fixture
def case(data_dir: Any, monkeypatch: pytest.MonkeyPatch) -> CaseRecord:
    """One case of four, in a process that serves the volume routes."""
    monkeypatch.setattr(routes._served, "on", True)
    for name in ("sub-b", "sub-c", "sub-d"):
        write_case(settings().derivatives_dir, name, blocks=(DARK_RIGHT,))
    return write_case(settings().derivatives_dir, "sub-a")


def sent(at: AppTest) -> str:
    """Everything that the browser got: every element of the tree, its arguments and data."""
    found: list[str] = []

    def walk(node: Any) -> None:
        proto = getattr(node, "proto", None)
        # A component's script and style are the same for every scan.
        found.append(
            getattr(proto, "json", "") if getattr(node, "type", "") == "bidi_component" else str(proto)
        )
        for child in getattr(node, "children", {}).values():
            walk(child)

    walk(at._tree)
    return "\n".join(found)


def betrayals(case: CaseRecord) -> list[str]:
    """Words that only a model's opinion holds: regions, scores, maps, volumes, the names of networks."""
    paths = CasePaths(settings().derivatives_dir, case.subject, case.session)
    regions = read_regions(paths.regions(case.model))
    numbers = [f"{score:.4f}" for score in case.scores.values()]
    return [
        *(region.id for region in regions),
        *(f"{region.peak_z:+.1f}" for region in regions),
        *(number for number in numbers if number not in ("1.0000", "0.0000")),
        *("percentile", "MSE", "Normative", "normative", "z-volume", "reconstruction", case.model),
        *("regions read", "brighter", "darker", "Validation normals", "flags no region", "4+", "zmap"),
    ]


def locked(at: AppTest, case: CaseRecord, what: str = "1B") -> AppTest:
    keyed(at, case, ("class", what), ("class-sure", "4"))
    return keyed(at, case, ("finish", ""))


def test_the_words_would_betray(case: CaseRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test below can fail: with the flags shown at once, most of these words are there."""
    flags_at_once(monkeypatch)
    shown = sent(page())
    missing = [word for word in betrayals(case) if word not in shown]
    assert len(missing) < len(betrayals(case)) / 2, missing
    assert "regions read" in shown
    assert "z-volume" in shown


@pytest.mark.parametrize("served", [True, False])
def test_nothing_of_the_models_opinion_is_sent_before_the_lock(
    case: CaseRecord, served: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes._served, "on", served)
    # What an earlier case may have left in the session.
    at = page(reading_region="vr01", reading_map="normative", review_weak=True, review_asked_model="std_8x8")
    for _ in range(2):
        shown = sent(at)
        assert "Lock first read" in shown
        assert [word for word in betrayals(case) if word in shown] == []
        assert not at.dataframe
        ran(at)
    if served:
        viewer = components(at)["viewer"]
        assert sorted(viewer["volumes"]) == ["base", "mask"]
        assert viewer["blind"] is True
        assert viewer["regions"] == viewer["maps"] == []
        assert viewer["model"] == ""


def test_the_lock_shows_the_flags_and_can_not_be_taken_back(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case, blind=True))
    locked(at, case)
    first, second = reads(case)
    assert first is not None
    assert (first.classification, first.confidence, first.unaided, second) == ("1B", 4, True, None)
    assert "first read locked" in text(at)
    assert "0 of 2 regions read" in text(at)
    assert components(at)["viewer"]["blind"] is False
    assert "z-volume" in components(at)["viewer"]["volumes"]
    assert at.button(key="class_1B").proto.type == "primary", "the second read begins with the first's class"
    keyed(at, case, ("class", "3"), phase="first")
    keyed(at, case, ("finish", ""), phase="first")
    assert reads(case) == (first, None)


def test_another_reader_and_another_scan_stay_blind(case: CaseRecord) -> None:
    locked(page(), case)
    ada, bob = (reader_for(store(), name, "typed") for name in ("Ada", "Bob"))
    assert protocol.revealed(ada, case)
    assert not protocol.revealed(bob, case)
    assert not protocol.revealed(None, case)
    assert not protocol.revealed(ada, replace(case, input_hash="0" * 64)), "another scan under this name"
    assert "regions read" not in sent(page("Bob"))


def test_a_class_is_needed(case: CaseRecord) -> None:
    at = keyed(page(), case, ("finish", ""))
    assert "choose a class first" in text(at)
    assert reads(case) == (None, None)


def test_verdicts_before_the_lock_are_refused(case: CaseRecord) -> None:
    at = keyed(page(), case, ("agree", ""), region="vr01")
    assert "named no region" in text(at)
    at = keyed(at, case, ("agree", ""), region="vr01", phase="second")
    assert "came before the flags were shown" in text(at)
    locked(at, case)
    assert "0 of 2 regions read" in text(at)


def test_the_button_waits_for_the_viewer(case: CaseRecord) -> None:
    at = page()
    assert at.button(key="review_finish").disabled
    at.session_state["reading_loaded"] = loaded(case, blind=True)
    ran(at)
    at.button(key="class_normal").click()
    ran(at)
    at.button(key="confidence_5").click()
    ran(at)
    at.button(key="review_finish").click()
    ran(at)
    first, _ = reads(case)
    assert first is not None
    assert (first.classification, first.confidence) == ("normal", 5)


def test_marks_of_the_unaided_read_are_named_and_locked(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case, blind=True))
    mark_at(at, case, 1.0, -2.0, 3.5, radius=7.0)
    root = components(at)["desk"]["mark"]
    assert components(at)["desk"]["fresh"] is True
    keyed(at, case, ("type", "cyst"), ("sure", "2"), mark=root)
    typed(at, root, "near the ventricle")
    assert components(at)["desk"]["fresh"] is False
    locked(at, case)
    (mark,) = marked(case)
    assert (mark.phase, mark.finding_type, mark.confidence, mark.note, mark.radius_mm) == (
        *("first", "cyst", 2),
        *("near the ventricle", 7.0),
    )
    assert "first read · Cyst · confidence 2 · near the ventricle" in text(at)
    with pytest.raises(StoreError, match="locked"):
        marks.retract_missed(
            store(), id=marks.new_id(), missed_id=mark.id, reader_id=reader_for(store(), "Ada", "typed").id
        )


def test_the_second_read_tells_marks_apart_and_shows_the_first_note(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case, blind=True))
    mark_at(at, case, 1.0, -2.0, 3.5)
    typed(at, "case", "*left* is larger: 1.\n2")
    keyed(at, case, ("class-sure", "4"))
    locked(at, case, "2A")
    at.session_state["reading_loaded"] = loaded(case)
    ran(at)
    assert "**Missed by the flags** :gray[(0)]" in text(at)
    assert "**Marked in the first read** :gray[(1, locked)]" in text(at)
    line = r"Note of the first read (2A, confidence 4): \*left\* is larger\: 1\. 2"
    assert [one.value for one in at.caption if one.value.startswith("Note of")] == [line]
    mark_at(at, case, 3.0, -2.0, 3.5)
    assert "**Missed by the flags** :gray[(1)]" in text(at)
    assert "**Marked in the first read** :gray[(1, locked)]" in text(at)


def test_undo_takes_back_the_last_mark(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case, blind=True))
    for x in (1.0, 2.0):
        mark_at(at, case, x, -2.0, 3.5)
    keyed(at, case, ("undo", ""))
    assert [mark.x_mm for mark in marked(case)] == [1.0]
    keyed(at, case, ("undo", ""))
    keyed(at, case, ("undo", ""))
    assert marked(case) == []
    assert "nothing to undo" in text(at)


def test_an_inadequate_image_ends_the_case(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case, blind=True))
    locked(at, case, "inadequate")
    first, second = reads(case)
    assert first is not None
    assert (first.classification, second) == ("inadequate", None)
    assert at.session_state["reading"].record.case_id == "sub-b_ses-01", "on to the next case"
    assert "Lock first read" in sent(at)


def test_setting_off_reads_with_the_flags_at_once(case: CaseRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    flags_at_once(monkeypatch)
    at = page(reading_loaded=loaded(case))
    assert protocol.revealed(None, case)
    keyed(at, case, ("class", "2A"), ("finish", ""), ("finish", ""))  # two regions have no answer
    first, second = reads(case)
    assert first is None
    assert second is not None
    assert (second.classification, second.unaided) == ("2A", False)
