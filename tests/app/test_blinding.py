"""No page shows another reader's answers early: every page, at each stage of a reading."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import routes
from app.cases import address
from app.feedback.store import SavedReader, Store, open_store, reader_for
from core.config import ROOT, settings
from core.io.derivatives import CasePaths, CaseRecord, Region, read_regions
from core.io.ledger import Line
from core.io.ledger import record as ledger
from tests.app.feedback.readings import assign, first, judge, miss, second
from tests.casefactory import write_case
from tests.qcfactory import write_preparation

PAGES = sorted(path.name for path in (ROOT / "app" / "pages").glob("*.py"))
MARKER = "zq7marker"
# Numbers of Ben's that nothing else on a page is.
SECONDS, PLACE = 8642.75, (7.125, -3.375, 5.625)


def open_page(page: str, reader: SavedReader, record: CaseRecord) -> AppTest:
    """A page before this reader, with the scan open."""
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
    at.session_state["reader"] = reader
    at.session_state["case"] = address(record)[:16]
    at.switch_page(f"pages/{page}").run()
    assert not at.exception, f"{page}: {at.exception}"
    return at


def run(page: str, reader: SavedReader, record: CaseRecord) -> str:
    """All that a page sends to the browser."""
    return "\n".join(_words(open_page(page, reader, record)))


def _words(at: AppTest) -> list[str]:
    """Every element's message as text, binary tables decoded."""
    found = []
    for element in [*at.main, *at.sidebar]:
        found += _all(element)
    return found


def _all(node: object) -> list[str]:
    children = list(getattr(node, "children", {}).values())
    found = [text for child in children for text in _all(child)]
    proto = getattr(node, "proto", None)
    if proto is not None:
        found.append(str(proto))
        for name in ("value", "options", "label"):
            found.append(repr(getattr(node, name, "")))
    return found


@pytest.fixture
def record(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> CaseRecord:
    monkeypatch.setattr(routes._served, "on", True)
    return write_case(settings().derivatives_dir)


@pytest.fixture
def store(record: CaseRecord) -> Store:
    return open_store(settings().store_url)


def regions(record: CaseRecord) -> list[Region]:
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    return [one for one in read_regions(paths.regions(record.model)) if one.map == "volume"]


def answers(store: Store, record: CaseRecord, reader: SavedReader) -> None:
    """A whole reading, recognisable wherever a word of it appears."""
    first(store, reader.id, record=record, classification="2B", seconds=SECONDS, note=f"{MARKER} first")
    for one in regions(record):
        judge(store, reader.id, "disagree", record=record, region_=one, note=f"{MARKER} verdict")
    miss(store, reader.id, record=record, at=PLACE, note=f"{MARKER} mark")
    second(store, reader.id, record=record, classification="2B", seconds=SECONDS, note=f"{MARKER} second")


def betrays(text: str) -> list[str]:
    return [one for one in (MARKER, "8642.75", "7.125", "-3.375") if one in text]


@pytest.mark.parametrize("page", PAGES)
def test_no_page_shows_another_s_answers_early(page: str, store: Store, record: CaseRecord) -> None:
    ada, ben = reader_for(store, "Ada", "typed"), reader_for(store, "Ben", "typed")
    assign(store, [ada.id, ben.id], record.case_id, input_hash=record.input_hash)
    answers(store, record, ben)
    assert betrays(run(page, ada, record)) == []  # not begun
    first(store, ada.id, record=record)
    assert betrays(run(page, ada, record)) == []  # first read locked, flags shown
    judge(store, ada.id, "agree", record=record, region_=regions(record)[0])
    assert betrays(run(page, ada, record)) == []
    assign(store, [ada.id], record.case_id, input_hash=record.input_hash, pass_number=2, kind="repeat")
    second(store, ada.id, record=record)
    assert betrays(run(page, ada, record)) == []  # finished, but to be read again


@pytest.mark.parametrize("page", ["agreement.py", "adjudicate.py", "worklist.py", "review.py"])
def test_nor_a_count_that_depends_on_them(page: str, store: Store, record: CaseRecord) -> None:
    """What Ada sees is the same, word for word, whether Ben has read the scan or not."""
    ada, ben = reader_for(store, "Ada", "typed"), reader_for(store, "Ben", "typed")
    assign(store, [ada.id, ben.id], record.case_id, input_hash=record.input_hash)
    first(store, ada.id, record=record)
    judge(store, ada.id, "agree", record=record, region_=regions(record)[0])
    before = _shown(page, ada, record)
    answers(store, record, ben)
    assert _shown(page, ada, record) == before


def _shown(page: str, reader: SavedReader, record: CaseRecord) -> list[str]:
    at = open_page(page, reader, record)
    kinds = (
        "title",
        "markdown",
        "caption",
        "info",
        "warning",
        "success",
        "error",
        "text",
        "subheader",
        "button",
    )
    return (
        [repr((kind, one.value, getattr(one, "label", ""))) for kind in kinds for one in getattr(at, kind)]
        + [one.value.to_csv() for one in at.dataframe]
        + [one.proto.body for one in at.get("html")]
    )


def test_they_show_once_nobody_is_left_to_be_swayed(store: Store, record: CaseRecord) -> None:
    """The test above can fail: the same words are there when everybody has finished."""
    ada, ben = reader_for(store, "Ada", "typed"), reader_for(store, "Ben", "typed")
    assign(store, [ada.id, ben.id], record.case_id, input_hash=record.input_hash)
    answers(store, record, ben)
    first(store, ada.id, record=record)
    judge(store, ada.id, "agree", record=record, region_=regions(record)[0])
    second(store, ada.id, record=record)
    # Seconds are nobody's to see; the mark's place goes to the viewer.
    assert betrays(run("adjudicate.py", ada, record)) == [MARKER, *map(str, PLACE[:2])]
    assert "2 readers" in run("agreement.py", ada, record)


ORIGIN = ("zq7split", "zq7site")


@pytest.fixture
def told(record: CaseRecord, monkeypatch: pytest.MonkeyPatch) -> CaseRecord:
    """The data set tells where the scan comes from, beside it and in the ledger; Chief coordinates."""
    monkeypatch.setenv("FONTANELLE_COORDINATORS", "Chief")
    settings.cache_clear()
    settings().demo_dir.mkdir(parents=True)
    rows = (
        "participant_id\tsession_id\tradiology_score\tsplit\tsite",
        f"{record.subject}\tses-01\t4\t%s\t%s",
    )
    (settings().demo_dir / "participants.tsv").write_text("\n".join(rows) % ORIGIN + "\n")
    write_preparation(settings().derivatives_dir, record.subject, 0.95)
    step = (record.subject, record.session, "prepare", "cube64")
    ledger(settings().derivatives_dir, [Line(*step, ORIGIN[0], "failed once")])
    return record


@pytest.mark.parametrize("page", PAGES)
def test_no_page_tells_a_reader_where_an_unread_scan_comes_from(
    page: str, told: CaseRecord, store: Store
) -> None:
    text = run(page, reader_for(store, "Ada", "typed"), told)
    assert [word for word in ORIGIN if word in text] == []


@pytest.mark.parametrize(("page", "words"), [("worklist.py", ORIGIN), ("qc.py", ORIGIN[:1])])
def test_it_is_told_once_the_scan_was_read(
    page: str, words: tuple[str, ...], told: CaseRecord, store: Store
) -> None:
    """The test above can fail: the same words are there."""
    ada = reader_for(store, "Ada", "typed")
    first(store, ada.id, record=told)
    assert [word for word in ORIGIN if word in run(page, ada, told)] == list(words)
