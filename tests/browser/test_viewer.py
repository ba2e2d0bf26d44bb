"""The reading viewer in a real browser: the right case, the right side, the right colours, no chatter."""

from __future__ import annotations

import shutil
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import expect

from app.viewer.volumes import wire
from core.anomaly.palette import PALETTES
from core.io.derivatives import CasePaths, read_regions, write_regions
from tests.browser.conftest import Tab
from tests.casefactory import BRIGHT_LEFT, DARK_RIGHT, ORIENTATIONS, Block, seal, turned, write_case

WEAK = Block("r03", (10, 10, 10), (12, 12, 12), 2.5)
# 11 mm from the bright block's middle: two of its radii of 5.3 mm.
SPECK = Block("r04", (11, 16, 13), (12, 17, 14), 3.5)
ORIENTED = ["".join(stored) for stored in ORIENTATIONS]


def picture(tab: Tab) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) of the viewer's canvases, as on screen."""
    tab.settle()
    shot = Image.open(BytesIO(tab.viewer.locator(".stage").screenshot())).convert("RGB")
    # The outermost pixels can belong to the page.
    return np.asarray(shot)[2:-2, 2:-2]


def hue(pixels: NDArray[np.uint8], color: str) -> NDArray[np.bool_]:
    """Where the overlay has nearly ``color`` (the overlay must be opaque)."""
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    return np.abs(pixels.astype(int) - wanted).max(axis=2) <= 6


def opaque(tab: Tab) -> None:
    tab.viewer.get_by_label("Overlay opacity").fill("1")


