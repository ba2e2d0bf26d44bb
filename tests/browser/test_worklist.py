"""The Worklist by its own name in the address."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Tab


def test_its_name_in_the_address_finds_it(tab: Tab) -> None:
    tab.page.goto(f"{tab.server.url}/worklist")
    expect(tab.page.get_by_role("heading", name="Worklist", exact=True)).to_be_visible()
    expect(tab.page.get_by_test_id("stSidebarNav").get_by_role("link", name="Worklist")).to_have_count(1)
    expect(tab.page.get_by_text("Page not found")).to_have_count(0)
