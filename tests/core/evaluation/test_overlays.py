"""Sheets show the right voxel, colour and side."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from core.anomaly.palette import PALETTES
from core.evaluation.overlays import Layer, painted, place_sheet, png, scan_sheet, sheet_rows


def layer(z_at: dict[tuple[int, int, int], float], title: str = "a") -> Layer:
    shape = (16, 24, 32)
    z = np.zeros(shape, np.float32)
    for place, value in z_at.items():
        z[place] = value
    return Layer(title, np.full(shape, 0.4, np.float32), z, np.ones(shape, bool))


def rgb(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def test_rows_are_the_papers_slices() -> None:
    assert sheet_rows(256) == (192, 128, 64)
    assert sheet_rows(64) == (48, 32, 16)


def test_a_voxel_of_the_patients_left_and_front_lies_right_and_on_top() -> None:
    # RAS+: i = 1 is on the patient's left, j = 20 of 24 in front.
    picture = painted(layer({(1, 20, 5): 4.5}), 5, (1, 6))
    assert picture.shape == (24, 16, 3)
    [[row, column]] = np.argwhere(picture[..., 0] != picture[..., 1])
    assert (row, column) == (3, 14)
    expected = 0.25 * 0.4 * 255 + 0.75 * np.array(rgb(PALETTES["paper"][5]))
    assert picture[row, column] == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(
    ("z", "label", "colour"), [(2.0, 4, 3), (-2.5, 3, 2), (3.0, 5, 4), (-3.0, 2, 1), (-4.0, 1, 0)]
)
def test_each_band_has_its_colour_in_its_column_alone(z: float, label: int, colour: int) -> None:
    one = layer({(4, 6, 5): z})
    for shown in ((3, 4), (2, 5), (1, 6)):
        picture = painted(one, 5, shown)
        coloured = np.argwhere((picture != picture[..., :1]).any(axis=2))
        assert len(coloured) == (1 if label in shown else 0)
        if label in shown:
            expected = 0.25 * 0.4 * 255 + 0.75 * np.array(rgb(PALETTES["paper"][colour]))
            assert picture[tuple(coloured[0])] == pytest.approx(expected, abs=1)


def test_pictures_are_enlarged_voxel_by_voxel() -> None:
    picture = np.zeros((24, 16, 3), np.uint8)
    picture[3, 14] = (255, 0, 0)
    image = Image.open(io.BytesIO(base64.b64decode(png(picture).split(",")[1])))
    assert image.size == (16 * 8, 24 * 8)
    red = np.argwhere(np.asarray(image)[..., 0] == 255)
    assert len(red) == 64
    assert red.min(axis=0).tolist() == [24, 112]


def test_sheets_say_what_they_are() -> None:
    one = scan_sheet(layer({}), "Figure 5", synthetic=True)
    assert one.layout.title.text == "Figure 5 (synthetic data)"
    assert len(one.data) == 12
    texts = {note.text for note in one.layout.annotations}
    assert {"none", "2–3 SD", "3–4 SD", "4+ SD", "slice 25 of 32", "slice 17 of 32", "slice 9 of 32"} <= texts
    assert any("image right is patient left" in text for text in texts)


def test_one_place_in_every_model() -> None:
    place = (2, 20, 11)
    layers = [layer({place: 5.0}, "vae"), layer({}, "std")]
    sheet = place_sheet(layers, place, 2.0, "Figure 8", synthetic=False)
    assert sheet.layout.title.text == "Figure 8"
    assert len(sheet.data) == 8
    widths = []
    for trace in sheet.data:
        image = np.asarray(Image.open(io.BytesIO(base64.b64decode(trace.source.split(",")[1]))))
        coloured = (image != image[..., :1]).any(axis=2)
        widths.append(int(coloured.sum()))
    # Only the first model's 4+ column shows the voxel: 22 mm each way, cut at the cube's edge.
    factor = round(190 / (24 - 9))
    assert widths == [0, 0, 0, factor**2, 0, 0, 0, 0]
