"""The report as a reader gets it: from Review, opened offline, printed."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.conftest import Tab


def test_report_opens_offline_and_prints(tab: Tab, browser: Browser, tmp_path: Path) -> None:
    case = tab.server.cases["LAS"]
    tab.review(case)
    button = tab.page.get_by_test_id("stDownloadButton").filter(has_text="Report").first.get_by_role("button")
    with tab.page.expect_download() as found:
        button.click()
    path = tmp_path / "report.html"
    found.value.save_as(path)
    assert case.case_id in found.value.suggested_filename

    context = browser.new_context(offline=True, java_script_enabled=False)
    page = context.new_page()
    foreign: list[str] = []
    page.on("request", lambda request: foreign.append(request.url))
    page.goto(path.as_uri())
    expect(page.get_by_role("heading", level=1)).to_have_text(case.case_id)
    expect(page.get_by_role("img", name="axial plane through region 1,")).to_be_visible()
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0, "nothing sticks out"
    assert [one for one in foreign if not one.startswith(("data:", "file:"))] == []
    printed = page.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    assert b"/MediaBox [0 0 594" in printed or b"/MediaBox [0 0 595" in printed, "A4 is 595 points wide"
    context.close()
