"""Frame time and load of the reading viewer in the tests' Chromium.

frame_time.csv has, for cubes of 64³, 128³ and 256³ voxels (SYNTHETIC, benchmarks/cubes.py, seed 1) and each
view, the median and 95th percentile of the time of one scrub step (an arrow key until its pixels can be read
back), the websocket messages that the steps cost, and the load of the whole case: scan, mask, expected image
and the map that is read. ``cold_ms`` is from the address to the drawn case on a server that has yet to build
the volumes; ``open_ms`` the same on one that has them, in a browser without any; ``shown_ms`` of that the
viewer's own part, from its first request to the last pixel, and ``scan_ms`` to the scan alone (medians of the
rounds).
``renderer`` is what WebGL2 calls itself: SwiftShader draws on the CPU.
"""

from __future__ import annotations

import csv
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from playwright.sync_api import Browser, Page, Response, sync_playwright  # noqa: E402

from app.cases import address  # noqa: E402
from benchmarks.cubes import write_cube_case  # noqa: E402
from benchmarks.measure import options  # noqa: E402
from core.io.derivatives import CaseRecord  # noqa: E402
from tests.browser.ensure_chromium import find_chromium  # noqa: E402
from tests.browser.serving import served_app  # noqa: E402

SIZES = (64, 128, 256)
VIEWS = {"planes": "3-plane", "axial": "Axial", "mosaic": "Mosaic", "panes": "Panes"}
STEPS = 24
VIEWPORT = (1280, 800)
ENTRY = "tests/browser/viewer_server.py"
SCRUB = """async (box, steps) => {
  const gl = box.querySelector("canvas.image").getContext("webgl2");
  const debug = gl.getExtension("WEBGL_debug_renderer_info");
  const times = [];
  for (let i = 0; i < steps; i++) {
    const began = performance.now();
    const key = i % 12 < 6 ? "ArrowUp" : "ArrowDown";
    window.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    times.push(performance.now() - began);
    await new Promise(requestAnimationFrame);
  }
  return { times, renderer: gl.getParameter(debug ? debug.UNMASKED_RENDERER_WEBGL : gl.RENDERER) };
}"""


# Until the case is whole and drawn: a pixel read back waits for the GPU, or for what stands in for one.
DRAWN = """async (box) => {
  while (box.dataset.state !== "ready") await new Promise((done) => setTimeout(done, 10));
  const gl = box.querySelector("canvas.image").getContext("webgl2");
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  return [Number(box.dataset.scan), performance.now() - Number(box.dataset.began)];
}"""


@dataclass(frozen=True)
class Load:
    """One opening of a case."""

    open_ms: float
    scan_ms: float
    shown_ms: float
    wire_mb: float  # 10⁶ bytes


@dataclass(frozen=True)
class Frames:
    """One row of the table."""

    size: int
    view: str
    steps: int
    median_ms: float
    p95_ms: float
    messages: int
    wire_mb: float  # 10⁶ bytes
    cold_ms: int
    open_ms: int
    scan_ms: int
    shown_ms: int
    viewport: str
    cpus: int
    renderer: str


def opened(page: Page, address_: str) -> Load:
    """Go to a case and wait until it is drawn."""
    bodies: list[Response] = []
    page.on("response", lambda got: bodies.append(got) if "/volume/" in got.url else None)
    began = time.perf_counter()
    page.goto(address_)
    page.locator(".fontanelle").wait_for()
    scan_ms, shown_ms = page.locator(".fontanelle").evaluate(DRAWN)
    open_ms = 1000 * (time.perf_counter() - began)
    return Load(open_ms, scan_ms, shown_ms, sum(len(got.body()) for got in bodies) / 1e6)


def measure(
    browser: Browser, url: str, record: CaseRecord, views: dict[str, str], rounds: int = 1
) -> list[Frames]:
    """Open ``record`` in the viewer alone at ``url``, first cold, and scrub through it in each view."""
    loads: list[Load] = []
    found = []
    sent: list[str | bytes] = []
    for left in range(rounds, -1, -1):
        # A context of its own: nothing in the browser's cache.
        page = browser.new_context(viewport={"width": VIEWPORT[0], "height": VIEWPORT[1]}).new_page()
        page.set_default_timeout(180_000)
        page.on("websocket", lambda socket: socket.on("framesent", lambda payload: sent.append(payload)))
        loads.append(opened(page, f"{url}/?case={address(record)[:16]}"))
        if left > 0:
            page.context.close()
    viewer, warm = page.locator(".fontanelle"), loads[1:]
    for view, label in views.items():
        viewer.get_by_role("button", name=label, exact=True).click()
        viewer.locator(".stage").hover()
        viewer.evaluate(SCRUB, 6)  # textures of this view are made
        page.wait_for_timeout(1500)
        before = len(sent)
        result = viewer.evaluate(SCRUB, STEPS)
        page.wait_for_timeout(500)
        times = np.asarray(result["times"])
        found.append(
            Frames(
                size=int(record.subject.removeprefix("sub-cube")),
                view=view,
                steps=STEPS,
                median_ms=round(float(np.median(times)), 1),
                p95_ms=round(float(np.percentile(times, 95)), 1),
                messages=len(sent) - before,
                wire_mb=round(warm[0].wire_mb, 2),
                cold_ms=round(loads[0].open_ms),
                open_ms=round(statistics.median(one.open_ms for one in warm)),
                scan_ms=round(statistics.median(one.scan_ms for one in warm)),
                shown_ms=round(statistics.median(one.shown_ms for one in warm)),
                viewport=f"{VIEWPORT[0]}x{VIEWPORT[1]}",
                cpus=os.cpu_count() or 0,
                renderer=result["renderer"],
            )
        )
    page.context.close()
    return found


def main() -> int:
    """Measure all sizes and views and write the table."""
    from tests.browser.conftest import FLAGS

    chosen = options("frame time and load of the reading viewer", 3)
    rows: list[Frames] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        data = Path(folder)
        root = data / "derivatives" / "fontanelle"
        records = [write_cube_case(root, size) for size in SIZES]
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        with served_app({"FONTANELLE_DATA_DIR": str(data)}, data / "server.log", ENTRY) as url:
            for record in records:
                rows += measure(chromium, url, record, VIEWS, chosen.rounds)
                for row in rows[-len(VIEWS) :]:
                    print(
                        f"{row.size}³ {row.view}: {row.median_ms} ms a step (95 %: {row.p95_ms}), "
                        f"{row.messages} messages, {row.wire_mb} MB; "
                        f"scan in {row.scan_ms} ms, all in {row.shown_ms}, "
                        f"from the address {row.open_ms}, on a cold server {row.cold_ms}"
                    )
        chromium.close()
    print(f"renderer: {rows[0].renderer}")
    if chosen.tables is not None:
        with (chosen.tables / "frame_time.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, [field.name for field in fields(Frames)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
