"""Frame time and load of the reading viewer in the tests' Chromium: ``python benchmarks/frame_time.py``.

Writes docs/results/frame_time.csv: for cubes of 64³, 128³ and 256³ voxels (SYNTHETIC, benchmarks/cubes.py,
seed 1) and each view the median and 95th percentile of the time of one scrub step (an arrow key until its
pixels can be read back), the websocket messages that the steps cost, the bytes of scan, expected image and
one z map on the wire, and the time from the viewer's first request to the drawn case on a server that has
built them. ``renderer`` is what WebGL2 calls itself: SwiftShader draws on the CPU.
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from playwright.sync_api import Browser, sync_playwright  # noqa: E402

from app.cases import address  # noqa: E402
from app.viewer.volumes import wire  # noqa: E402
from benchmarks.cubes import write_cube_case  # noqa: E402
from core.io.derivatives import CasePaths, CaseRecord  # noqa: E402
from tests.browser.ensure_chromium import find_chromium  # noqa: E402
from tests.browser.serving import served_app  # noqa: E402

SIZES = (64, 128, 256)
VIEWS = {"planes": "3-plane", "axial": "Axial", "mosaic": "Mosaic", "panes": "Panes"}
STEPS = 24
VIEWPORT = (1280, 800)
OUT = ROOT / "docs" / "results" / "frame_time.csv"
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
    shown_ms: int
    viewport: str
    cpus: int
    renderer: str


def wire_mb(root: Path, record: CaseRecord) -> float:
    """Scan, expected image and the first z map on the wire, in 10⁶ bytes."""
    paths = CasePaths(root, record.subject, record.session)
    kinds = ("base", "reconstruction", "z-volume")
    return sum(len(wire(paths, record.model, kind).data) for kind in kinds) / 1e6


def measure(
    browser: Browser, url: str, root: Path, record: CaseRecord, views: dict[str, str]
) -> list[Frames]:
    """Open ``record`` in the viewer alone at ``url`` and scrub through it in each view."""
    page = browser.new_page(viewport={"width": VIEWPORT[0], "height": VIEWPORT[1]})
    page.set_default_timeout(180_000)
    sent: list[str | bytes] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda payload: sent.append(payload)))
    size = int(record.subject.removeprefix("sub-cube"))
    found = []
    try:
        # Once to build the volumes, then with nothing in the browser's cache.
        warm = browser.new_page()
        warm.goto(f"{url}/?case={address(record)[:16]}")
        warm.locator(".fontanelle[data-state=ready]").wait_for(timeout=180_000)
        warm.close()
        page.goto(f"{url}/?case={address(record)[:16]}")
        viewer = page.locator(".fontanelle")
        page.locator(".fontanelle[data-state=ready]").wait_for()
        shown = int(str(viewer.get_attribute("data-shown")))
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
                    size=size,
                    view=view,
                    steps=STEPS,
                    median_ms=round(float(np.median(times)), 1),
                    p95_ms=round(float(np.percentile(times, 95)), 1),
                    messages=len(sent) - before,
                    wire_mb=round(wire_mb(root, record), 2),
                    shown_ms=shown,
                    viewport=f"{VIEWPORT[0]}x{VIEWPORT[1]}",
                    cpus=os.cpu_count() or 0,
                    renderer=result["renderer"],
                )
            )
    finally:
        page.close()
    return found


def main() -> int:
    """Measure all sizes and views and write the table."""
    from tests.browser.conftest import FLAGS

    rows: list[Frames] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        data = Path(folder)
        root = data / "derivatives" / "fontanelle"
        records = [write_cube_case(root, size) for size in SIZES]
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        with served_app({"FONTANELLE_DATA_DIR": str(data)}, data / "server.log", ENTRY) as url:
            for record in records:
                rows += measure(chromium, url, root, record, VIEWS)
                for row in rows[-len(VIEWS) :]:
                    print(
                        f"{row.size}³ {row.view}: {row.median_ms} ms a step (95 %: {row.p95_ms}), "
                        f"{row.messages} messages, {row.wire_mb} MB, shown in {row.shown_ms} ms"
                    )
        chromium.close()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    with OUT.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Frames)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    print(f"Wrote {OUT.relative_to(ROOT)}; renderer: {rows[0].renderer}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
