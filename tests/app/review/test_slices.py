"""Server-drawn slices and the paper's figure: exact bands, the right side, millimetres to scale."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.review.figure import COLUMNS, crop, figure_slices, overlay_figure
from app.review.slices import PLANES, band_labels, cut, decode, slice_png, spacing
from app.viewer.volumes import wire
from core.anomaly.palette import PALETTES, paint
from core.io.derivatives import CasePaths
from tests.casefactory import ORIENTATIONS, SHAPE, write_case

ALL = frozenset({"2-3", "3-4", "4+"})
MODEL = "vae_8x8_512"


def rgb(color: str) -> tuple[int, ...]:
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


def test_labels_by_hand() -> None:
    z = np.array([-127, -64, -63, -48, -47, -32, -31, 0, 31, 32, 47, 48, 63, 64, 127], dtype=np.int8)
    assert band_labels(z, ALL).tolist() == [1, 1, 2, 2, 3, 3, 0, 0, 0, 4, 4, 5, 5, 6, 6]
    assert band_labels(z, frozenset({"3-4"})).tolist() == [0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 5, 5, 0, 0]


def test_cut_puts_patient_left_on_the_right_and_front_and_top_up() -> None:
    data = np.zeros((4, 5, 6), dtype=np.uint8)
    data[0, 4, 5] = 1  # leftmost, foremost, topmost
    assert np.argwhere(cut(data, "axial", 5)).tolist() == [[0, 3]]
    assert np.argwhere(cut(data, "coronal", 4)).tolist() == [[0, 3]]
    assert np.argwhere(cut(data, "sagittal", 0)).tolist() == [[0, 4]]  # front on the right
    assert cut(data, "axial", 0).shape == (5, 4)
    assert cut(data, "coronal", 0).shape == (6, 4)
    assert cut(data, "sagittal", 0).shape == (6, 5)


def test_paint_blends_by_hand() -> None:
    base = np.array([[100, 100]], dtype=np.uint8)
    picture = paint(base, np.array([[0, 6]], dtype=np.uint8), opacity=0.5)
    red = rgb(PALETTES["paper"][5])
    assert picture[0, 0].tolist() == [100, 100, 100]
    assert picture[0, 1].tolist() == [round((100 + channel) / 2) for channel in red]


def test_decode_gives_back_the_steps(tmp_path: Path) -> None:
    record = write_case(tmp_path, stored=("L", "A", "S"))
    paths = CasePaths(tmp_path, record.subject, record.session)
    z = decode(wire(paths, MODEL, "z-volume"))
    assert (z.shape, z.dtype.name) == (SHAPE, "int8")
    assert z[5, 16, 13] == 80
    assert not z.flags.writeable
    base = decode(wire(paths, MODEL, "base"))
    assert (base.dtype.name, base.min(), base.max()) == ("uint8", 0, 255)
    assert spacing(wire(paths, MODEL, "base")) == pytest.approx((2.0, 2.0, 2.5))


@pytest.mark.parametrize("stored", ORIENTATIONS)
def test_png_shows_the_bright_block_on_the_right_side(tmp_path: Path, stored: tuple[str, str, str]) -> None:
    record = write_case(tmp_path, stored=stored)
    paths = CasePaths(tmp_path, record.subject, record.session)
    picture = np.asarray(Image.open(BytesIO(slice_png(paths, MODEL, "volume", "axial", 13, ALL, 260))))
    assert picture.shape == (260, 200, 3)  # 52 × 40 mm
    red = picture[..., 0].astype(int) - picture[..., 1]
    rows, columns = np.nonzero(red > 80)
    # Voxels 4–7 from the left of 20 and 15–18 from the back of 26, ten pixels each, mirrored on screen.
    assert (columns.min(), columns.max()) == pytest.approx((120, 159), abs=3)
    assert (rows.min(), rows.max()) == pytest.approx((70, 109), abs=3)


def test_coronal_png_is_to_scale(tmp_path: Path) -> None:
    record = write_case(tmp_path)
    paths = CasePaths(tmp_path, record.subject, record.session)
    picture = Image.open(BytesIO(slice_png(paths, MODEL, "volume", "coronal", 5, ALL, 110)))
    assert picture.size == (80, 110)  # 40 × 55 mm


def test_figure_slices_are_32_mm_apart() -> None:
    brain = np.zeros((4, 4, 101), dtype=bool)
    brain[:, :, 1:100] = True
    assert figure_slices(brain, 0.8) == (90, 50, 10)
    assert figure_slices(brain, 0.5) == (99, 50, 1)  # held inside the brain
    assert figure_slices(np.zeros((4, 4, 9), dtype=bool), 1.0) == (8, 4, 0)


def test_crop_keeps_a_margin_inside_the_grid() -> None:
    brain = np.zeros((30, 40, 5), dtype=bool)
    brain[3:20, 15:25, 2] = True
    assert crop(brain, margin=5) == (slice(0, 25), slice(10, 30))


def test_overlay_figure(tmp_path: Path) -> None:
    record = write_case(tmp_path)
    paths = CasePaths(tmp_path, record.subject, record.session)
    figure = overlay_figure(record, paths, "volume")
    assert figure.layout.title.text == "sub-test001_ses-01 · vae_8x8_512 · Volume z · SYNTHETIC"
    assert len(figure.data) == 12
    texts = [annotation.text for annotation in figure.layout.annotations]
    assert [texts.count(letter) for letter in "RL"] == [12, 12]
    assert all(title in texts for title, _ in COLUMNS)
    plain = write_case(tmp_path, "sub-real", synthetic=False)
    real = overlay_figure(plain, CasePaths(tmp_path, "sub-real", "ses-01"), "normative")
    assert "SYNTHETIC" not in real.layout.title.text


def test_figure_draws_each_band_in_its_own_column(tmp_path: Path) -> None:
    record = write_case(tmp_path)
    paths = CasePaths(tmp_path, record.subject, record.session)
    # 32 mm of 2.5 mm slices leave the phantom, so the rows are its ends and its middle slice.
    bright, colors = 0, np.array(rgb(PALETTES["paper"][5]))
    for number, trace in enumerate(overlay_figure(record, paths, "volume").data):
        picture = np.asarray(trace.z, dtype=int)
        colored = (np.ptp(picture, axis=2) > 30).sum()
        if number % 4 in (0, 1):
            assert colored == 0
        bright += int((np.abs(picture - (0.75 * colors + 0.25 * 255)).max(axis=2) < 3).sum()) * (
            number % 4 == 3
        )
    assert bright in (0, 16)


def test_png_carries_its_letters(tmp_path: Path) -> None:
    record = write_case(tmp_path, blocks=())
    paths = CasePaths(tmp_path, record.subject, record.session)
    for plane in PLANES:
        picture = np.asarray(
            Image.open(BytesIO(slice_png(paths, MODEL, "volume", plane, 2, ALL, 400))), dtype=int
        )
        yellow = picture[..., 0] - picture[..., 2] > 100
        height, width = yellow.shape
        assert yellow[:, : width // 8].any()
        assert yellow[:, -width // 8 :].any()
        assert yellow[: height // 8].any()
        assert yellow[-height // 8 :].any()
