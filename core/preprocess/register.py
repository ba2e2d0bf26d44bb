"""Affine registration to the reference brain, and the cube around it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass

import numpy as np

from core.io.volume import Volume
from core.preprocess.errors import PrepareError
from core.preprocess.resample import bounding_box, index_map, resample

_MARGIN = 8  # voxels around the brain that the metric may see


@dataclass(frozen=True, eq=False)
class Reference:
    """The normal brain that all scans are registered to.

    ``volume`` and ``mask`` (0/1) share one grid; voxels outside the mask count as 0. ``hash`` names the
    content and enters every case's key.
    """

    volume: Volume
    mask: Volume
    hash: str
    name: str


def cube_affine(reference: Reference, cube: int, fov_mm: float = 128.0) -> np.ndarray:
    """(4, 4) RAS+ of ``cube``³ isotropic voxels over ``fov_mm``, centred on the reference brain's box.

    Raises
    ------
    PrepareError
        Where the reference brain is longer than the field.
    """
    voxels = np.argwhere(reference.mask.data > 0)
    if len(voxels) == 0:
        raise PrepareError(f"reference {reference.name}: empty mask; expected a brain")
    world = voxels @ reference.mask.affine[:3, :3].T + reference.mask.affine[:3, 3]
    low, high = world.min(axis=0), world.max(axis=0)
    length = float((high - low).max())
    if length > fov_mm:
        raise PrepareError(
            f"reference {reference.name}: brain of {length:.0f} mm; expected at most {fov_mm:g} mm"
        )
    step = fov_mm / cube
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = (low + high) / 2 - step * (cube - 1) / 2
    return affine


def register(data: np.ndarray, mask: np.ndarray, affine: np.ndarray, reference: Reference) -> np.ndarray:
    """Find the affine map from the scan to the reference (ANTs AffineFast, Mattes mutual information).

    Parameters
    ----------
    data, mask : (X, Y, Z) on the scan's own grid; what lies outside the mask is not seen
    affine : (4, 4) voxel to RAS+ mm

    Returns
    -------
    (4, 4), scan RAS+ mm to reference RAS+ mm; bit for bit the same on every call

    Raises
    ------
    PrepareError
        Where ANTs fails, or its result mirrors the brain or changes its volume over eightfold.
    """
    from core.io.itk import FLIP, ants, itk_affine, to_ants

    moving = to_ants(np.where(mask > 0, data, 0), affine)
    box = bounding_box(reference.mask.data > 0, _MARGIN)
    fixed_affine = reference.volume.affine.copy()
    fixed_affine[:3, 3] = fixed_affine[:3] @ [*(s.start for s in box), 1.0]
    brain = np.where(reference.mask.data > 0, reference.volume.data, 0)[box]
    fixed = to_ants(brain, fixed_affine)
    with tempfile.TemporaryDirectory(prefix="fontanelle-") as folder:
        try:
            result = ants.registration(
                fixed,
                moving,
                type_of_transform="AffineFast",
                outprefix=f"{folder}/",
                singleprecision=False,
            )
            transform = ants.read_transform(result["fwdtransforms"][0])
        except (RuntimeError, ValueError, IndexError) as error:
            raise PrepareError(
                f"register: ANTs failed ({error}); expected two brains of one contrast"
            ) from error
    found = transform_matrix(np.asarray(transform.parameters), np.asarray(transform.fixed_parameters))
    reference_to_scan = FLIP @ found @ FLIP
    # ITK saw both grids without their shear.
    scan_fix = affine @ np.linalg.inv(itk_affine(affine))
    reference_fix = fixed_affine @ np.linalg.inv(itk_affine(fixed_affine))
    full = scan_fix @ reference_to_scan @ np.linalg.inv(reference_fix)
    if not np.isfinite(full).all() or not 1 / 8 < np.linalg.det(full[:3, :3]) < 8:
        raise PrepareError(
            f"register: no match with reference {reference.name}, volume factor "
            f"{np.linalg.det(full[:3, :3]):.3g}; expected 0.125 to 8"
        )
    return np.linalg.inv(full)


def transform_matrix(parameters: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """ITK's 12 parameters and centre as (4, 4): y = A (x − c) + t + c, in LPS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = parameters[:9].reshape(3, 3)
    matrix[:3, 3] = parameters[9:12] + centre - matrix[:3, :3] @ centre
    return matrix


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """2 |a ∩ b| / (|a| + |b|) of two masks; 0 where both are empty."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero((a > 0) & (b > 0)) / total if total > 0 else 0.0


def overlap(
    mask: np.ndarray, affine: np.ndarray, scan_to_reference: np.ndarray, reference: Reference
) -> float:
    """Dice of the scan's brain mask, moved to the reference's grid, with the reference's."""
    to_scan = index_map(affine, reference.mask.affine, np.linalg.inv(scan_to_reference))
    moved = resample(mask.astype(np.float32), to_scan, reference.mask.shape)
    return dice(moved >= 0.5, reference.mask.data)
