"""Adjudicate: disagreements one by one, blinded to names, kept with a reason, undone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import routes
from app.agreement import deciding
from app.agreement.decision import FORM
from app.agreement.drafts import under_way
from app.feedback.adjudications import decisions
from app.feedback.blinding import answers_visible
from app.feedback.store import SavedReader, Store, new_id, open_store, reader_for
from core.config import ROOT, settings
from core.io.derivatives import CasePaths, CaseRecord, read_regions
from tests.app.feedback.readings import first, judge, miss, second
from tests.casefactory import write_case


@pytest.fixture
def record(data_dir: object) -> CaseRecord:
    return write_case(settings().derivatives_dir)


@pytest.fixture
def store(record: CaseRecord) -> Store:
    return open_store(settings().store_url)


@pytest.fixture
def ada(store: Store, record: CaseRecord) -> SavedReader:
    """Ada and Ben differ on the class and on one flag."""
    ada, ben = reader_for(store, "Ada Adler", "typed"), reader_for(store, "Ben Brook", "typed")
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    regions = [one for one in read_regions(paths.regions(record.model)) if one.map == "volume"]
    for one, verdict in ((ada, "agree"), (ben, "disagree")):
        judge(store, one.id, verdict, record=record, region_=regions[0], note=f"{verdict} note")  # type: ignore[arg-type]
        judge(store, one.id, "agree", record=record, region_=regions[1])
        second(store, one.id, record=record, classification="2A" if one == ada else "normal")
    return ada


def open_page(reader: SavedReader, question: str = "") -> AppTest:
    """A session of its own; with ``question`` as after a reload: the page's address has it."""
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
    at.session_state["reader"] = reader
    if question:
        at.query_params["question"] = question[:16]
    at.switch_page("pages/adjudicate.py").run()
    assert not at.exception, at.exception
    return at


def standing(store: Store, reader: SavedReader) -> list[tuple[str, str, str]]:
    answers = answers_visible(store, reader.id, coordinator=True)
    return [(one.subject, one.decision, one.reason) for one in decisions(store, answers).values()]


def call(at: AppTest, callback: Callable[[], None], **said: Any) -> AppTest:
    """Let the form say something, as Streamlit does: the callback on the session, then the script."""
    before = {name: at.session_state[name] for name in [*at.session_state]}
    session = dict(before)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(st, "session_state", session | {FORM: said})
        callback()
        session = dict(st.session_state)
    for name, value in session.items():
        if name != FORM and (name not in before or before[name] is not value):
            at.session_state[name] = value
    return ran(at)


def ran(at: AppTest) -> AppTest:
    at.run()
    assert not at.exception, at.exception
    return at


def form(at: AppTest) -> dict[str, Any]:
    """What the form was sent."""
    sent = [json.loads(one.proto.json) for one in at.get("bidi_component") if FORM in one.proto.id]
    assert len(sent) == 1
    return dict(sent[0])


def typed(at: AppTest, decision: str = "", reason: str = "", finding: str = "", **more: Any) -> AppTest:
    """Choose and type, and pause."""
    draft = {"id": new_id(), "decision": decision, "finding_type": finding, "reason": reason}
    return call(
        at, deciding.on_typed, typed={"drafts": {more.get("place", form(at)["place"]): draft}, "told": 1}
    )


def save(at: AppTest, decision: str, reason: str, finding: str = "", **more: Any) -> AppTest:
    """Press Save, or Ctrl+Enter."""
    given = {"decision": decision, "finding_type": finding, "reason": reason, "told": 2, **more}
    return call(at, deciding.on_saved, saved={"id": new_id(), "place": form(at)["place"], **given})


def written(at: AppTest) -> str:
    """What readers said, as the page has it."""
    return "\n".join(one.proto.body for one in at.get("html"))


def test_decide_both_with_names_hidden_until_then(store: Store, ada: SavedReader) -> None:
    at = open_page(ada)
    assert "which class is the scan?" in at.subheader[0].value
    assert all(one in written(at) for one in (">2A<", ">Normal<", ">Reader 1<", ">Reader 2<"))
    assert "Ben Brook" not in str(at.main)
    save(at, "2A", "Seen on both planes")
    assert standing(store, ada) == [("class", "2A", "Seen on both planes")]
    assert form(at)["said"]["text"].startswith("Saved ")
    at.segmented_control(key="adjudicate_shown").set_value("decided").run()
    assert "which class" in at.subheader[0].value
    assert ">Reader 1<" in written(at), "the flag is still open"
    assert "Ben Brook" not in str(at.main)
    at.segmented_control(key="adjudicate_shown").set_value("to decide").run()
    # On to the next one: the flag.
    assert "is this flag a finding?" in at.subheader[0].value
    assert "disagree note" in written(at)
    save(at, "disagree", "Partial volume")
    assert len(standing(store, ada)) == 2
    assert any("All disagreements are decided" in one.value for one in at.info)
    assert any(one.value.startswith("**Saved ") for one in at.markdown)
    assert any("under “decided”, with readers' names" in one.value for one in at.info)
    at.button(key="adjudicate_show_decided").click().run()
    assert at.segmented_control(key="adjudicate_shown").value == "decided"
    assert all(f": {name}<" in written(at) for name in ("Ada Adler", "Ben Brook"))
    assert "Partial volume" in written(at)  # the one decided last is open
    save(at, "disagree", "Partial volume")
    assert "this decision stands already" in form(at)["said"]["text"]
    save(at, "unsure", "Partial volume?")
    assert standing(store, ada)[1] == ("region", "unsure", "Partial volume?")
    assert "is this flag" in at.subheader[0].value, "what is decided anew stays open"
    at.button(key="adjudicate_undo").click().run()
    assert standing(store, ada)[1] == ("region", "disagree", "Partial volume")
    assert at.segmented_control(key="adjudicate_shown").value == "decided"
    assert form(at)["value"]["reason"] == "Partial volume", "the decision before it stands again"


