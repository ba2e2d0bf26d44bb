"""Draw the pictures of README and docs/tutorial.md from the running app over the demo: ``make pictures``.

The feedback store is a temporary one with invented readings (``picture_readers``): yours is not touched.
The scan that Compare shows is analysed by the paper's eight models first, where that was not done.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, ViewportSize, sync_playwright
from playwright.sync_api import TimeoutError as PatienceError

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.cases import FIRST_MODEL, PAPER_MODEL, address  # noqa: E402
from app.feedback.store import Store, open_store  # noqa: E402
from core.config import settings  # noqa: E402
from core.io.derivatives import CasePaths, CaseRecord, iter_records  # noqa: E402
from core.networks.zoo import NAMES, list_models  # noqa: E402
from docs.picture_readers import READERS, SEED, TEACHER, batch, lesson, locked, readings  # noqa: E402
from tests.browser.conftest import FLAGS  # noqa: E402
from tests.browser.ensure_chromium import find_chromium  # noqa: E402
from tests.browser.serving import served_app  # noqa: E402

OUT = ROOT / "docs" / "pictures"
# The demo's unilateral volume loss with wide fluid on the left: flags that a newcomer sees at once.
SHOWN = "sub-synth092_ses-01"
UNREAD = "sub-synth090_ses-01"
TAUGHT = "sub-synth108_ses-01"  # the large infarct of the demo
READ = 7  # scans that both readers have read
SIZE = ViewportSize(width=1440, height=900)
WALL = ViewportSize(width=1600, height=900)  # as a projector's
LARGEST = 330_000  # bytes a picture
GROUNDS = 8  # colours that most of a page has: white, the sidebar's, lines
CHUNK = 4096  # colours compared at a time
VIVID = 60  # between the largest and the smallest of red, green and blue, 0 to 255
PATIENCE_MS = 60_000
BAR = """(how) => { for (const one of document.querySelectorAll('.stAppHeader, .fontanelle-notice'))
  one.style.visibility = how; }"""
STILL = """() => !document.querySelector(
  "[data-test-script-state=running], [data-testid=stSkeleton], [data-stale=true]")"""


def demo_records(model: str) -> dict[str, CaseRecord]:
    """Analyses of the demo's test scans by ``model``, by case."""
    found = [one for one in iter_records(settings().derivatives_dir) if one.model == model and one.synthetic]
    return {one.case_id: one for one in sorted(found, key=lambda one: one.case_id)}


def analyse_shown() -> None:
    """Let each of the eight that has not analysed the shown scan as it is now do it."""
    subject, _, session = SHOWN.partition("_")
    scan = settings().demo_dir / subject / session / "anat" / f"{SHOWN}_T2w.nii.gz"
    for info in list_models(settings().models_dir):
        done = demo_records(info.name).get(SHOWN)
        if info.name in NAMES and (done is None or done.model_hash != info.hash):
            print(f"{SHOWN}: {info.name} …", flush=True)
            command = [sys.executable, "-m", "core", "analyze", str(scan), "--model", info.name]
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def still(page: Page) -> None:
    """Wait until the page has stood still for a second."""
    calm, end = 0, time.monotonic() + PATIENCE_MS / 1000
    while calm < 4 and time.monotonic() < end:
        calm = calm + 1 if page.evaluate(STILL) else 0
        page.wait_for_timeout(250)