def center(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Column and row of the middle of ``mask``, as shares of the picture."""
    rows, columns = np.nonzero(mask)
    return float(columns.mean() / mask.shape[1]), float(rows.mean() / mask.shape[0])


def head_middle(pixels: NDArray[np.uint8]) -> float:
    """Column of the head's middle as a share of the picture's width."""
    columns = np.nonzero((pixels.min(axis=2) > 40).sum(axis=0) > pixels.shape[0] * 0.15)[0]
    return float((columns[0] + columns[-1]) / 2 / pixels.shape[1])


def crosshair(tab: Tab) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in str(tab.viewer.get_attribute("data-mm")).split(","))
    return x, y, z


def test_shows_the_case_it_says(tab: Tab) -> None:
    case = tab.server.cases["RAS"]
    tab.review(case)
    served = wire(CasePaths(tab.server.root, case.subject, case.session), case.model, "base")
    expect(tab.viewer).to_have_attribute("data-hash", served.hash)
    head = tab.viewer.locator(".head")
    expect(head.locator(".id")).to_have_text("sub-ras_ses-01")
    expect(head).to_contain_text("vae_8x8_512")
    expect(head).to_contain_text("SYNTHETIC")
    expect(head.locator(".hash")).to_have_text(f"#{served.hash[:8]}")
    expect(head).to_contain_text("image right = patient left")


@pytest.mark.parametrize("stored", ORIENTED)
def test_patient_left_is_on_screen_right(tab: Tab, stored: str) -> None:
    tab.review(tab.server.cases[stored])
    opaque(tab)
    tab.page.keyboard.press("n")  # the bright region, on the patient's left, strongest and so first
    tab.viewer.get_by_role("button", name="Axial").click()
    expect(tab.viewer.locator(".value.band")).to_have_text("brighter 4+")
    pixels = picture(tab)
    column, row = center(hue(pixels, PALETTES["paper"][5]))
    assert column > head_middle(pixels) + 0.02
    assert row < 0.5  # in front
    tab.page.keyboard.press("l")  # neurological
    mirrored = center(hue(picture(tab), PALETTES["paper"][5]))
    assert mirrored[0] < head_middle(pixels) - 0.02
    assert mirrored[1] == pytest.approx(row, abs=0.01)
    expect(tab.viewer.locator(".head")).to_contain_text("image right = patient right")


@pytest.mark.parametrize("stored", ORIENTED)
def test_values_under_the_crosshair(tab: Tab, stored: str) -> None:
    case = tab.server.cases[stored]
    tab.review(case)
    tab.page.keyboard.press("n")
    tab.page.keyboard.press("n")
    expect(tab.viewer.locator(".value.band")).to_have_text("darker 3–4")
    expect(tab.viewer.locator(".value.z")).to_have_text("−3.5")
    # Peak voxel of the dark block in RAS, turned to the file's own axes by hand.
    x, y, z = DARK_RIGHT.start
    nx, ny, _ = (20, 26, 22)
    index = {"RAS": (x, y, z), "LAS": (nx - 1 - x, y, z), "PSR": (ny - 1 - y, z, x)}[stored]
    expect(tab.viewer.locator(".value.voxel")).to_have_text(", ".join(str(v) for v in index))
    assert crosshair(tab) == pytest.approx(((x - 9.5) * 2, (y - 12.5) * 2, (z - 10.5) * 2.5), abs=0.02)


def test_a_peak_is_called_as_in_its_row(tab: Tab) -> None:
    """4.373 is +4.4 in the list; the viewer's own map holds it cut to sixteenths, 4.3125."""
    tab.review(write_case(tab.server.root, "sub-peak", blocks=(replace(BRIGHT_LEFT, z=4.373),)))
    tab.page.keyboard.press("n")
    expect(tab.page.get_by_text("peak +4.4 in slice").first).to_be_visible()
    expect(tab.viewer.locator(".value.z")).to_have_text("+4.4")


def test_what_is_shown_is_covered_once_the_page_turns_to_another_case(tab: Tab) -> None:
    tab.review(tab.server.cases["RAS"])
    tab.page.wait_for_timeout(300)
    own = tab.page.url
    tab.page.evaluate("history.replaceState(null, '', '?case=0123456789abcdef')")
    expect(tab.viewer).to_have_attribute("data-state", "loading", timeout=2000)
    expect(tab.viewer.locator(".message")).to_have_text("Loading another case…")
    tab.page.evaluate("url => history.replaceState(null, '', url)", own)
    expect(tab.viewer).to_have_attribute("data-state", "ready", timeout=2000)
    expect(tab.viewer.locator(".message")).to_be_hidden()


def test_jump_in_an_oblique_scan(tab: Tab) -> None:
    """The head turned by 20° about the long axis: world positions need the whole affine."""
    # Another content than the other cases: a case is known by it.
    case = write_case(tab.server.root, "sub-oblique", blocks=(BRIGHT_LEFT,))
    angle = np.deg2rad(20)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    case = turned(tab.server.root, case, turn)
    regions = CasePaths(tab.server.root, case.subject, case.session).regions(case.model)
    first = read_regions(regions)[0]
    tab.review(case)
    tab.page.keyboard.press("n")
    expect(tab.viewer.locator(".value.z")).to_have_text("+5.0")
    expect(tab.viewer.locator(".value.voxel")).to_have_text(", ".join(str(v) for v in BRIGHT_LEFT.start))
    assert crosshair(tab) == pytest.approx((first.peak_x_mm, first.peak_y_mm, first.peak_z_mm), abs=0.02)
    opaque(tab)
    tab.viewer.get_by_role("button", name="Axial").click()
    pixels = picture(tab)
    sides = [center(hue(pixels, PALETTES["paper"][5]))[0]]
    tab.page.keyboard.press("l")
    sides.append(center(hue(picture(tab), PALETTES["paper"][5]))[0])
    assert sides[1] < head_middle(pixels) < sides[0]  # patient left, as both conventions have it


def test_scrubbing_moves_the_slice_and_says_nothing(tab: Tab) -> None:
    tab.review(tab.server.cases["RAS"])
    expect(tab.page.locator(".st-key-verdict_agree button")).to_be_visible()
    tab.page.wait_for_timeout(1500)  # what loading had to say is said by now
    before, start = len(tab.sent), crosshair(tab)
    stage = tab.viewer.locator(".stage").bounding_box()
    assert stage is not None
    tab.page.mouse.move(stage["x"] + 0.3 * stage["width"], stage["y"] + stage["height"] / 2)
    for _ in range(4):
        tab.page.mouse.wheel(0, 100)
    tab.page.keyboard.press("ArrowUp")
    tab.page.mouse.down()
    tab.page.mouse.move(stage["x"] + 0.33 * stage["width"], stage["y"] + 0.55 * stage["height"], steps=5)
    tab.page.mouse.up()
    tab.page.wait_for_timeout(1000)
    moved = crosshair(tab)
    assert abs(moved[2] - start[2]) == pytest.approx(3 * 2.5, abs=0.1)
    assert moved[:2] != start[:2]
    assert len(tab.sent) == before


def test_a_click_beside_all_controls_frames_nothing(tab: Tab) -> None:
    """The page itself can have the focus; its ring ran across the bar at the next key."""
    tab.review(tab.server.cases["RAS"])
    tab.page.mouse.click(640, 790)
    tab.page.keyboard.press("n")
    main = tab.page.get_by_test_id("stMain")
    expect(main).to_be_focused()
    assert main.evaluate("node => getComputedStyle(node, '::before').content") == "none"
    button = tab.page.locator(".st-key-verdict_agree button")
    plain = button.evaluate("node => getComputedStyle(node).boxShadow")
    for _ in range(60):
        tab.page.keyboard.press("Tab")
        if button.evaluate("node => node === document.activeElement"):
            break
    assert button.evaluate("node => getComputedStyle(node).boxShadow") != plain


def test_band_chips_change_what_is_drawn(tab: Tab) -> None:
    tab.review(tab.server.cases["RAS"])
    opaque(tab)
    tab.page.keyboard.press("n")
    reds, blues = PALETTES["paper"][5], PALETTES["paper"][1]
    assert hue(picture(tab), reds).sum() > 100
    tab.viewer.locator('.chip[data-band="+4+"]').click()
    assert hue(picture(tab), reds).sum() == 0
    tab.page.keyboard.press("Shift+Digit3")  # one of the two 4+ bands is off: both on
    assert hue(picture(tab), reds).sum() > 100
    tab.page.keyboard.down("Space")
    assert hue(picture(tab), reds).sum() == 0
    tab.page.keyboard.up("Space")
    tab.page.keyboard.press("n")
    assert hue(picture(tab), blues).sum() > 20
    tab.page.keyboard.press("-")
    assert hue(picture(tab), blues).sum() == 0
    tab.page.keyboard.press("-")
    assert hue(picture(tab), blues).sum() > 20
    for digit in "123":  # a plain digit is an answer, never a band
        tab.page.keyboard.press(digit)
    assert hue(picture(tab), blues).sum() > 20
    tab.page.keyboard.press("Shift+Digit2")  # band 3–4 off, both signs
    assert hue(picture(tab), blues).sum() == 0
    tab.page.keyboard.press("Shift+Digit2")
    tab.viewer.get_by_label("Overlay colours").select_option("colour-blind")
    pixels = picture(tab)
    assert hue(pixels, blues).sum() == 0
    assert hue(pixels, PALETTES["colour-blind"][1]).sum() > 20


def test_window_and_reconstruction_change_the_base(tab: Tab) -> None:
    tab.review(tab.server.cases["RAS"])
    plain = picture(tab).astype(int)
    tab.viewer.get_by_label("Window preset").select_option("Narrow")
    assert np.abs(picture(tab) - plain).mean() > 2
    tab.page.keyboard.press("0")
    assert np.abs(picture(tab) - plain).max() <= 2
    tab.page.keyboard.press("n")
    scan = picture(tab).astype(int)
    tab.page.keyboard.down("b")
    assert np.abs(picture(tab) - scan).max() > 20  # the reconstruction lacks the blocks
    tab.page.keyboard.up("b")
    assert np.abs(picture(tab) - scan).max() <= 2


def test_jump_from_the_table(tab: Tab) -> None:
    tab.review(tab.server.cases["LAS"])
    expect(tab.viewer).to_have_attribute("data-state", "ready")
    table = tab.page.get_by_test_id("stDataFrame").first.bounding_box()
    assert table is not None
    # Second row of the table, drawn on a canvas: header 36 pixels, rows of 28.
    tab.page.mouse.click(table["x"] + 80, table["y"] + 36 + 28 + 14)
    expect(tab.viewer.locator(".value.band")).to_have_text("darker 3–4")
    assert crosshair(tab)[0] > 0  # patient right
    expect(tab.page.get_by_text("darker 3–4 · right").first).to_be_visible()


def test_click_on_a_flagged_voxel_selects_its_region(tab: Tab) -> None:
    tab.review(tab.server.cases["RAS"])
    opaque(tab)
    tab.page.keyboard.press("n")
    tab.page.keyboard.press("n")
    expect(tab.page.get_by_text("darker 3–4 · right").first).to_be_visible()
    tab.viewer.get_by_role("button", name="Axial").click()
    # Scrub to the bright block's slices, then click on it.
    stage = tab.viewer.locator(".stage")
    stage.hover(position={"x": 200, "y": 100})
    for _ in range(DARK_RIGHT.start[2], BRIGHT_LEFT.start[2] + 1):
        tab.page.keyboard.press("ArrowUp")
    pixels = picture(tab)
    column, row = center(hue(pixels, PALETTES["paper"][5]))
    stage.click(position={"x": column * pixels.shape[1], "y": row * pixels.shape[0]})
    expect(tab.page.get_by_text("brighter 4+ · left").first).to_be_visible()


def test_click_selects_only_what_is_on_screen_and_near(tab: Tab) -> None:
    """A voxel of a band switched off selects nothing, nor does a region more than 1.5 radii away."""
    case = write_case(tab.server.root, "sub-click", blocks=(BRIGHT_LEFT, SPECK))
    paths = CasePaths(tab.server.root, case.subject, case.session)
    listed = [one for one in read_regions(paths.regions(case.model)) if not one.id.endswith(SPECK.id)]
    write_regions(listed, paths.regions(case.model))  # the speck is below the floor: drawn, not listed
    seal(tab.server.root, case)
    unselected = tab.page.get_by_text("Select a region")
    try:
        tab.review(case)
        opaque(tab)
        tab.viewer.get_by_role("button", name="Axial").click()
        stage = tab.viewer.locator(".stage")
        stage.hover(position={"x": 200, "y": 100})
        for _ in range(11, SPECK.start[2]):  # from the middle slice, 11, to both blocks'
            tab.page.keyboard.press("ArrowUp")
        pixels = picture(tab)
        speck = center(hue(pixels, PALETTES["paper"][4]))
        block = center(hue(pixels, PALETTES["paper"][5]))
        height, width = pixels.shape[:2]

        def click(at: tuple[float, float]) -> None:
            stage.click(position={"x": at[0] * width, "y": at[1] * height})
            tab.page.wait_for_timeout(700)

        expect(unselected).to_be_visible()
        click(speck)
        expect(tab.viewer.locator(".value.band")).to_have_text("brighter 3–4")
        expect(unselected).to_be_visible()
        tab.page.keyboard.press("Shift+Digit3")  # 4+ off
        click(block)
        expect(tab.viewer.locator(".value.band")).to_have_text("brighter 4+")
        expect(unselected).to_be_visible()
        tab.page.keyboard.press("Shift+Digit3")
        click(block)
        expect(tab.page.get_by_text("brighter 4+ · left").first).to_be_visible()
    finally:
        shutil.rmtree(tab.server.root / case.subject)


def test_another_reader_finds_the_region_that_was_selected(tab: Tab) -> None:
    tab.review(tab.server.cases["RAS"])
    tab.page.keyboard.press("n")
    tab.page.keyboard.press("n")
    expect(tab.page.get_by_text("darker 3–4 · right").first).to_be_visible()
    at = crosshair(tab)
    tab.page.get_by_role("button", name="Change reader").dispatch_event("click")
    tab.page.get_by_label("Your name").fill("Bea")
    tab.page.get_by_role("button", name="Continue").click()
    tab.shows(tab.server.cases["RAS"])
    expect(tab.page.get_by_text("darker 3–4 · right").first).to_be_visible()
    expect(tab.viewer.locator(".value.band")).to_have_text("darker 3–4")
    assert crosshair(tab) == pytest.approx(at, abs=0.02)


def test_a_reload_keeps_the_region_its_map_the_bands_and_the_view(tab: Tab) -> None:
    case = write_case(tab.server.root, "sub-reload", blocks=(BRIGHT_LEFT, WEAK))
    chip = tab.viewer.locator('.chip[data-band="+2–3"]')
    dark = tab.viewer.locator('.chip[data-band="-4+"]')
    try:
        tab.review(case, "Rae")
        tab.page.keyboard.press("m")
        expect(tab.viewer).to_have_attribute("data-map", "normative")
        tab.page.keyboard.press("v")
        chip.click()
        dark.click()
        expect(tab.page.get_by_text("0 of 2 regions read")).to_be_visible()
        tab.page.keyboard.press("n")
        tab.page.keyboard.press("n")
        expect(tab.page.get_by_text("brighter 2–3 ·").first).to_be_visible()
        at = crosshair(tab)
        tab.page.reload()
        tab.shows(case)
        expect(tab.viewer).to_have_attribute("data-map", "normative")
        expect(tab.viewer).to_have_attribute("data-view", "axial")
        expect(tab.page.get_by_text("brighter 2–3 ·").first).to_be_visible()
        expect(tab.page.get_by_text("0 of 2 regions read")).to_be_visible()
        expect(chip).to_have_attribute("aria-pressed", "true")
        expect(dark).to_have_attribute("aria-pressed", "false")
        assert crosshair(tab) == pytest.approx(at, abs=0.02)
        tab.page.locator(".st-key-review_previous button").first.click()  # another case has no region chosen
        expect(tab.viewer).not_to_have_attribute("data-case", case.case_id)
        tab.page.reload()
        expect(tab.viewer).to_have_attribute("data-state", "ready")
        expect(tab.page.get_by_text("Till then the view stays")).to_be_visible()
    finally:
        shutil.rmtree(tab.server.root / case.subject)


def test_keys_rest_while_typing(tab: Tab) -> None:
    tab.review(tab.server.cases["RAS"])
    tab.page.keyboard.press("n")
    expect(tab.viewer.locator(".value.band")).to_have_text("brighter 4+")
    note = tab.page.get_by_label("Note", exact=True)
    note.click()
    note.press_sequentially("band l x 1")
    expect(tab.viewer.locator(".head")).to_contain_text("image right = patient left")
    expect(tab.viewer.locator('.chip[data-band="+4+"]')).to_have_attribute("aria-pressed", "true")
    expect(tab.page.get_by_text("0 of 2 regions read")).to_be_visible()


def test_refuses_a_volume_that_is_not_the_one_announced(tab: Tab) -> None:
    tab.page.route("**/fontanelle/volume/*/base.nii.gz", lambda route: route.fulfill(body=b"another brain"))
    case = tab.server.cases["RAS"]
    tab.open(case)
    expect(tab.viewer.locator(".message")).to_contain_text("not the one announced")
    expect(tab.viewer).to_have_attribute("data-state", "error")
    tab.page.keyboard.press("n")
    expect(tab.page.locator(".st-key-verdict_agree button")).to_be_disabled()


def test_without_webgl_the_server_draws(tab: Tab) -> None:
    tab.page.add_init_script(
        "const real = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        "  return kind === 'webgl2' ? null : real.call(this, kind, ...rest); };"
    )
    tab.open(tab.server.cases["RAS"])
    expect(tab.viewer.locator(".message")).to_contain_text("no WebGL2")
    expect(tab.page.get_by_text("image right is patient left", exact=False).last).to_be_visible()
    expect(tab.page.get_by_role("slider", name="Slice")).to_be_visible()
    table = tab.page.get_by_test_id("stDataFrame").first.bounding_box()
    assert table is not None
    tab.page.mouse.click(table["x"] + 80, table["y"] + 36 + 14)
    expect(tab.page.locator(".st-key-verdict_agree button")).to_be_enabled()


