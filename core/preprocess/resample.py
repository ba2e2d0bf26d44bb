"""The one interpolation: a scan into the reference's cube, and a map of the cube back to the scan."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

# A grid this much coarser than the scan would alias; smoothing comes first.
ALIASING = 1.5


def index_map(
    source_affine: np.ndarray, target_affine: np.ndarray, target_to_source: np.ndarray
) -> np.ndarray:
    """(4, 4) from voxel index of the target grid to (fractional) voxel index of the source grid.

    ``target_to_source`` is the world map, (4, 4) mm to mm.
    """
    return np.linalg.inv(source_affine) @ target_to_source @ target_affine


def resample(
    data: np.ndarray, to_source: np.ndarray, shape: tuple[int, int, int], order: int = 1
) -> np.ndarray:
    """Sample ``data`` (X, Y, Z) on a grid of ``shape``; 0 beyond its borders.

    ``to_source`` is an ``index_map``. ``order`` 0 is nearest neighbour, 1 linear. Linear never leaves the
    range of its input, so min–max and z hold their meaning; a cubic spline rings at the skull-stripped edge.
    """
    return ndimage.affine_transform(
        data, to_source[:3, :3], to_source[:3, 3], output_shape=shape, order=order, mode="grid-constant"
    )


def resample_masked(
    data: np.ndarray, mask: np.ndarray, to_source: np.ndarray, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Sample ``data`` inside ``mask`` on a grid of ``shape``; nothing from outside the mask bleeds in.

    Weighted (normalised) linear interpolation: data × mask over mask, both sampled alike. Where the
    grid is over 1.5 times coarser than the scan, both are smoothed first by a Gaussian whose variance is
    (ratio² − 1) / (2 √(2 ln 2))² voxels (Cardoso et al. 2015, scale factor point spread function matching).

    Returns
    -------
    data, mask : ``shape`` float32; data is 0 where the mask is 0, and the mask is 1 where at least half of
        the sampled weight lies in ``mask``
    """
    weight = mask.astype(np.float32)
    product = data.astype(np.float32) * weight
    ratio = np.linalg.norm(to_source[:3, :3], axis=1)  # scan voxels a step, by scan axis
    sigma = np.where(ratio > ALIASING, np.sqrt(np.maximum(ratio**2 - 1, 0)) / (2 * np.sqrt(2 * np.log(2))), 0)
    if sigma.any():
        product = ndimage.gaussian_filter(product, sigma, mode="constant", truncate=3)
        weight = ndimage.gaussian_filter(weight, sigma, mode="constant", truncate=3)
    low, high = _reach(weight.shape, to_source, shape)
    window = tuple(int(n) for n in high - low)
    shifted = to_source.copy()
    shifted[:3, 3] += to_source[:3, :3] @ low
    inner_data, inner_mask = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    if min(window) > 0:
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        sampled = resample(weight, shifted, (window[0], window[1], window[2]))
        inside = sampled >= 0.5
        values = resample(product, shifted, (window[0], window[1], window[2]))
        inner_data[box] = np.where(inside, values / np.maximum(sampled, 0.5), 0)
        inner_mask[box] = inside
    return inner_data, inner_mask


def resample_inside(
    data: np.ndarray, mask: np.ndarray, to_source: np.ndarray, wanted: np.ndarray, order: int
) -> np.ndarray:
    """Sample ``data`` at the voxels of ``wanted`` from voxels of ``mask`` alone.

    ``order`` 1: linear, weighted as in ``resample_masked``; 0: nearest. Where that would take no voxel of
    ``mask``, the nearest of them counts, so values at its border are not diluted by what lies outside.

    Parameters
    ----------
    data, mask : (X, Y, Z) of one isotropic grid; ``mask`` holds a voxel
    wanted : bool on the target grid

    Returns
    -------
    float32 on the grid of ``wanted``, 0 outside it
    """
    shape = (wanted.shape[0], wanted.shape[1], wanted.shape[2])
    weight = resample(mask.astype(np.float32), to_source, shape, order)
    product = resample(np.where(mask, data, 0).astype(np.float32), to_source, shape, order)
    reached = wanted & (weight > 0)
    values = np.zeros(shape, np.float32)
    values[reached] = product[reached] / weight[reached]
    beyond = np.argwhere(wanted & (weight <= 0))
    if len(beyond) > 0:
        # The nearest voxel of the mask to a point outside always has a neighbour outside: search those alone.
        border = np.argwhere(mask & ~ndimage.binary_erosion(mask))
        _, nearest = KDTree(border).query(beyond @ to_source[:3, :3].T + to_source[:3, 3])
        values[tuple(beyond.T)] = data[tuple(border[nearest].T)]
    return values


def _reach(
    source: tuple[int, ...], to_source: np.ndarray, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Target index range (low, high) that the source grid can reach: less to sample."""
    ends = [(-1.0, float(n)) for n in source]
    corners = np.array([[i, j, k, 1] for i in ends[0] for j in ends[1] for k in ends[2]])
    reached = corners @ np.linalg.inv(to_source).T[:, :3]
    low = np.clip(np.floor(reached.min(axis=0)), 0, shape).astype(int)
    high = np.clip(np.ceil(reached.max(axis=0)) + 1, low, shape).astype(int)
    return low, high


def bounding_box(mask: np.ndarray, margin: int) -> tuple[slice, slice, slice]:
    """Slices around the non-zero voxels of ``mask`` (X, Y, Z), ``margin`` voxels wider, inside the grid."""
    slices = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        slices.append(
            slice(max(int(filled[0]) - margin, 0), min(int(filled[-1]) + 1 + margin, mask.shape[axis]))
        )
    return slices[0], slices[1], slices[2]
