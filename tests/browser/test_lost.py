"""What is said while the server is gone waits in the browser, and is kept once when it is back."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect

from core.io.derivatives import CaseRecord
from tests.browser.conftest import PATIENCE_MS, Server, Tab
from tests.browser.serving import served_app
from tests.browser.test_reading import rows
from tests.casefactory import write_case


def alone(browser: Browser, tmp_path: Path) -> tuple[Path, CaseRecord, dict[str, str], Page]:
    """A data folder with a scan of its own, what a server of it needs, and a tab."""
    data = tmp_path / "data"
    case = write_case(data / "derivatives" / "fontanelle", "sub-lost")
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
    return data, case, {"FONTANELLE_DATA_DIR": str(data), "FONTANELLE_UNAIDED_READ": "false"}, page


def test_answers_to_a_server_that_is_gone_are_kept_once(browser: Browser, tmp_path: Path) -> None:
    data, case, environment, page = alone(browser, tmp_path)
    with served_app(environment, tmp_path / "one.log") as url:
        tab = Tab(page, Server(url, data, {}))
        tab.review(case, "Lea")
    lost, gone = tab.viewer.locator(".lost"), time.monotonic()
    expect(lost).to_contain_text("The server does not answer")
    assert time.monotonic() - gone < 3, "a server that refuses at once is noticed within 2.5 s"
    button = page.get_by_role("button", name="Save second read (F)")
    expect(button).to_be_disabled()  # a click could not be kept
    tab.shift_click(30)
    expect(tab.viewer.get_by_text("Not saved: no connection")).to_be_visible()
    for key in "nand":
        page.keyboard.press(key)
    expect(tab.viewer.locator(".value.band")).to_have_text("darker 3–4")
    found = ("verdict", "region_id, verdict, retracted", "Lea")
    assert rows(tab.server, *found) == []
    with served_app(environment, tmp_path / "two.log", port=int(urlsplit(url).port or 0)):
        for again in (False, True):  # the second time nothing is left to send
            if again:
                page.reload()
            tab.shows(case)  # the tab has kept the name
            expect(page.get_by_text("2 of 2 regions read")).to_be_visible()
            expect(lost).to_be_hidden()
            expect(button).to_be_enabled()
            assert rows(tab.server, "missed_finding", "x_mm", "Lea") == []
            assert rows(tab.server, *found) == [("vr01", "agree", 0), ("vr02", "disagree", 0)]
    page.close()


def test_a_note_is_typed_on_while_the_server_is_gone(browser: Browser, tmp_path: Path) -> None:
    """Streamlit's own dialog on a lost connection takes the cursor: it is closed, the cursor goes back."""
    data, case, environment, page = alone(browser, tmp_path)
    note, dialog = page.get_by_label("Note on the scan"), page.get_by_test_id("stDialog")
    # The dialog was there, though nobody saw it.
    page.add_init_script(
        "new MutationObserver(() => {"
        " if (document.querySelector('[data-testid=stDialog]')) globalThis.came = true;"
        " }).observe(document, { childList: true, subtree: true });"
    )
    with served_app(environment, tmp_path / "one.log") as url:
        tab = Tab(page, Server(url, data, {}))
        tab.review(case, "Lea")
        page.keyboard.press("Shift+E")
        expect(note).to_be_focused()
        page.keyboard.type("seen ")
    text = "seen "
    expect(tab.viewer.locator(".lost")).to_contain_text("The server does not answer")
    page.wait_for_function("globalThis.came")
    for letter in "on both sides":
        page.keyboard.type(letter)
        text += letter
        page.wait_for_timeout(100)
    expect(note).to_be_focused()
    expect(note).to_have_value(text)
    expect(dialog).to_have_count(0)
    with served_app(environment, tmp_path / "two.log", port=int(urlsplit(url).port or 0)):
        tab.shows(case)
        expect(tab.viewer.locator(".lost")).to_be_hidden()
        page.reload()
        tab.shows(case)
        expect(note).to_have_value(text)
    page.close()
