"""The reading loop by keyboard alone, in a real browser: unaided, locked, with the flags, saved, next."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect

from app.cases import address
from core.io.derivatives import CaseRecord
from tests.browser.conftest import PATIENCE_MS, Server, Tab, opened, phantoms
from tests.browser.serving import served_app
from tests.browser.test_reading import rows

READ = "phase, classification, confidence, note, unaided, active_seconds > 0"


def keys(page: Page, text: str) -> None:
    """Press keys one after the other, faster than the server answers."""
    for key in text.split():
        page.keyboard.press(key)
        page.wait_for_timeout(60)


def blind(tab: Tab) -> None:
    expect(tab.page.get_by_text("First read, without the model")).to_be_visible()


def aided(tab: Tab, count: str = "0 of 2") -> None:
    expect(tab.page.get_by_text(f"{count} regions read")).to_be_visible()
    expect(tab.viewer).to_have_attribute("data-state", "ready")


def at_address(tab: Tab, case: CaseRecord) -> None:
    """Wait until the page's own address names ``case``."""
    expect(tab.page).to_have_url(re.compile(rf"\?case={address(case)[:16]}$"))


def test_the_whole_loop_by_keyboard(unaided_server: Server, browser: Browser) -> None:
    fetched: list[str] = []
    with opened(unaided_server, browser) as tab:
        tab.page.on("request", lambda request: fetched.append(request.url))
        tab.review(unaided_server.cases["LAS"], "Kay")
        blind(tab)
        keys(tab.page, "a d")  # nothing to answer yet
        expect(tab.page.get_by_text("The flags are hidden")).to_be_visible()
        keys(tab.page, "?")
        sheet = tab.page.get_by_role("dialog", name="Keys")
        expect(sheet).to_have_count(1)  # all keys in one list, over the scan: the controls stay in sight
        expect(sheet).to_contain_text("class of the scan, then how sure")
        expect(sheet).to_contain_text("save the picture")
        expect(tab.viewer.get_by_role("dialog", name="Keys")).to_be_visible()
        keys(tab.page, "Escape")
        expect(sheet).to_have_count(0)
        keys(tab.page, "k 3 4 E")
        expect(tab.page.get_by_label("Note on the scan")).to_be_focused()
        tab.page.keyboard.type("a dark spot, sad k 5 f")  # keys of the loop among them
        tab.page.keyboard.press("Enter")
        assert not [url for url in fetched if re.search(r"/(z-\w+|reconstruction)\.nii", url)]
        base = [url for url in fetched if "/base.nii" in url]
        tab.viewer.locator(".stage").hover(position={"x": 120, "y": 200})
        keys(tab.page, "ArrowUp ArrowUp ArrowUp")
        left_at = tab.viewer.get_attribute("data-mm")
        keys(tab.page, "f")
        aided(tab)
        # What the reader looked at, not what the model found, is on screen; nothing is selected.
        assert tab.viewer.get_attribute("data-mm") == left_at
        expect(tab.page.get_by_text("Till then the view stays")).to_be_visible()
        assert [url for url in fetched if "/z-volume.nii" in url]
        assert [url for url in fetched if "/base.nii" in url] == base, "the scan is not loaded again"
        # Verdict, finding, confidence; next region; verdict without more.
        keys(tab.page, "n a 4 5 n d u d")
        aided(tab, "2 of 2")
        tab.page.keyboard.press("e")
        expect(tab.page.get_by_label("Note", exact=True)).to_be_focused()
        tab.page.keyboard.type("vessel")
        tab.page.keyboard.press("Enter")
        for _ in range(300):  # the note goes to the verdict that stands, at once
            if rows(unaided_server, "verdict", "verdict, note", "Kay")[-1] == ("disagree", "vessel"):
                break
            tab.page.wait_for_timeout(100)
        keys(tab.page, "s 0 2 k 1 5 f")
        tab.shows(unaided_server.cases["PSR"])  # on to the next case, which is unread
        blind(tab)
        at_address(tab, unaided_server.cases["PSR"])
    assert rows(unaided_server, "case_read", READ, "Kay") == [
        ("first", "2A", 4, "a dark spot, sad k 5 f", 1, 1),
        ("second", "1A", 5, "", 1, 1),
    ]
    columns = "region_id, verdict, finding_type, confidence, note, retracted"
    assert rows(unaided_server, "verdict", columns, "Kay") == [
        ("vr01", "agree", "", None, "", 0),
        ("vr01", "agree", "cyst", None, "", 0),
        ("vr01", "agree", "cyst", 5, "", 0),
        ("vr02", "disagree", "", None, "", 0),
        ("vr02", "disagree", "", None, "", 1),
        ("vr02", "disagree", "", None, "", 0),
        ("vr02", "disagree", "", None, "vessel", 0),
        ("vr02", "unsure", "", None, "vessel", 0),
        ("vr02", "unsure", "", 2, "vessel", 0),
    ]


