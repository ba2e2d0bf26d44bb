"""Residual of a reconstruction and its z-score: within the volume (the paper's), and against normals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from core.anomaly.normative import Normative

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


class AnomalyError(ValueError):
    """Arrays from which no residual, z or region can be made."""


def check_mask(values: NDArray[np.generic], mask: NDArray[np.generic], what: str) -> Mask:
    """``mask`` as bool, checked against ``values``.

    Raises
    ------
    AnomalyError
        On another shape than that of ``values``, or no voxel inside.
    """
    if mask.shape != values.shape:
        raise AnomalyError(f"{what} has shape {values.shape}, its brain mask {mask.shape}; expected the same")
    inside = np.asarray(mask != 0)
    if not inside.any():
        raise AnomalyError(f"the brain mask of the {what} is empty; expected at least one voxel")
    return inside


def residual(x: Array, x_hat: Array) -> Array:
    """x − x̂ (X, Y, Z): positive where the scan is brighter than expected.

    Raises
    ------
    AnomalyError
        On unequal shapes or voxels that are not finite.
    """
    if x.shape != x_hat.shape:
        raise AnomalyError(f"scan has shape {x.shape}, reconstruction {x_hat.shape}; expected the same")
    difference = x.astype(np.float32) - x_hat.astype(np.float32)
    if not np.isfinite(difference).all():
        raise AnomalyError("the residual is not finite everywhere; expected finite scan and reconstruction")
    return difference


def volume_z(residual: Array, mask: NDArray[np.generic]) -> Array:
    """Z-score of each voxel's residual among the brain voxels of its own volume; 0 outside ``mask``.

    Mean and population SD over the mask's voxels, as "for the residual of each pixel in a brain volume" of
    Raad et al. 2023, Analysis framework, says.

    Raises
    ------
    AnomalyError
        On another shape, an empty mask, or a residual that is constant inside it.
    """
    inside = check_mask(residual, mask, "residual")
    values = residual[inside].astype(np.float64)
    mean, sd = values.mean(), values.std()
    if sd <= 1e-12 + 1e-9 * abs(mean):
        raise AnomalyError("the residual is the same in every brain voxel; expected one that varies")
    z = np.zeros(residual.shape, np.float32)
    z[inside] = (values - mean) / sd
    return z


def smooth_inside(values: Array, mask: Mask, sigma: float) -> Array:
    """Gaussian mean of ``values`` (X, Y, Z) over the mask's voxels only, σ in voxels; 0 outside."""
    if sigma == 0:
        return np.where(mask, values, 0).astype(np.float32)
    weight = gaussian_filter(mask.astype(np.float32), sigma, mode="constant")
    total = gaussian_filter(np.where(mask, values, 0).astype(np.float32), sigma, mode="constant")
    smooth = np.zeros(values.shape, np.float32)
    smooth[mask] = total[mask] / weight[mask]
    return smooth


def normative_z(residual: Array, normative: Normative, mask: NDArray[np.generic]) -> Array:
    """Z-score of each voxel's residual among held-out normals at the same place; 0 outside ``mask``.

    (residual − mean) / SD voxel by voxel, smoothed as signed z by the normative model's ``smooth_z_mm``, then
    divided by its ``z_scale``, so that 1 is one SD of what held-out normals show. Where no normal has brain
    nothing is known, and z is 0; ``uncovered_percent`` tells how much of the brain that is.

    Raises
    ------
    AnomalyError
        On another shape or an empty mask.
    """
    if residual.shape != normative.mean.shape:
        raise AnomalyError(
            f"residual has shape {residual.shape}, normative model {normative.mean.shape}; expected the same"
        )
    inside = check_mask(residual, mask, "residual") & (normative.sd > 0)
    z = np.zeros(residual.shape, np.float32)
    z[inside] = (residual[inside] - normative.mean[inside]) / normative.sd[inside]
    return smooth_inside(z, inside, normative.smooth_z_mm / normative.voxel_mm) / np.float32(
        normative.z_scale
    )
