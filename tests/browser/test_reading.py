"""What a reader says, and that it is kept."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

from playwright.sync_api import expect

from tests.browser.conftest import Server, Tab
from tests.casefactory import Block, write_case

# In the browser: every answer by key is kept, or was refused.
NOTHING_WAITS = (
    "() => Object.entries(localStorage).every(([key, kept]) => !key.startsWith('fontanelle.answers.') "
    "|| kept === '[]')"
)


def rows(server: Server, table: str, columns: str, reader: str) -> list[tuple]:
    """What the database holds of one reader, oldest first."""
    joined = f"{table} t JOIN reader r ON r.id = t.reader_id"
    with closing(sqlite3.connect(f"file:{server.data / 'feedback.sqlite'}?mode=ro", uri=True)) as database:
        query = f"SELECT {columns} FROM {joined} WHERE r.name = ? ORDER BY t.seq"
        return database.execute(query, (reader,)).fetchall()


def test_a_verdict_survives_a_reload(tab: Tab) -> None:
    case = tab.server.cases["LAS"]
    tab.review(case, "Vera")
    tab.page.keyboard.press("n")
    expect(tab.page.get_by_text("brighter 4+ · left").first).to_be_visible()
    tab.page.get_by_label("Note", exact=True).fill("cyst")
    tab.page.locator(".st-key-verdict_disagree button").click()
    expect(tab.page.get_by_text(re.compile(r"saved \d\d:"))).to_be_visible()
    found = ("verdict", "verdict, note, case_id, region_id", "Vera")
    assert rows(tab.server, *found) == [("disagree", "cyst", "sub-las_ses-01", "vr01")]
    tab.review(case, "Vera")
    expect(tab.page.get_by_text("1 of 2 regions read")).to_be_visible()
    tab.page.keyboard.press("n")
    expect(tab.page.get_by_label("Note", exact=True)).to_have_value("cyst")
    tab.page.locator(".st-key-verdict_undo button").click()
    expect(tab.page.get_by_text("0 of 2 regions read")).to_be_visible()
    assert len(rows(tab.server, *found)) == 2  # the undo is a row of its own


def test_quick_keys_after_a_click_mean_the_region_on_screen(tab: Tab) -> None:
    tab.review(tab.server.cases["PSR"], "Kay")
    # A click gives the canvas the focus, which must not swallow the keys; no flag lies in this corner.
    tab.viewer.locator(".stage").click(position={"x": 12, "y": 12})
    for key in "nandpsu":  # faster than the server answers
        tab.page.keyboard.press(key)
        tab.page.wait_for_timeout(60)
    expect(tab.page.get_by_text("took back")).to_be_visible()
    expect(tab.page.get_by_text("2 of 2 regions read")).to_be_visible()
    assert rows(tab.server, "verdict", "region_id, verdict, retracted", "Kay") == [
        ("vr01", "agree", 0),
        ("vr02", "disagree", 0),
        ("vr01", "unsure", 0),
        ("vr01", "unsure", 1),
    ]


def test_an_answer_stays_with_the_case_that_was_left(tab: Tab) -> None:
    tab.review(tab.server.cases["LAS"], "Ned")
    tab.page.keyboard.press("n")
    tab.page.keyboard.press("a")
    tab.page.keyboard.press("Shift+N")
    tab.shows(tab.server.cases["PSR"])
    expect(tab.page.get_by_text("0 of 2 regions read")).to_be_visible()
    found = rows(tab.server, "verdict", "case_id, region_id, verdict", "Ned")
    assert found == [("sub-las_ses-01", "vr01", "agree")]


def test_a_note_is_written_by_key(tab: Tab) -> None:
    tab.review(tab.server.cases["LAS"], "Nora")
    tab.page.keyboard.press("n")
    expect(tab.page.get_by_label("Note", exact=True)).to_be_visible()
    tab.page.keyboard.press("e")
    tab.page.keyboard.type("a sad end")  # keys of the loop among them
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_label("Note", exact=True)).not_to_be_focused()
    tab.page.keyboard.press("d")
    expect(tab.page.get_by_text("1 of 2 regions read")).to_be_visible()
    assert rows(tab.server, "verdict", "verdict, note", "Nora") == [("disagree", "a sad end")]


def test_missed_here_at_the_cursor(tab: Tab) -> None:
    tab.review(tab.server.cases["RAS"], "Mia")
    tab.shift_click(40)
    expect(tab.page.get_by_label("Note on marked finding")).to_be_visible()
    (x, z), *more = rows(tab.server, "missed_finding", "x_mm, z_mm", "Mia")
    assert more == []
    assert x < 0  # right of the middle on screen is the patient's left
    assert abs(z) < 2.6  # the slice that was shown


def test_a_note_by_key_right_after_a_mark_is_the_marks(tab: Tab) -> None:
    tab.review(tab.server.cases["RAS"], "Mona")
    tab.page.keyboard.press("n")
    expect(tab.page.get_by_label("Note", exact=True)).to_be_visible()
    tab.shift_click(40)
    expect(tab.page.get_by_text("finding marked: which is it?")).to_be_visible()
    for key in "35e":
        tab.page.keyboard.press(key)
    tab.page.keyboard.type("a sad end")
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_label("Note on marked finding")).to_have_value("a sad end")
    tab.page.keyboard.press("a")  # the region is spoken of again
    expect(tab.page.get_by_text("1 of 2 regions read")).to_be_visible()
    tab.page.keyboard.press("x")
    tab.page.keyboard.press("e")
    expect(tab.page.get_by_label("Note", exact=True)).to_be_focused()
    assert rows(tab.server, "verdict", "verdict, note", "Mona") == [("agree", "")]


def test_model_and_case_change(tab: Tab) -> None:
    tab.review(tab.server.cases["LAS"])
    tab.page.locator(".st-key-review_next button").first.click()
    tab.shows(tab.server.cases["PSR"])
    tab.page.locator(".st-key-review_previous button").first.click()
    tab.shows(tab.server.cases["LAS"])


def test_an_answer_refused_for_good_is_shown_until_it_was_seen(tab: Tab) -> None:
    """It lies in the browser before others, as one that an earlier session could not get rid of."""
    tab.review(tab.server.cases["RAS"], "Ref")
    for key in "na":
        tab.page.keyboard.press(key)
    expect(tab.page.get_by_text("1 of 2 regions read")).to_be_visible()
    tab.page.wait_for_function(NOTHING_WAITS)
    tab.page.evaluate(
        """() => {
          const key = Object.keys(localStorage).find((one) => one.startsWith("fontanelle.answers."));
          const none = { map: "volume", hash: null, mark: null, active: null, note: null, remark: null };
          const old = { id: crypto.randomUUID(), what: "agree", value: "", address: "gone", region: "vr09" };
          const broken = { id: crypto.randomUUID(), what: "class" };
          const first = { ...none, ...old, phase: "second", session: "s" };
          localStorage.setItem(key, JSON.stringify([first, broken]));
        }"""
    )
    tab.page.reload()
    refused = tab.page.get_by_role("alert").filter(has_text="Not saved, and not sent again")
    expect(refused).to_contain_text("agree, region vr09 of a scan that is not here any more")
    for key in "nd":
        tab.page.keyboard.press(key)
    expect(tab.page.get_by_text("1 of 2 regions read")).to_be_visible()
    expect(refused).to_be_visible()
    tab.page.keyboard.press("Escape")
    tab.page.keyboard.press("Escape")
    expect(refused).to_be_hidden()
    tab.page.wait_for_function(NOTHING_WAITS)
    assert rows(tab.server, "verdict", "region_id, verdict", "Ref")[-1][1] == "disagree"


def test_the_table_scrolls_to_the_row_that_n_and_p_choose(tab: Tab) -> None:
    """Seven flags in a list of four rows: each chosen one is in sight; page and focus stay."""
    blocks = tuple(Block(f"r{at:02d}", (4 + at, 8 + at, 10), (5 + at, 9 + at, 11), 5.0) for at in range(7))
    tab.review(write_case(tab.server.root, "sub-many", blocks=blocks), "Max")
    page = tab.page
    expect(page.get_by_text("0 of 7 regions read")).to_be_visible()
    look = """() => {
      const list = document.querySelector('[class*=st-key-region_table] .dvn-scroller');
      const main = document.querySelector('[data-testid=stMain]');
      return [list.scrollTop, list.clientHeight, main.scrollTop, document.activeElement === document.body];
    }"""
    tops = []
    for row in (0, 1, 2, 3, 4, 5, 6, 0):
        page.keyboard.press("n")
        shown = f"""() => {{
          const list = document.querySelector('[class*=st-key-region_table] .dvn-scroller');
          if (!list) return false;
          const top = 35 + 28 * {row} - list.scrollTop;
          return top >= 35 && top + 28 <= list.clientHeight;
        }}"""
        page.wait_for_function(shown)
        top, _, moved, free = page.evaluate(look)
        assert (moved, free) == (0, True)
        tops.append(top)
    assert tops[0] == tops[-1] == 0 < tops[6]
    page.set_viewport_size({"width": 1280, "height": 1200})  # a higher window lists more: all seven here
    page.wait_for_function(
        "() => document.querySelector('[class*=st-key-region_table] .dvn-scroller').clientHeight >= 231"
    )
