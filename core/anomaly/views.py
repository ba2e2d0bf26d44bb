"""Views of one scan, each a signed map: what a detector joins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.anomaly.fusion import map_scale, power_mean
from core.anomaly.intensity import log_intensity, log_residual
from core.anomaly.library import fine, fine_inside, grid_factor
from core.anomaly.normative import Normative
from core.anomaly.residual import AnomalyError, Array, Mask, normative_z, smooth_inside


@dataclass(frozen=True, eq=False)
class NormalScan:
    """A normal to fit on: x (X, Y, Z), its mask, and its restoration where there is a network.

    ``contrast``: ``contrast.contrast_map`` on the library's grid, where the scan was read near 1 mm.
    """

    x: Array
    mask: Mask
    x_hat: Array | None = None
    contrast: Array | None = None


@dataclass(frozen=True, eq=False)
class Views:
    """Signed maps (X, Y, Z) of one scan, 0 outside ``mask``; each in units of its own.

    ``contrast_z``, ``deformed_z``: of local contrast, and against deformed normals; where they are known.
    """

    nonlocal_z: Array
    second: Array
    mask: Mask
    contrast_z: Array | None = None
    deformed_z: Array | None = None

    @property
    def joined(self) -> list[Array]:
        """Those that ``join`` takes the mean of, in the order of their scales."""
        return [self.nonlocal_z, self.second, *([] if self.deformed_z is None else [self.deformed_z])]


def make_views(
    nonlocal_z: Array, scan: NormalScan, log_map: Normative | None, voxel_mm: float, smooth_mm: float
) -> Views:
    """``nonlocal_z``, on the library's grid, beside the restoration's residual or log intensity.

    Raises
    ------
    AnomalyError
        Where neither a restoration nor ``log_map`` is there.
    """
    nonlocal_z = fine_inside(nonlocal_z, grid_factor(voxel_mm), scan.mask)
    if log_map is not None:
        return Views(nonlocal_z, normative_z(log_intensity(scan.x, scan.mask), log_map, scan.mask), scan.mask)
    if scan.x_hat is None:
        raise AnomalyError("no restoration of the scan; the detector was fitted with one")
    difference = log_residual(scan.x, scan.x_hat, scan.mask)
    return Views(nonlocal_z, smooth_inside(difference, scan.mask, smooth_mm / voxel_mm), scan.mask)


def contrast_z(contrast: Array | None, small: Mask, model: Normative, mask: Mask, voxel_mm: float) -> Array:
    """Normative z (X, Y, Z) of a scan's local contrast, which lies on the library's grid like ``small``.

    Raises
    ------
    AnomalyError
        Where the scan's contrast is missing, or lies on another grid.
    """
    if contrast is None:
        raise AnomalyError("no local contrast of the scan; the detector was fitted with it")
    if contrast.shape != small.shape:
        raise AnomalyError(f"local contrast has shape {contrast.shape}; expected {small.shape}")
    z = fine(normative_z(contrast, model, small), grid_factor(voxel_mm), mask.shape)
    return np.asarray(np.where(mask, z, 0), np.float32)


def scales_of(views: Sequence[Views]) -> tuple[float, ...]:
    """99.5th percentile of the size of each joined map in normals."""
    maps = zip(*([values[one.mask] for values in one.joined] for one in views), strict=True)
    return tuple(map_scale(values) for values in maps)


def join(views: Views, scales: Sequence[float], power: float) -> Array:
    """The maps, each over its scale, as one (X, Y, Z); not yet a z.

    Raises
    ------
    AnomalyError
        Where there are more scales than maps, or fewer.
    """
    maps = views.joined
    if len(maps) != len(scales):
        raise AnomalyError(f"{len(maps)} maps to join with {len(scales)} scales; expected one each")
    return power_mean([one / np.float32(scale) for one, scale in zip(maps, scales, strict=True)], power)
