"""Deformable registration of prepared scans to the normals' mean, and the way back.

Not a step of the preparation: a lesion that pushes tissue aside would be registered away with it. It is one
of the views that the fused map joins (``core.anomaly.deformed``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from core.preprocess.errors import PrepareError

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Deformation:
    """Voxel offsets (X, Y, Z, 3) between a scan and a template on one grid.

    ``pull``: from each voxel of the template to its place in the scan. ``push``: from each voxel of the scan
    to its place in the template.
    """

    pull: Array
    push: Array


def deform(template: Array, template_mask: Mask, scan: Array, affine: np.ndarray) -> Deformation:
    """Register ``scan`` to ``template``, (X, Y, Z) each, on one grid; see ``core.io.itk.deformation``.

    Both are 0 outside the brain and positive inside.

    Raises
    ------
    PrepareError
        On unequal shapes, an empty mask, or where ANTs fails.
    """
    if not template.shape == template_mask.shape == scan.shape or not template_mask.any():
        raise PrepareError(
            f"deform: template {template.shape}, its mask {template_mask.shape} of "
            f"{int(template_mask.sum())} voxels, scan {scan.shape}; expected one shape and a brain"
        )
    from core.io.itk import deformation

    try:
        pull, push = deformation(template, scan, affine, template_mask)
    except (RuntimeError, ValueError, StopIteration) as error:
        raise PrepareError(f"deform: ANTs failed ({error}); expected two brains of one contrast") from error
    return Deformation(pull, push)


def warp(values: Array, offsets: Array) -> Array:
    """``values`` (X, Y, Z) read, linearly, at each voxel plus its offset (X, Y, Z, 3); 0 beyond the grid."""
    at = np.indices(values.shape, np.float32) + np.moveaxis(offsets, -1, 0)
    return np.asarray(map_coordinates(values, at, order=1, mode="constant"), np.float32)


def warp_inside(values: Array, mask: Mask, offsets: Array) -> tuple[Array, Mask]:
    """As ``warp``, of the mask's voxels alone: a voxel is inside where half of what it reads is."""
    weight = warp(mask.astype(np.float32), offsets)
    total = warp(np.where(mask, values, 0).astype(np.float32), offsets)
    inside = weight >= 0.5
    return np.divide(total, weight, out=np.zeros_like(total), where=inside), inside


def log_jacobian(offsets: Array) -> Array:
    """Log (X, Y, Z) of how much larger each voxel's surroundings become at its offset (X, Y, Z, 3).

    Positive where what lies there takes more room than here; at most a thousandfold either way.
    """
    change = np.stack([np.stack(np.gradient(offsets[..., axis]), -1) for axis in range(3)], -2)
    determinant = np.linalg.det(np.eye(3) + change)
    return np.log(np.clip(determinant, 1e-3, 1e3)).astype(np.float32)
