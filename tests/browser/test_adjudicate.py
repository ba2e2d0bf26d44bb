"""Adjudicate in a real browser: the scan to scroll through, for looking only; fields keep their keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from app.feedback.adjudications import decisions
from app.feedback.blinding import answers_visible
from app.feedback.store import open_store, reader_for
from core.io.derivatives import CasePaths, CaseRecord, read_regions
from tests.app.feedback.readings import first, judge, miss, second
from tests.browser.conftest import PATIENCE_MS, Server, Tab, opened
from tests.browser.serving import served_app
from tests.browser.test_access import complaints
from tests.browser.test_reading import rows
from tests.casefactory import write_case

DARK_PEAK = (7.0, -11.0, -8.75)  # mm of voxel (13, 7, 7)
NAMES = ("Ada Adler", "Ben Brook")


def dispute(data: Path) -> CaseRecord:
    """One scan, stored mirrored; two readers differ on its class and the dark flag. Each marked a finding."""
    root = data / "derivatives" / "fontanelle"
    record = write_case(root, "sub-las", stored=("L", "A", "S"))
    paths = CasePaths(root, record.subject, record.session)
    dark = next(one for one in read_regions(paths.regions(record.model)) if one.id == "vr02")
    store = open_store(f"sqlite:///{data / 'feedback.sqlite'}")
    for name, verdict, x in zip(NAMES, ("agree", "disagree"), (7.0, -9.0), strict=True):
        who = reader_for(store, name, "typed").id
        judge(store, who, verdict, record=record, region_=dark)  # type: ignore[arg-type]
        miss(store, who, record=record, at=(x, -3.0, 5.0))
        second(store, who, record=record, classification="2A" if x > 0 else "normal")
    return record


@pytest.fixture(scope="module")
def disputed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app with one scan that two readers differ on."""
    data = tmp_path_factory.mktemp("disputed")
    record = dispute(data)
    with served_app({"FONTANELLE_DATA_DIR": str(data)}, data / "server.log") as url:
        yield Server(url, data, {"LAS": record})


def adjudicate(tab: Tab, reader: str) -> None:
    tab.page.goto(f"{tab.server.url}/adjudicate")
    tab.name(reader)
    expect(tab.viewer).to_have_attribute("data-state", "ready")


def at(tab: Tab) -> tuple[float, ...]:
    return tuple(float(value) for value in str(tab.viewer.get_attribute("data-mm")).split(","))


def test_the_scan_is_there_to_look_at_and_nothing_more(disputed: Server, browser: Browser) -> None:
    with opened(disputed, browser) as tab:
        adjudicate(tab, "Cleo")
        page = tab.page
        # A class: no colours at first, at the first mark.
        expect(page.get_by_role("heading", name="which class is the scan?")).to_be_visible()
        expect(tab.viewer.locator(".chip[aria-pressed=true]")).to_have_count(0)
        assert at(tab)[1:] == pytest.approx((-3.0, 5.0), abs=1.3)
        assert complaints(page) == []
        # The flag: its peak, its colours.
        page.get_by_role("button", name="Next").click()
        expect(page.get_by_role("heading", name="is this flag a finding?")).to_be_visible()
        expect(tab.viewer.locator(".value.z")).to_have_text("−3.5")
        assert at(tab) == pytest.approx(DARK_PEAK, abs=0.02)
        expect(tab.viewer.locator(".chip[aria-pressed=true]")).to_have_count(4)
        assert complaints(page) == []
        # Wheel and arrows scroll here, and no word of it leaves.
        tab.viewer.locator(".image").hover(position={"x": 120, "y": 200})
        page.wait_for_timeout(500)
        tab.sent.clear()
        page.keyboard.press("ArrowUp")
        expect(tab.viewer).to_have_attribute("data-mm", "7.00,-11.00,-6.25")
        page.mouse.wheel(0, -120)
        expect(tab.viewer).not_to_have_attribute("data-mm", "7.00,-11.00,-6.25")
        tab.shift_click(30)
        page.keyboard.press("Shift+Digit3")  # a band of the viewer's, no class
        expect(tab.viewer.locator(".chip[aria-pressed=true]")).to_have_count(2)
        page.keyboard.press("Shift+Digit3")
        page.wait_for_timeout(1500)
        assert [message for message in tab.sent if len(message) > 40] == []
        # Back to the flag by its button.
        page.get_by_role("button", name="Back to the flag").click()
        expect(tab.viewer).to_have_attribute("data-mm", "7.00,-11.00,-8.75")
        # What is typed stays in its field, with the pointer over the scan too.
        tab.viewer.locator(".image").hover(position={"x": 120, "y": 200})
        reason = page.get_by_label("Reason (required)")
        reason.focus()
        page.keyboard.type("bonds 0 at n, past a dim view +b")
        expect(reason).to_have_value("bonds 0 at n, past a dim view +b")
        assert at(tab) == pytest.approx(DARK_PEAK, abs=0.02)
        expect(tab.viewer.locator(".chip[aria-pressed=true]")).to_have_count(4)
        assert not [name for name in NAMES if name in page.content()]
        # Space presses the page's own button.
        page.get_by_role("button", name="Disagree: no").focus()
        page.keyboard.press("Space")
        expect(page.get_by_role("button", name="Disagree: no")).to_have_attribute("aria-pressed", "true")
        page.get_by_role("button", name="Save decision").click()
        expect(page.locator(".decision .said")).to_have_text(re.compile("^Saved .*: Disagree: no"))
    store = open_store(f"sqlite:///{disputed.data / 'feedback.sqlite'}")
    cleo = reader_for(store, "Cleo", "typed").id
    answers = answers_visible(store, cleo, coordinator=True)
    assert [row.decision for row in decisions(store, answers).values()] == ["disagree"]
    mine = [
        one
        for rows in (answers.reads, answers.verdicts, answers.marks)
        for one in rows
        if one.reader_id == cleo
    ]
    assert mine == [], "no read, no verdict, no mark"
    assert answers.waiting == frozenset()


