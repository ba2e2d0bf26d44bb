"""Pictures of a report: the three planes through a point, with bands, side letters and a cross, as PNG."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from app.review.slices import AXES, EDGES, LETTER, PLANES, Plane, band_labels, cut, decode, spacing
from app.viewer.volumes import MAP_KINDS, read_grid, wire
from core.anomaly.bands import REGION_BANDS
from core.anomaly.palette import OPACITY, PALETTES, rgb
from core.io.derivatives import CasePaths, MapName

PIXELS = 300  # along the longest side of the brain's box, all planes to one scale
MARGIN_MM = 4.0  # around the brain
GREYS = 128  # of the scan where no band lies
SHADES = 16  # of the scan under each band
GAP = 9  # pixels left free around the point


@dataclass(frozen=True, eq=False)
class Head:
    """One analysis ready to be cut, RAS+ voxels, cropped to the brain's box."""

    base: NDArray[np.uint8]  # (X, Y, Z)
    labels: NDArray[np.uint8]  # (X, Y, Z): 1…6 as ``PALETTES``, 0 where no band
    affine: NDArray[np.float64]  # (4, 4): voxel of the crop to mm
    size: tuple[float, float, float]  # mm a voxel
    stored: NDArray[np.float64]  # (4, 4): voxel of the scan's file, as stored, to mm

    @property
    def scale(self) -> float:
        """Pixels a mm."""
        return PIXELS / max(n * mm for n, mm in zip(self.base.shape, self.size, strict=True))


def head(
    paths: CasePaths, model: str, name: MapName, bands: frozenset[str] = frozenset(REGION_BANDS)
) -> Head:
    """Read an analysis for its pictures, which colour ``bands``.

    Raises
    ------
    VolumeMissing
        Where a file is missing or unreadable.
    """
    volume = wire(paths, model, "base")
    brain = read_grid(paths.mask)
    size = spacing(volume)
    inside = brain.data > 0
    box = []
    for axis in range(3):
        others = tuple(one for one in range(3) if one != axis)
        filled = np.flatnonzero(inside.any(axis=others))
        margin = round(MARGIN_MM / size[axis])
        low, high = (filled[0], filled[-1]) if filled.size else (0, volume.shape[axis] - 1)
        box.append((max(0, int(low) - margin), min(volume.shape[axis], int(high) + margin + 1)))
    part = tuple(slice(*limits) for limits in box)
    affine = brain.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [low for low, _ in box]
    z = decode(wire(paths, model, MAP_KINDS[name]))
    stored = np.asarray(nib.load(paths.acquired).affine, dtype=np.float64)  # type: ignore[attr-defined]
    return Head(decode(volume)[part], band_labels(z[part], bands), affine, size, stored)


def voxel(head: Head, mm: tuple[float, float, float]) -> tuple[int, int, int]:
    """Voxel of the scan's file, as stored, that holds a point (RAS+ mm)."""
    i, j, k = np.rint(np.linalg.inv(head.stored) @ (*mm, 1.0))[:3].astype(int).tolist()
    return i, j, k


def _palette() -> list[int]:
    """Colours of the pictures: greys, six bands over shades of the scan, and the letters' yellow."""
    colours = [[round(255 * level / (GREYS - 1))] * 3 for level in range(GREYS)]
    for colour in PALETTES["paper"]:
        band = rgb(colour)
        for shade in range(SHADES):
            grey = 255 * shade / (SHADES - 1)
            colours.append([round(grey * (1 - OPACITY) + part * OPACITY) for part in band])
    colours.append(rgb(LETTER))
    return [part for one in colours for part in one]


COLOURS = _palette()
YELLOW = len(COLOURS) // 3 - 1


def indexed(base: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour index of each pixel, (H, W): 128 greys, or a band over 16 shades of grey."""
    greys = np.rint(base / 255 * (GREYS - 1)).astype(np.uint8)
    shades = np.rint(base / 255 * (SHADES - 1)).astype(np.uint8)
    bands = (GREYS + (labels.astype(np.int16) - 1) * SHADES + shades).clip(0, 255).astype(np.uint8)
    return np.where(labels > 0, bands, greys)


def picture(
    head: Head, plane: Plane, mm: tuple[float, float, float], radius_mm: float | None = None
) -> Image.Image:
    """One plane through ``mm`` (RAS+): bands, side letters, and a cross or, of a mark, its circle.

    A point beyond the brain's box is drawn in the nearest slice, at the edge.
    """
    at = (np.linalg.inv(head.affine) @ (*mm, 1.0))[:3]
    across, down, through = AXES[plane]
    index = int(np.clip(np.rint(at[through]), 0, head.base.shape[through] - 1))
    grey, labels = cut(head.base, plane, index), cut(head.labels, plane, index)
    width = max(1, round(grey.shape[1] * head.size[across] * head.scale))
    height = max(1, round(grey.shape[0] * head.size[down] * head.scale))
    grey = np.asarray(
        Image.fromarray(np.ascontiguousarray(grey)).resize((width, height), Image.Resampling.BILINEAR)
    )
    # Labels are not blended: a voxel is in a band or it is not.
    labels = np.asarray(
        Image.fromarray(np.ascontiguousarray(labels)).resize((width, height), Image.Resampling.NEAREST)
    )
    image = Image.fromarray(indexed(grey, labels), mode="L")
    draw = ImageDraw.Draw(image)
    # Rows run from the top (anterior or superior) down; columns from the patient's right, or behind.
    place = (at + 0.5) / head.base.shape
    x = place[across] * width if plane == "sagittal" else (1 - place[across]) * width
    y = (1 - place[down]) * height
    x, y = float(np.clip(x, 0, width - 1)), float(np.clip(y, 0, height - 1))
    reach = GAP if radius_mm is None else max(GAP, radius_mm * head.scale)
    for line in (
        ((0, y), (x - reach, y)),
        ((x + reach, y), (width, y)),
        ((x, 0), (x, y - reach)),
        ((x, y + reach), (x, height)),
    ):
        (left, top), (right, bottom) = line
        if left <= right and top <= bottom:
            draw.line(line, fill=YELLOW)
    if radius_mm is not None:
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=YELLOW, width=2)
    font = ImageFont.load_default(15)
    draw.fontmode = "1"  # no blended edges: colours are indices
    left_, right_, top_, bottom_ = EDGES[plane]
    for letter, spot, anchor in (
        (left_, (4, height / 2), "lm"),
        (right_, (width - 4, height / 2), "rm"),
        (top_, (width / 2, 3), "mt"),
        (bottom_, (width / 2, height - 3), "mb"),
    ):
        box = draw.textbbox(spot, letter, font=font, anchor=anchor)
        draw.rectangle((box[0] - 2, box[1] - 1, box[2] + 1, box[3] + 1), fill=0)
        draw.text(spot, letter, fill=YELLOW, font=font, anchor=anchor)
    image.putpalette(COLOURS)
    return image


def data_address(content: bytes) -> str:
    """PNG bytes as an address that a page can hold."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def planes(
    head: Head, mm: tuple[float, float, float], radius_mm: float | None = None
) -> list[tuple[Plane, int, str]]:
    """Axial, coronal and sagittal picture through ``mm``: plane, width in pixels, address."""
    found = []
    for plane in PLANES:
        image = picture(head, plane, mm, radius_mm)
        stream = BytesIO()
        image.save(stream, "PNG", optimize=True)
        found.append((plane, image.width, data_address(stream.getvalue())))
    return found
