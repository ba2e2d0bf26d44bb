"""Cases of a given size for benchmarks of the viewer: the demo's reference brain in a cube of 128 mm.

SYNTHETIC. Nothing here is a result of a model: the expected image is the scan blurred, and z its standardised
difference, so that files have the grain and size of real ones.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter

from core.demo.cohort import demo_reference
from core.io.derivatives import CasePaths, CaseRecord
from tests.casefactory import seal, write_case

EXTENT_MM = 128.0  # the paper's cube: 256 voxels of 0.5 mm
NOISE = 0.02  # SD of the scan's noise as a share of its range
BLUR_MM = 1.5
MODEL = "vae_8x8_512"

Array = NDArray[np.float32]


def cube(size: int, seed: int) -> tuple[Array, Array, Array, Array, NDArray[np.float64]]:
    """Scan, mask, expected image and z, each (size, size, size) RAS+, and their affine in mm."""
    reference = demo_reference()
    spacing = EXTENT_MM / size
    affine = np.diag((spacing, spacing, spacing, 1.0))
    affine[:3, 3] = -(size - 1) / 2 * spacing
    to_voxel = np.linalg.inv(reference.volume.affine) @ affine

    def resampled(data: Array, order: int) -> Array:
        return np.asarray(
            affine_transform(data, to_voxel[:3, :3], to_voxel[:3, 3], (size, size, size), order=order),
            np.float32,
        )

    rng = np.random.default_rng(seed)
    mask = resampled(reference.mask.data.astype(np.float32), 0)
    clean = resampled(reference.volume.data.astype(np.float32), 1) * mask
    noise = rng.normal(0, NOISE * float(clean.max()), clean.shape).astype(np.float32)
    scan = np.clip(clean + noise * mask, 0, None)
    expected = gaussian_filter(clean, BLUR_MM / spacing) * mask
    residual = gaussian_filter(scan - expected, 1.0)
    inside = residual[mask > 0]
    z = (residual - inside.mean()) / inside.std() * mask
    return scan, mask, expected / max(float(expected.max()), 1e-6), z.astype(np.float32), affine


def write_cube_case(root: Path, size: int, seed: int = 1) -> CaseRecord:
    """A whole case of ``size``³ voxels below the derivatives root; no flagged region is listed."""
    record = write_case(root, f"sub-cube{size:03d}", model=MODEL, blocks=())
    paths = CasePaths(root, record.subject, record.session)
    scan, mask, expected, z, affine = cube(size, seed)
    for data, path, kind in (
        (scan, paths.acquired, np.int16),
        (mask, paths.mask, np.uint8),
        (expected, paths.reconstruction(MODEL), np.float32),
        (z, paths.z(MODEL, "volume"), np.float32),
        (z, paths.z(MODEL, "normative"), np.float32),
    ):
        nib.save(nib.Nifti1Image(data.astype(kind), affine), path)
    return seal(root, record)
