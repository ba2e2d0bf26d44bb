"""On which side of the brain a place of a scan lies, by the scan's registration to the reference."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np

from app.cases import stamp
from core.anomaly.regions import MIDLINE_MM
from core.io.derivatives import CasePaths

Point = tuple[float, float, float]


def side_of(paths: CasePaths, mm: Point) -> str:
    """``left``, ``right`` or ``midline`` (within 4 mm of it), as flagged regions are told; RAS+ mm.

    Empty where no preparation of the scan is whole: the scan's own axes alone do not tell it.
    """
    for sidecar in sorted(paths.folder.glob(f"{paths.stem}_space-cube*_desc-prepared_T2w.json")):
        row = _across(sidecar, stamp(sidecar))
        if row is not None:
            across = float(np.dot(row, (*mm, 1.0)))
            return "midline" if abs(across) <= MIDLINE_MM else "left" if across < 0 else "right"
    return ""


@lru_cache(maxsize=256)
def _across(sidecar: Path, changed: tuple[int, int]) -> tuple[float, ...] | None:
    """Row (4,) from mm of the scan to mm right of the cube's middle; ``changed`` only keys the cache."""
    try:
        to_reference = np.array(json.loads(sidecar.read_text())["scan_to_reference"], np.float64)
        cube = nib.Nifti1Image.from_filename(sidecar.with_suffix(".nii.gz"))
        row = to_reference.reshape(4, 4)[0]
    except (OSError, ValueError, KeyError, TypeError, nib.filebasedimages.ImageFileError):
        return None
    middle = cube.affine @ [*((np.array(cube.shape[:3]) - 1) / 2), 1.0]
    return (*row[:3].tolist(), float(row[3] - middle[0]))
