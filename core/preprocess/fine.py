"""A scan on a finer grid than the model's cube, in the same place: what the cube is too coarse to keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.anomaly.contrast import contrast_map, fine_factor
from core.anomaly.library import grid_factor
from core.anomaly.residual import Array, Mask
from core.io.derivatives import CasePaths
from core.io.volume import Volume
from core.preprocess.pipeline import Prepared, read_prepared
from core.preprocess.resample import index_map, resample_masked


@dataclass(frozen=True, eq=False)
class FineScan:
    """``x``, ``mask`` (kN, kN, kN): the scan as acquired, k voxels for one of the cube's along each axis.

    ``cube_mm``: the cube's spacing.
    """

    x: Array
    mask: Mask
    cube_mm: float

    @property
    def contrast(self) -> Array:
        """``contrast_map`` on the grid of a detector's library."""
        factor = fine_factor(self.cube_mm)
        return contrast_map(self.x, self.mask, self.cube_mm / factor, factor * grid_factor(self.cube_mm))


def fine_affine(affine: NDArray[np.floating], factor: int) -> NDArray[np.float64]:
    """(4, 4) of the grid of ``factor``³ voxels to each voxel of ``affine``'s grid, within its borders."""
    fine = np.array(affine, np.float64)
    fine[:3, :3] /= factor
    fine[:3, 3] = (affine @ [*[(1 - factor) / (2 * factor)] * 3, 1.0])[:3]
    return fine


def fine_scan(prepared: Prepared) -> FineScan:
    """The scan as acquired, brought to a grid near 1 mm in the reference's place: one linear interpolation.

    Its bias field stays: local contrast cancels it.
    """
    cube: Volume = prepared.cube
    voxel_mm = float(cube.spacing[0])
    factor = fine_factor(voxel_mm)
    target = fine_affine(cube.affine, factor)
    size = cube.shape[0] * factor
    to_scan = index_map(prepared.scan.affine, target, np.linalg.inv(prepared.scan_to_reference))
    x, mask = resample_masked(prepared.scan.data, prepared.mask.data > 0, to_scan, (size, size, size))
    return FineScan(x, mask > 0, voxel_mm)


def read_fine(paths: CasePaths, cube: int) -> FineScan:
    """``fine_scan`` of what lies prepared on disk.

    Raises
    ------
    PrepareError
        Where a file is missing or can't be read.
    """
    return fine_scan(read_prepared(paths, cube))
