"""Assigning by a coordinator, and what of it its readers see."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import text, update
from streamlit.testing.v1 import AppTest

from app import routes
from app.assign.running import HIDDEN, table
from app.cases import address
from app.feedback.assignments import BatchInput, batches, close_batch, make_batch
from app.feedback.database import transaction
from app.feedback.models import Assignment, AssignmentBatch
from app.feedback.planning import PlanCase
from app.feedback.reads import add_event, events_of
from app.feedback.serving import serving
from app.feedback.store import Store, new_id, open_store, reader_for
from core.config import ROOT, settings
from core.io.derivatives import CaseRecord
from tests.app.feedback.readings import assign, first, judge, miss, second
from tests.app.test_blinding import _words
from tests.casefactory import write_case

PAGES = ("worklist", "review", "compare", "agreement", "adjudicate", "cohort", "teach", "about")
MAIN = str(ROOT / "app" / "main.py")


def store() -> Store:
    return open_store(settings().store_url)


def run(page: str, who: str, **state: Any) -> AppTest:
    at = AppTest.from_file(MAIN, default_timeout=60)
    at.session_state["reader"] = reader_for(store(), who, "typed")
    for name, value in state.items():
        at.session_state[name] = value
    at.switch_page(f"pages/{page}.py").run()
    assert not at.exception, at.exception
    return at


@pytest.fixture
def records(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> list[CaseRecord]:
    """Four scans, of which the app serves volumes."""
    monkeypatch.setattr(routes._served, "on", True)
    monkeypatch.setenv("FONTANELLE_COORDINATORS", "Cora")
    settings.cache_clear()
    return [write_case(settings().derivatives_dir, f"sub-{letter}", age_weeks=38.25) for letter in "abcd"]


def plain(record: CaseRecord) -> PlanCase:
    return PlanCase(record.case_id, record.input_hash)


def given(records: list[CaseRecord], *names: str, **changes: Any) -> str:
    """A batch of the first three for these readers; its id."""
    values: dict[str, Any] = {
        "id": new_id(),
        "name": "Pilot",
        "created_by": reader_for(store(), "Cora", "typed").id,
        "cases": tuple(plain(one) for one in records[:3]),
        "readers": tuple(reader_for(store(), name, "typed").id for name in names or ("Ada",)),
        "readers_per_case": max(1, len(names)),
        "ordering": "given",
        "seed": 1,
        "gap": 2,
        "model": records[0].model,
    }
    return make_batch(store(), BatchInput(**(values | changes)))


def test_only_coordinators_assign(records: list[CaseRecord]) -> None:
    at = run("assign", "Ada")
    assert "assigned by coordinators" in at.info[0].value
    assert not at.button or all(button.key == "change_reader" for button in at.button)
    assert not at.tabs


def test_a_batch_is_made_from_the_page_and_logged(records: list[CaseRecord]) -> None:
    at = run("assign", "Cora")
    assert "No batch yet" in "\n".join(one.value for one in at.caption)
    at.text_input(key="assign_name_0").set_value("Pilot")
    at.multiselect(key="assign_planted").set_value([address(records[3])[:16]])
    at.session_state["assign_readers"] = ["Ada", "Ben"]
    at.run()
    assert not at.multiselect(key="assign_cases_0").value, "nothing is taken unasked"
    assert "assign_make" not in [button.key for button in at.button]
    at.button(key="assign_all").click().run()
    at.selectbox(key="assign_known_sub-d_ses-01").select("2A")
    at.number_input(key="assign_k_2").set_value(2)
    at.number_input(key="assign_repeat").set_value(34).run()
    at.number_input(key="assign_gap").set_value(50).run()
    assert "too short to serve 1 again" in at.warning[0].value
    assert "assign_make" not in [button.key for button in at.button]
    at.number_input(key="assign_gap").set_value(2).run()
    preview = next(one.value for one in at.dataframe if "Again" in one.value)
    assert preview[["Cases", "Again", "Planted", "In all"]].to_numpy().tolist() == [[3, 1, 1, 5]] * 2
    total = "#### 10 readings: 3 cases, 2 readers, 2 for each case, 1 planted, 2 read again"
    assert total in [one.value for one in at.markdown]
    at.button(key="assign_make").click().run()
    assert not at.exception, at.exception
    assert "Made." in at.success[0].value
    found = batches(store())[0]
    assert (found.name, found.created_by, found.readers_per_case) == ("Pilot", "Cora", 2)
    assert found.settings["known"] == {"sub-d_ses-01": "2A"}
    assert found.settings["chosen"]["model"] == records[0].model
    assert {one.name: one.assigned for one in found.progress} == {"Ada": 5, "Ben": 5}
    # No case is chosen any more: no second batch by a second click.
    assert not at.multiselect(key="assign_cases_1").value
    assert "assign_make" not in [button.key for button in at.button]


def test_the_next_batch_is_begun_where_it_is_typed(records: list[CaseRecord]) -> None:
    def place() -> int:
        """Of the tabs on the page: where it changes, the browser begins them anew with the first."""
        return next(at for at, block in page.main.children.items() if block.type == "tab_container")

    page = run("assign", "Cora", assign_readers=["Ada"])
    before = place()
    page.session_state["assign_tab"] = "New batch"
    page.text_input(key="assign_name_0").set_value("Pilot")
    page.button(key="assign_all").click().run()
    page.button(key="assign_make").click().run()
    assert "Made." in page.success[0].value
    assert (page.session_state["assign_tab"], place()) == ("Batches", before), "where the new batch stands"
    page.session_state["assign_tab"] = "New batch"
    page.text_input(key="assign_name_1").set_value("Next").run()
    assert not page.success
    assert (page.session_state["assign_tab"], place()) == ("New batch", before)


def test_some_cases_are_taken_and_a_planted_one_is_none_of_them(records: list[CaseRecord]) -> None:
    at = run("assign", "Cora")
    at.text_input(key="assign_name_0").set_value("Pilot")
    at.session_state["assign_readers"] = ["Ada"]
    at.multiselect(key="assign_cases_0").set_value(
        [address(one)[:16] for one in (records[2], records[0])]
    ).run()
    assert "#### 2 readings: 2 cases, 1 reader, 1 for each case" in [one.value for one in at.markdown]
    assert [one.label for one in at.multiselect if one.proto.select_all] == ["Split", "Status"]
    at.button(key="assign_all").click().run()
    at.multiselect(key="assign_planted").set_value([address(records[0])[:16]]).run()
    assert not at.exception, at.exception
    assert "#### 4 readings: 3 cases, 1 reader, 1 for each case, 1 planted" in [
        one.value for one in at.markdown
    ]


def test_a_planted_scan_without_a_known_answer_is_refused(records: list[CaseRecord]) -> None:
    at = run("assign", "Cora")
    at.text_input(key="assign_name_0").set_value("Pilot")
    at.multiselect(key="assign_planted").set_value([address(records[3])[:16]])
    at.session_state["assign_readers"] = ["Ada"]
    at.run()
    at.button(key="assign_all").click().run()
    at.button(key="assign_make").click().run()
    assert "sub-d_ses-01 is planted: say what is known" in at.error[0].value
    assert batches(store()) == []


def test_progress_by_number_csv_and_calling_off(records: list[CaseRecord]) -> None:
    id = given(records, "Ada", "=Ben", repeat_fraction=1 / 3)
    ada = reader_for(store(), "Ada", "typed").id
    second(store(), ada, record=records[0], classification="2B", note="zq7marker")
    at = run("assign", "Cora")
    shown = next(one.value for one in at.dataframe if "Skipped" in one.value)
    assert shown[["Reader", "Scans", "Done"]].to_numpy().tolist() == [["=Ben", 4, 0], ["Ada", 4, 1]]
    assert "zq7marker" not in "\n".join(_words(at))
    cora = reader_for(store(), "Cora", "typed")
    lines = table(store(), batches(store())[0], cora).splitlines()
    assert lines[0] == "reader,position,case_id,input_hash,pass_number,kind,done"
    assert len(lines) == 9
    assert lines[1].startswith("'=Ben,1,sub-a_ses-01")
    assert lines[-1].endswith(",2,repeat,False")
    at.button(key=f"assign_off_{id}").click().run()
    assert batches(store())[0].settings["closed_by"] == reader_for(store(), "Cora", "typed").id
    assert "called off" in "\n".join(one.value for one in at.caption)


def test_a_coordinator_who_reads_in_a_batch_does_not_see_its_plan(records: list[CaseRecord]) -> None:
    given(records, "Cora", planted=(plain(records[3]),), known={"sub-d_ses-01": "3"})
    said = "\n".join(_words(run("assign", "Cora")))
    assert "1 planted" not in said
    assert "sub-d_ses-01: " not in said.replace('"', "")
    cora = reader_for(store(), "Cora", "typed").id
    for record in records:
        second(store(), cora, record=record)
    assert "1 planted" in "\n".join(_words(run("assign", "Cora")))


def test_a_plan_that_tells_of_scans_owed_to_another_batch_is_hidden(records: list[CaseRecord]) -> None:
    """Its known answers and scores stand in it, whichever batch asks for the reading."""
    given(records, "Ada", planted=(plain(records[3]),), known={"sub-d_ses-01": "3"})
    cora = reader_for(store(), "Cora", "typed")
    (batch,) = batches(store())
    assert "1 planted" in "\n".join(_words(run("assign", "Cora")))
    assign(store(), [cora.id], records[3].case_id, input_hash=records[3].input_hash)
    said = "\n".join(_words(run("assign", "Cora")))
    assert "1 planted" not in said
    assert "sub-d_ses-01: " not in said.replace('"', "")
    assert table(store(), batch, cora) == f"{HIDDEN}\n", "of a page drawn before, too"
    second(store(), cora.id, record=records[3])
    assert "1 planted" in "\n".join(_words(run("assign", "Cora")))
    assert "planted" in table(store(), batch, cora)


def test_a_reader_s_list_names_neither_scans_nor_what_they_are_served_for(records: list[CaseRecord]) -> None:
    given(records, repeat_fraction=1 / 3, planted=(plain(records[3]),), known={"sub-d_ses-01": "2A"})
    ada = reader_for(store(), "Ada", "typed").id
    at = run("worklist", "Ada")
    assert list(at.dataframe[0].value.columns) == ["No.", "Status"]
    assert list(at.dataframe[0].value["Status"]) == ["new"] * 5
    assert at.get("progress")[0].proto.text == "0 of 5 read"
    assert len(at.dataframe) == 1, "every scan is assigned: there is no other list"
    said = "\n".join(_words(at))
    for record in records:
        assert record.case_id not in said
        assert record.input_hash not in said
    assert "38.2" not in said
    assert len(serving(store(), ada)) == 5


def test_no_page_depends_on_what_a_scan_is_served_for(records: list[CaseRecord]) -> None:
    """Word for word the same, payloads of components too, were all scans served as plain cases."""
    id = given(records, repeat_fraction=1 / 3, planted=(plain(records[3]),), known={"sub-d_ses-01": "2A"})
    ada = reader_for(store(), "Ada", "typed").id
    for one in serving(store(), ada)[:4]:
        record = next(record for record in records if record.case_id == one.case_id)
        second(store(), ada, record=record)
    assert serving(store(), ada)[4].pass_number == 2

    def everything() -> list[str]:
        at = [run(page, "Ada", case=address(records[0])[:16]) for page in PAGES]
        words = [word for one in at for word in _words(one)]
        # Keys of forms and sessions, signed addresses, and ZIP files with their time, are new each time.
        new = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|\?[^\s\"]*|/media/[0-9a-f]+\.zip"
        return [re.sub(new, "…", word) for word in words]

    before = everything()
    with transaction(store(), write=True) as session:
        # Assignments are append-only: their guards go first.
        guards = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'assignment%'"
        for (name,) in session.execute(text(guards)).all():
            session.execute(text(f"DROP TRIGGER {name}"))
        session.execute(update(Assignment).values(kind="case"))
        batch = session.get(AssignmentBatch, id)
        assert batch is not None
        batch.settings = batch.settings | {"known": {}, "planted": []}
    assert everything() == before


def test_the_list_tells_where_one_stands_and_next_goes_on(records: list[CaseRecord]) -> None:
    given(records)
    ada = reader_for(store(), "Ada", "typed").id
    second(store(), ada, record=records[0])
    first(store(), ada, record=records[1])
    add_event(
        store(),
        id=new_id(),
        reader_id=ada,
        case_id=records[1].case_id,
        input_hash=records[1].input_hash,
        kind="skipped",
        detail="motion",
    )
    at = run("worklist", "Ada")
    assert at.dataframe[0].value.to_numpy().tolist() == [
        [1, "done", ""],
        [2, "skipped", "motion"],
        [3, "new", ""],
    ]
    assert at.get("progress")[0].proto.text == "1 of 3 read, 1 skipped"
    free = at.dataframe[1].value
    assert list(free["Case"]) == ["sub-d_ses-01"], "the free list holds the rest"
    at.button(key="assigned_next").click().run()
    assert not at.exception, at.exception
    assert at.session_state["case"] == address(records[2])[:16]
    assert "assigned, 3 of 3" in "\n".join(one.value for one in at.caption)
    assert events_of(store(), ada)[-1].detail == "assigned, 3 of 3"


def test_a_scan_served_again_comes_blank_and_blind(records: list[CaseRecord]) -> None:
    given(records, repeat_fraction=1 / 3)
    ada = reader_for(store(), "Ada", "typed").id
    said = "zq7marker"
    first(store(), ada, record=records[0], classification="2B", note=said)
    judge(store(), ada, "agree", record=records[0], note=said)
    miss(store(), ada, record=records[0], note=said, at=(7.125, -3.375, 5.625))
    second(store(), ada, record=records[0], classification="2B", note=said)
    for record in records[1:3]:
        at = run("review", "Ada", case=address(records[0])[:16])
        assert said in "\n".join(_words(at))
        before = at.session_state["reading"].clock.split()
        second(store(), ada, record=record)
    at = run("worklist", "Ada")
    at.button(key="assigned_next").click().run()
    assert at.session_state["case"] == address(records[0])[:16]
    reading = at.session_state["reading"]
    assert (reading.blind, reading.pass_number, reading.first, reading.second) == (True, 2, None, None)
    phase, sitting = reading.clock.split()
    assert (before[0], phase) == ("second", "first")
    assert sitting != before[1], "active seconds of the first reading are not counted again"
    shown = "\n".join(_words(at))
    assert "First read, without the model" in shown
    for trace in (said, "7.125", "-3.375", "z-volume", "first read: 2B"):
        assert trace not in shown, trace
    assert "assigned, 4 of 4" in shown
    assert "waits for your first read" in "\n".join(
        _words(run("compare", "Ada", case=address(records[0])[:16]))
    )
    # The second reading is kept beside the first.
    first(store(), ada, record=records[0], classification="1A", pass_number=2)
    second(store(), ada, record=records[0], classification="1A", pass_number=2)
    assert "All your assigned cases are read" in "\n".join(_words(run("worklist", "Ada")))
    assert run("review", "Ada", case=address(records[0])[:16]).session_state["reading"].pass_number == 2


def test_the_order_of_the_list_holds(records: list[CaseRecord]) -> None:
    given(records)
    assert run("review", "Ada").session_state["case"] == address(records[0])[:16], "what is due opens"
    at = run("review", "Ada", case=address(records[2])[:16])
    assert "comes later in your list" in at.info[0].value
    assert "reading" not in at.session_state
    assert "reading" in run("review", "Cora", case=address(records[2])[:16]).session_state
    assert "reading" in run("review", "Ada", case=address(records[3])[:16]).session_state, "the rest is free"
    at = run("review", "Ada", case=address(records[0])[:16])
    assert at.button(key="review_next").disabled, "finish or skip first"
    ada = reader_for(store(), "Ada", "typed").id
    second(store(), ada, record=records[0])
    at = run("review", "Ada", case=address(records[0])[:16])
    at.button(key="review_next").click().run()
    assert at.session_state["case"] == address(records[1])[:16]
    assert at.button(key="review_next").disabled
    at.button(key="review_previous").click().run()
    assert at.session_state["case"] == address(records[0])[:16]


def test_where_free_reading_is_off_only_assigned_scans_open(
    records: list[CaseRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FONTANELLE_FREE_READING", "false")
    settings.cache_clear()
    assert "Nothing is assigned to you yet" in run("worklist", "Ada").info[0].value
    id = given(records)
    assert len(run("worklist", "Ada").dataframe) == 1
    assert "not assigned to you" in run("review", "Ada", case=address(records[3])[:16]).info[0].value
    assert "reading" in run("review", "Ada", case=address(records[0])[:16]).session_state
    assert len(run("worklist", "Cora").dataframe) == 1, "a coordinator sees every scan"
    close_batch(store(), id, reader_for(store(), "Cora", "typed").id)
    assert "not assigned to you" in run("review", "Ada", case=address(records[0])[:16]).info[0].value


def test_a_list_by_score_shows_no_score(records: list[CaseRecord]) -> None:
    given(
        records,
        ordering="score",
        cases=tuple(PlanCase(one.case_id, one.input_hash, 0.5 + at) for at, one in enumerate(records[:3])),
        score="mse",
    )
    at = run("worklist", "Ada")
    assert [one.case_id for one in serving(store(), reader_for(store(), "Ada", "typed").id)] == [
        one.case_id for one in reversed(records[:3])
    ]
    own = at.dataframe[0].value
    assert isinstance(own, pd.DataFrame)
    assert list(own.columns) == ["No.", "Status"]
    assert not any("score" in word.lower() for word in _words(at) if "Order" not in word)


def test_every_list_of_models_has_the_same_default_and_says_so(data_dir: Path) -> None:
    root = settings().derivatives_dir
    for model in ("std_8x8", "vae_8x8_512", "restorer", "own"):
        write_case(root, "sub-a", model=model)
    write_case(root, "sub-b", model="std_8x8")
    shown = {
        page: run(page, "Cora").selectbox(key=key)
        for page, key in (("worklist", "work_model"), ("assign", "assign_model"), ("teach", "lesson_model"))
    }
    for page, box in shown.items():
        assert box.value == "restorer", page
        assert box.options == ["restorer · default", "vae_8x8_512 · paper", "std_8x8", "own"], page
        assert "restorer on every page" in box.help
    assert "1 scan is not offered: restorer has not analysed it." in [
        one.value for one in run("assign", "Cora").caption
    ]
