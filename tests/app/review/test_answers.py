"""Answers by key: each once, on what it names, whatever session sends it again."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from app import routes
from app.cases import address
from app.feedback.database import transaction
from app.feedback.drafts import keep_preference
from app.feedback.reads import events_of
from app.feedback.store import current_verdicts, history, new_id, reader_for
from app.review import answers, desk, marks, reading, whole
from core.config import settings
from core.io.derivatives import CasePaths, CaseRecord, read_regions
from tests.app.review.helpers import (
    call,
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
    """One case of three, its flags shown at once."""
    monkeypatch.setattr(routes._served, "on", True)
    flags_at_once(monkeypatch)
    for name in ("sub-b", "sub-c"):
        write_case(settings().derivatives_dir, name, blocks=(DARK_RIGHT,))
    return write_case(settings().derivatives_dir, "sub-a")


def said(case: CaseRecord) -> list[tuple[str, str, str, int | None]]:
    who = reader_for(store(), "Ada", "typed").id
    rows = history(store(), case_id=case.case_id, model=case.model, reader_id=who)
    return [(row.region_id, row.verdict, row.finding_type, row.confidence) for row in rows]


def judged(case: CaseRecord) -> Any:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    keyed(at, case, ("agree", ""), region="vr01")
    return keyed(at, case, ("disagree", ""), region="vr02")


def test_finding_and_confidence_follow_a_verdict_as_rows(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    keyed(at, case, ("agree", ""), ("type", "cyst"), ("sure", "4"), ("sure", "4"), ("sure", ""))
    assert said(case) == [
        ("vr01", "agree", "", None),
        ("vr01", "agree", "cyst", None),
        ("vr01", "agree", "cyst", 4),
        ("vr01", "agree", "cyst", None),
    ]
    assert at.button(key="verdict_agree").proto.type == "primary"


def test_a_finding_chosen_before_the_verdict_goes_with_it(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    keyed(at, case, ("type", "infarct"), ("sure", "2"))
    assert said(case) == []
    again = page(reading_loaded=loaded(case), reading_region="vr01")  # it outlives the session
    keyed(again, case, ("unsure", ""))
    assert said(case) == [("vr01", "unsure", "infarct", 2)]


def test_sent_again_by_another_session_nothing_is_doubled_and_no_page_turns(case: CaseRecord) -> None:
    at = judged(case)
    now = components(at)["desk"]
    shared = {"address": address(case), "region": "vr01", "map": "volume", "hash": now["hash"]}
    shared |= {"phase": "second", "mark": None, "active": None, "note": None, "remark": None}
    first = [
        {**shared, "id": new_id(), "what": what, "value": value, "session": now["session"]}
        for what, value in (("unsure", ""), ("class", "2A"), ("finish", ""), ("next", ""))
    ]
    call(at, answers.on_answers, **{desk.DESK: {"answers": first}})
    assert at.session_state["reading"].record.case_id != case.case_id, "saved, and on"
    before, read = said(case), reads(case)[1]
    assert read is not None
    later = page(case=address(case)[:16], reading_loaded=loaded(case))
    call(later, answers.on_answers, **{desk.DESK: {"answers": first}})
    assert later.session_state["reading"].record.case_id == case.case_id
    assert said(case) == before
    assert reads(case)[1] == read


def queued(at: Any, case: CaseRecord, *keys: tuple[str, str]) -> list[dict[str, Any]]:
    """Answers by key as the browser keeps them until it knows that they are in the store."""
    now = components(at)["desk"]
    shared = {"address": address(case), "region": "vr01", "map": "volume", "hash": now["hash"]}
    shared |= {"phase": "second", "mark": None, "active": None, "note": None, "remark": None}
    return [
        {**shared, "id": new_id(), "what": what, "value": value, "session": now["session"]}
        for what, value in keys
    ]


def test_answers_changed_since_and_sent_again_hold_up_nothing(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    sent = queued(at, case, ("agree", ""), ("type", "cyst"), ("disagree", ""))
    call(at, answers.on_answers, **{desk.DESK: {"answers": sent}})
    before = said(case)
    later = page(reading_loaded=loaded(case), reading_region="vr01")  # the server stopped before it told
    more = [*sent, *queued(later, case, ("unsure", ""))]
    call(later, answers.on_answers, **{desk.DESK: {"answers": more}})
    assert said(case) == [*before, ("vr01", "unsure", "cyst", None)]
    assert components(later)["desk"]["answered"] == [one["id"] for one in more]


def test_an_undo_sent_again_takes_back_nothing_more(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    keyed(at, case, ("agree", ""))
    mark_at(at, case, 0.0, 0.0, 0.0)
    assert len(marked(case)) == 1
    undo = queued(at, case, ("undo", ""))
    call(at, answers.on_answers, **{desk.DESK: {"answers": undo}})
    assert marked(case) == []
    later = page(reading_loaded=loaded(case), reading_region="vr01")
    call(later, answers.on_answers, **{desk.DESK: {"answers": undo}})
    assert said(case) == [("vr01", "agree", "", None)]


def test_undo_takes_the_newest_answer_whatever_map_it_was_on(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    mark_at(at, case, 0.0, 0.0, 0.0)
    paths = CasePaths(settings().derivatives_dir, case.subject, case.session)
    other = next(one for one in read_regions(paths.regions(case.model)) if one.map == "normative")
    keyed(at, case, ("agree", ""), region=other.id, map="normative")
    keyed(at, case, ("undo", ""))  # the volume map is on screen
    assert len(marked(case)) == 1
    who = reader_for(store(), "Ada", "typed").id
    assert history(store(), case_id=case.case_id, model=case.model, reader_id=who)[-1].retracted


def test_the_next_reader_of_a_session_does_not_hear_the_last_ones_answer(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    keyed(at, case, ("class", "2A"))
    assert "class 2A" in text(at)
    at.session_state["reader"] = reader_for(store(), "Bob", "typed")
    ran(at)
    assert "2A" not in components(at)["desk"]["said"]["text"]


def test_the_next_reader_of_a_session_is_not_sent_the_last_ones_notes(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    typed(at, "region", "left horn")
    assert "left horn" in components(at)["note"]["kept"].values()
    at.session_state["reader"] = reader_for(store(), "Bob", "typed")
    ran(at)
    assert components(at)["note"]["kept"] == {}


def test_save_goes_on_round_the_list_and_says_when_all_is_read(case: CaseRecord) -> None:
    at = judged(case)
    opened = []
    for _ in range(3):
        record = at.session_state["reading"].record
        opened.append(record.case_id)
        keyed(at, record, ("class", "normal"), ("finish", ""), ("finish", ""))
        assert ("**All read.**" in text(at)) == (len(opened) == 3)
    assert opened == ["sub-a_ses-01", "sub-b_ses-01", "sub-c_ses-01"]
    assert "That was the last case" in text(at)
    assert at.button(key="review_over").label == "Back to Worklist"


def test_a_reader_may_stay_with_a_saved_case(case: CaseRecord) -> None:
    keep_preference(store(), reader_for(store(), "Ada", "typed").id, whole.ADVANCE, "off")
    at = judged(case)
    keyed(at, case, ("class", "1A"), ("finish", ""))
    assert at.session_state["reading"].record.case_id == case.case_id
    keyed(at, case, ("class", "1B"), ("finish", ""))  # a change of mind supersedes
    second = reads(case)[1]
    assert second is not None
    assert (second.classification, second.supersedes is None) == ("1B", False)


def test_regions_without_answer_are_pointed_out_once(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case))
    keyed(at, case, ("class", "normal"), ("finish", ""))
    assert "2 regions have no answer" in text(at)
    assert reads(case) == (None, None)
    keyed(at, case, ("finish", ""))
    assert reads(case)[1] is not None


def test_active_seconds_of_each_run_add_up(case: CaseRecord) -> None:
    at = judged(case)
    clock = at.session_state["reading"].clock
    report = {"address": address(case), "phase": clock, "run": "run-1", "seconds": 20}
    call(at, whole.on_active, reading_viewer={"active": report})
    call(at, whole.on_active, reading_viewer={"active": report | {"seconds": 12}})  # came late
    call(
        at,
        whole.on_active,
        reading_viewer={"active": report | {"phase": clock.replace("second", "first"), "seconds": 99}},
    )
    call(at, whole.on_active, reading_viewer={"active": report | {"phase": "second", "seconds": 99}})
    call(at, whole.on_active, reading_viewer={"active": report | {"address": "0" * 64, "seconds": 99}})
    at = page(reading_loaded=loaded(case))  # a reload: another run
    keyed(at, case, ("class", "normal"))
    keyed(at, case, ("finish", ""), active=report | {"run": "run-2", "seconds": 7})
    second = reads(case)[1]
    assert second is not None
    assert second.active_seconds == 27.0


def test_skip_wants_a_reason_and_goes_on(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case))
    call(at, lambda: whole.skip("  "))
    assert "Say why first" in text(at)
    call(at, lambda: whole.skip("earlier scan needed"))
    assert at.session_state["reading"].record.case_id == "sub-b_ses-01"
    ran(at)
    events = events_of(store(), reader_for(store(), "Ada", "typed").id)
    assert [(one.case_id, one.kind, one.detail) for one in events] == [
        ("sub-a_ses-01", "opened", "order: listed"),
        ("sub-a_ses-01", "skipped", "earlier scan needed"),
        ("sub-b_ses-01", "opened", "order: listed"),
    ]


def test_an_answer_for_another_brain_is_refused(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    keyed(at, case, ("agree", ""), hash="0" * 64)
    assert "named an analysis or map that is not on screen" in text(at)
    who = reader_for(store(), "Ada", "typed").id
    given: dict[str, Any] = {
        "case_id": case.case_id,
        "model": case.model,
        "case_key": case.key,
        "map": "volume",
    }
    assert current_verdicts(store(), **given, reader_id=who) == {}


def test_dialogs_skip_a_case_and_edit_the_vocabulary(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case))
    at.button(key="review_skip").click()
    ran(at)
    at.text_input(key="review_skip_reason").set_value("motion")
    next(button for button in at.button if button.label == "Skip").click()
    ran(at)
    assert at.session_state["reading"].record.case_id == "sub-b_ses-01"
    at.button(key="review_terms").click()
    ran(at)
    at.text_input(key="terms_new").set_value("Motion ghost")
    at.button(key="terms_add").click()
    ran(at)
    assert ["motion_ghost", "Motion ghost"] in components(at)["desk"]["terms"]


def test_only_coordinators_edit_the_vocabulary(case: CaseRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FONTANELLE_COORDINATORS", "Bob")
    settings.cache_clear()
    assert not [button for button in page().button if button.key == "review_terms"]
    assert [button for button in page("Bob").button if button.key == "review_terms"]


def notes(case: CaseRecord) -> list[tuple[str, str, str, bool]]:
    who = reader_for(store(), "Ada", "typed").id
    rows = history(store(), case_id=case.case_id, model=case.model, reader_id=who)
    return [(row.region_id, row.verdict, row.note, row.retracted) for row in rows]


def test_a_note_left_after_its_verdict_is_a_verdict_of_its_own(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    keyed(at, case, ("agree", ""), ("type", "cyst"), ("sure", "4"))
    typed(at, "region", "round, no rim")
    assert [row[2] for row in notes(case)] == ["", "", ""], "a pause is not the end of a note"
    typed(at, "region", "round, no rim", left=True)
    assert notes(case)[3:] == [("vr01", "agree", "round, no rim", False)]
    assert said(case)[3:] == [("vr01", "agree", "cyst", 4)]
    assert "saved" in components(at)["desk"]["said"]["text"]
    typed(at, "region", "round, no rim", left=True)  # once more, unchanged
    assert len(notes(case)) == 4
    keyed(at, case, ("undo", ""))
    assert components(at)["note"]["value"] == "", "the note goes with the answer taken back"
    keyed(at, case, ("class", "2A"), ("finish", ""), ("finish", ""))
    assert [row for row in notes(case)[4:] if not row[3]] == []


def test_a_note_left_before_the_verdict_waits_for_it(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    typed(at, "region", "vessel", left=True)
    assert notes(case) == []
    keyed(at, case, ("disagree", ""))
    assert notes(case) == [("vr01", "disagree", "vessel", False)]


@pytest.mark.parametrize("saved", [False, True])
def test_saving_a_read_saves_notes_that_are_drafts_yet(case: CaseRecord, saved: bool) -> None:
    keep_preference(store(), reader_for(store(), "Ada", "typed").id, whole.ADVANCE, "off")
    at = judged(case)
    keyed(at, case, ("class", "2A"))
    if saved:  # a note on what was saved already
        keyed(at, case, ("finish", ""))
    at.session_state["reading_region"] = "vr01"
    ran(at)
    typed(at, "region", "kept by a pause only")
    assert len(notes(case)) == 2
    keyed(at, case, ("finish", ""))
    assert reads(case)[1] is not None
    assert notes(case)[2:] == [("vr01", "agree", "kept by a pause only", False)]


def test_a_note_as_typed_comes_with_the_end_of_the_read(case: CaseRecord) -> None:
    at = judged(case)
    keyed(at, case, ("class", "2A"), ("finish", ""), region="vr02", note="motion")
    assert notes(case)[-1] == ("vr02", "disagree", "motion", False)


def test_a_mark_keeps_a_note_when_it_is_left_and_is_the_last_after_a_reload(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case))
    for x in (0.0, 2.0):
        mark_at(at, case, x, 0.0, 0.0)
    first, last = (one.id for one in marked(case))
    typed(at, first, "small", left=True)
    assert [one.note for one in marked(case) if one.x_mm == 0.0] == ["small"]
    again = page(reading_loaded=loaded(case))
    assert components(again)["desk"]["mark"] == last


def test_the_address_follows_the_open_case(case: CaseRecord) -> None:
    at = judged(case)
    assert at.query_params["case"] in (address(case)[:16], [address(case)[:16]])
    keyed(at, case, ("class", "2A"), ("finish", ""))
    now = at.session_state["reading"].record
    assert now.case_id == "sub-b_ses-01"
    assert at.query_params["case"] in (address(now)[:16], [address(now)[:16]])
    at.query_params["case"] = address(case)[:16]  # the browser's came late
    ran(at)
    assert at.session_state["reading"].record == now
    assert at.query_params["case"] in (address(now)[:16], [address(now)[:16]])


def refused(at: Any) -> list[str]:
    """What the desk tells of answers that were refused for good."""
    return [words for _, words in components(at)["desk"]["refused"]]


def test_an_answer_refused_for_good_is_told_and_the_next_is_heard(case: CaseRecord) -> None:
    """It would be refused each time that it is sent."""
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    taken, *more = queued(at, case, ("agree", ""), ("disagree", ""), ("class", "2A"))
    call(at, answers.on_answers, **{desk.DESK: {"answers": [taken | {"id": "no UUID"}, *more]}})
    assert refused(at) == [
        "agree, region vr01 of sub-a_ses-01: 'no UUID' is not a UUID such as new_id() makes."
    ]
    assert said(case) == [("vr01", "disagree", "", None)]
    assert components(at)["desk"]["answered"] == ["no UUID", *(one["id"] for one in more)]


def test_an_answer_that_can_t_be_read_holds_up_nothing(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    old, more = queued(at, case, ("agree", ""), ("unsure", ""))
    del old["phase"]  # of a page of an earlier version
    call(at, answers.on_answers, **{desk.DESK: {"answers": [old, more]}})
    assert "can't be read ('phase'); reload the page" in refused(at)[0]
    assert said(case) == [("vr01", "unsure", "", None)]


def test_what_one_of_several_answers_lacked_is_told_beside_the_others(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    keyed(at, case, ("agree", ""), ("disagree", ""), region="gone")
    assert refused(at) == [
        "agree, region gone of sub-a_ses-01: the answer named no region of this analysis. Answer again."
    ]
    assert "named no region" in text(at), "of the last, the line tells"


@pytest.mark.parametrize("words", ["database is locked", "server closed the connection unexpectedly"])
def test_a_database_that_is_gone_for_a_while_is_asked_again(
    case: CaseRecord, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    sent = queued(at, case, ("agree", ""), ("class", "2A"))

    def locked(*_: Any, **__: Any) -> None:
        with transaction(store(), write=True):
            raise OperationalError("INSERT", {}, Exception(words))

    with monkeypatch.context() as patch:
        patch.setattr("app.review.said.add_verdict", locked)
        call(at, answers.on_answers, **{desk.DESK: {"answers": sent}})
    assert components(at)["desk"]["answered"] == []
    assert refused(at) == []
    assert said(case) == []
    call(at, answers.on_answers, **{desk.DESK: {"answers": sent}})
    assert said(case) == [("vr01", "agree", "", None)]


def test_a_note_of_a_refused_answer_stays_with_the_reader(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    (sent,) = queued(at, case, ("agree", ""))
    call(at, answers.on_answers, **{desk.DESK: {"answers": [sent | {"id": "no UUID", "note": "left horn"}]}})
    assert said(case) == []
    assert components(at)["note"]["kept"] == {}, "the browser must not forget it"


@pytest.mark.parametrize("redrawn", [False, True])
def test_what_another_tab_changed_is_not_locked_unseen(case: CaseRecord, redrawn: bool) -> None:
    one = page(reading_loaded=loaded(case))
    keyed(one, case, ("class", "2A"))
    typed(one, "case", "tab one note")
    two = page(reading_loaded=loaded(case))
    keyed(two, case, ("class", "1A"), ("class-sure", "2"))
    typed(two, "case", "tab one notetab two note")
    if redrawn:
        ran(one)
        assert "This read was changed in another tab" in text(one)
    remark = components(one)["remark"]["value"]
    keyed(one, case, ("finish", ""), remark=remark)
    assert reads(case)[1] is None
    line = components(one)["desk"]["said"]
    assert line["failed"]
    assert "changed in another tab" in line["text"]
    assert line["text"].endswith("press f once more.")
    assert components(one)["remark"]["value"] == "tab one notetab two note", "what is stored is shown"
    typed(one, "case", "tab one note")  # put right, though this tab had kept these very words before
    keyed(one, case, ("class", "2A"), ("class-sure", ""))
    keep_preference(store(), reader_for(store(), "Ada", "typed").id, whole.ADVANCE, "off")
    keyed(one, case, ("finish", ""), ("finish", ""), remark="tab one note")
    saved = reads(case)[1]
    assert saved is not None
    assert (saved.classification, saved.confidence, saved.note) == ("2A", None, "tab one note")


def test_a_mark_is_what_is_spoken_of_until_a_region_is_chosen(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case), reading_region="vr01")
    assert components(at)["desk"]["newest"] is False
    mark_at(at, case, 0.0, 0.0, 0.0)
    (mark,) = marked(case)
    now = components(at)["desk"]
    assert (now["mark"], now["region"], now["newest"]) == (mark.id, "vr01", True)
    chosen = {"selected": {"case": case.case_id, "id": "vr02", "pick": 1}}
    call(at, reading.on_selected, reading_viewer=chosen)
    now = components(at)["desk"]
    assert (now["region"], now["newest"]) == ("vr02", False)


def test_what_failed_on_one_case_is_not_said_of_the_next(case: CaseRecord) -> None:
    at = page(reading_loaded=loaded(case))
    mark_at(at, case, 0.0, 0.0, 0.0)
    root, scan = marked(case)[0].id, at.session_state["reading"].scan
    keyed(at, case, ("undo", ""))
    keyed(at, case, ("type", "cyst"), mark=root)
    assert text(at).endswith("Not saved: this mark was taken back.")
    keyed(at, case, ("next", ""))
    assert at.session_state["reading"].record.case_id != case.case_id
    assert "Not saved" not in text(at)
    call(at, lambda: marks.choose(scan, root, "confidence", "late"), late=5)
    assert "Not saved" not in text(at), "an echo of the case before"
    keyed(at, case, ("type", "cyst"), mark=root)
    assert "Not saved" not in text(at)


def test_a_session_that_has_not_heard_of_the_viewer_asks_it_again(case: CaseRecord) -> None:
    assert components(page())["viewer"]["heard"] is False
    assert components(page(reading_loaded=loaded(case)))["viewer"]["heard"] == loaded(case)
