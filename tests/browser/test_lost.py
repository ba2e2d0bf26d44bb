"""What is said while the server is gone waits in the browser, and is kept once when it is back."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, expect

from tests.browser.conftest import PATIENCE_MS, Server, Tab
from tests.browser.serving import served_app
from tests.browser.test_reading import rows
from tests.casefactory import write_case


def test_answers_to_a_server_that_is_gone_are_kept_once(browser: Browser, tmp_path: Path) -> None:
    data = tmp_path / "data"
    case = write_case(data / "derivatives" / "fontanelle", "sub-lost")
    environment = {"FONTANELLE_DATA_DIR": str(data), "FONTANELLE_UNAIDED_READ": "false"}
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
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
