"""A typed name stays with its browser tab, and with no other."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Tab


def test_a_tab_keeps_the_name_through_a_reload(tab: Tab) -> None:
    case, page = tab.server.cases["RAS"], tab.page
    tab.review(case, "Nia")
    page.add_init_script(
        """globalThis.asked = 0; new MutationObserver(() => {
          const box = document.querySelector('.st-key-who_box');
          if (box && getComputedStyle(box).visibility === 'visible') globalThis.asked += 1;
        }).observe(document, { childList: true, subtree: true, attributes: true });"""
    )
    page.reload()
    expect(page.get_by_text("as before. Not you?")).to_be_visible()  # first: a toast stays for seconds
    tab.shows(case)
    assert page.evaluate("globalThis.asked") == 0, "the form did not flash up"
    assert "Nia" not in page.url
    assert "Nia" not in str(page.context.cookies())
    with page.expect_popup() as opened:
        page.evaluate("window.open(location.href, '_blank', 'noopener')")
    other = opened.value
    expect(other.get_by_label("Your name")).to_be_visible()
    other.close()
    page.get_by_role("button", name="Change reader").dispatch_event("click")
    expect(page.get_by_label("Your name")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Your name")).to_be_visible()
