"""One site's intensities brought to another's by matching histogram landmarks.

Nyúl & Udupa 1999, On standardizing the MR image intensity scale, Magn Reson Med 42:1072–1081. The map is
fixed by a site's normals, not by the scan at hand: a scan's own histogram would standardise its lesions away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.preprocess.errors import PrepareError

PERCENTILES = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)
# Site's landmarks, and those that they are brought to; empty where nothing is to be done.
Landmarks = tuple[tuple[float, ...], tuple[float, ...]] | tuple[()]
LEAST_STEP = 1e-4  # between two landmarks, so that the map has an inverse


def landmarks(x: NDArray[np.floating], mask: NDArray[np.generic]) -> NDArray[np.float64]:
    """``PERCENTILES`` of a prepared scan (X, Y, Z) in [0, 1] inside its brain mask.

    Raises
    ------
    PrepareError
        On an empty mask or another shape.
    """
    inside = np.asarray(mask) > 0
    if inside.shape != x.shape or not inside.any():
        count = int(inside.sum())
        raise PrepareError(f"landmarks: mask of shape {inside.shape}, {count} voxels; expected a brain")
    return np.percentile(x[inside], PERCENTILES)


def mean_landmarks(each: Sequence[NDArray[np.float64]]) -> tuple[float, ...]:
    """Mean over scans, strictly increasing.

    Raises
    ------
    PrepareError
        Without any scan.
    """
    if len(each) == 0:
        raise PrepareError("landmarks: no scan; expected some normals")
    mean = np.mean(each, axis=0)
    return tuple(float(value) for value in np.maximum.accumulate(mean + LEAST_STEP * np.arange(mean.size)))


def check_landmarks(given: Landmarks) -> None:
    """Refuse what is no monotone map.

    Raises
    ------
    PrepareError
    """
    if given == ():
        return
    for name, values in zip(("source", "target"), given, strict=True):
        if len(values) != len(PERCENTILES) or not (np.diff(values) > 0).all():
            raise PrepareError(
                f"landmarks: {name} has {len(values)} values; "
                f"expected {len(PERCENTILES)}, strictly increasing"
            )


def harmonised(x: NDArray[np.float32], mask: NDArray[np.generic], given: Landmarks) -> NDArray[np.float32]:
    """``x`` (X, Y, Z) with the brain's intensities mapped from the first landmarks to the second.

    Linear between landmarks; beyond the outer ones linear to 0 and 1, which stay where they are. Voxels
    outside the mask stay 0. Without landmarks ``x`` itself.
    """
    if len(given) == 0:
        return x
    source, target = given
    inside = np.asarray(mask) > 0
    low = min(0.0, source[0] - LEAST_STEP), min(0.0, target[0] - LEAST_STEP)
    high = max(1.0, source[-1] + LEAST_STEP), max(1.0, target[-1] + LEAST_STEP)
    mapped = np.interp(x[inside], [low[0], *source, high[0]], [low[1], *target, high[1]])
    result = np.zeros_like(x)
    result[inside] = np.clip(mapped, 0, 1)
    return result