def test_who_has_still_to_read_the_scan_gets_no_volume_of_it(disputed: Server, browser: Browser) -> None:
    store = open_store(f"sqlite:///{disputed.data / 'feedback.sqlite'}")
    first(store, reader_for(store, "Dora", "typed").id, record=disputed.cases["LAS"])
    fetched: list[str] = []
    with opened(disputed, browser) as tab:
        tab.page.on("request", lambda request: fetched.append(request.url))
        tab.page.goto(f"{disputed.url}/adjudicate")
        tab.name("Dora")
        expect(tab.page.get_by_text("You have 1 scan to finish")).to_be_visible()
        assert not [url for url in fetched if "/volume/" in url]
        assert tab.viewer.count() == 0


def holds(page: Page, decision: str, reason: str) -> None:
    """Wait until the form has this, chosen and typed."""
    expect(page.get_by_label("Reason (required)")).to_have_value(reason)
    expect(page.get_by_role("button", name=decision, exact=True)).to_have_attribute("aria-pressed", "true")


def test_a_reason_survives_a_reload_and_a_server_that_was_gone(browser: Browser, tmp_path: Path) -> None:
    data = tmp_path / "data"
    dispute(data)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
    reason, said = page.get_by_label("Reason (required)"), page.locator(".decision .said")
    of_class, flag = (
        page.get_by_role("heading", name=name)
        for name in ("which class is the scan", "is this flag a finding")
    )
    with served_app({"FONTANELLE_DATA_DIR": str(data)}, tmp_path / "one.log") as url:
        tab = Tab(page, Server(url, data, {}))
        adjudicate(tab, "Cleo")
        # All that it takes to decide is in sight.
        expect(page.get_by_role("button", name="Save decision")).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight") <= 800
        # What is missing is said where it is missing.
        page.keyboard.press("Control+Enter")
        expect(said).to_have_text("Not saved: choose a decision (0 1 2 3 4 5 9), and give the reason.")
        expect(page.get_by_role("button", name="Normal", exact=True)).to_be_focused()
        page.keyboard.press("3")
        page.keyboard.press("Control+Enter")
        expect(said).to_have_text("Not saved: give the reason.")
        expect(reason).to_be_focused()
        page.keyboard.type("rim, no d")
        page.reload()  # at once: the server may have heard nothing
        holds(page, "2A", "rim, no d")
        page.keyboard.press("n")
        expect(flag).to_be_visible()
        expect(reason).to_have_value("")
        page.keyboard.press("d")
        page.keyboard.press("e")
        page.keyboard.type("vess")
        page.keyboard.press("Escape")
        expect(page.get_by_text("draft kept")).to_be_visible()
        page.keyboard.press("p")
        expect(of_class).to_be_visible()
        holds(page, "2A", "rim, no d")
    # The page's last run was a whole one: the browser asks a server that came back for none by itself.
    expect(said).to_contain_text("The server does not answer.")
    page.keyboard.press("e")
    page.keyboard.type("oubt.")
    page.keyboard.press("Control+Enter")
    with served_app({"FONTANELLE_DATA_DIR": str(data)}, tmp_path / "two.log", port=urlsplit(url).port or 0):
        expect(flag).to_be_visible()
        holds(page, "Disagree: no", "vess")
        columns = "subject, decision, reason, retracted"
        assert rows(tab.server, "adjudication", columns, "Cleo") == [("class", "2A", "rim, no doubt.", 0)]
        page.reload()
        holds(page, "Disagree: no", "vess")
        assert (
            page.evaluate("Object.keys(localStorage).filter((name) => name.startsWith('fontanelle.deci'))")
            == []
        )
        assert len(rows(tab.server, "adjudication", columns, "Cleo")) == 1, "kept once"
    page.close()
