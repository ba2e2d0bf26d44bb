"""Intensities as the detectors see them: the logarithm, over the brain's own median."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.anomaly.residual import AnomalyError, Array, check_mask

# Of intensity over the brain's median: fluid and the mask's rim must not rule the spread.
LOG_RANGE = (-1.2, 0.9)


def brain_median(x: Array, mask: NDArray[np.generic]) -> float:
    """Median of x (X, Y, Z) inside ``mask``.

    Raises
    ------
    AnomalyError
        On another shape, an empty mask, or a median that is not positive.
    """
    middle = float(np.median(x[check_mask(x, mask, "scan")]))
    if not middle > 0:
        raise AnomalyError(f"the brain's median intensity is {middle:g}; expected positive intensities")
    return middle


def log_ratio(x: Array, mask: NDArray[np.generic], middle: float) -> Array:
    """Log of x (X, Y, Z) over ``middle``, clipped to [−1.2, 0.9]; 0 outside ``mask``."""
    inside = np.asarray(mask != 0)
    values = np.zeros(x.shape, np.float32)
    low, high = LOG_RANGE
    values[inside] = np.log(np.clip(x[inside] / np.float32(middle), np.exp(low), np.exp(high)))
    return values


def log_intensity(x: Array, mask: NDArray[np.generic]) -> Array:
    """Log of intensity over the brain's median, clipped to [−1.2, 0.9]; 0 outside.

    Raises
    ------
    AnomalyError
        On another shape, an empty mask, or a brain whose median is not positive.
    """
    return log_ratio(x, mask, brain_median(x, mask))


def log_residual(x: Array, x_hat: Array, mask: NDArray[np.generic]) -> Array:
    """log x − log x̂ inside ``mask``, both over the median of x and clipped: a dark lesion counts as a bright.

    Raises
    ------
    AnomalyError
        On unequal shapes, an empty mask, or a brain whose median is not positive.
    """
    if x.shape != x_hat.shape:
        raise AnomalyError(f"scan has shape {x.shape}, reconstruction {x_hat.shape}; expected the same")
    middle = brain_median(x, mask)
    return log_ratio(x, mask, middle) - log_ratio(x_hat, mask, middle)
