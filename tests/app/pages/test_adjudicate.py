"""Adjudicate: disagreements one by one, blinded to names, kept with a reason, undone."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from app.agreement.deciding import KEYS
from app.feedback.adjudications import decisions
from app.feedback.blinding import answers_visible
from app.feedback.store import SavedReader, Store, open_store, reader_for
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


def open_page(reader: SavedReader) -> AppTest:
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
    at.session_state["reader"] = reader
    at.switch_page("pages/adjudicate.py").run()
    assert not at.exception, at.exception
    return at


def standing(store: Store, reader: SavedReader) -> list[tuple[str, str, str]]:
    answers = answers_visible(store, reader.id, coordinator=True)
    return [(one.subject, one.decision, one.reason) for one in decisions(store, answers).values()]


def reason(at: AppTest, text: str) -> None:
    at.text_area[0].set_value(text)


def save(at: AppTest) -> AppTest:
    at.button(key="adjudicate_save").click().run()
    assert not at.exception, at.exception
    return at


def test_decide_both_with_names_hidden_until_then(store: Store, ada: SavedReader) -> None:
    at = open_page(ada)
    assert "which class is the scan?" in at.subheader[0].value
    said = at.dataframe[0].value
    assert sorted(said["Said"]) == ["2A", "normal"]
    assert sorted(said["Reader"]) == ["Reader 1", "Reader 2"]
    assert "Ben Brook" not in str(at.main)
    at.button(key="adjudicate_2A").click().run()
    reason(at, "Seen on both planes")
    save(at)
    assert standing(store, ada) == [("class", "2A", "Seen on both planes")]
    assert any(one.value.startswith("**Saved ") for one in at.markdown)
    at.segmented_control(key="adjudicate_shown").set_value("decided").run()
    assert "which class" in at.subheader[0].value
    assert sorted(at.dataframe[0].value["Reader"]) == ["Reader 1", "Reader 2"], "the flag is still open"
    assert "Ben Brook" not in str(at.main)
    at.segmented_control(key="adjudicate_shown").set_value("to decide").run()
    # On to the next one: the flag.
    assert "is this flag a finding?" in at.subheader[0].value
    assert "note" in str(at.dataframe[0].value["Note"].tolist())
    at.button(key="adjudicate_disagree").click().run()
    reason(at, "Partial volume")
    save(at)
    assert len(standing(store, ada)) == 2
    assert any("All disagreements are decided" in one.value for one in at.info)
    at.segmented_control(key="adjudicate_shown").set_value("decided").run()
    assert sorted(name.split(": ")[1] for name in at.dataframe[0].value["Reader"]) == [
        "Ada Adler",
        "Ben Brook",
    ]
    assert any("Partial volume" in one.value for one in at.text)  # the one decided last is open


def test_a_class_comes_with_notes_and_marks_by_number(
    store: Store, ada: SavedReader, record: CaseRecord
) -> None:
    miss(store, ada.id, record=record, at=(7.0, -3.0, 5.0), note="small, bright", finding_type="infarct")
    second(store, ada.id, record=record, classification="2A", note="watershed on both sides")
    at = open_page(ada)
    numbers = dict(zip(at.dataframe[0].value["Said"], at.dataframe[0].value["Reader"], strict=True))
    said = at.dataframe[1].value
    assert said["Reader"].tolist() == [numbers["2A"]] * 2
    assert said["Note"].tolist() == ["watershed on both sides", "small, bright"]
    assert said["What"].tolist() == ["scan", "mark"]
    assert said["x, y, z (mm)"].tolist() == ["", "7, −3, 5"]
    assert "Infarct" in said["Finding"].tolist()
    assert "Ada Adler" not in said.to_string()
    at.button(key="adjudicate_next").click().run()
    assert len(at.dataframe) == 1, "a flag has its own notes"


def test_keys_are_those_of_review(store: Store, ada: SavedReader) -> None:
    def keys(at: AppTest) -> dict[str, str]:
        return {
            one.label: one.proto.shortcut
            for one in at.button
            if str(one.key).removeprefix("adjudicate_") in KEYS and one.proto.shortcut
        }

    at = open_page(ada)
    assert keys(at) == {
        "Normal": "0",
        "1A": "1",
        "1B": "2",
        "2A": "3",
        "2B": "4",
        "3": "5",
        "Inadequate": "9",
    }
    at.button(key="adjudicate_next").click().run()
    assert {key: label.split(":")[0] for label, key in keys(at).items()} == {
        "a": "Agree",
        "d": "Disagree",
        "s": "Unsure",
    }


def test_a_decision_without_choice_or_reason_is_not_kept(store: Store, ada: SavedReader) -> None:
    at = open_page(ada)
    reason(at, "Why not")
    save(at)
    assert any("choose a decision first" in one.value for one in at.markdown)
    at.button(key="adjudicate_1A").click().run()
    reason(at, "   ")
    save(at)
    assert any("Give the reason first" in one.value for one in at.markdown)
    assert standing(store, ada) == []


def test_undo_opens_it_again(store: Store, ada: SavedReader) -> None:
    at = open_page(ada)
    assert at.button(key="adjudicate_undo").disabled
    at.button(key="adjudicate_3").click().run()
    reason(at, "x")
    save(at)
    at.button(key="adjudicate_undo").click().run()
    assert standing(store, ada) == []
    assert "which class" in at.subheader[0].value
    assert any("Taken back: 3" in one.value for one in at.markdown)


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
    at.button(key="adjudicate_2A").click().run()
    reason(at, "x")
    save(at)
    assert len(standing(store, ada)) == 1


def test_who_is_no_coordinator_decides_nothing(
    store: Store, ada: SavedReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FONTANELLE_COORDINATORS", "Somebody Else")
    settings.cache_clear()
    at = open_page(ada)
    assert "Only coordinators decide" in at.info[0].value
    assert not at.text_area


def test_who_has_still_to_read_the_scan_sees_nothing(
    store: Store, ada: SavedReader, record: CaseRecord
) -> None:
    cleo = reader_for(store, "Cleo", "typed")
    first(store, cleo.id, record=record)
    at = open_page(cleo)
    assert "You have 1 scan to finish" in at.info[0].value
    assert not at.dataframe