def test_keys_typed_while_the_flags_come_wait_for_them(unaided_server: Server, browser: Browser) -> None:
    with opened(unaided_server, browser) as tab:
        tab.review(unaided_server.cases["LAS"], "Wim")
        blind(tab)
        keys(tab.page, "1 2 3 a 1 j 2 0")  # nothing to answer: no digit is the viewer's either
        for key in ("k", "3", "4", "f", "n", "a", "4", "5", "e", "o", "n", " ", "3", "Enter", "n", "d"):
            tab.page.keyboard.press(key)
        aided(tab, "2 of 2")
        for chip in ("+4+", "-4+", "+3–4", "-3–4"):
            expect(tab.viewer.locator(f'.chip[data-band="{chip}"]')).to_have_attribute("aria-pressed", "true")
        keys(tab.page, "n e")
        tab.page.keyboard.type("late")
        tab.page.keyboard.press("Enter")
        expect(tab.page.get_by_label("Note", exact=True)).not_to_be_focused()
        keys(tab.page, "k 0 5 f")
        tab.shows(unaided_server.cases["PSR"])
    found = rows(unaided_server, "verdict", "region_id, verdict, finding_type, confidence, note", "Wim")
    assert ("vr01", "agree", "cyst", 5, "on 3") in found
    assert ("vr02", "disagree", "", None, "") in found
    assert found[-1] == ("vr01", "agree", "cyst", 5, "on 3late")


