"""Normals to look patches up in: kept in a byte a voxel, on a grid that makes the look-up seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.anomaly.intensity import LOG_RANGE
from core.anomaly.residual import Array, Mask, smooth_inside

GRID_MM = 1.5  # finer scans are brought near this before patches are matched
MOST_NORMALS = 16  # more of them find more alike in a lesion, and cost 0.1 s each at 64³
SAME = 0.004  # mean |Δ log intensity| below which a scan is one of the library; a byte alone gives 0.002
Picked = TypeVar("Picked")


@dataclass(frozen=True, eq=False)
class Library:
    """Normals to look patches up in, near ``GRID_MM`` a voxel.

    ``values`` (n, V) uint8: log intensity of n normals over the V voxels of ``support`` (X, Y, Z), 1 to 255
    over its range, 0 outside a normal's mask.
    """

    values: NDArray[np.uint8]
    support: Mask

    def normal(self, index: int) -> tuple[Array, Mask]:
        """Log intensity (X, Y, Z) and mask of one normal."""
        levels = np.zeros(self.support.shape, np.float32)
        levels[self.support] = self.values[index]
        low, high = LOG_RANGE
        inside = levels > 0
        return np.where(inside, low + (levels - 1) * ((high - low) / 254), 0).astype(np.float32), inside


def grid_factor(voxel_mm: float) -> int:
    """Voxels of the scan to one of the library's along each axis: 1 from 1 mm on, 3 at 0.5 mm."""
    return max(1, round(GRID_MM / voxel_mm - 0.01))


def coarse(values: Array, mask: Mask, factor: int) -> tuple[Array, Mask]:
    """Mean over the mask's voxels in blocks of ``factor``³; a block is inside where half of it is."""
    if factor == 1:
        return np.where(mask, values, 0).astype(np.float32), mask
    shape = tuple(-(-n // factor) for n in values.shape)

    def blocks(array: Array) -> Array:
        grown = np.pad(array, [(0, n * factor - old) for n, old in zip(shape, array.shape, strict=True)])
        split = grown.reshape(shape[0], factor, shape[1], factor, shape[2], factor)
        return np.asarray(split.mean(axis=(1, 3, 5), dtype=np.float32))

    weight = blocks(mask.astype(np.float32))
    total = blocks(np.where(mask, values, 0).astype(np.float32))
    inside = weight >= 0.5
    return np.divide(total, weight, out=np.zeros_like(total), where=inside), inside


def fine(values: Array, factor: int, shape: tuple[int, ...]) -> Array:
    """Each value repeated over its block of ``factor``³, cut to ``shape``."""
    for axis in range(3):
        values = np.repeat(values, factor, axis=axis)
    return values[: shape[0], : shape[1], : shape[2]]


def fine_inside(values: Array, factor: int, mask: Mask) -> Array:
    """``fine`` on the grid of ``mask``, the blocks smoothed by half their width; 0 outside the mask."""
    if factor == 1:
        return np.asarray(np.where(mask, values, 0), np.float32)
    return smooth_inside(fine(values, factor, mask.shape), mask, factor / 2)


def picks(count: int, more: Sequence[Picked]) -> list[Picked]:
    """Those of ``more`` that fill a library of 16 beside ``count`` held-out normals, evenly spaced."""
    return spread_over(more, max(0, MOST_NORMALS - count))


def spread_over(values: Sequence[Picked], most: int) -> list[Picked]:
    """At most ``most`` of them, evenly spaced."""
    room = min(most, len(values))
    return [values[index] for index in np.linspace(0, len(values) - 1, room).round().astype(int)]


def without(values: Sequence[Any], index: int) -> list[Any]:
    """All but one of them."""
    return [value for other, value in enumerate(values) if other != index]


def build_library(logs: Sequence[Array], masks: Sequence[Mask]) -> Library:
    """Library of normals' log intensity (X, Y, Z), in one byte a voxel: 0.008 apart."""
    support = np.any(masks, axis=0)
    low, high = LOG_RANGE
    values = np.zeros((len(logs), int(support.sum())), np.uint8)
    for row, log, mask in zip(values, logs, masks, strict=True):
        levels = np.rint((log - low) * (254 / (high - low))) + 1
        row[:] = np.where(mask, np.clip(levels, 1, 255), 0)[support]
    return Library(values, support)


def nonlocal_residual(
    log: Array, mask: Mask, library: Library, leave_out: int | None = None
) -> tuple[Array, Mask]:
    """Log intensity (X, Y, Z) less that of the most similar patches, and where that is known.

    A scan that is itself in the library, known by its voxels, is not matched to itself. ``leave_out``: the
    normal that the scan is, where that is known.

    Raises
    ------
    AnomalyError
        Where nothing is left to match.
    """
    from core.anomaly.nonlocal_residual import nonlocal_expected  # numba, half a second

    normals = [library.normal(index) for index in range(len(library.values)) if index != leave_out]
    others = normals
    if leave_out is None:
        others = [pair for pair in normals if float(np.abs(pair[0] - log)[mask].mean()) > SAME]
    expected, known = nonlocal_expected(log, mask, [one for one, _ in others], [one for _, one in others])
    return np.where(known, log - expected, 0).astype(np.float32), known