def pressed(tab: Tab, name: str) -> str | None:
    return tab.viewer.get_by_role("button", name=name).get_attribute("aria-pressed")


def test_the_map_on_screen_is_the_map_read(tab: Tab) -> None:
    """From a case with both maps over one that lacks the chosen one, and back."""
    both = write_case(tab.server.root, "sub-map1", blocks=(BRIGHT_LEFT,))
    lacks = write_case(tab.server.root, "sub-map2", blocks=(DARK_RIGHT,))
    paths = CasePaths(tab.server.root, lacks.subject, lacks.session)
    paths.z(lacks.model, "normative").unlink()
    write_regions(
        [one for one in read_regions(paths.regions(lacks.model)) if one.map == "volume"],
        paths.regions(lacks.model),
    )
    lacks = seal(tab.server.root, replace(lacks, bands={"volume": lacks.bands["volume"]}))
    try:
        tab.review(both)
        tab.page.keyboard.press("m")
        expect(tab.viewer.get_by_role("button", name="Normative z")).to_have_attribute("aria-pressed", "true")
        expect(tab.viewer).to_have_attribute("data-map", "normative")  # the table follows
        tab.page.keyboard.press("n")
        expect(tab.page.locator(".st-key-verdict_agree button")).to_be_enabled()
        tab.page.locator(".st-key-review_next button").first.click()
        tab.shows(lacks)
        assert pressed(tab, "Volume z") == "true"
        expect(tab.viewer.get_by_role("button", name="Normative z")).to_have_count(0)
        tab.page.keyboard.press("n")
        expect(tab.page.locator(".st-key-verdict_agree button")).to_be_enabled()
        tab.page.locator(".st-key-review_previous button").first.click()
        tab.shows(both)
        assert (pressed(tab, "Volume z"), pressed(tab, "Normative z")) == ("false", "true")
        tab.page.keyboard.press("n")
        expect(tab.page.locator(".st-key-verdict_agree button")).to_be_enabled()
        tab.page.get_by_role("tab", name="Downloads").click()
        expect(tab.page.get_by_text("z map (normative), NIfTI")).to_be_visible()
    finally:
        for case in (both, lacks):
            shutil.rmtree(tab.server.root / case.subject)


