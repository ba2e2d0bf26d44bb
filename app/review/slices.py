"""Slices drawn on the server: for the paper's figure, and for browsers or servers without the viewer."""

from __future__ import annotations

import gzip
from functools import lru_cache
from io import BytesIO
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from app.viewer.volumes import MAP_KINDS, Z_STEP, Wire, wire
from core.anomaly.palette import paint
from core.io.derivatives import CasePaths, MapName

Plane = Literal["axial", "coronal", "sagittal"]
PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
AXES: dict[Plane, tuple[int, int, int]] = {
    "axial": (0, 1, 2),
    "coronal": (0, 2, 1),
    "sagittal": (1, 2, 0),
}  # RAS+ axes across, down, and through the picture
# Letters at the left, right, top and bottom edge, radiological convention.
EDGES: dict[Plane, tuple[str, str, str, str]] = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "S", "I"),
    "sagittal": ("P", "A", "S", "I"),
}
LETTER = "#ffd84d"  # colour of letters, and of the ring around a region
# Lower edges of |z| of bands 2–3, 3–4 and 4+, in int8 steps.
EDGES_Z = tuple(round(edge / Z_STEP) for edge in (2, 3, 4))


@lru_cache(maxsize=16)
def decode(volume: Wire) -> NDArray:
    """Voxels (X, Y, Z) of a wire volume in raw steps, uint8 or int8, RAS+; read-only, shared."""
    raw = gzip.decompress(volume.data)
    dtype = np.int8 if raw[70] == 0 else np.uint8  # datatype code 256 or 2, little endian
    return np.frombuffer(raw, dtype=dtype, offset=352).reshape(volume.shape, order="F")


def band_labels(z: NDArray[np.int8], bands: frozenset[str]) -> NDArray[np.uint8]:
    """Label 1…6 of each voxel in ``PALETTES`` order (darker 4+ first), 0 where no shown band."""
    size = np.abs(z.astype(np.int16))
    labels = np.zeros(z.shape, dtype=np.uint8)
    limits = (*EDGES_Z, 1000)
    for number, band in enumerate(("2-3", "3-4", "4+")):
        if band in bands:
            inside = (size >= limits[number]) & (size < limits[number + 1])
            labels[inside & (z < 0)] = 3 - number
            labels[inside & (z > 0)] = 4 + number
    return labels


def cut(data: NDArray, plane: Plane, index: int) -> NDArray:
    """One slice of RAS+ ``data`` as rows and columns on screen, radiological (patient left on the right)."""
    if plane == "axial":
        return data[::-1, ::-1, index].T
    if plane == "coronal":
        return data[::-1, index, ::-1].T
    return data[index, :, ::-1].T


def spacing(volume: Wire) -> tuple[float, float, float]:
    """Voxel size in mm, from the wire volume's own header."""
    x, y, z = np.frombuffer(gzip.decompress(volume.data)[80:92], dtype="<f4")
    return float(x), float(y), float(z)


def slice_png(
    paths: CasePaths,
    model: str,
    name: MapName | None,
    plane: Plane,
    index: int,
    bands: frozenset[str],
    height: int,
) -> bytes:
    """PNG of one slice with its flagged voxels and side letters, ``height`` pixels high, to scale in mm.

    No voxel is flagged where no map is named.
    """
    volume = wire(paths, model, "base")
    grey = cut(decode(volume), plane, index)
    labels = np.zeros(grey.shape, dtype=np.uint8)
    if name is not None:
        labels = cut(band_labels(decode(wire(paths, model, MAP_KINDS[name])), bands), plane, index)
    picture = paint(grey, labels)
    size = spacing(volume)
    across, down = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}[plane]
    width = round(height * volume.shape[across] * size[across] / (volume.shape[down] * size[down]))
    image = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(max(10, height // 28))
    left, right, top, bottom = EDGES[plane]
    for letter, at, anchor in (
        (left, (4, height / 2), "lm"),
        (right, (width - 4, height / 2), "rm"),
        (top, (width / 2, 4), "mt"),
        (bottom, (width / 2, height - 4), "mb"),
    ):
        draw.text(at, letter, fill=LETTER, font=font, anchor=anchor)
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
