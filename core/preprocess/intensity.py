"""Intensities to [0, 1] inside the brain."""

from __future__ import annotations

import numpy as np

from core.preprocess.errors import PrepareError

METHODS = ("minmax", "robust")
ROBUST_PERCENTILES = (0.5, 99.5)
MOST_NEGATIVE = 0.01  # share of brain voxels that interpolation's ringing may leave below 0


def check_magnitude(data: np.ndarray, mask: np.ndarray) -> None:
    """Refuse a scan (X, Y, Z) whose brain, ``mask``, is not as a scanner gives it: 0 or more.

    Bias field and log intensity mean products of a signal. An offset, as after a z-score or scaling to
    [-1, 1], makes dark tissue negative, and nothing downstream could tell.

    Raises
    ------
    PrepareError
        Where more than 1 % of brain voxels are negative.
    """
    values = data[mask > 0]
    share = np.count_nonzero(values < 0) / max(values.size, 1)
    if share > MOST_NEGATIVE:
        raise PrepareError(
            f"intensity: {share:.1%} of the brain's voxels are negative, down to {values.min():.3g}; "
            f"expected a magnitude image, at most {MOST_NEGATIVE:.0%} below 0: add back the offset that was "
            "subtracted, or give the scan as acquired"
        )


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