def test_keys_typed_while_others_are_told_come_after_them(unaided_server: Server, browser: Browser) -> None:
    with opened(unaided_server, browser) as tab:
        tab.review(unaided_server.cases["LAS"], "Tom")
        blind(tab)
        # What waited is told in slow motion, one key in 0.2 s.
        tab.page.evaluate(
            "const own = setTimeout;"
            "window.setTimeout = (run, ms, ...more) => own(run, ms === 0 ? 200 : ms, ...more)"
        )
        for key in ("k", "3", "4", "f", "n", "n", "n", "n", "n", "a"):
            tab.page.keyboard.press(key)
        tab.page.wait_for_function("globalThis.fontanelleHeld === undefined", polling="raf")
        for key in ("4", "5"):
            tab.page.keyboard.press(key)
        aided(tab, "1 of 2")
        for _ in range(PATIENCE_MS // 200):
            found = rows(unaided_server, "verdict", "region_id, verdict, finding_type, confidence", "Tom")
            if len(found) == 3:
                break
            tab.page.wait_for_timeout(200)
    assert found[-1] == ("vr01", "agree", "cyst", 5)


def test_keys_typed_while_the_next_case_comes_wait_for_it(unaided_server: Server, browser: Browser) -> None:
    """After the save of a second read, also one that is refused at first, and after a turn by key."""
    las, psr = unaided_server.cases["LAS"], unaided_server.cases["PSR"]
    with opened(unaided_server, browser) as tab:
        tab.review(las, "Zoe")
        for key in ("k", "0", "5", "f"):
            tab.page.keyboard.press(key)
        aided(tab)
        for key in ("f", "f", "k", "2", "1", "E", "s", "e", "c", "Enter", "f"):  # two regions have no answer
            tab.page.keyboard.press(key)
        tab.shows(psr)
        aided(tab)
        for chip in ("+2–3", "-2–3"):  # as the reader left it in the case before
            shown = tab.viewer.locator(f'.chip[data-band="{chip}"]')
            expect(shown).to_have_attribute("aria-pressed", "false")
        for key in ("k", "3", "2", "P", "k", "5", "4"):
            tab.page.keyboard.press(key)
        tab.shows(las)
        expect(tab.page.locator(".st-key-class_3 button").first).to_have_attribute("kind", "primary")
        for key in ("N", "k", "1", "3"):
            tab.page.keyboard.press(key)
        tab.shows(psr)
        expect(tab.page.locator(".st-key-class_1A button").first).to_have_attribute("kind", "primary")
    found = rows(unaided_server, "case_read", "case_id, phase, classification, confidence, note", "Zoe")
    assert found == [
        (las.case_id, "first", "normal", 5, ""),
        (las.case_id, "second", "normal", 5, ""),
        (psr.case_id, "first", "1B", 1, "sec"),
    ]


def test_the_last_mark_is_known_after_a_reload(unaided_server: Server, browser: Browser) -> None:
    with opened(unaided_server, browser) as tab:
        tab.review(unaided_server.cases["RAS"], "Lou")
        tab.shift_click(30)
        expect(tab.page.get_by_text("finding marked")).to_be_visible()
        tab.review(unaided_server.cases["RAS"], "Lou")
        keys(tab.page, "j 2 4")
        expect(tab.page.get_by_text(re.compile(r"saved \d\d:"))).to_be_visible()
        keys(tab.page, "N P")
        tab.shows(unaided_server.cases["RAS"])
        at_address(tab, unaided_server.cases["RAS"])
        # The two keys are kept one after the other.
        for _ in range(PATIENCE_MS // 200):
            found = rows(unaided_server, "missed_finding", "finding_type, confidence", "Lou")
            if found[-1] == ("haemorrhage", 4):
                break
            tab.page.wait_for_timeout(200)
    assert found[-1] == ("haemorrhage", 4)


def test_a_mark_is_named_by_digits_and_quick_turns_keep_their_case(
    unaided_server: Server, browser: Browser
) -> None:
    with opened(unaided_server, browser) as tab:
        tab.review(unaided_server.cases["LAS"], "Mia")
        tab.shift_click(30)
        expect(tab.page.get_by_text("finding marked")).to_be_visible()
        keys(tab.page, "2 3")
        expect(tab.page.get_by_text(re.compile(r"saved \d\d:"))).to_be_visible()
        keys(tab.page, "k 2 N")
        tab.shows(unaided_server.cases["PSR"])
        keys(tab.page, "k 0 P")
        tab.shows(unaided_server.cases["LAS"])
        expect(tab.page.locator(".st-key-class_1B button").first).to_have_attribute("kind", "primary")
    found = rows(unaided_server, "missed_finding", "phase, finding_type, confidence", "Mia")
    assert found[-1] == ("first", "haemorrhage", 3)


def test_a_note_being_typed_survives_a_reload(unaided_server: Server, browser: Browser) -> None:
    with opened(unaided_server, browser) as tab:
        case = unaided_server.cases["RAS"]
        tab.review(case, "Dora")
        keys(tab.page, "k 3 4")
        expect(tab.page.get_by_text("class 2A")).to_be_visible()
        tab.page.keyboard.press("E")
        tab.page.keyboard.type("cyst or ves")
        tab.review(case, "Dora")  # at once: the cursor is in the field, the server may have heard nothing
        note = tab.page.get_by_label("Note on the scan")
        expect(note).to_have_value("cyst or ves")
        expect(tab.page.locator(".st-key-class_2A button").first).to_have_attribute("kind", "primary")
        expect(tab.page.locator(".st-key-confidence_4 button").first).to_have_attribute("kind", "primary")
        keys(tab.page, "f")
        aided(tab)
    assert rows(unaided_server, "case_read", "classification, note", "Dora") == [("2A", "cyst or ves")]


def test_a_restart_of_the_server_loses_nothing(tmp_path: Path, browser: Browser) -> None:
    cases = phantoms(tmp_path)
    environment = {"FONTANELLE_DATA_DIR": str(tmp_path)}
    with served_app(environment, tmp_path / "one.log") as url:
        server = Server(url, tmp_path, cases)
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        tab = Tab(page, server)
        tab.review(cases["PSR"], "Rita")
        keys(page, "k 4 2")
        expect(page.locator(".st-key-confidence_2 button").first).to_have_attribute("kind", "primary")
        page.keyboard.press("E")
        page.keyboard.type("blurred at th")
        expect(page.get_by_text("draft kept")).to_be_visible()
    page.keyboard.type("e base")  # while nobody listens
    with served_app(environment, tmp_path / "two.log", port=int(urlsplit(url).port or 0)):
        expect(page.get_by_text("as before. Not you?")).to_be_visible()  # the tab has kept the name
        tab.shows(cases["PSR"])
        expect(page.get_by_label("Note on the scan")).to_have_value("blurred at the base")
        expect(page.locator(".st-key-class_2B button").first).to_have_attribute("kind", "primary")
        expect(page.get_by_text("draft kept")).to_be_visible()
        keys(page, "Escape f")  # the cursor is in the note yet
        aided(tab)
        assert rows(server, "case_read", "classification, confidence, note", "Rita") == [
            ("2B", 2, "blurred at the base")
        ]
        context.close()


def test_two_readers_at_once_stay_apart(unaided_server: Server, browser: Browser) -> None:
    case = unaided_server.cases["LAS"]
    with opened(unaided_server, browser) as one, opened(unaided_server, browser) as two:
        one.review(case, "Ida")
        two.review(case, "Jon")
        for tab, digits in ((one, "k 1 5"), (two, "k 5 1")):
            keys(tab.page, digits)
        for tab in (two, one):
            keys(tab.page, "f")
        for tab in (one, two):
            aided(tab)
        for key in ("n", "a"):
            for tab in (one, two):
                keys(tab.page, key)
        keys(one.page, "4 n d")
        keys(two.page, "0 n s")
        for tab in (one, two):
            aided(tab, "2 of 2")
    for reader, read, last in (("Ida", ("1A", 5), "disagree"), ("Jon", ("3", 1), "unsure")):
        assert rows(unaided_server, "case_read", "classification, confidence", reader) == [read]
        found = rows(unaided_server, "verdict", "region_id, verdict", reader)
        assert found[0] == ("vr01", "agree")
        assert found[-1] == ("vr02", last)
        assert len(found) == (3 if reader == "Ida" else 2)
