"""A message lost on its way costs nothing: the browser says again what Python has not answered for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from core.io.derivatives import CaseRecord
from tests.browser.conftest import PATIENCE_MS, Server, Tab
from tests.browser.serving import served_app
from tests.browser.test_reading import rows
from tests.casefactory import write_case


class Wire:
    """The page's websocket, of which a message to the server can be lost."""

    def __init__(self, page: Page) -> None:
        self.losing: bytes | None = None  # what the message that gets lost contains
        self.lost = 0
        page.route_web_socket(re.compile("/_stcore/stream"), self._route)

    def _route(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def on(message: Any) -> None:
            if self.losing is not None and self.losing in bytes(message):
                self.losing, self.lost = None, self.lost + 1
            else:
                server.send(message)

        socket.on_message(on)

    @contextmanager
    def loss(self, page: Page, what: bytes = b"") -> Iterator[None]:
        """The first message that is sent from here on, and contains ``what``, is lost."""
        before, self.losing = self.lost, what
        yield
        for _ in range(PATIENCE_MS // 50):
            if self.lost > before:
                return
            page.wait_for_timeout(50)
        raise AssertionError("nothing was sent, so nothing was lost")


@contextmanager
def lossy(browser: Browser, folder: Path) -> Iterator[tuple[Tab, Wire, CaseRecord]]:
    """A tab of an app of its own with one case, and its wire."""
    data = folder / "data"
    case = write_case(data / "derivatives" / "fontanelle", "sub-lossy")
    environment = {"FONTANELLE_DATA_DIR": str(data), "FONTANELLE_UNAIDED_READ": "false"}
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
    wire = Wire(page)
    with served_app(environment, folder / "app.log") as url:
        yield Tab(page, Server(url, data, {})), wire, case
    page.close()


def kept(tab: Tab, last: tuple[Any, ...]) -> None:
    """Wait until ``last`` is the reader's newest verdict."""
    found: list[tuple[Any, ...]] = []
    for _ in range(PATIENCE_MS // 200):
        found = rows(tab.server, "verdict", "region_id, verdict, note", "Una")
        if found and found[-1] == last:
            return
        tab.page.wait_for_timeout(200)
    raise AssertionError(f"verdicts {found}; expected {last} last")


def test_what_was_lost_on_its_way_is_said_again(browser: Browser, tmp_path: Path) -> None:
    with lossy(browser, tmp_path) as (tab, wire, case):
        page = tab.page
        tab.review(case, "Una")
        note = page.get_by_label("Note", exact=True)
        expect(note).to_be_disabled()
        with wire.loss(page):
            page.keyboard.press("n")
        expect(note).to_be_enabled()  # the region is known
        with wire.loss(page):
            page.keyboard.press("a")
        kept(tab, ("vr01", "agree", ""))
        expect(page.get_by_text("1 of 2 regions read")).to_be_visible()
        page.keyboard.press("e")
        expect(note).to_be_focused()
        with wire.loss(page):
            page.keyboard.type("vessel")
        expect(page.get_by_text("draft kept")).to_be_visible()
        with wire.loss(page):
            page.keyboard.press("Enter")
        kept(tab, ("vr01", "agree", "vessel"))
        assert len(rows(tab.server, "verdict", "t.id", "Una")) == 2, "each is kept once"


def test_what_is_on_screen_is_told_again(browser: Browser, tmp_path: Path) -> None:
    with lossy(browser, tmp_path) as (tab, wire, case):
        page = tab.page
        with wire.loss(page, b'"loaded"'):
            tab.review(case, "Una")
        expect(page.get_by_role("button", name="Save second read (F)")).to_be_enabled()
