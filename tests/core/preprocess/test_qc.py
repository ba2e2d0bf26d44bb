"""The QC picture: which side is where, and how fast."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from core.io.volume import Volume
from core.preprocess.qc import TILE, qc_picture

SHAPE = (40, 60, 50)


def pixels(mark: tuple[slice, slice, slice]) -> np.ndarray:
    """One row of tiles (TILE, 3 TILE, 3) of a grey box with a bright mark."""
    data = np.zeros(SHAPE, np.float32)
    mask = np.zeros(SHAPE, np.float32)
    mask[4:36, 6:54, 5:45] = 1
    data[mask > 0] = 50
    data[mark] = 200
    png = qc_picture([("row", Volume(data, np.eye(4)), mask)], "caption")
    sheet = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    assert sheet.shape[1] == 3 * TILE
    return sheet[22 : 22 + TILE]


def bright(tile: np.ndarray) -> tuple[float, float]:
    """Mean row and column of the white pixels away from the letters."""
    white = (tile.min(axis=2) > 235)[:, 20:-20]
    row, column = np.argwhere(white).mean(axis=0)
    return float(row), float(column) + 20


def test_patient_right_front_top_is_where_the_letters_say() -> None:
    # A mark to the right (high x), front (high y) and at the middle height shows in the axial tile.
    axial = pixels((slice(28, 33), slice(44, 50), slice(20, 30)))[:, :TILE]
    row, column = bright(axial)
    assert column < TILE / 2 - 20  # patient's right on the left of the screen
    assert row < TILE / 2 - 20  # front on top
    coronal = pixels((slice(28, 33), slice(25, 35), slice(36, 42)))[:, TILE : 2 * TILE]
    row, column = bright(coronal)
    assert column < TILE / 2 - 20
    assert row < TILE / 2 - 20
    sagittal = pixels((slice(15, 25), slice(44, 50), slice(36, 42)))[:, 2 * TILE :]
    row, column = bright(sagittal)
    assert column > TILE / 2 + 20  # nose to the right, as in the viewer
    assert row < TILE / 2 - 20


def test_outline_lies_on_the_mask_border() -> None:
    axial = pixels((slice(28, 33), slice(44, 50), slice(20, 30)))[:, :TILE]
    yellow = (axial == (255, 196, 0)).all(axis=2)
    rows, columns = np.nonzero(yellow)
    scale = TILE / 60  # the longest axis fills the tile
    assert abs((columns.max() - columns.min()) - 32 * scale) < 3
    assert abs((rows.max() - rows.min()) - 48 * scale) < 3


def test_same_input_same_picture() -> None:
    volume = Volume(np.random.default_rng(1).normal(size=SHAPE), np.eye(4))
    mask = np.zeros(SHAPE)
    assert qc_picture([("a", volume, mask + 1)], "c") == qc_picture([("a", volume, mask + 1)], "c")
