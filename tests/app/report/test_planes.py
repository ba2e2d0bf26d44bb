"""Pictures of a report show the right place on the right side, in every stored orientation."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.report.planes import COLOURS, YELLOW, head, indexed, picture, planes, voxel
from app.review.slices import PLANES
from core.anomaly.palette import PALETTES
from core.io.derivatives import CasePaths, CaseRecord, Region, read_regions
from tests.casefactory import ORIENTATIONS, write_case


def region(paths: CasePaths, record: CaseRecord, id: str) -> Region:
    return next(one for one in read_regions(paths.regions(record.model)) if one.id == id)


def painted(image: Image.Image, reds: bool) -> np.ndarray:
    """Where a picture shows bands of one sign, (H, W)."""
    colour = np.asarray(image.convert("RGB")).astype(int)
    strong = colour[..., 0] - colour[..., 2] if reds else colour[..., 2] - colour[..., 0]
    return (strong > 60) & ~(np.abs(colour - (255, 216, 77)).sum(axis=-1) < 30)


@pytest.mark.parametrize("stored", ORIENTATIONS)
def test_left_is_on_the_right_and_the_cross_hits_the_region(
    tmp_path: Path, stored: tuple[str, str, str]
) -> None:
    record = write_case(tmp_path, "sub-a", stored=stored)
    paths = CasePaths(tmp_path, record.subject, record.session)
    brain = head(paths, record.model, "volume")
    left, right = (region(paths, record, id) for id in ("vr01", "vr02"))
    assert left.x_mm < 0 < right.x_mm, "RAS+: the patient's left has the smaller x"
    for one, reds in ((left, True), (right, False)):
        at = (one.x_mm, one.y_mm, one.z_mm)
        for plane in PLANES:
            image = picture(brain, plane, at)
            rows, columns = np.nonzero(painted(image, reds))
            assert rows.size > 30, plane
            if plane != "sagittal":
                assert (columns.mean() > image.width / 2) == (one is left), plane
            # The lines of the cross leave a gap around the region's centre.
            drawn = np.asarray(image) == YELLOW
            line_row = int(drawn.sum(axis=1).argmax())
            line_column = int(drawn.sum(axis=0).argmax())
            assert abs(line_row - rows.mean()) < 8, plane
            assert abs(line_column - columns.mean()) < 8, plane


@pytest.mark.parametrize("stored", ORIENTATIONS)
def test_voxel_is_that_of_the_file_as_stored(tmp_path: Path, stored: tuple[str, str, str]) -> None:
    record = write_case(tmp_path, "sub-a", stored=stored)
    paths = CasePaths(tmp_path, record.subject, record.session)
    one = region(paths, record, "vr01")
    brain = head(paths, record.model, "volume")
    assert voxel(brain, (one.x_mm, one.y_mm, one.z_mm)) == (one.i, one.j, one.k)


def test_side_letters_and_one_scale(tmp_path: Path) -> None:
    record = write_case(tmp_path, "sub-a")
    brain = head(CasePaths(tmp_path, record.subject, record.session), record.model, "volume")
    images = {plane: picture(brain, plane, (3.0, 16.0, 12.0)) for plane in PLANES}
    assert images["axial"].width == images["coronal"].width, "both span x"
    assert images["axial"].height == images["sagittal"].width, "both span y"
    assert images["coronal"].height == images["sagittal"].height, "both span z"
    for plane, image in images.items():
        drawn = np.asarray(image) == YELLOW
        middle = slice(image.height // 2 - 12, image.height // 2 + 12)
        assert drawn[middle, :14].sum() > 12, f"{plane}: a letter at the left edge"
        assert drawn[middle, -14:].sum() > 12, f"{plane}: and at the right"


def test_a_mark_is_a_circle_of_its_radius(tmp_path: Path) -> None:
    record = write_case(tmp_path, "sub-a")
    brain = head(CasePaths(tmp_path, record.subject, record.session), record.model, "volume")
    plain, marked = (picture(brain, "axial", (0.0, 0.0, 0.0), radius) for radius in (None, 9.0))
    more = (np.asarray(marked) == YELLOW) & (np.asarray(plain) != YELLOW)
    rows, columns = np.nonzero(more)
    reach = 9.0 * brain.scale
    assert abs((columns.max() - columns.min()) / 2 - reach) < 3
    assert abs((rows.max() - rows.min()) / 2 - reach) < 3


def test_a_place_beyond_the_brain_is_drawn_at_the_edge(tmp_path: Path) -> None:
    record = write_case(tmp_path, "sub-a")
    brain = head(CasePaths(tmp_path, record.subject, record.session), record.model, "volume")
    found = planes(brain, (500.0, -500.0, 500.0))
    assert [plane for plane, _, _ in found] == list(PLANES)


def test_pictures_are_small_png_of_indexed_colours(tmp_path: Path) -> None:
    record = write_case(tmp_path, "sub-a")
    brain = head(CasePaths(tmp_path, record.subject, record.session), record.model, "volume")
    for _, width, address in planes(brain, (0.0, 0.0, 0.0)):
        content = base64.b64decode(address.removeprefix("data:image/png;base64,"), validate=True)
        image = Image.open(BytesIO(content))
        assert (image.format, image.mode, image.width) == ("PNG", "P", width)
        assert len(content) < 60_000


def test_colours_are_those_of_the_palette() -> None:
    """The brightest shade of each band is three quarters band, one quarter white."""
    base = np.full((1, 7), 255, np.uint8)
    found = indexed(base, np.arange(7, dtype=np.uint8)[None])[0]
    colours = np.asarray(COLOURS).reshape(-1, 3)
    assert list(colours[found[0]]) == [255, 255, 255]
    for label, hexed in enumerate(PALETTES["paper"], 1):
        band = [int(hexed[at : at + 2], 16) for at in (1, 3, 5)]
        assert list(colours[found[label]]) == [round(255 * 0.25 + part * 0.75) for part in band]
    assert len(colours) <= 256


def test_bands_left_out_are_not_painted(tmp_path: Path) -> None:
    record = write_case(tmp_path, "sub-a")
    paths = CasePaths(tmp_path, record.subject, record.session)
    left = region(paths, record, "vr01")  # 4+
    at = (left.x_mm, left.y_mm, left.z_mm)
    some = head(paths, record.model, "volume", frozenset({"4+"}))
    none = head(paths, record.model, "volume", frozenset({"2-3", "3-4"}))
    assert painted(picture(some, "axial", at), True).sum() > 30
    assert painted(picture(none, "axial", at), True).sum() == 0
