"""Three planes through a disputed region on one sheet, drawn by the server, with a ring around its peak."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from app.cases import Case, read_cases
from app.feedback.adjudications import Dispute
from app.review.slices import AXES, EDGES, LETTER, Plane, band_labels, cut, decode, spacing
from app.viewer.volumes import MAP_KINDS, check_files, read_grid, wire
from core.anomaly.bands import REGION_BANDS
from core.anomaly.palette import paint
from core.config import settings
from core.io.derivatives import CasePaths, MapName

HEIGHT = 900  # pixels of the sheet
GAP = 6
MARGIN_MM = 5.0  # around the head
EMPTY = 15  # of 255: what is darker is air
RING_MM = 12.0


@dataclass(frozen=True, eq=False)
class Shown:
    """One analysis ready to be cut, RAS+ voxels, cropped to the head."""

    base: NDArray[np.uint8]  # (X, Y, Z)
    labels: NDArray[np.uint8]  # (X, Y, Z): 1…6 as ``PALETTES``, 0 where no band
    size: tuple[float, float, float]  # mm a voxel
    at: tuple[int, int, int]  # voxel that the planes go through
    ring: bool


def case_of(dispute: Dispute) -> Case | None:
    """The analysis on disk that the readers saw; None where it is gone or was done anew."""
    whole, _ = read_cases(settings().derivatives_dir)
    found = (one for one in whole if one.record.case_id == dispute.case_id)
    return next((one for one in found if one.record.key == dispute.case_key), None)


def head_box(base: NDArray[np.uint8], size: tuple[float, float, float]) -> tuple[slice, slice, slice]:
    """Ranges by axis that hold all that is brighter than air, with a margin."""
    ranges = []
    for axis in range(3):
        others = tuple(one for one in range(3) if one != axis)
        filled = np.flatnonzero((base > EMPTY).any(axis=others))
        low, high = (int(filled[0]), int(filled[-1])) if filled.size else (0, base.shape[axis] - 1)
        margin = round(MARGIN_MM / size[axis])
        ranges.append(slice(max(0, low - margin), min(base.shape[axis], high + margin + 1)))
    return ranges[0], ranges[1], ranges[2]


def shown_of(case: Case, dispute: Dispute) -> Shown:
    """Through the region's peak, with the flags of its band and higher; of a class, the middle.

    Raises
    ------
    DerivativesError
        Where a file of the analysis is missing or changed.
    """
    record = case.record
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    check_files(paths, record)
    volume = wire(paths, record.model, "base")
    base, size = decode(volume), spacing(volume)
    box = head_box(base, size)
    name: MapName | None = next(
        (one for one in MAP_KINDS if one == dispute.map and dispute.subject == "region"), None
    )
    if name is None:
        x, y, z = (one.stop - one.start for one in box)
        at = (x // 2, y // 2, z // 2)
        return Shown(base[box], np.zeros((x, y, z), np.uint8), size, at, ring=False)
    peak = [dispute.region[f"peak_{axis}_mm"] for axis in "xyz"]
    voxel = np.rint(np.linalg.inv(read_grid(paths.acquired).affine) @ [*peak, 1.0])[:3].astype(int)
    # A peak lies in the brain, thus in the head's box.
    x, y, z = (int(place) - one.start for place, one in zip(voxel, box, strict=True))
    bands = frozenset(REGION_BANDS[REGION_BANDS.index(dispute.region["band"]) :])
    labels = band_labels(decode(wire(paths, record.model, MAP_KINDS[name])), bands)
    return Shown(base[box], labels[box], size, (x, y, z), ring=True)


def tile(shown: Shown, plane: Plane, room: tuple[int, int]) -> Image.Image:
    """One plane to scale in mm, as large as ``room`` (width, height in pixels) lets it be, on black."""
    across, down, through = AXES[plane]
    index = shown.at[through]
    picture = Image.fromarray(paint(cut(shown.base, plane, index), cut(shown.labels, plane, index)))
    wide, high = shown.base.shape[across] * shown.size[across], shown.base.shape[down] * shown.size[down]
    scale = min(room[0] / wide, room[1] / high)
    width, height = round(wide * scale), round(high * scale)
    image = Image.new("RGB", room)
    left, top = (room[0] - width) // 2, (room[1] - height) // 2
    image.paste(picture.resize((width, height), Image.Resampling.BILINEAR), (left, top))
    draw = ImageDraw.Draw(image)
    if shown.ring:
        # `cut` shows patient left on the right, and the top of an axis above.
        place = shown.at[across] if plane == "sagittal" else shown.base.shape[across] - 1 - shown.at[across]
        x = left + (place + 0.5) * shown.size[across] * scale
        y = top + (shown.base.shape[down] - 0.5 - shown.at[down]) * shown.size[down] * scale
        reach = RING_MM * scale
        draw.ellipse([x - reach, y - reach, x + reach, y + reach], outline=LETTER, width=2)
    font, pad = ImageFont.load_default(HEIGHT // 36), 8
    for letter, where, anchor in zip(
        EDGES[plane],
        ((pad, room[1] / 2), (room[0] - pad, room[1] / 2), (room[0] / 2, pad), (room[0] / 2, room[1] - pad)),
        ("lm", "rm", "mt", "mb"),
        strict=True,
    ):
        draw.text(where, letter, fill=LETTER, font=font, anchor=anchor, stroke_width=2, stroke_fill="black")
    return image


def sheet(case: Case, dispute: Dispute) -> bytes:
    """PNG of the three planes: axial at the left, coronal over sagittal at the right.

    Raises
    ------
    DerivativesError
        Where a file of the analysis is missing or changed.
    """
    return draw_sheet(shown_of(case, dispute))


def draw_sheet(shown: Shown) -> bytes:
    """PNG of ``shown``, ``HEIGHT`` pixels high and as wide as the planes want it."""
    x, y, z = (count * mm for count, mm in zip(shown.base.shape, shown.size, strict=True))
    small = (HEIGHT - GAP) // 2
    left, right = round(HEIGHT * x / y), round(small * max(x, y) / z)
    image = Image.new("RGB", (left + GAP + right, HEIGHT))
    image.paste(tile(shown, "axial", (left, HEIGHT)), (0, 0))
    image.paste(tile(shown, "coronal", (right, small)), (left + GAP, 0))
    image.paste(tile(shown, "sagittal", (right, small)), (left + GAP, HEIGHT - small))
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
