"""One picture of each step, to judge a preparation at a glance."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from core.io.volume import Volume
from core.preprocess.resample import bounding_box

# Dice of scan and reference below which a registration needs a look. What shifts, turns and other sizes give
# is in docs/cluster.md ("Look at what came out").
WEAK_OVERLAP = 0.9
TILE = 220  # pixels
_BAR = 22
_OUTLINE = (255, 196, 0)
# (horizontal axis, vertical axis, letters left and right on screen); radiological: the patient's right is
# on the left of the screen, and as in the viewer the nose points right.
_PLANES = {"axial": (0, 1, "R", "L"), "coronal": (0, 2, "R", "L"), "sagittal": (1, 2, "P", "A")}


def qc_picture(rows: list[tuple[str, Volume, np.ndarray]], caption: str) -> bytes:
    """PNG with one row a step and three planes through the middle of each outline.

    Parameters
    ----------
    rows : (title, image, mask (X, Y, Z) whose outline is drawn)
    caption : line at the foot
    """
    sheet = Image.new("RGB", (3 * TILE, len(rows) * (TILE + _BAR) + _BAR), "black")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for row, (title, volume, mask) in enumerate(rows):
        top = row * (TILE + _BAR)
        draw.text((6, top + 4), title, fill="white", font=font)
        for column, plane in enumerate(_PLANES):
            sheet.paste(_tile(volume, mask, plane), (column * TILE, top + _BAR))
            _, _, left, right = _PLANES[plane]
            middle = top + _BAR + TILE // 2
            draw.text((column * TILE + 4, middle), left, fill="white", font=font)
            draw.text((column * TILE + TILE - 14, middle), right, fill="white", font=font)
    draw.text((6, sheet.height - _BAR + 4), caption, fill="white", font=font)
    stream = io.BytesIO()
    sheet.save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def last_row(picture: bytes, width: int = 495) -> bytes:
    """JPEG of a QC picture's last row, the cube's three planes, ``width`` pixels wide.

    Raises
    ------
    OSError
        Where ``picture`` is no image.
    """
    with Image.open(io.BytesIO(picture)) as sheet:
        low = sheet.height - _BAR
        row = sheet.convert("RGB").crop((0, max(low - TILE, 0), sheet.width, low))
    stream = io.BytesIO()
    size = (width, max(round(width * row.height / row.width), 1))
    row.resize(size, Image.Resampling.LANCZOS).save(stream, "JPEG", quality=85)
    return stream.getvalue()


def _tile(volume: Volume, mask: np.ndarray, plane: str) -> Image.Image:
    """Square tile of one plane, true to millimetres, outline drawn on top."""
    across, up, _, _ = _PLANES[plane]
    through = 3 - across - up
    box = bounding_box(mask > 0, 0)
    at = (box[through].start + box[through].stop) // 2
    plane_values, plane_mask = np.take(volume.data, at, axis=through), np.take(mask, at, axis=through) > 0
    shown = plane_values[plane_mask] if plane_mask.any() else plane_values
    low, high = np.percentile(shown, (1, 99))
    grey = np.clip((plane_values - low) / max(high - low, 1e-6), 0, 1)
    extent = np.array(volume.shape) * volume.spacing
    scale = TILE / max(extent.max(), 1e-6)
    size = (max(round(extent[across] * scale), 1), max(round(extent[up] * scale), 1))
    # Rows run down on screen, against the axis; columns too where the patient's right is on the left.
    step = 1 if plane == "sagittal" else -1
    picture = Image.fromarray(np.rint(255 * grey[::step, ::-1].T).astype(np.uint8)).resize(
        size, Image.Resampling.BILINEAR
    )
    shape = Image.fromarray((255 * plane_mask[::step, ::-1].T).astype(np.uint8))
    solid = np.asarray(shape.resize(size, Image.Resampling.BILINEAR)) > 127
    pixels = np.repeat(np.asarray(picture)[..., None], 3, axis=2)
    pixels[solid & ~ndimage.binary_erosion(solid)] = _OUTLINE
    tile = Image.new("RGB", (TILE, TILE), "black")
    tile.paste(Image.fromarray(pixels), ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
    return tile
