"""Three slices through a disputed region, drawn by the server, with a ring around its peak."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from app.cases import Case, read_cases
from app.feedback.adjudications import Dispute
from app.review.slices import PLANES, Plane, slice_png
from app.viewer.volumes import MAP_KINDS, check_files, read_grid
from core.config import settings
from core.io.derivatives import CasePaths

HEIGHT = 340
RING = "#ffd84d"
BANDS = ("2-3", "3-4", "4+")
STRENGTH = {"2-3": 0, "3-4": 1, "4+": 2}


def case_of(dispute: Dispute) -> Case | None:
    """The analysis on disk that the readers saw; None where it is gone or was done anew."""
    whole, _ = read_cases(settings().derivatives_dir)
    found = (one for one in whole if one.record.case_id == dispute.case_id)
    return next((one for one in found if one.record.key == dispute.case_key), None)


def ringed(
    png: bytes, plane: Plane, voxel: tuple[int, int, int], shape: tuple[int, int, int], reach: float
) -> bytes:
    """A slice's picture with a ring of ``reach`` pixels around a voxel, as ``slices.cut`` lays it out."""
    image = Image.open(BytesIO(png)).convert("RGB")
    x, y, z = voxel
    across, down, columns, rows = {
        "axial": (shape[0] - 1 - x, shape[1] - 1 - y, shape[0], shape[1]),
        "coronal": (shape[0] - 1 - x, shape[2] - 1 - z, shape[0], shape[2]),
        "sagittal": (y, shape[2] - 1 - z, shape[1], shape[2]),
    }[plane]
    centre = ((across + 0.5) * image.width / columns, (down + 0.5) * image.height / rows)
    ImageDraw.Draw(image).ellipse(
        [centre[0] - reach, centre[1] - reach, centre[0] + reach, centre[1] + reach], outline=RING, width=2
    )
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def aspect(png: bytes) -> float:
    """Width over height."""
    width, height = Image.open(BytesIO(png)).size
    return width / height


def pictures(case: Case, dispute: Dispute) -> dict[Plane, bytes]:
    """PNG by plane: through the region's peak, with the flags of its band and higher; of a class, the middle.

    Raises
    ------
    DerivativesError
        Where a file of the analysis is missing or changed.
    """
    record = case.record
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    check_files(paths, record)
    grid = read_grid(paths.acquired)
    shape = (int(grid.data.shape[0]), int(grid.data.shape[1]), int(grid.data.shape[2]))
    name = next((one for one in MAP_KINDS if one == dispute.map and dispute.subject == "region"), None)
    if name is None:
        voxel = (shape[0] // 2, shape[1] // 2, shape[2] // 2)
        bands: frozenset[str] = frozenset()
    else:
        peak = [dispute.region[f"peak_{axis}_mm"] for axis in "xyz"]
        at = np.rint(np.linalg.inv(grid.affine) @ [*peak, 1.0])[:3].astype(int)
        voxel = (int(at[0]), int(at[1]), int(at[2]))
        bands = frozenset(BANDS[STRENGTH[dispute.region["band"]] :])
    found: dict[Plane, bytes] = {}
    for plane, index in zip(PLANES, (voxel[2], voxel[1], voxel[0]), strict=True):
        png = slice_png(paths, record.model, name, plane, index, bands, HEIGHT)
        found[plane] = png if name is None else ringed(png, plane, voxel, shape, HEIGHT / 11)
    return found
