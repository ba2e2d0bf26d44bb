"""A real server on a free port over a small data folder, and a real Chromium. A missing browser fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from app.cases import address
from core.io.derivatives import CaseRecord
from tests.browser.ensure_chromium import find_chromium
from tests.browser.serving import served_app
from tests.casefactory import ORIENTATIONS, write_case

FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)
TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
# A busy machine without a GPU draws slowly.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@dataclass(frozen=True)
class Server:
    """The app under test."""

    url: str
    data: Path
    cases: dict[str, CaseRecord]  # by stored orientation, as in "LAS"

    @property
    def root(self) -> Path:
        """Folder of derivatives."""
        return self.data / "derivatives" / "fontanelle"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app on a free port; its data folder holds the phantom in three stored orientations.

    The flags are shown at once; ``unaided_server`` hides them until a first read is locked.
    """
    data = tmp_path_factory.mktemp("browser")
    cases = phantoms(data)
    environment = {"FONTANELLE_DATA_DIR": str(data), "FONTANELLE_UNAIDED_READ": "false"}
    with served_app(environment, data / "server.log") as url:
        yield Server(url, data, cases)


@pytest.fixture(scope="session")
def unaided_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """As ``server``, with the protocol as it is by default: each scan is read without the flags first."""
    data = tmp_path_factory.mktemp("unaided")
    cases = phantoms(data)
    with served_app({"FONTANELLE_DATA_DIR": str(data)}, data / "server.log") as url:
        yield Server(url, data, cases)


def phantoms(data: Path) -> dict[str, CaseRecord]:
    """The phantom in three stored orientations, below a data folder."""
    root = data / "derivatives" / "fontanelle"
    return {
        "".join(stored): write_case(root, f"sub-{''.join(stored).lower()}", stored=stored)
        for stored in ORIENTATIONS
    }


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        pytest.fail("no Chromium found; run `python tests/browser/ensure_chromium.py`")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@dataclass
class Tab:
    """One browser tab and what went wrong in it."""

    page: Page
    server: Server
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)  # requests that left the app's own server
    sent: list[str | bytes] = field(default_factory=list)  # websocket messages to the server

    @property
    def viewer(self) -> Locator:
        return self.page.locator(".fontanelle")

    def review(self, case: CaseRecord, reader: str = "Ada") -> None:
        """Open Review on ``case`` and wait until the viewer shows it."""
        self.open(case, reader)
        self.shows(case)

    def open(self, case: CaseRecord, reader: str = "Ada") -> None:
        """Open Review on ``case``, whatever comes of it."""
        self.page.goto(f"{self.server.url}/review?case={address(case)[:16]}")
        self.name(reader)

    def name(self, reader: str) -> None:
        """Give the reader's name where the app asks for it; a tab keeps its own through a reload."""
        kept = self.page.evaluate("sessionStorage.getItem('fontanelle.reader')")
        if kept == reader:
            return
        field = self.page.get_by_label("Your name")
        if kept is not None:
            self.page.evaluate("sessionStorage.removeItem('fontanelle.reader')")
            self.page.reload()
        field.or_(self.viewer).first.wait_for(timeout=PATIENCE_MS)
        if field.is_visible():
            field.fill(reader)
            self.page.get_by_role("button", name="Continue").click()

    def shows(self, case: CaseRecord) -> None:
        """Wait until ``case`` is drawn and, on Review, may be answered."""
        expect(self.viewer).to_have_attribute("data-case", case.case_id)
        expect(self.viewer).to_have_attribute("data-state", "ready")
        if urlsplit(self.page.url).path == "/review":
            expect(self.page.locator(".st-key-review_finish button").first).to_be_enabled()

    def shift_click(self, right: int) -> None:
        """Shift-click, ``right`` pixels beside the axial tile's middle."""
        stage = self.viewer.locator(".stage").bounding_box()
        assert stage is not None
        self.page.keyboard.down("Shift")
        self.page.mouse.click(stage["x"] + 0.31 * stage["width"] + right, stage["y"] + stage["height"] / 2)
        self.page.keyboard.up("Shift")

    def settle(self) -> None:
        """Wait until the browser has painted what was asked of it."""
        self.page.evaluate(TWO_FRAMES)


@pytest.fixture
def tab(server: Server, browser: Browser) -> Iterator[Tab]:
    """A fresh tab; the test fails where the page logged an error or talked to another host."""
    with opened(server, browser) as one:
        yield one


@contextmanager
def opened(server: Server, browser: Browser) -> Iterator[Tab]:
    """A tab of a browser of its own, closed at the end and held to account."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
    tab = Tab(page, server)
    page.on("console", lambda message: heard(tab, message))
    page.on("pageerror", lambda error: tab.errors.append(str(error)))
    page.on("request", lambda request: asked(tab, request.url))
    page.on("websocket", lambda socket: socket.on("framesent", lambda payload: tab.sent.append(payload)))
    yield tab
    page.close()
    assert tab.errors == []
    assert tab.foreign == []


def heard(tab: Tab, message: ConsoleMessage) -> None:
    # On a deep link Streamlit looks for its own server below the page first, and misses.
    if message.type == "error" and not re.search(r"/\w+/_stcore/", message.location["url"]):
        tab.errors.append(f"{message.text} ({message.location['url']})")


def asked(tab: Tab, url: str) -> None:
    if url.startswith("http") and not url.startswith(tab.server.url):
        tab.foreign.append(url)
