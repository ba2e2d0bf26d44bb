"""Residuals of a network that sees T2w and T1w: which one is shown, and what both say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.anomaly.residual import AnomalyError, Array, Mask

CHANNELS = ("T2w", "T1w")


def t2w(values: Array) -> Array:
    """The T2w's part (N, N, N) of a volume of one channel (N, N, N) or two (2, N, N, N)."""
    return values if values.ndim == 3 else values[0]


def spread_name(channel: str) -> str:
    """Key in ``Normative.validation`` of each normal's root mean square residual in the brain."""
    return f"residual_rms_{channel}"


def spreads(residuals: Sequence[Array], masks: Sequence[Mask]) -> dict[str, list[float]]:
    """Root mean square in the brain of normals' residuals (2, N, N, N) by ``spread_name``; empty for one."""
    if residuals[0].ndim == 3:
        return {}
    return {
        spread_name(channel): [
            float(np.sqrt(np.mean(np.square(values[index][mask], dtype=np.float64))))
            for values, mask in zip(residuals, masks, strict=True)
        ]
        for index, channel in enumerate(CHANNELS)
    }


def joint(residual: Array, validation: Mapping[str, NDArray[np.floating] | Sequence[float]]) -> Array:
    """What the normative z of a network is made of: r of one channel, r₂ / s₂ − r₁ / s₁ of T2w and T1w.

    s: root mean square residual of the channel in validation normals (``spreads``). The difference, since
    most lesions are bright in one contrast and dark in the other; what brightens both alike cancels. Its own
    mean and SD among normals, voxel by voxel, make it (z₂ − z₁) / √(2 − 2ρ) with the ρ that normals show
    there. Positive: brighter than expected in T2w, darker in T1w, or both.

    Raises
    ------
    AnomalyError
        On another number of channels, or a calibration without their spreads.
    """
    if residual.ndim == 3:
        return residual
    if residual.shape[0] != len(CHANNELS):
        raise AnomalyError(f"residual has {residual.shape[0]} channels; expected {len(CHANNELS)}")
    scaled = []
    for values, channel in zip(residual, CHANNELS, strict=True):
        rms = np.asarray(validation.get(spread_name(channel), ()), np.float64)
        if rms.size == 0 or not (rms > 0).all():
            raise AnomalyError(f"no spread of {channel} in the calibration; calibrate the model again")
        scaled.append(values / np.float32(np.sqrt(np.mean(np.square(rms)))))
    return np.asarray(scaled[0] - scaled[1], np.float32)
