"""Downloads in the app: only what this reader may have, with its rows and size said first."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import routes
from app.feedback.store import SavedReader, Store, open_store, reader_for
from app.report.offer import report, size
from app.review.reading import Open
from core.config import ROOT, settings
from core.io.derivatives import CaseRecord
from tests.app.feedback.readings import assign, first, second
from tests.casefactory import write_case

MAIN = str(ROOT / "app" / "main.py")


@pytest.fixture
def record(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> CaseRecord:
    monkeypatch.setattr(routes._served, "on", True)
    return write_case(settings().derivatives_dir)


@pytest.fixture
def store(record: CaseRecord) -> Store:
    return open_store(settings().store_url)


def page(reader: SavedReader) -> AppTest:
    at = AppTest.from_file(MAIN, default_timeout=60)
    at.session_state["reader"] = reader
    at.switch_page("pages/agreement.py").run()
    assert not at.exception, at.exception
    return at


def made(at: AppTest) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(at.session_state["export_made"][2])) as archive:
        assert archive.testzip() is None
        content: dict[str, Any] = json.loads(archive.read("json/feedback.json"))
        assert {name.split("/")[0] for name in archive.namelist()} == {"bids", "csv", "json", "sqlite"}
    return content


def test_my_answers_are_mine(store: Store, record: CaseRecord) -> None:
    ada, ben = reader_for(store, "Ada", "typed"), reader_for(store, "Ben", "typed")
    first(store, ada.id, record=record)
    first(store, ben.id, record=record, note="ben's")
    at = page(ada)
    assert "export_made" not in at.session_state, "nothing is read before it is asked for"
    at.button("export_mine").click().run()
    assert not at.exception
    assert any("Rows: reads 1, verdicts 0" in text.value for text in at.markdown)
    content = made(at)
    assert [row["reader_id"] for row in content["case_read"]] == [ada.id]
    assert content["about"]["synthetic_scans"] == 1


def test_a_coordinator_gets_closed_scans_only(store: Store, record: CaseRecord) -> None:
    ada, ben = reader_for(store, "Ada", "typed"), reader_for(store, "Ben", "typed")
    assign(store, [ada.id, ben.id], record.case_id, input_hash=record.input_hash)
    first(store, ben.id, record=record)
    second(store, ben.id, record=record)
    at = page(ada)
    at.button("export_all").click().run()
    assert made(at)["case_read"] == []
    for finish in (first, second):
        finish(store, ada.id, record=record)
    at.button("export_all").click().run()
    assert len(made(at)["case_read"]) == 4


def test_names_are_replaced_by_the_secret(
    store: Store, record: CaseRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = reader_for(store, "Ada", "typed")
    first(store, ada.id, record=record)
    why = "Off: random names need FONTANELLE_SECRET, 16 characters or more"
    off = page(ada)
    assert off.checkbox("export_hide").disabled, "no secret, no stable names"
    assert any(one.value.startswith(why) for one in off.caption)
    monkeypatch.setenv("FONTANELLE_SECRET", "s" * 32)
    settings.cache_clear()
    at = page(ada)
    assert not any(one.value.startswith("Off:") for one in at.caption)
    at.checkbox("export_hide").check().run()
    at.button("export_all").click().run()
    assert [row["name"][:7] for row in made(at)["reader"]] == ["reader-"]


def test_others_see_no_study_export(
    store: Store, record: CaseRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FONTANELLE_COORDINATORS", "Chief")
    settings.cache_clear()
    at = page(reader_for(store, "Ada", "typed"))
    keys = {button.key for button in at.button}
    assert "export_mine" in keys
    assert "export_all" not in keys


def test_the_report_is_made_on_request_or_says_why_not(store: Store, record: CaseRecord) -> None:
    ada = reader_for(store, "Ada", "typed")
    now = Open(record, "volume", ada, [], {})
    text = report(now, store, settings(), weak=False).decode()
    assert "No report was made" in text
    assert "has not locked a first read" in text
    first(store, ada.id, record=record)
    assert "Flagged regions" in report(now, store, settings(), weak=False).decode()
    gone = replace(now, record=replace(record, files={}))
    text = report(gone, store, settings(), weak=False).decode()
    assert "changed since this analysis" in text
    assert str(settings().derivatives_dir) not in text


def test_review_offers_it_once_the_flags_show(store: Store, record: CaseRecord) -> None:
    at = AppTest.from_file(str(ROOT / "app" / "pages" / "review.py"), default_timeout=60)
    ada = at.session_state["reader"] = reader_for(store, "Ada", "typed")
    at.run()
    assert not at.exception, at.exception
    assert "review_report" not in {one.key for one in at.get("download_button")}
    first(store, ada.id, record=record)
    at.run()
    assert "review_report" in str([one.proto for one in at.get("download_button")])


def test_size_for_people() -> None:
    assert [size(count) for count in (1234, 999_499, 2_560_000)] == ["1 kB", "999 kB", "2.6 MB"]
