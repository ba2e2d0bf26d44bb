"""Compare in a real browser: one canvas, all panes at one place, the right side, the right counts."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from app.cases import address
from app.compare.palette import COUNTS
from core.anomaly.palette import PALETTES
from core.io.derivatives import CaseRecord
from core.networks.zoo import NAMES
from tests.app.compare.conftest import SEEN, write_many
from tests.browser.conftest import PATIENCE_MS, Server, Tab, asked, heard
from tests.browser.serving import served_app
from tests.casefactory import (
    BRIGHT_LEFT,
    DARK_RIGHT,
    ORIENTATIONS,
    SHAPE,
    phantom_affine,
    seal,
    write_case,
)

# Kept before any script of the page: how often which kind of context was asked for.
COUNT_CONTEXTS = """
globalThis.contexts = [];
const plain = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  const context = plain.call(this, kind, ...rest);
  if (/webgl|webgpu/.test(kind)) globalThis.contexts.push(kind);
  return context;
};
"""


@dataclass(frozen=True)
class Room:
    """The app over scans that three models have analysed, without unaided reads."""

    server: Server
    cases: dict[str, CaseRecord]  # by stored orientation


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    data = tmp_path_factory.mktemp("compare")
    root = data / "derivatives" / "fontanelle"
    cases = {
        "".join(stored): write_many(root, f"sub-{''.join(stored).lower()}", stored)[0]
        for stored in ORIENTATIONS
    }
    cases["all"] = write_all(root)
    environment = {"FONTANELLE_DATA_DIR": str(data), "FONTANELLE_UNAIDED_READ": "false"}
    with served_app(environment, data / "server.log") as url:
        yield Room(Server(url, data, cases), cases)


def write_all(root: Path) -> CaseRecord:
    """A scan that the paper's eight and one of ours have analysed."""
    records = [
        write_case(root, "sub-all", model=name, blocks=(BRIGHT_LEFT,)) for name in (*NAMES, "restorer")
    ]
    sealed = [seal(root, replace(one, input_hash=records[-1].input_hash)) for one in records]
    return sealed[0]


