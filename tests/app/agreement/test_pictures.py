"""The ring lies on the region's peak in every plane, and the planes fill the sheet."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from app.agreement.pictures import GAP, HEIGHT, Shown, draw_sheet, head_box, tile
from app.review.slices import Plane

SHAPE, SIZE, PEAK = (60, 52, 44), (1.0, 2.0, 1.5), (18, 31, 14)


def shown(ring: bool) -> Shown:
    base = np.zeros(SHAPE, np.uint8)
    base[PEAK] = 255
    return Shown(base, np.zeros(SHAPE, np.uint8), SIZE, PEAK, ring)


def centre(pixels: np.ndarray) -> np.ndarray:
    """Row and column of the middle of what is set."""
    places = np.argwhere(pixels)
    return (places.min(axis=0) + places.max(axis=0)) / 2


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_the_ring_is_centred_on_the_voxel_as_the_slice_is_cut(plane: Plane) -> None:
    plain, ringed = (np.asarray(tile(shown(ring), plane, (500, 420))).astype(int) for ring in (False, True))
    grey = (plain.max(axis=2) > 100) & (np.ptp(plain, axis=2) == 0)
    ring = (plain != ringed).any(axis=2)
    np.testing.assert_allclose(centre(ring), centre(grey), atol=2.0)


def test_patient_left_is_right_on_the_sheet_and_the_planes_stand_to_scale() -> None:
    sheet = np.asarray(Image.open(BytesIO(draw_sheet(shown(ring=False)))))
    # 60 mm across and 104 down for the axial plane; the other two are as wide as 104 mm at half the height.
    left = round(HEIGHT * 60 / 104)
    half = (HEIGHT - GAP) // 2
    assert sheet.shape == (HEIGHT, left + GAP + round(half * 104 / 66), 3)
    axial = sheet[:, :left].astype(int)
    row, column = centre((axial.max(axis=2) > 100) & (np.ptp(axial, axis=2) == 0))
    # RAS+ counts from patient left: voxel 18 of 60 lies right of the picture's middle.
    assert column == pytest.approx((59 - 18 + 0.5) / 60 * left, abs=2)
    assert row == pytest.approx((51 - 31 + 0.5) / 52 * HEIGHT, abs=2)


def test_the_box_holds_what_is_brighter_than_air_with_its_margin() -> None:
    base = np.full((30, 40, 20), 15, np.uint8)
    base[12:15, 20, 0:4] = 16
    # 5 mm are 5, 2 and 10 voxels; the volume's edge ends it.
    assert head_box(base, (1.0, 2.5, 0.5)) == (slice(7, 20), slice(18, 23), slice(0, 14))
    assert head_box(np.zeros((3, 4, 5), np.uint8), (1.0, 1.0, 1.0)) == (slice(0, 3), slice(0, 4), slice(0, 5))
