"""Every page for those who don't see it well or not at all: names, contrast; nothing jumps or runs off."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Tab

CONTROLS = {
    *("button", "checkbox", "combobox", "link", "listbox", "menuitem", "radio", "searchbox", "slider"),
    *("spinbutton", "switch", "tab", "textbox"),
}
PAGES = ("", "compare", "upload", "qc", "cohort", "assign", "agreement", "adjudicate", "teach", "about")
LEAST = 4.5  # WCAG 2.1 AA, text
LEAST_LARGE = 3.0  # from 24 px, or 18.66 px bold
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
HERE = Path(__file__).parent


def unnamed(page: Page) -> list[str]:
    """Controls of the accessibility tree that a screen reader can't name."""
    session = page.context.new_cdp_session(page)
    found = []
    for node in session.send("Accessibility.getFullAXTree")["nodes"]:
        role = node.get("role", {}).get("value")
        if node["ignored"] or role not in CONTROLS or node.get("name", {}).get("value", "").strip():
            continue
        where: dict[str, Any] = session.send("DOM.describeNode", {"backendNodeId": node["backendDOMNodeId"]})
        found.append(f"{role} {where['node']['nodeName']} {where['node'].get('attributes')}")
    session.detach()
    return found


def faint(page: Page) -> list[str]:
    """Pieces of text with too little contrast."""
    return [
        f"{text!r}: {ratio} ({colors}; {where})"
        for text, ratio, large, colors, where in page.evaluate((HERE / "contrast.js").read_text())
        if ratio < (LEAST_LARGE if large else LEAST)
    ]


def wide(page: Page) -> list[str]:
    """Whether the page has to be scrolled sideways."""
    over: int = page.evaluate(
        """() => Math.max(...[document.documentElement, document.querySelector('[data-testid=stMain]')]
          .map((node) => node.scrollWidth - node.clientWidth))"""
    )
    return [f"runs off by {over} px"] if over > 0 else []


def complaints(page: Page) -> list[str]:
    """What a page keeps from some of its readers."""
    return [*unnamed(page), *faint(page), *wide(page)]


def settled(page: Page) -> None:
    page.wait_for_timeout(500)
    expect(page.locator(IDLE)).to_be_attached()


def test_every_control_of_every_page_has_a_name_and_contrast_and_room(tab: Tab) -> None:
    tab.review(tab.server.cases["RAS"], "Ann")
    tab.page.keyboard.press("n")
    expect(tab.page.locator(".st-key-verdict_agree button")).to_be_enabled()
    found = {"Review": complaints(tab.page)}
    tab.viewer.hover()
    tab.page.keyboard.press("?")
    found["Review, keys"] = complaints(tab.page)
    tab.page.keyboard.press("Escape")
    tab.page.keyboard.press("Shift+S")
    tab.page.get_by_role("dialog", name="Skip this case").wait_for()
    found["Review, skip"] = complaints(tab.page)
    tab.page.keyboard.press("Escape")
    tab.page.get_by_role("dialog", name="Skip this case").wait_for(state="detached")
    for name in PAGES:
        address = f"{tab.server.url}/{name}"
        tab.page.get_by_test_id("stSidebarNav").locator(f'a[href="{address}"]').dispatch_event("click")
        tab.page.wait_for_url(re.compile(rf"^{re.escape(address)}(\?|$)"))
        settled(tab.page)
        found[name or "worklist"] = complaints(tab.page)
        for more in tab.page.get_by_role("tab", selected=False).all():
            more.click()
            settled(tab.page)
            found[f"{name}, {more.inner_text()}"] = complaints(tab.page)
    wrong = [f"{name}: {one}" for name, some in found.items() for one in some]
    assert not wrong, "\n".join(wrong)


def test_what_the_buttons_of_confidence_mean_stands_before_them(tab: Tab) -> None:
    tab.review(tab.server.cases["RAS"], "Dee")
    for row in ("row_sure", "row_confidence"):
        words = tab.page.locator(f".st-key-{row}")
        buttons = words.get_by_role("button")
        expect(buttons).to_have_count(5)
        caption = words.get_by_text("Confidence", exact=True).bounding_box()
        first = buttons.first.bounding_box()
        assert caption is not None
        assert first is not None
        assert caption["x"] + caption["width"] <= first["x"]


def test_answers_stay_on_a_small_screen_beside_the_open_sidebar(tab: Tab) -> None:
    tab.review(tab.server.cases["RAS"], "Eve")
    tab.page.get_by_test_id("stExpandSidebarButton").click()
    expect(tab.page.get_by_test_id("stSidebar")).to_have_attribute("data-collapsed", "false")
    tab.page.wait_for_timeout(700)  # it slides in
    panel = tab.page.locator(".st-key-reading_panel").bounding_box()
    assert panel is not None
    for key in ("sure_5", "confidence_5", "class_inadequate"):
        box = tab.page.locator(f".st-key-{key}").get_by_role("button").bounding_box()
        assert box is not None
        assert panel["x"] <= box["x"], key
        assert box["x"] + box["width"] <= min(1280, panel["x"] + panel["width"]) + 1, key


@pytest.mark.parametrize("size", [(1280, 800), (2560, 1440)])
def test_nothing_jumps_while_a_case_loads(tab: Tab, size: tuple[int, int]) -> None:
    tab.page.set_viewport_size({"width": size[0], "height": size[1]})
    tab.review(tab.server.cases["LAS"], "Cle")
    tab.page.add_init_script(path=HERE / "shifts.js")
    # Another session of the same reader: from the name on, as a reload does.
    tab.page.reload()
    tab.name("Cle")
    tab.viewer.wait_for(state="attached")
    painted = tab.page.evaluate("performance.now()")
    tab.shows(tab.server.cases["LAS"])
    tab.page.wait_for_timeout(1500)
    shifts = [one for one in tab.page.evaluate("globalThis.shifts") if one[1] >= painted]
    assert sum(value for value, *_ in shifts) < 0.05, "\n".join(str(one) for one in shifts)