def most_frequent(pixels: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """The ``count`` colours, (n, 3), that most of the pixels (m, 3) have."""
    found, often = np.unique(pixels, axis=0, return_counts=True)
    return found[np.argsort(-often, kind="stable")][:count]


def spread(pixels: NDArray[np.uint8], count: int, how: Image.Quantize) -> NDArray[np.uint8]:
    """``count`` colours, (n, 3), spread over those of the pixels (m, 3)."""
    few = Image.fromarray(pixels[None]).quantize(count, how)
    return np.array(few.getpalette(), np.uint8).reshape(-1, 3)


def palette_of(pixels: NDArray[np.uint8], colours: int) -> NDArray[np.uint8]:
    """Colours for the pixels (m, 3): the page's grounds and the legends' as they are, and what lies between.

    Of vivid ones the rare too: a yellow letter on a grey slice stays yellow.
    """
    bright = np.ptp(pixels.astype(int), axis=1) > VIVID
    vivid, calm, share = pixels[bright], pixels[~bright], colours // 6
    kept = [most_frequent(calm, GROUNDS), most_frequent(vivid, share)]
    if len(vivid) > 0:
        kept.append(spread(np.unique(vivid, axis=0), share, Image.Quantize.MAXCOVERAGE))
    left = colours - sum(len(one) for one in kept)
    return np.concatenate([*kept, spread(calm, left, Image.Quantize.MEDIANCUT)])[:colours]


def painted(pixels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> Image.Image:
    """The picture (H, W, 3) in the colours of a palette (n, 3): each pixel in the nearest."""
    packed = pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    found, places = np.unique(packed, return_inverse=True)
    colours = np.stack([found >> 16, (found >> 8) & 255, found & 255], axis=1)
    table = palette.astype(np.int32)
    nearest = [
        ((part[:, None] - table) ** 2).sum(axis=2).argmin(axis=1)
        for part in np.array_split(colours, len(colours) // CHUNK + 1)
    ]
    few = Image.fromarray(np.concatenate(nearest)[places].reshape(packed.shape).astype(np.uint8), "P")
    few.putpalette(palette.ravel().tolist())
    return few


def keep(shown: Page | Locator, name: str) -> None:
    """Save a picture in as many colours as fit the size that a picture may have.

    Raises
    ------
    SystemExit
        Where even few colours make it too large.
    """
    pixels = np.asarray(Image.open(io.BytesIO(shown.screenshot())).convert("RGB"))
    for colours in (256, 192, 128, 96, 64):
        stream = io.BytesIO()
        painted(pixels, palette_of(pixels.reshape(-1, 3), colours)).save(stream, "PNG", optimize=True)
        if stream.tell() <= LARGEST:
            (OUT / f"{name}.png").write_bytes(stream.getvalue())
            print(f"{name}.png: {colours} colours, {stream.tell() // 1000} kB", flush=True)
            return
    raise SystemExit(f"{name}.png: {stream.tell()} bytes, expected at most {LARGEST}")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    still(page)


def enter(page: Page, address: str, reader: str) -> None:
    """Open a page of the app as ``reader``."""
    page.goto(address)
    page.evaluate("() => sessionStorage.clear()")  # the tab keeps the name of whoever sat here before
    page.reload()
    page.evaluate("sessionStorage.removeItem('fontanelle.reader')")  # of whom the tab showed before
    page.goto(address)
    page.get_by_label("Your name").last.fill(reader)
    page.get_by_role("button", name="Continue").click()
    page.mouse.move(5, 700)  # no table's tools under it
    still(page)


def turn(page: Page, title: str) -> None:
    """Go to another page, in the same session."""
    opener = page.get_by_test_id("stExpandSidebarButton")
    with suppress(PatienceError):  # the sidebar is open
        opener.click(timeout=2000)
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=title, exact=True).click()
    page.mouse.move(5, 700)
    still(page)


def fold(page: Page) -> None:
    """Close the sidebar, for the pages that need the room."""
    page.get_by_test_id("stSidebarNav").hover()
    page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
    page.mouse.move(5, 700)
    still(page)


def ready(page: Page) -> None:
    page.locator(".fontanelle[data-state=ready]").wait_for()
    still(page)


def draw_reading(page: Page, url: str, shown: CaseRecord, unread: CaseRecord) -> None:
    """The radiologist: worklist, unaided read, flags, the paper's overlay."""
    enter(page, f"{url}/review?case={address(unread)[:16]}", "Reader Three")
    ready(page)
    for key in "k34":
        page.keyboard.press(key)
    still(page)
    keep(page, "unaided")
    enter(page, f"{url}/review?case={address(shown)[:16]}", READERS[0])
    ready(page)
    page.keyboard.press("n")
    page.wait_for_timeout(1000)
    still(page)
    keep(page, "review")
    page.keyboard.press("o")
    page.wait_for_timeout(500)
    keep(page, "contours")
    page.keyboard.press("o")
    press(page, "As in the paper")
    ready(page)
    keep(page, "paper")
    page.get_by_role("tab", name="Figure as in the paper").click()
    figure = page.locator(".js-plotly-plot").first
    figure.wait_for()
    page.wait_for_timeout(2000)
    page.mouse.move(5, 700)  # no tools of the figure
    page.evaluate(BAR, "hidden")  # the figure is as high as the window
    keep(figure, "figure")
    page.evaluate(BAR, "visible")
    turn(page, "Compare")
    ready(page)
    fold(page)
    page.wait_for_timeout(3000)
    keep(page, "compare")
    turn(page, "Worklist")
    keep(page, "worklist")


def draw_study(page: Page, url: str) -> None:
    """The coordinator: assign, agreement, adjudication; and what the engineer looks at."""
    enter(page, f"{url}/assign", TEACHER)
    page.get_by_role("tab", name="New batch").click()
    page.get_by_label("Name of the batch").fill("Second pilot")
    page.get_by_role("button", name=re.compile("Take all")).click()
    still(page)
    for reader in READERS:
        page.get_by_role("combobox", name=re.compile("Readers")).first.fill(reader)
        page.get_by_role("option", name=reader, exact=True).click()
        still(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Make the batch").scroll_into_view_if_needed()
    page.mouse.move(5, 700)
    still(page)
    keep(page, "assign")
    for title, name in (
        ("Agreement", "agreement"),
        ("Adjudicate", "adjudicate"),
        ("QC", "qc"),
        ("Cohort", "cohort"),
    ):
        turn(page, title)
        if title == "Adjudicate":
            fold(page)
            page.get_by_text("Save decision").wait_for()
            following = page.get_by_role("button", name="Next")
            while page.get_by_text("is this flag a finding").count() == 0 and following.is_enabled():
                following.click()
                still(page)
        page.wait_for_timeout(1500)
        still(page)
        keep(page, name)


def draw_lesson(browser: Browser, page: Page, url: str, made: tuple[str, str]) -> None:
    """The teacher with one learner, before and after the reveal, and the wall."""
    enter(page, f"{url}/teach?lesson={made[0]}", TEACHER)
    learner, wall = (browser.new_page(viewport=size) for size in (SIZE, WALL))
    for other in (learner, wall):
        other.set_default_timeout(PATIENCE_MS)
    learner.goto(f"{url}/teach?code={made[1]}")
    learner.get_by_label("Your name").first.fill("Learner One")
    learner.get_by_role("button", name="Join").click()
    learner.locator(".lobby").wait_for()
    still(learner)
    press(page, "Begin")
    learner.locator(".stage[data-state=ready]").wait_for()
    learner.locator(".stage").hover()
    learner.keyboard.press("m")
    learner.locator(".saved", has_text="saved").wait_for()
    keep(learner, "learner")
    wall.goto(f"{url}/teach?projector={made[0]}")
    wall.locator(".stage[data-state=ready]").wait_for()
    press(page, "Reveal")
    wall.locator(".stage[data-answer=shown]").wait_for()
    still(wall)
    keep(wall, "projector")
    page.wait_for_timeout(4000)  # the results below come by themselves
    keep(page, "teach")
    learner.close()
    wall.close()


def draw_report(page: Page, shown: CaseRecord, folder: Path, store: dict[str, str]) -> None:
    """The report of the shown scan, as ``python -m app.report`` writes it."""
    command = [sys.executable, "-m", "app.report", "--case", address(shown)[:16], "--reader", READERS[0]]
    subprocess.run([*command, "--out", str(folder)], cwd=ROOT, env={**os.environ, **store}, check=True)
    page.goto(next(folder.glob("*Report.html")).as_uri())
    keep(page, "report")


def invent(store: Store, records: dict[str, CaseRecord]) -> tuple[str, str]:
    """Fill the store; id and code of its lesson."""
    root = settings().derivatives_dir
    paths = {name: CasePaths(root, one.subject, one.session) for name, one in records.items()}
    rest = [one for name, one in records.items() if name not in (SHOWN, UNREAD, TAUGHT)]
    taught = [records[TAUGHT], rest[0]]
    read = [records[TAUGHT], *rest[: READ - 1]]
    readings(store, read, paths, SEED)
    batch(store, [*read, rest[READ]], SEED)
    locked(store, records[SHOWN])
    return lesson(store, taught)


def main() -> None:
    browser_path = find_chromium()
    if browser_path is None:
        raise SystemExit("no Chromium found; run `make browser`")
    records = demo_records(FIRST_MODEL)
    lacking = {SHOWN, UNREAD, TAUGHT} - records.keys()
    if lacking or SHOWN not in demo_records(PAPER_MODEL):
        raise SystemExit(
            f"the demo's test scans are not analysed by {FIRST_MODEL} and {PAPER_MODEL}; run `make app` once"
        )
    analyse_shown()
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = {"FONTANELLE_DATABASE_URL": f"sqlite:///{folder}/feedback.sqlite"}
        made = invent(open_store(store["FONTANELLE_DATABASE_URL"]), records)
        with served_app(store, folder / "server.log") as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path, args=list(FLAGS))
            page = browser.new_page(viewport=SIZE)
            page.set_default_timeout(PATIENCE_MS)
            draw_report(page, records[SHOWN], folder, store)
            draw_reading(page, url, records[SHOWN], records[UNREAD])
            draw_study(page, url)
            draw_lesson(browser, page, url, made)
            browser.close()
    print(f"Pictures in {OUT}")


if __name__ == "__main__":
    main()
