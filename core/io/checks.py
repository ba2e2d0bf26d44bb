"""What any scan must satisfy before its voxels are read."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

MAX_AXIS = 512  # voxels
SPACING_MM = (0.1, 10.0)


class VolumeError(ValueError):
    """A scan or mask that can't be used; the text names the file, what was found and what was expected."""


def check_grid(name: str, shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, int, int]:
    """Check what a header promises before voxels are read; returns the three axes.

    Raises
    ------
    VolumeError
        Where it is no 3D grid of real numbers of at most 512 voxels an axis.
    """
    if dtype.kind not in "iuf":
        raise VolumeError(f"{name}: voxels of type {dtype.name} (colour or complex); expected real numbers")
    if len(shape) > 3 and math.prod(shape[3:]) != 1:
        raise VolumeError(f"{name}: {len(shape)}D with {math.prod(shape[3:])} frames; expected one 3D image")
    if len(shape) < 3 or min(shape[:3]) < 2:
        raise VolumeError(f"{name}: {_times(shape)} voxels, which is not 3D; expected one 3D image")
    if max(shape[:3]) > MAX_AXIS:
        raise VolumeError(f"{name}: {_times(shape)} voxels; expected at most {MAX_AXIS} on an axis")
    return cast(tuple[int, int, int], tuple(int(n) for n in shape[:3]))


def check_affine(name: str, affine: np.ndarray) -> None:
    """Check that ``affine`` places voxels in the world.

    Raises
    ------
    VolumeError
        Where it is singular or not finite, or its spacing lies outside 0.1 to 10 mm.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or (spacing == 0).any():
        raise VolumeError(f"{name}: singular affine {affine[:3].tolist()}; expected three independent axes")
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise VolumeError(f"{name}: singular affine {affine[:3].tolist()}; expected three independent axes")
    if spacing.min() < SPACING_MM[0] or spacing.max() > SPACING_MM[1]:
        found = "×".join(f"{mm:.3g}" for mm in spacing)
        raise VolumeError(f"{name}: spacing {found} mm; expected {SPACING_MM[0]:g} to {SPACING_MM[1]:g} mm")


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape)
