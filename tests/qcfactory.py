"""Prepared scans as files for tests of the QC page: a sidecar and a drawn picture each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from core.io.derivatives import CasePaths
from core.io.volume import Volume
from core.preprocess.qc import qc_picture


def write_preparation(
    root: Path,
    subject: str,
    overlap: float,
    *,
    mask_source: str = "given",
    cube: int = 64,
    shift: int = 0,
) -> CasePaths:
    """A ball that lies ``shift`` voxels to the left of the reference's, in a picture of three equal rows."""
    paths = CasePaths(root, subject, "ses-01")
    paths.folder.mkdir(parents=True, exist_ok=True)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    x, y, z = np.meshgrid(*(np.arange(n) - n / 2 for n in (32, 32, 32)), indexing="ij")
    reference = (x / 10) ** 2 + (y / 12) ** 2 + (z / 9) ** 2 < 1
    brain = Volume(np.roll(reference, -shift, axis=0) * (0.6 + y / 40), affine)
    row = ("in the cube", brain, reference)
    paths.qc(cube).write_bytes(qc_picture([row, row, row], f"overlap {overlap:g}   synthetic"))
    sidecar = {
        "overlap": overlap,
        "mask_source": mask_source,
        "synthetic": True,
        "settings": {"cube": cube},
    }
    paths.prepared_json(cube).write_text(json.dumps(sidecar))
    return paths
