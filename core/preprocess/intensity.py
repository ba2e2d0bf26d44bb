"""Intensities to [0, 1] inside the brain."""

from __future__ import annotations

import numpy as np

from core.preprocess.errors import PrepareError

METHODS = ("minmax", "robust")
ROBUST_PERCENTILES = (0.5, 99.5)


def to_unit(data: np.ndarray, mask: np.ndarray, method: str) -> np.ndarray:
    """Scale ``data`` (X, Y, Z) to [0, 1] inside ``mask``; 0 outside.

    "minmax" is the paper's: the darkest brain voxel becomes 0, the brightest 1. "robust" takes the
    0.5th and 99.5th percentile instead and clips what lies beyond, so one bright voxel can't rule.

    Raises
    ------
    PrepareError
        On an unknown method, an empty mask, or a brain of one single intensity.
    """
    if method not in METHODS:
        raise PrepareError(f"intensity: {method!r}; expected one of {', '.join(METHODS)}")
    inside = mask > 0
    values = data[inside]
    if values.size == 0:
        raise PrepareError("intensity: empty brain mask; expected brain voxels")
    low, high = (
        (values.min(), values.max()) if method == "minmax" else np.percentile(values, ROBUST_PERCENTILES)
    )
    if not high > low:
        raise PrepareError(f"intensity: all brain voxels are {low:g}; expected contrast")
    unit = np.zeros(data.shape, np.float32)
    unit[inside] = np.clip((values - low) / (high - low), 0, 1)
    return unit
