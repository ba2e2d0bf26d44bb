"""The ruler: millimetres of the scanner's space, on one slice, burned into the picture and kept nowhere."""

from __future__ import annotations

from io import BytesIO
from math import hypot

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from core.anomaly.palette import PALETTES
from core.io.derivatives import CaseRecord
from tests.browser.conftest import Server, Tab, opened
from tests.browser.test_viewer import ORIENTED, crosshair, hue, opaque, picture
from tests.casefactory import BLOCKS, turned, write_case

RULER = "#ff9df5"
# Middles of the blocks, (5.5, 16.5, 13.5) and (13.5, 8, 7.5) in voxels of 2 × 2 × 2.5 mm, are 16, 17 and
# 15 mm apart.
APART = {"Axial": hypot(16, 17), "Coronal": hypot(16, 15), "Sagittal": hypot(17, 15)}

Place = tuple[float, float]


def drag(tab: Tab, start: Place, stop: Place, *, shift: bool = False) -> None:
    if shift:
        tab.page.keyboard.down("Shift")
    tab.page.mouse.move(*start)
    tab.page.mouse.down()
    tab.page.mouse.move(*stop, steps=4)
    tab.page.mouse.up()
    if shift:
        tab.page.keyboard.up("Shift")


def blocks(tab: Tab) -> list[Place]:
    """Where on the page the middles of both blocks are in the slices of the view, the bright one first."""
    found = []
    stage = tab.viewer.locator(".stage").bounding_box()
    assert stage is not None
    for band in (5, 1):
        tab.page.keyboard.press("n")
        pixels = picture(tab)
        rows, columns = np.nonzero(hue(pixels, PALETTES["paper"][band]))
        # Two pixels are cut from each side of the picture; a pixel's middle is half a pixel on.
        across, down = ((int(one.min()) + int(one.max())) / 2 for one in (columns, rows))
        found.append((stage["x"] + 2.5 + across, stage["y"] + 2.5 + down))
    return found


def length(tab: Tab) -> float:
    return float(str(tab.viewer.get_attribute("data-length")))


def tilted(tab: Tab) -> CaseRecord:
    """The phantom turned by 25° about one axis and 15° about another: no voxel axis is a scanner's."""
    case = write_case(tab.server.root, "sub-tilted", blocks=BLOCKS)
    first, second = np.deg2rad(25), np.deg2rad(15)
    turn, lean = np.eye(4), np.eye(4)
    turn[:2, :2] = [[np.cos(first), -np.sin(first)], [np.sin(first), np.cos(first)]]
    lean[1:3, 1:3] = [[np.cos(second), -np.sin(second)], [np.sin(second), np.cos(second)]]
    return turned(tab.server.root, case, lean @ turn)


@pytest.mark.parametrize("stored", [*ORIENTED, "tilted"])
def test_millimetres_are_the_scanners(tab: Tab, stored: str) -> None:
    tab.review(tilted(tab) if stored == "tilted" else tab.server.cases[stored])
    opaque(tab)
    tab.page.keyboard.press("Shift+M")
    expect(tab.viewer.get_by_role("button", name="Measure")).to_have_attribute("aria-pressed", "true")
    for view, apart in APART.items():
        tab.viewer.get_by_role("button", name=view).click()
        places = blocks(tab)
        drag(tab, *places)
        assert length(tab) == pytest.approx(apart, rel=0.01)
    # Nearer, the same two places are farther apart on the screen.
    before = hypot(*(a - b for a, b in zip(*places, strict=True)))
    stage = tab.viewer.locator(".stage")
    stage.hover()
    tab.page.keyboard.down("Control")
    tab.page.mouse.wheel(0, -100)
    tab.page.keyboard.up("Control")
    places = blocks(tab)
    assert hypot(*(a - b for a, b in zip(*places, strict=True))) > 1.05 * before
    assert length(tab) == pytest.approx(APART["Sagittal"], rel=0.01)  # the line drawn before
    drag(tab, *places)
    assert length(tab) == pytest.approx(APART["Sagittal"], rel=0.01)


def test_a_line_moves_nothing_and_goes_as_it_came(tab: Tab) -> None:
    """No crosshair, window, mark or message; on its own slice alone; in the picture; gone with Esc."""
    tab.review(tab.server.cases["RAS"])
    tab.viewer.get_by_role("button", name="Axial").click()
    stage = tab.viewer.locator(".stage").bounding_box()
    assert stage is not None
    middle = (stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
    end = (middle[0] + 90, middle[1] + 20)
    tab.page.wait_for_timeout(1500)  # what loading had to say is said by now
    sent, before, place = len(tab.sent), picture(tab), crosshair(tab)
    window = tab.viewer.get_by_label("Window", exact=True).input_value()
    assert hue(before, RULER).sum() == 0
    tab.viewer.get_by_role("button", name="Measure").click()
    drag(tab, middle, end)
    first = length(tab)
    assert hue(picture(tab), RULER).sum() > 60
    drag(tab, middle, (end[0] - 45, end[1] - 10), shift=True)  # another drag, another line
    assert length(tab) == pytest.approx(first / 2, rel=0.03)
    tab.page.mouse.click(*middle)  # selects nothing, and leaves the line
    assert length(tab) == pytest.approx(first / 2, rel=0.03)
    assert crosshair(tab) == place
    assert tab.viewer.get_by_label("Window", exact=True).input_value() == window

    drag(tab, middle, end)
    with tab.page.expect_download() as download:
        tab.page.keyboard.press("g")
    saved = np.asarray(Image.open(BytesIO(download.value.path().read_bytes())).convert("RGB"))
    assert hue(saved, RULER).sum() > 60

    tab.page.mouse.move(*middle)
    tab.page.keyboard.press("ArrowUp")
    assert hue(picture(tab), RULER).sum() == 0
    tab.page.mouse.move(*middle)
    tab.page.keyboard.press("ArrowDown")
    assert hue(picture(tab), RULER).sum() > 60
    tab.page.keyboard.press("Escape")
    assert hue(picture(tab), RULER).sum() == 0
    expect(tab.viewer.get_by_role("button", name="Measure")).to_have_attribute("aria-pressed", "false")
    tab.page.wait_for_timeout(700)
    assert len(tab.sent) == sent
    drag(tab, middle, end)  # as ever
    assert crosshair(tab) != place


def test_an_unaided_read_can_measure(unaided_server: Server, browser: Browser) -> None:
    with opened(unaided_server, browser) as tab:
        measure_unaided(tab)


def measure_unaided(tab: Tab) -> None:
    tab.review(tab.server.cases["LAS"], "Rule")
    stage = tab.viewer.locator(".stage").bounding_box()
    assert stage is not None
    tab.page.keyboard.press("?")
    expect(tab.viewer.get_by_role("dialog", name="Keys")).to_contain_text("measure: drag a distance in mm")
    tab.page.keyboard.press("Escape")
    tab.page.keyboard.press("Shift+M")
    middle = (stage["x"] + 0.3 * stage["width"], stage["y"] + 0.5 * stage["height"])
    drag(tab, middle, (middle[0] + 60, middle[1]))
    assert hue(picture(tab), RULER).sum() > 40
    assert length(tab) > 3
