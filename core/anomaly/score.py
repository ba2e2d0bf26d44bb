"""Numbers that say how unlike a normal one whole scan is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.anomaly.residual import AnomalyError, Array, check_mask, residual

TOP_FRACTION = 0.001
OUTSIDE = 1.5  # times the most that stands out in a validation normal


def volume_mse(x: Array, x_hat: Array) -> float:
    """Mean of (x − x̂)² over the whole volume (Raad et al. 2023, Analysis framework).

    Raises
    ------
    AnomalyError
        On unequal shapes or voxels that are not finite.
    """
    return float(np.mean(np.square(residual(x, x_hat), dtype=np.float64)))


def normative_top(z: Array, mask: NDArray[np.generic]) -> float:
    """Mean |z| of the most extreme 0.1 % of the mask's voxels, at least one.

    Raises
    ------
    AnomalyError
        On another shape or an empty mask.
    """
    values = np.abs(z[check_mask(z, mask, "z map")])
    count = max(1, round(TOP_FRACTION * values.size))
    return float(np.partition(values, values.size - count)[-count:].mean(dtype=np.float64))


def percentile_among(value: float, normals: NDArray[np.floating]) -> float:
    """Percentile (0 to 100) of ``value`` among the ``normals``' values; ties count half.

    Raises
    ------
    AnomalyError
        Where there are no normals.
    """
    if normals.size == 0:
        raise AnomalyError("no validation normals to rank a score among; calibrate the model")
    below, same = np.count_nonzero(normals < value), np.count_nonzero(normals == value)
    return 100.0 * (below + 0.5 * same) / normals.size


def fused_score(z: Array, mask: NDArray[np.generic]) -> float:
    """Case score of the fused map: its mean |z| in the most extreme 0.1 % of the brain.

    The map's z is matched to held-out normals, so that the score reads in their SD.

    Raises
    ------
    AnomalyError
        On another shape or an empty mask.
    """
    return normative_top(z, mask)


def outside_normals(share: float, most: float) -> bool:
    """Whether more of a scan stands out than lesions explain: ``share`` over 1.5 times ``most``.

    ``share``: percentage of the brain at |z| ≥ 2 of the fused map; ``most``: the largest among validation
    normals, each left out. Another scanner, contrast or age spreads over the brain; few lesions do.
    """
    return share > OUTSIDE * most