@pytest.fixture
def tab(room: Room, browser: Browser) -> Iterator[Tab]:
    """A fresh tab; the test fails where the page logged an error or talked to another host."""
    page = browser.new_page(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script(COUNT_CONTEXTS)
    found = Tab(page, room.server)
    page.on("console", lambda message: heard(found, message))
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.on("request", lambda request: asked(found, request.url))
    page.on("websocket", lambda socket: socket.on("framesent", lambda payload: found.sent.append(payload)))
    yield found
    page.close()
    assert found.errors == []
    assert found.foreign == []


def compare(tab: Tab, stored: str = "RAS") -> None:
    case = tab.server.cases[stored]
    tab.page.goto(f"{tab.server.url}/compare?case={address(case)[:16]}")
    tab.shows(case)
    panes(tab)


def panes(tab: Tab) -> list[dict[str, Any]]:
    """What lies where on the canvas, in CSS pixels."""
    tab.settle()
    expect(tab.viewer).to_have_attribute("data-panes", re.compile("slices"))
    return list(json.loads(str(tab.viewer.get_attribute("data-panes"))))


def press(tab: Tab, name: str) -> None:
    tab.viewer.get_by_role("button", name=name, exact=True).click()
    tab.settle()


def slide(tab: Tab, name: str, value: str) -> None:
    """Set a slider, and leave it: one in focus keeps the arrows."""
    slider = tab.viewer.get_by_label(name)
    slider.fill(value)
    slider.blur()


def picture(tab: Tab) -> NDArray[np.uint8]:
    tab.settle()
    shot = Image.open(io.BytesIO(tab.viewer.locator("canvas.image").screenshot())).convert("RGB")
    return np.asarray(shot)


def near(pixels: NDArray[np.uint8], color: str, by: int = 10) -> NDArray[np.bool_]:
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    return np.abs(pixels.astype(int) - wanted).max(axis=2) <= by


def inside(pixels: NDArray[Any], box: dict[str, float]) -> NDArray[Any]:
    x, y, w, h = (round(box[name]) for name in ("x", "y", "w", "h"))
    return pixels[y : y + h, x : x + w]


def click_voxel(tab: Tab, pane: int, voxel: tuple[int, int, int]) -> None:
    """Click where an axial pane shows ``voxel`` (RAS), found from the crosshair and the spacing on screen."""
    tile = panes(tab)[pane]["slices"][0]
    here = [float(v) for v in str(tab.viewer.get_attribute("data-mm")).split(",")]
    mm = phantom_affine() @ (*voxel, 1)
    scale = tile["scale"]
    x = tile["at"][0] - (mm[0] - here[0]) * scale  # radiological: patient left on the right
    y = tile["at"][1] - (mm[1] - here[1]) * scale
    bounds = tab.viewer.locator("canvas.image").bounding_box()
    assert bounds is not None
    tab.page.mouse.click(bounds["x"] + x, bounds["y"] + y)
    tab.settle()


def go_to_slice(tab: Tab, axial: int) -> None:
    """Scroll until the axial slice ``axial`` (RAS) is shown."""
    tab.viewer.locator("canvas.image").hover(position={"x": 200, "y": 120})
    now = int(str(tab.viewer.locator(".value.slice").text_content()).split("/")[0]) - 1
    for _ in range(abs(axial - now)):
        tab.page.keyboard.press("ArrowUp" if axial > now else "ArrowDown")
    tab.settle()


def test_all_models_on_one_canvas(tab: Tab) -> None:
    compare(tab)
    assert [pane["title"] for pane in panes(tab)] == ["scan", *SEEN]
    for layout in ("2-up", "Consensus", "Difference", "All models"):
        press(tab, layout)
        assert tab.viewer.locator("canvas.image").count() == 1
    assert len(tab.page.evaluate("globalThis.contexts")) <= 1
    expect(tab.viewer.locator(".head")).to_contain_text("SYNTHETIC")


@pytest.mark.parametrize("size", [(1280, 800), (2560, 1440)])
def test_tiles_stand_in_even_rows_and_what_is_not_in_the_paper_apart(tab: Tab, size: tuple[int, int]) -> None:
    tab.page.set_viewport_size({"width": size[0], "height": size[1]})
    compare(tab, "all")
    shown = panes(tab)
    assert [pane["title"] for pane in shown] == ["scan", *NAMES, "restorer"]
    assert [pane["title"] for pane in shown if pane.get("note")] == ["restorer"]
    rows = Counter(pane["slices"][0]["y"] for pane in shown)
    assert list(rows.values()) == [5, 5]
    # Scan and restorer stand in a column of their own, left of all others.
    left = min(pane["slices"][0]["x"] for pane in shown)
    assert [pane["title"] for pane in shown if pane["slices"][0]["x"] == left] == ["scan", "restorer"]
    paper = [pane["slices"][0] for pane in shown[1:9]]
    assert [(one["y"], one["x"]) for one in paper] == sorted((one["y"], one["x"]) for one in paper)


@pytest.mark.parametrize("layout", ["All models", "2-up"])
def test_crosshair_moves_in_all_panes(tab: Tab, layout: str) -> None:
    compare(tab)
    press(tab, layout)
    if layout == "2-up":
        press(tab, "3-plane")
    tile = panes(tab)[1]["slices"][0]
    sent = len(tab.sent)
    bounds = tab.viewer.locator("canvas.image").bounding_box()
    assert bounds is not None
    x, y = tile["x"] + 0.62 * tile["w"], tile["y"] + 0.41 * tile["h"]
    tab.page.mouse.click(bounds["x"] + x, bounds["y"] + y)
    after, pixels = panes(tab), picture(tab)
    tab.page.keyboard.press("x")
    hairs = np.abs(pixels.astype(int) - picture(tab)).max(axis=2) > 12
    tab.page.keyboard.press("x")
    places = {
        (place["plane"], *(round(place["at"][i] - place["xy"[i]], 1) for i in (0, 1)))
        for pane in after
        for place in pane["slices"]
    }
    # One place a plane, the same in all panes.
    assert len(places) == len(after[0]["slices"])
    for pane in after:
        for place in pane["slices"]:
            drawn = inside(hairs, place)
            column, row = round(place["at"][0] - place["x"]), round(place["at"][1] - place["y"])
            assert drawn[:, max(0, column - 1) : column + 2].any(axis=1).mean() > 0.6
            assert drawn[max(0, row - 1) : row + 2].any(axis=0).mean() > 0.6
    for _ in range(5):
        tab.page.keyboard.press("ArrowUp")
    tab.settle()
    assert len(tab.sent) == sent  # moving about tells the server nothing


@pytest.mark.parametrize("stored", ["".join(stored) for stored in ORIENTATIONS])
def test_patient_left_is_on_screen_right_in_every_pane(tab: Tab, stored: str) -> None:
    compare(tab, stored)
    slide(tab, "Overlay opacity", "1")
    go_to_slice(tab, BRIGHT_LEFT.start[2])
    red = {"std_8x8": PALETTES["paper"][5], "vae_8x8_512": PALETTES["paper"][4]}
    for radiological in (True, False):
        pixels = picture(tab)
        for pane in panes(tab):
            shown = inside(pixels, pane["slices"][0])
            hits = near(shown, red.get(pane["title"], PALETTES["paper"][5]))
            if pane["title"] not in red:
                assert not hits.any()
                continue
            column = np.nonzero(hits)[1].mean() / shown.shape[1]
            assert (column > 0.55) if radiological else (column < 0.45)
            assert np.nonzero(hits)[0].mean() / shown.shape[0] < 0.5  # in front
            # The letter at the screen's right edge is drawn beside the head.
            assert near(shown[:, -22:], "#ffd84d", 40).any()
        press(
            tab,
            "Radiological: image right = patient left"
            if radiological
            else "Neurological: image right = patient right",
        )


def test_consensus_at_known_voxels(tab: Tab) -> None:
    compare(tab, "LAS")
    press(tab, "Consensus")
    slide(tab, "Overlay opacity", "1")
    go_to_slice(tab, BRIGHT_LEFT.start[2])
    click_voxel(tab, 0, BRIGHT_LEFT.start)
    # Stored LAS: the file's first axis runs the other way.
    x, y, z = BRIGHT_LEFT.start
    expect(tab.viewer.locator(".value.voxel")).to_have_text(f"{SHAPE[0] - 1 - x}, {y}, {z}")
    expect(tab.viewer).to_have_attribute("data-consensus", "2,0")
    expect(tab.viewer.locator(".value.agree")).to_have_text("brighter 2 of 3 · darker 0 of 3")
    brighter, darker = (inside(picture(tab), pane["slices"][0]) for pane in panes(tab))
    assert near(brighter, COUNTS[1][1]).any()
    assert not any(near(brighter, color).any() for color in COUNTS[-1][:3])
    assert not any(near(darker, color).any() for ramp in COUNTS.values() for color in ramp[:3])
    # At 3.5 SD one of the two is left: 3.25 is below.
    slide(tab, "Threshold of |z| for the consensus", "3.5")
    expect(tab.viewer).to_have_attribute("data-consensus", "1,0")
    go_to_slice(tab, DARK_RIGHT.start[2])
    click_voxel(tab, 1, DARK_RIGHT.start)
    expect(tab.viewer).to_have_attribute("data-consensus", "0,2")
    assert near(inside(picture(tab), panes(tab)[1]["slices"][0]), COUNTS[-1][1]).any()
    slide(tab, "Threshold of |z| for the consensus", "2.5")
    expect(tab.viewer).to_have_attribute("data-consensus", "0,3")


def test_tools_of_the_tables_cover_no_control(tab: Tab) -> None:
    compare(tab)
    for number, controls in enumerate((("compare_model", "compare_weak"), ("compare_difference",))):
        tab.page.get_by_test_id("stDataFrame").nth(number).hover()
        tools = tab.page.get_by_test_id("stElementToolbar").nth(number)
        expect(tools).to_have_css("opacity", "1")
        box = tools.bounding_box()
        assert box is not None
        for control in controls:
            above = tab.page.locator(f".st-key-{control}").bounding_box()
            assert above is not None
            assert above["y"] + above["height"] <= box["y"]


def test_a_click_on_a_flag_tells_who_flags_it(tab: Tab) -> None:
    compare(tab)
    go_to_slice(tab, BRIGHT_LEFT.start[2] + 1)
    click_voxel(tab, 2, (5, 16, 13))
    expect(tab.page.get_by_text("2 of 3 models flag it.")).to_be_visible()
    expect(tab.viewer).to_have_attribute("data-region", "vae_8x8_512")


def save(page: Page, button: Any, folder: Path) -> Path:
    with page.expect_download() as waiting:
        button.click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def test_downloads(tab: Tab, tmp_path: Path) -> None:
    """The picture carries its legend and letters; the consensus is that of the threshold on screen."""
    compare(tab)
    press(tab, "Consensus")
    slide(tab, "Overlay opacity", "1")
    slide(tab, "Threshold of |z| for the consensus", "3.5")
    go_to_slice(tab, BRIGHT_LEFT.start[2])
    path = save(tab.page, tab.viewer.get_by_role("button", name="PNG", exact=True), tmp_path)
    assert path.name == "sub-ras_ses-01_compare-consensus_map-volume.png"
    pixels = np.asarray(Image.open(path).convert("RGB"))
    shown = panes(tab)
    assert pixels.shape[1] == round(2 * (shown[1]["slices"][0]["x"] + shown[1]["slices"][0]["w"] + 2))
    height = pixels.shape[0]
    legend = pixels[int(0.75 * height) :]
    for color in (*COUNTS[1][:3], *COUNTS[-1][:3]):
        assert near(legend, color, 4).sum() >= 12 * 12
    assert near(pixels, "#ffd84d", 40).sum() > 200  # letters
    assert near(pixels[: int(0.1 * height)], "#f2f6f7", 40).sum() > 500  # case, map, convention
    button = tab.page.get_by_role("button", name="Consensus, |z| ≥ 3.5 (NIfTI in a .zip)")
    with zipfile.ZipFile(save(tab.page, button, tmp_path)) as archive:
        name = next(one for one in archive.namelist() if one.endswith("Brighter_dseg.nii.gz"))
        archive.extract(name, tmp_path)
    counts = np.asarray(nib.Nifti1Image.from_filename(tmp_path / name).dataobj)
    assert counts[BRIGHT_LEFT.start] == 1
    assert counts.sum() == 4 * 4 * 4