def test_bands_2_3_come_and_go_in_viewer_and_table_together(tab: Tab) -> None:
    case = write_case(tab.server.root, "sub-weak", blocks=(BRIGHT_LEFT, WEAK))
    chips = [tab.viewer.locator(f'.chip[data-band="{sign}2–3"]') for sign in "-+"]
    toggle = tab.page.get_by_role("switch", name="Band 2–3 too")
    try:
        tab.review(case)
        expect(tab.page.get_by_text("0 of 1 regions read")).to_be_visible()
        tab.page.get_by_text("Band 2–3 too").click()
        expect(tab.page.get_by_text("0 of 2 regions read")).to_be_visible()
        for chip in chips:
            expect(chip).to_have_attribute("aria-pressed", "true")
        chips[0].click()  # the other sign's stays: the list does, too
        expect(chips[1]).to_have_attribute("aria-pressed", "true")
        chips[1].click()
        expect(tab.page.get_by_text("0 of 1 regions read")).to_be_visible()
        expect(toggle).not_to_be_checked()
        chips[1].click()
        expect(tab.page.get_by_text("0 of 2 regions read")).to_be_visible()
        expect(toggle).to_be_checked()
        tab.settle()
        expect(chips[0]).to_have_attribute("aria-pressed", "false")  # only what was asked for
    finally:
        shutil.rmtree(tab.server.root / case.subject)


def test_another_file_under_the_same_name_is_not_shown(tab: Tab) -> None:
    case = write_case(tab.server.root, "sub-swapped", blocks=(BRIGHT_LEFT,))
    try:
        tab.review(case)
        paths = CasePaths(tab.server.root, case.subject, case.session)
        other = tab.server.cases["RAS"]
        foreign = CasePaths(tab.server.root, other.subject, other.session)
        paths.acquired.write_bytes(foreign.acquired.read_bytes())
        tab.open(case)
        message = "desc-acquired_T2w.nii.gz: changed since this analysis; analyse the scan again"
        expect(tab.page.get_by_text(message)).to_be_visible()
        expect(tab.viewer).to_have_count(0)
        tab.review(other)  # the app is up
    finally:
        shutil.rmtree(tab.server.root / case.subject)


def test_notice_is_in_sight_once(tab: Tab) -> None:
    tab.review(tab.server.cases["RAS"])
    for page in ("review", "worklist", "upload", "cohort", "about"):
        tab.page.goto(f"{tab.server.url}/{'' if page == 'worklist' else page}")
        notice = tab.page.get_by_text("Research software, not a medical device")
        expect(notice).to_have_count(1)
        expect(notice).to_be_in_viewport()
