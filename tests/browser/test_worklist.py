"""The Worklist in a narrow window: nothing that tells two models apart is cut off."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Tab

ROOM = """(box) => [...box.querySelectorAll('*')]
  .filter((one) => one.children.length === 0 && (one.value ?? one.textContent) !== '')
  .map((one) => [one.value ?? one.textContent, one.clientWidth - one.scrollWidth])"""


def test_the_models_name_is_whole(tab: Tab) -> None:
    tab.page.goto(tab.server.url)
    box = tab.page.locator(".st-key-work_model")
    expect(box).to_be_visible()
    expect(tab.page.get_by_text("cases shown")).to_be_visible()
    tab.settle()
    room = {str(text): float(pixels) for text, pixels in box.evaluate(ROOM)}
    assert room["vae_8x8_512"] >= 0, room
