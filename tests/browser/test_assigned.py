"""Two readers with lists of their own, by keyboard; one scan comes again, as if new."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from app.feedback.assignments import BatchInput, make_batch
from app.feedback.planning import PlanCase
from app.feedback.serving import serving
from app.feedback.store import new_id, open_store, reader_for
from core.io.derivatives import CaseRecord
from tests.browser.conftest import Server, Tab, opened, phantoms
from tests.browser.serving import served_app
from tests.browser.test_protocol import aided, blind, keys
from tests.browser.test_reading import rows

READERS = ("Ada", "Ben")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Three scans for each of two readers, in their own random orders, one of them again."""
    data = tmp_path_factory.mktemp("assigned")
    cases = phantoms(data)
    store = open_store(f"sqlite:///{data / 'feedback.sqlite'}")
    make_batch(
        store,
        BatchInput(
            id=new_id(),
            name="Pilot",
            created_by=reader_for(store, "Cora", "typed").id,
            cases=tuple(PlanCase(one.case_id, one.input_hash) for one in cases.values()),
            readers=tuple(reader_for(store, name, "typed").id for name in READERS),
            readers_per_case=2,
            ordering="random",
            seed=3,
            repeat_fraction=1 / 3,
            gap=2,
            model="vae_8x8_512",
        ),
    )
    with served_app(
        {"FONTANELLE_DATA_DIR": str(data), "FONTANELLE_FREE_READING": "false"}, data / "log"
    ) as url:
        yield Server(url, data, cases)


def order(study: Server, reader: str) -> list[CaseRecord]:
    """The scans of a reader's list."""
    store = open_store(f"sqlite:///{study.data / 'feedback.sqlite'}")
    records = {one.case_id: one for one in study.cases.values()}
    return [records[one.case_id] for one in serving(store, reader_for(store, reader, "typed").id)]


def begin(tab: Tab, reader: str, case: CaseRecord) -> None:
    """From the worklist into the list, by key."""
    page = tab.page
    page.goto(tab.server.url)
    page.get_by_label("Your name").fill(reader)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("0 of 4 read")).to_be_visible()
    page.keyboard.press("Shift+N")
    tab.shows(case)


def read(tab: Tab, digits: str) -> None:
    """Lock, give both regions an answer, save; the next case opens."""
    blind(tab)
    keys(tab.page, f"k {digits} f")
    aided(tab)
    keys(tab.page, "n a n d")
    aided(tab, "2 of 2")
    keys(tab.page, "f")


def test_two_readers_work_through_their_lists(study: Server, browser: Browser) -> None:
    lists = {reader: order(study, reader) for reader in READERS}
    for mine in lists.values():
        assert [one.case_id for one in mine[:3]].count(mine[3].case_id) == 1
    fetched: list[str] = []
    with opened(study, browser) as ada, opened(study, browser) as ben:
        ada.page.on("request", lambda request: fetched.append(request.url))
        tabs = dict(zip(READERS, (ada, ben), strict=True))
        for reader, tab in tabs.items():
            begin(tab, reader, lists[reader][0])
        # Ada's first reading of the scan that will come again leaves a class, a note and two verdicts.
        ada.page.keyboard.press("E")
        ada.page.keyboard.type("a first impression")
        ada.page.keyboard.press("Enter")
        for at in range(3):
            for reader, tab in tabs.items():
                expect(tab.page.get_by_text(f"assigned, {at + 1} of 4")).to_be_visible()
                read(tab, "3 4")
                tab.shows(lists[reader][at + 1])
        fetched.clear()
        for tab in tabs.values():
            expect(tab.page.get_by_text("assigned, 4 of 4")).to_be_visible()
            blind(tab)
            # As if new: no class, no confidence, no note, no flag.
            for button in ("class_2A", "confidence_4"):
                buttons = tab.page.locator(f".st-key-{button} button:visible")
                expect(buttons).to_have_count(1)  # while a page turns, the one before stands beside it
                expect(buttons).to_have_attribute("kind", "secondary")
            expect(tab.page.get_by_label("Note on the scan")).to_have_value("")
            expect(tab.page.get_by_text("a first impression")).to_have_count(0)
        assert not [url for url in fetched if re.search(r"/(z-\w+|reconstruction)\.nii", url)]
        for tab in tabs.values():
            read(tab, "1 2")
            expect(tab.page.get_by_text("That was the last case")).to_be_visible()
            expect(tab.page.get_by_text("All your assigned cases are read.")).to_be_visible()
        ada.page.get_by_role("button", name="Back to Worklist").click()
        expect(ada.page.get_by_text("All your assigned cases are read")).to_be_visible()
    for reader in READERS:
        reads = rows(study, "case_read", "case_id, pass_number, phase, classification, confidence", reader)
        again = lists[reader][3].case_id
        assert [one for one in reads if one[0] == again] == [
            (again, 1, "first", "2A", 4),
            (again, 1, "second", "2A", 4),
            (again, 2, "first", "1A", 2),
            (again, 2, "second", "1A", 2),
        ]
        assert len(reads) == 8
        verdicts = rows(study, "verdict", "case_id, pass_number, verdict", reader)
        assert [one[1:] for one in verdicts if one[0] == again] == [
            (1, "agree"),
            (1, "disagree"),
            (2, "agree"),
            (2, "disagree"),
        ]
