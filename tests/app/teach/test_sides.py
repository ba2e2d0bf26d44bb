"""Left and right by registration: a scan moved and turned against the reference."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from app.teach.sides import side_of
from core.io.derivatives import CasePaths

# The reference cube of 5 voxels of 2 mm begins at x 10 mm: its middle lies at 14 mm.
CUBE = np.diag([2.0, 2.0, 2.0, 1.0])
CUBE[:3, 3] = (10.0, 0.0, 0.0)
# A quarter turn: the scan's y runs to the reference's right, and lies 20 mm off.
TURNED = [[0.0, 1.0, 0.0, 20.0], [-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]


@pytest.fixture
def paths(tmp_path: Path) -> CasePaths:
    found = CasePaths(tmp_path, "sub-a", "ses-01")
    found.folder.mkdir(parents=True)
    nib.Nifti1Image(np.zeros((5, 4, 3), np.float32), CUBE).to_filename(found.prepared(64))
    found.prepared_json(64).write_text(json.dumps({"scan_to_reference": TURNED}))
    return found


@pytest.mark.parametrize(
    ("y", "side"), [(-11.0, "left"), (-9.9, "midline"), (-6.0, "midline"), (-2.1, "midline"), (-1.9, "right")]
)
def test_side_is_the_references(paths: CasePaths, y: float, side: str) -> None:
    # 14 mm is the middle: y = −6. x says nothing of left and right here.
    assert side_of(paths, (50.0, y, 0.0)) == side


def test_without_a_whole_preparation_nothing_is_told(paths: CasePaths) -> None:
    paths.prepared_json(64).write_text("{}")
    assert side_of(paths, (0.0, 0.0, 0.0)) == ""
    paths.prepared_json(64).unlink()
    assert side_of(paths, (0.0, 0.0, 0.0)) == ""
