"""A lesson with a teacher and two learners in three browsers: join, mark, commit, reveal, score, point."""

from __future__ import annotations

import csv
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from core.demo.lesions import SIGN
from tests.app.teach.cohort import LEFT_MM, NORMAL, SICK, write_cohort
from tests.browser.conftest import PATIENCE_MS
from tests.browser.serving import served_app

# Answers to the unaided scan, by the addresses that carry them.
ANSWERS = re.compile(r"/z-|/truth-|/reconstruction")


LONGEST_WORD = """(node, name) => {
  node.firstChild.textContent = name;
  const word = name.split(" ").sort((a, b) => b.length - a.length)[0], range = document.createRange();
  range.setStart(node.firstChild, name.indexOf(word));
  range.setEnd(node.firstChild, name.indexOf(word) + word.length);
  const tops = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
  const [one, row] = [range, node.closest(".row")].map((shown) => shown.getBoundingClientRect());
  return { lines: tops.size, inside: one.right <= row.right };
}"""


@dataclass
class Seat:
    """One person's browser: a context of its own."""

    page: Page
    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def lesson(self) -> Locator:
        return self.page.locator(".lesson")

    @property
    def stage(self) -> Locator:
        return self.page.locator(".stage")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name)

    def shows(self, index: int) -> None:
        """Wait until scan ``index`` is drawn."""
        expect(self.stage).to_have_attribute("data-scan", re.compile(rf"^{index}:"))
        expect(self.stage).to_have_attribute("data-state", "ready")

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A point of the picture, in shares of it, in pixels of the page."""
        box = self.stage.bounding_box()
        assert box is not None
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def cross(self, x: float, y: float) -> list[float]:
        """Click there, and read where the crosshair is then, RAS+ mm."""
        self.page.mouse.click(*self.at(x, y))
        self.page.wait_for_timeout(150)
        return self.slice()

    def slice(self) -> list[float]:
        """Where the crosshair is, RAS+ mm."""
        return [float(value) for value in str(self.stage.get_attribute("data-slice")).split(",")]

    def mark(self, mm: tuple[float, float, float]) -> None:
        """Scroll the axial slice to ``mm`` and Shift-click there."""
        for _ in range(40):
            here = self.cross(0.3, 0.5)[2]
            if abs(here - mm[2]) <= 1.3:
                break
            self.page.keyboard.press("ArrowUp" if here < mm[2] else "ArrowDown")
            self.page.wait_for_timeout(60)
            self.page.keyboard.press("ArrowUp" if here < mm[2] else "ArrowDown")
        first, second = self.cross(0.2, 0.4), self.cross(0.4, 0.6)
        x = 0.2 + 0.2 * (mm[0] - first[0]) / (second[0] - first[0])
        y = 0.4 + 0.2 * (mm[1] - first[1]) / (second[1] - first[1])
        self.page.keyboard.down("Shift")
        self.page.mouse.click(*self.at(x, y))
        self.page.keyboard.up("Shift")


@contextmanager
def seated(browser: Browser) -> Iterator[Seat]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    seat = Seat(page)

    def heard(message: ConsoleMessage) -> None:
        # On a deep link Streamlit looks for its own server below the page first, and misses.
        if message.type == "error" and not re.search(r"/\w+/_stcore/", message.location["url"]):
            seat.errors.append(f"{message.text} ({message.location['url']})")

    page.on("console", heard)
    page.on("pageerror", lambda error: seat.errors.append(str(error)))
    page.on("request", lambda request: seat.asked.append(request.url))
    yield seat
    context.close()


@pytest.fixture
def seats(browser: Browser) -> Iterator[tuple[Seat, Seat, Seat]]:
    with seated(browser) as teacher, seated(browser) as ann, seated(browser) as bob:
        yield teacher, ann, bob


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def school(data: Path, port: int) -> Iterator[str]:
    """The app over ``data``, each time on the same port."""
    with (
        mock.patch("tests.browser.serving._free_port", return_value=port),
        served_app({"FONTANELLE_DATA_DIR": str(data)}, data / "server.log") as url,
    ):
        yield url


def name_teacher(teacher: Seat) -> None:
    field = teacher.page.get_by_label("Your name").last
    field.wait_for()
    field.fill("Tea")
    teacher.button("Continue").click()


def begin(url: str, teacher: Seat, *learners: tuple[Seat, str]) -> str:
    """Compose a lesson of two scans, open it, let the learners join, and show the first scan. Its code."""
    teacher.page.goto(f"{url}/teach")
    teacher.page.get_by_role("tab", name="Teach", exact=True).click()
    name_teacher(teacher)
    teacher.page.get_by_label("Title").fill("Cysts")
    choice = teacher.page.get_by_label("Scans, in the order in which you choose them")
    for subject in (SICK, NORMAL):
        choice.fill(subject)
        teacher.page.get_by_role("option", name=re.compile(subject)).first.click()
        expect(teacher.page.locator(".stMultiSelect")).to_contain_text(subject)
    teacher.page.keyboard.press("Escape")
    teacher.button("Make the lesson").click()
    teacher.button("Open the lesson").click()
    letters = teacher.page.locator(".lobby .code span")
    expect(letters).to_have_count(5)
    code = "".join(letters.all_inner_texts())
    for number, (seat, name) in enumerate(learners, 1):
        seat.page.goto(f"{url}/teach?code={code}")
        seat.page.get_by_label("Your name").first.fill(name)
        seat.button("Join").click()
        expect(seat.page.locator(".lobby")).to_contain_text(f"You are in, {name}")
        expect(teacher.lesson).to_have_attribute("data-joined", str(number))
    teacher.button("Begin").click()
    for seat in (teacher, *(seat for seat, _ in learners)):
        seat.shows(0)
    return code


def latencies(teacher: Seat, follower: Seat, moves: int) -> list[float]:
    """Milliseconds from a move of the teacher's mouse to the pointer in the follower's picture; one clock."""
    watch = """node => {
      node.seen = {};
      const note = () => { node.seen[node.dataset.pointer] ??= Date.now(); };
      new MutationObserver(note).observe(node, { attributes: true, attributeFilter: ["data-pointer"] });
    }"""
    follower.stage.evaluate(watch)
    teacher.page.evaluate("window.addEventListener('mousemove', () => { window.moved = Date.now(); }, true)")
    found = []
    for move in range(moves):
        before = teacher.lesson.get_attribute("data-pointer") or "none"
        teacher.page.mouse.move(*teacher.at(0.2 + 0.02 * move, 0.35 + 0.01 * move))
        moved = teacher.page.evaluate("window.moved")
        expect(teacher.lesson).not_to_have_attribute("data-pointer", before)
        there = str(teacher.lesson.get_attribute("data-pointer"))
        expect(follower.stage).to_have_attribute("data-pointer", there, timeout=5000)
        found.append(follower.stage.evaluate("(node, at) => node.seen[at]", there) - moved)
        teacher.page.wait_for_timeout(120)
    return found


def test_a_whole_lesson(seats: tuple[Seat, Seat, Seat], tmp_path: Path) -> None:
    teacher, ann, bob = seats
    write_cohort(tmp_path)
    with school(tmp_path, free_port()) as url:
        begin(url, teacher, (ann, "Ann"), (bob, "Bob"))

        # Ann marks the lesion on the left, words it, and reloads in the middle.
        ann.mark(LEFT_MM)
        ann.page.get_by_label("Type of mark 1").select_option(label="Cyst")
        ann.page.get_by_label("Note on mark 1").fill("left, in front")
        expect(ann.page.locator(".saved")).to_contain_text("saved")
        ann.page.wait_for_timeout(1500)  # a note is kept while it is being typed
        ann.page.reload()
        ann.shows(0)
        expect(ann.page.get_by_label("Note on mark 1")).to_have_value("left, in front")
        expect(ann.page.get_by_label("Type of mark 1")).to_have_value("cyst")
        ann.page.keyboard.press("m")
        expect(ann.page.get_by_label("Note on mark 2")).to_be_visible()
        ann.button("Remove mark 2").click()
        expect(ann.page.get_by_label("Note on mark 2")).to_have_count(0)
        ann.button("Commit 1 mark").click()
        expect(ann.page.locator(".task")).to_contain_text("Committed: 1 mark")
        # The teacher sees it without doing anything.
        expect(teacher.lesson).to_have_attribute("data-committed", "1", timeout=3000)

        # The pointer is followed: cursor and slice.
        teacher.button("Pointer").click()
        teacher.page.mouse.move(*teacher.at(0.3, 0.5))
        teacher.page.keyboard.press("PageUp")
        taken = latencies(teacher, ann, 12) + latencies(teacher, bob, 12)
        print(f"pointer: median {sorted(taken)[len(taken) // 2]} ms, longest {max(taken)} ms, n {len(taken)}")
        assert max(taken) < 1000
        for seat in (ann, bob):
            assert seat.slice() == pytest.approx(teacher.slice(), abs=0.11)

        # The teacher reloads, and is where the class is.
        teacher.page.reload()
        teacher.shows(0)
        expect(teacher.lesson).to_have_attribute("data-committed", "1")
        for seat in seats:
            assert not [address for address in seat.asked if ANSWERS.search(address)], "before the reveal"

        bob.button("Commit: nothing to find").click()
        expect(teacher.lesson).to_have_attribute("data-committed", "2")
        teacher.button("Reveal").click()
        for seat in seats:
            expect(seat.stage).to_have_attribute("data-answer", "shown")
            expect(seat.page.locator(".answer")).to_contain_text("Cyst")
        expect(ann.page.locator(".score")).to_have_text("1 of 2 lesions found, 0 false marks")
        expect(bob.page.locator(".score")).to_have_text("0 of 2 lesions found, 0 false marks")
        expect(ann.page.locator(".row[data-outcome=hit]")).to_contain_text("Cyst: left, in front")
        for seat in seats:
            assert [address for address in seat.asked if "/truth-" in address]
            assert [address for address in seat.asked if "/z-" in address]

        teacher.button("Next scan").click()
        for seat in seats:
            seat.shows(1)
            expect(seat.page.locator(".answer")).to_be_empty()
        for seat in (ann, bob):
            expect(seat.page.locator(".list")).to_contain_text("No mark yet.")
            expect(seat.page.locator(".saved")).to_be_empty()  # the time was of the former scan
        bob.page.keyboard.press("m")
        bob.button("Commit 1 mark").click()
        ann.button("Commit: nothing to find").click()
        expect(teacher.page.locator(".task")).to_have_text("Everybody has committed.")
        teacher.button("Reveal").click()
        expect(bob.page.locator(".score")).to_have_text("No lesion in this scan, 1 false mark")
        expect(ann.page.locator(".score")).to_have_text("No lesion in this scan, 0 false marks")
        expect(ann.page.locator(".list")).to_contain_text("You marked nothing.")
        rows = teacher.page.locator(".panel tbody tr")
        expect(rows.nth(0)).to_have_text("Ann✓0 of 001 of 20")
        expect(rows.nth(1)).to_have_text("Bob✓0 of 010 of 21")

        teacher.button("Close lesson").click()
        expect(ann.page.locator(".lobby")).to_contain_text("1 of 2 lesions found, 0 false marks")
        with teacher.page.expect_download() as download:
            teacher.button("Download results").click()
        written = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
        told = [
            (row["learner"], row["scan"], row["hits"], row["misses"], row["false_marks"]) for row in written
        ]
        assert told == [
            ("Ann", "1", "1", "1", "0"),
            ("Ann", "2", "0", "0", "0"),
            ("Bob", "1", "0", "2", "0"),
            ("Bob", "2", "0", "0", "1"),
        ]
        for seat in seats:
            assert seat.errors == []


def test_a_lesson_outlives_its_server(browser: Browser, tmp_path: Path) -> None:
    write_cohort(tmp_path)
    port = free_port()
    with seated(browser) as teacher, seated(browser) as ann:
        with school(tmp_path, port) as url:
            begin(url, teacher, (ann, "Ann"))
            ann.page.locator(".stage").hover()
            ann.page.keyboard.press("m")
            expect(ann.page.locator(".saved")).to_contain_text("saved")
            stopped = time.monotonic()
        assert time.monotonic() - stopped < 15, "open streams let the server stop"
        expect(ann.page.locator(".line")).to_be_visible()
        ann.page.keyboard.press("ArrowUp")
        ann.page.keyboard.press("m")  # nobody hears it yet
        expect(ann.page.locator(".saved")).to_contain_text("saving")
        with school(tmp_path, port):
            expect(ann.page.locator(".saved")).to_contain_text("saved")
            expect(ann.page.locator(".line")).to_be_hidden()
            ann.page.reload()
            ann.shows(0)
            expect(ann.page.get_by_label("Note on mark 2")).to_be_visible()
            teacher.shows(0)
            teacher.button("Reveal").click()
            expect(ann.page.locator(".score")).to_contain_text("of 2 lesions found")


def test_the_wall_shows_code_and_pointer_and_no_names(browser: Browser, tmp_path: Path) -> None:
    write_cohort(tmp_path)
    with (
        school(tmp_path, free_port()) as url,
        seated(browser) as teacher,
        seated(browser) as ann,
        seated(browser) as wall,
    ):
        code = begin(url, teacher, (ann, "Annabel"))
        lesson = re.search(r"lesson=([^&]+)", teacher.page.url)
        assert lesson is not None
        wall.page.goto(f"{url}/teach?projector={lesson[1]}")
        wall.shows(0)
        expect(wall.page.locator(".bar.head")).to_contain_text(f"code {code}")
        # Large text is 4 % of the picture’s height: 4 cm where the picture is a metre high.
        size = wall.page.locator(".task p").evaluate("node => parseFloat(getComputedStyle(node).fontSize)")
        assert size >= 0.035 * 800
        before = wall.stage.bounding_box()
        teacher.button("Pointer").click()
        teacher.page.mouse.move(*teacher.at(0.3, 0.4))
        assert max(latencies(teacher, wall, 6)) < 1000
        ann.button("Commit: nothing to find").click()
        expect(teacher.lesson).to_have_attribute("data-committed", "1")
        teacher.button("Reveal").click()
        expect(wall.page.locator(".answer")).to_contain_text("0 of 1 found it")
        assert "Annabel" not in wall.lesson.inner_text()
        assert wall.stage.bounding_box() == before, "the picture stays where it is"
        expect(wall.page.locator(".answer .case")).to_have_text(f"{SICK}_ses-01")
        expect(wall.button("Truth").locator(".key.truth")).to_be_visible()
        # The longest words that a lesion's name can have, in both sizes: each stands on one line, in its box.
        name = wall.page.locator(".row.lesion .grow").first
        for width, height in ((1280, 800), (2560, 1440)):
            wall.page.set_viewport_size({"width": width, "height": height})
            for kind in SIGN:
                box = name.evaluate(LONGEST_WORD, kind.replace("_", " "))
                assert (box["lines"], box["inside"]) == (1, True), (kind, width, box)
        assert wall.errors == []


def test_the_class_is_led_to_the_lesion_and_sees_the_pointer_in_its_slice(
    seats: tuple[Seat, Seat, Seat], tmp_path: Path
) -> None:
    teacher, ann, bob = seats
    write_cohort(tmp_path)
    with school(tmp_path, free_port()) as url:
        begin(url, teacher, (ann, "Ann"), (bob, "Bob"))

        for seat in seats:
            expect(seat.page.locator(".bar.head .age")).to_have_text("PMA 40.0 weeks")
        # Who does not follow sees no dot in a slice at which the teacher does not point.
        bob.page.get_by_label("Follow the teacher").uncheck()
        before = bob.slice()
        teacher.button("Pointer").click()
        teacher.page.mouse.move(*teacher.at(0.3, 0.5))
        expect(ann.stage).to_have_attribute("data-laser", re.compile("^0"))
        teacher.page.keyboard.press("PageUp")
        teacher.page.keyboard.press("ArrowUp")
        expect(bob.stage).to_have_attribute("data-away", "Teacher: 6 slices ↑")
        assert bob.slice() == before
        assert str(bob.stage.get_attribute("data-laser")).find("0") == -1
        for seat in (teacher, ann):  # the cursor stands still, the slices pass below it
            expect(seat.stage).to_have_attribute("data-laser", re.compile("^0"))
            expect(seat.stage).to_have_attribute("data-away", "")
        teacher.button("Pointer is on").click()

        # The reveal leads to the larger lesion, the teacher's click to the other: who follows sees it.
        pictures = [seat.stage.bounding_box() for seat in seats]
        teacher.button("Reveal").click()
        for seat in (teacher, ann):
            expect(seat.stage).to_have_attribute("data-answer", "shown")
            assert seat.slice() == pytest.approx(LEFT_MM, abs=2.6)
        assert bob.slice() == before
        assert [seat.stage.bounding_box() for seat in seats] == pictures, "no line more, no jump"
        # Nobody marked or committed: that is no answer, and no "nothing to find".
        rows = teacher.page.locator(".panel tbody tr")
        expect(rows.nth(0)).to_have_text("Annno answer––")
        expect(rows.nth(1)).to_have_text("Bobno answer––")
        expect(teacher.page.locator(".counts")).to_have_text("2 joined · 2 here · 0 answered")
        expect(ann.page.locator(".score")).to_have_text("Not answered")
        teacher.button("L2 Punctate dark").click()
        other = teacher.slice()
        assert abs(other[0] - LEFT_MM[0]) > 10, "the lesion on the other side"
        expect(ann.stage).to_have_attribute("data-slice", str(teacher.stage.get_attribute("data-slice")))
        assert bob.slice() == before
        # One's own look around lasts; to follow again leads to where the class is.
        ann.cross(0.2, 0.4)
        ann.page.wait_for_timeout(1200)
        assert ann.slice() != other
        bob.page.get_by_label("Follow the teacher").check()
        expect(bob.stage).to_have_attribute("data-slice", str(teacher.stage.get_attribute("data-slice")))
        for seat in seats:
            assert seat.errors == []
