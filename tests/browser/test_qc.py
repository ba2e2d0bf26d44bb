"""The QC page: the worst registration is seen first, and a click anywhere on its card opens the scan."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from core.io.derivatives import CasePaths
from core.io.ledger import NAME, Line, record
from tests.browser.conftest import Server, Tab
from tests.qcfactory import write_preparation


@pytest.fixture
def prepared(server: Server) -> Iterator[list[CasePaths]]:
    """The server's three cases with a picture each, one of them badly registered, and a failure."""
    made = [
        write_preparation(
            server.root, case.subject, 0.6 if name == "LAS" else 0.95, shift=6 * (name == "LAS")
        )
        for name, case in server.cases.items()
    ]
    record(server.root, [Line("sub-gone", "ses-01", "prepare", "cube64", "train", "scan.nii: empty file")])
    yield made
    (server.root / NAME).unlink()
    for paths in made:
        paths.qc(64).unlink()
        paths.prepared_json(64).unlink()


def test_a_click_on_the_worst_picture_opens_it(tab: Tab, prepared: list[CasePaths]) -> None:
    case = tab.server.cases["LAS"]
    tab.page.goto(tab.server.url)
    tab.page.get_by_role("link", name="QC").click()
    pictures = tab.page.get_by_alt_text("axial, coronal and sagittal plane")
    expect(pictures).to_have_count(3)
    expect(pictures.first).to_have_attribute("alt", f"{case.case_id}: axial, coronal and sagittal plane")
    for index in range(3):
        assert (
            pictures.nth(index).evaluate("async (image) => { await image.decode(); return image.width; }")
            > 200
        )
    marked = tab.page.locator("[class*=st-key-qc_card_weak]")
    expect(marked).to_have_count(1)
    for text in ("below 0.9", "overlap 0.600 · brain mask given · split not shown · synthetic", case.case_id):
        expect(marked).to_contain_text(text)
    expect(tab.page.get_by_text("1 scan failed")).to_be_visible()
    search = tab.page.get_by_role("textbox", name="Search")
    search.fill("las")
    search.press("Enter")
    expect(pictures).to_have_count(1)
    expect(pictures).to_be_in_viewport()
    box = pictures.bounding_box()
    assert box is not None
    # On the picture itself, far from the button with the case's name.
    tab.page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 3)
    tab.name("Quinn")
    tab.shows(case)
