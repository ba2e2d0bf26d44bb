"""Draw README's pictures from the running app over the demo cohort: ``make pictures``.

The feedback store of the pictures is a temporary one: no reader of yours appears in them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.config import settings  # noqa: E402
from core.io.derivatives import CaseRecord, iter_records  # noqa: E402
from tests.browser.conftest import FLAGS  # noqa: E402
from tests.browser.ensure_chromium import find_chromium  # noqa: E402
from tests.browser.serving import served_app  # noqa: E402

# The demo's unilateral volume loss with wide fluid on the left: flags that a newcomer sees at once.
SHOWN = "sub-synth092_ses-01"
MODEL = "vae_8x8_512"
SIZE = {"width": 1440, "height": 900}
PATIENCE_MS = 60_000


def shown_case() -> CaseRecord:
    """The record of the case in the pictures.

    Raises
    ------
    SystemExit
        Where the demo is not made yet.
    """
    for record in iter_records(settings().derivatives_dir):
        if record.case_id == SHOWN and record.model == MODEL:
            return record
    raise SystemExit(f"{SHOWN} is not analysed by {MODEL}; run `make app` once")


def name_reader(page: Page) -> None:
    page.get_by_label("Your name").fill("Reader One")
    page.get_by_role("button", name="Continue").click()


def draw(page: Page, url: str, out: Path) -> None:
    """Walk through the job as README tells it, a picture at each station."""
    case = shown_case()
    page.goto(f"{url}/review?case={case.key[:16]}")
    name_reader(page)
    page.locator(".fontanelle[data-state=ready]").wait_for()
    page.keyboard.press("n")
    page.get_by_role("button", name="Agree", exact=False).first.wait_for()
    page.wait_for_timeout(2500)  # the jump, and the server's answer to it
    page.screenshot(path=out / "review.png")
    page.get_by_role("tab", name="Figure as in the paper").click()
    figure = page.locator(".js-plotly-plot").first
    figure.wait_for()
    page.wait_for_timeout(2000)
    figure.screenshot(path=out / "figure.png")
    page.goto(url)
    name_reader(page)
    page.get_by_text("cases shown").wait_for()
    page.wait_for_timeout(1500)
    page.screenshot(path=out / "worklist.png")


def main() -> None:
    browser_path = find_chromium()
    if browser_path is None:
        raise SystemExit("no Chromium found; run `make browser`")
    out = ROOT / "docs" / "pictures"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        store = {
            "FONTANELLE_DATABASE_URL": f"sqlite:///{folder}/feedback.sqlite",
            "FONTANELLE_UNAIDED_READ": "false",  # the pictures show flags
        }
        with served_app(store, Path(folder) / "server.log") as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path, args=list(FLAGS))
            page = browser.new_page(viewport=SIZE)
            page.set_default_timeout(PATIENCE_MS)
            draw(page, url, out)
            browser.close()
    print(f"Pictures in {out}")


if __name__ == "__main__":
    main()