def test_a_class_comes_with_notes_and_marks_by_number(
    store: Store, ada: SavedReader, record: CaseRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    miss(store, ada.id, record=record, at=(7.0, -3.0, 5.0), note="small, <b>bright", finding_type="infarct")
    second(store, ada.id, record=record, classification="2A", note="watershed on both sides")
    at = open_page(ada)
    number = "Reader 1" if ">Reader 1</th><td class='said'>2A<" in written(at) else "Reader 2"
    assert f"<b>{number}</b> <span class='of'>on the scan, second read</span>\nwatershed on both sides" in (
        written(at)
    )
    assert "mark at 7, −3, 5 mm, Infarct, radius 4 mm, second read</span>\nsmall, &lt;b&gt;bright" in written(
        at
    )
    assert "Ada Adler" not in written(at)
    # Where the viewer is there, a mark is the way to it.
    monkeypatch.setattr(routes._served, "on", True)
    at = open_page(ada)
    mark = at.button(key="adjudicate_mark_0")
    assert mark.label == f"**{number}**: mark at 7, −3, 5 mm"
    mark.click().run()
    assert at.session_state["adjudicate_back"] == 1
    at.button(key="adjudicate_next").click().run()
    assert "watershed" not in written(at), "a flag has its own notes"


def test_keys_are_those_of_review(store: Store, ada: SavedReader) -> None:
    at = open_page(ada)
    assert form(at)["values"] == [
        ["normal", "Normal", "0"],
        ["1A", "1A", "1"],
        ["1B", "1B", "2"],
        ["2A", "2A", "3"],
        ["2B", "2B", "4"],
        ["3", "3", "5"],
        ["inadequate", "Inadequate", "9"],
    ]
    assert form(at)["terms"] is None
    at.button(key="adjudicate_next").click().run()
    assert [(one, key) for one, _, key in form(at)["values"]] == [
        ("agree", "a"),
        ("disagree", "d"),
        ("unsure", "s"),
    ]
    assert ["infarct", "Infarct"] in form(at)["terms"]


def test_a_decision_without_choice_or_reason_is_not_kept(store: Store, ada: SavedReader) -> None:
    at = open_page(ada)
    save(at, "", "Why not")
    assert form(at)["said"]["text"] == "Not saved: choose a decision first."
    assert form(at)["said"]["failed"] is True
    save(at, "1A", "   ")
    assert "Give the reason first" in form(at)["said"]["text"]
    assert list(form(at)["answered"].values()) == [False, False]
    assert "which class" in at.subheader[0].value, "it stays open"
    assert standing(store, ada) == []


def test_what_is_typed_is_each_question_s_own_and_survives_a_new_session(
    store: Store, ada: SavedReader
) -> None:
    at = open_page(ada)
    typed(at, "2B", "Rim goes on in")
    assert form(at)["value"] == {"decision": "2B", "finding_type": "", "reason": "Rim goes on in"}
    assert len(form(at)["kept"]) == 1
    at.button(key="adjudicate_next").click().run()
    assert form(at)["value"] == {"decision": "", "finding_type": "", "reason": ""}
    typed(at, "agree", "ves", "infarct")
    asked = at.session_state["adjudicate_at"]
    again = open_page(ada, asked)
    assert form(again)["value"] == {"decision": "agree", "finding_type": "infarct", "reason": "ves"}
    again.button(key="adjudicate_previous").click().run()
    assert form(again)["value"]["reason"] == "Rim goes on in"
    # No other reader has it, and none can write it.
    cleo = reader_for(store, "Cleo", "typed")
    other = open_page(cleo)
    assert form(other)["value"]["reason"] == ""
    typed(other, "normal", "mine now", place=form(again)["place"])
    assert form(ran(again))["value"]["reason"] == "Rim goes on in"
    assert form(other)["value"]["reason"] == ""


def test_a_draft_goes_with_its_decision(store: Store, ada: SavedReader) -> None:
    at = open_page(ada)
    place, question = form(at)["place"], at.session_state["adjudicate_at"]
    typed(at, "2B", "Rim")
    # Both words come in one run, the older one last.
    draft = {"id": "late", "decision": "2B", "finding_type": "", "reason": "Ri"}
    saved = {"id": new_id(), "place": place, "decision": "2B", "finding_type": "", "reason": "Rim", "told": 9}

    def both() -> None:
        deciding.on_saved()
        deciding.on_typed()

    call(at, both, saved=saved, typed={"drafts": {place: draft}, "told": 8})
    assert under_way(store, ada.id, question) is None
    assert form(at)["kept"][place] == "late", "the browser forgets it"
    # Sent again, as after a reload: kept once, and what is open stays open.
    call(at, deciding.on_saved, saved=saved | {"told": 10})
    assert standing(store, ada) == [("class", "2B", "Rim")]
    assert "is this flag" in at.subheader[0].value
    # What is decided opens where it is listed.
    again = open_page(ada, question)
    assert again.segmented_control(key="adjudicate_shown").value == "decided"
    assert "which class" in again.subheader[0].value
    assert form(again)["value"]["reason"] == "Rim"


def test_undo_opens_it_again_with_what_it_said(store: Store, ada: SavedReader) -> None:
    at = open_page(ada)
    assert at.button(key="adjudicate_undo").disabled
    save(at, "3", "x")
    at.segmented_control(key="adjudicate_shown").set_value("decided").run()
    at.button(key="adjudicate_undo").click().run()
    assert at.segmented_control(key="adjudicate_shown").value == "to decide"
    assert [one.value for one in at.warning if "Session State" in one.value] == []
    assert standing(store, ada) == []
    assert "which class" in at.subheader[0].value
    assert "Taken back: 3" in form(at)["said"]["text"]
    assert form(at)["value"] == {"decision": "3", "finding_type": "", "reason": "x"}


def test_next_and_previous(store: Store, ada: SavedReader) -> None:
    at = open_page(ada)
    assert at.button(key="adjudicate_previous").disabled
    at.button(key="adjudicate_next").click().run()
    assert "is this flag" in at.subheader[0].value
    assert at.button(key="adjudicate_next").disabled
    at.button(key="adjudicate_previous").click().run()
    assert "which class" in at.subheader[0].value


def test_without_the_viewer_the_server_draws_the_flag(store: Store, ada: SavedReader) -> None:
    at = open_page(ada)
    at.button(key="adjudicate_next").click().run()
    assert len(at.get("image")) == 1
    assert any("SYNTHETIC" in one.value and "radiological" in one.value for one in at.caption)
    assert not [one.label for one in at.button if "Review" in one.label], "no way into a read of one's own"


def test_without_the_analysis_a_decision_can_still_be_made(
    store: Store, ada: SavedReader, record: CaseRecord
) -> None:
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    paths.case_json(record.model).unlink()
    at = open_page(ada)
    assert "not on disk any more" in at.warning[0].value
    save(at, "2A", "x")
    assert len(standing(store, ada)) == 1


def test_who_is_no_coordinator_decides_nothing(
    store: Store, ada: SavedReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FONTANELLE_COORDINATORS", "Somebody Else")
    settings.cache_clear()
    at = open_page(ada)
    assert "Only coordinators decide" in at.info[0].value
    assert not [one for one in at.get("bidi_component") if FORM in one.proto.id]


def test_who_has_still_to_read_the_scan_sees_nothing(
    store: Store, ada: SavedReader, record: CaseRecord
) -> None:
    cleo = reader_for(store, "Cleo", "typed")
    first(store, cleo.id, record=record)
    at = open_page(cleo)
    assert "You have 1 scan to finish" in at.info[0].value
    assert "Reader 1" not in str(at.main)


def test_a_read_of_one_s_own_hides_its_scan_and_the_page_says_so(store: Store, ada: SavedReader) -> None:
    other = write_case(settings().derivatives_dir, "sub-other")
    ben, cleo = reader_for(store, "Ben Brook", "typed"), reader_for(store, "Cleo", "typed")
    for one, said in ((ada, "2A"), (ben, "normal")):
        second(store, one.id, record=other, classification=said)  # type: ignore[arg-type]

    def told(at: AppTest) -> tuple[str, list[str]]:
        links = [one.proto.label for one in at.get("page_link")]
        return at.get("progress")[0].proto.text, [label for label in links if "hidden" in label]

    assert told(open_page(cleo)) == ("1 of 3 listed · 0 of 3 decided", [])
    first(store, cleo.id, record=other)
    assert told(open_page(cleo)) == (
        "1 of 2 listed · 0 of 2 decided",
        ["1 scan hidden until you finish it"],
    )
