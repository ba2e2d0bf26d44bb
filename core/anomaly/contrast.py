"""Local contrast at the scan's own resolution: spots of a few millimetres stand out from what is around them.

A punctate lesion fills a tenth of the voxels that it touches on a 2 mm grid; on a grid near 1 mm it keeps its
contrast. A difference of Gaussians needs neither a network nor the bias field, which it cancels.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from core.anomaly.intensity import log_intensity
from core.anomaly.residual import AnomalyError, Array, Mask, check_mask

FINE_MM = 1.0  # the scan is read near this spacing
NARROW_MM, WIDE_MM = 0.7, 3.0  # σ: what counts, and what it is compared with
REACH = 3.0  # σ at which the Gaussians end


def fine_factor(voxel_mm: float) -> int:
    """Voxels of the fine grid to one of the cube along each axis: 2 at 2 mm, 1 at 1 mm and finer."""
    return max(1, round(voxel_mm / FINE_MM))


def local_contrast(log: Array, mask: Mask, voxel_mm: float) -> Array:
    """Gaussian of σ 0.7 mm less that of σ 3 mm (X, Y, Z) of log intensity; 0 outside ``mask``.

    Each is normalised within the mask (Knutsson and Westin 1993, normalized convolution), so that the dark
    outside is no contrast.
    """
    hits = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if hits[0].size == 0:
        raise AnomalyError("the mask is empty; expected brain voxels")
    box = tuple(slice(int(one[0]), int(one[-1]) + 1) for one in hits)
    inside = mask[box]
    weight = inside.astype(np.float32)
    values = np.where(inside, log[box], 0).astype(np.float32)

    def blurred(sigma_mm: float) -> Array:
        sigma = sigma_mm / voxel_mm
        near = gaussian_filter(weight, sigma, mode="constant", truncate=REACH)
        total = gaussian_filter(values, sigma, mode="constant", truncate=REACH)
        return np.divide(total, near, out=np.zeros_like(total), where=inside)

    found = np.zeros(log.shape, np.float32)
    found[box] = np.where(inside, blurred(NARROW_MM) - blurred(WIDE_MM), 0)
    return found


def extremes(values: Array, factor: int) -> Array:
    """In blocks of ``factor``³ the value of largest size, signed; what is missing at the end counts 0."""
    if factor == 1:
        return values
    shape = tuple(-(-n // factor) for n in values.shape)
    grown = np.pad(values, [(0, n * factor - old) for n, old in zip(shape, values.shape, strict=True)])
    blocks = grown.reshape(shape[0], factor, shape[1], factor, shape[2], factor)
    high, low = blocks.max(axis=(1, 3, 5)), blocks.min(axis=(1, 3, 5))
    return np.asarray(np.where(high >= -low, high, low), np.float32)


def contrast_map(x: Array, mask: Mask, voxel_mm: float, factor: int) -> Array:
    """Most extreme local contrast in blocks of ``factor``³ voxels of a fine scan.

    ``x``: intensities (X, Y, Z) of any scale, positive inside ``mask``, ``voxel_mm`` apart.

    Raises
    ------
    AnomalyError
        On another shape, an empty mask, or a brain whose median is not positive.
    """
    inside = check_mask(x, mask, "fine scan")
    return extremes(local_contrast(log_intensity(x, inside), inside, voxel_mm), factor)
