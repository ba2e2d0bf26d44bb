"""Independent evidence joined: where two signed maps agree, and a z whose bands mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri_exp

from core.anomaly.residual import AnomalyError, Array

SCALE_PERCENTILE = 99.5  # of |map| in normals
POWERS = (0.0, 1.0, 2.0)  # that calibration chooses among
BODY = 256  # points of the body's table
TAIL_SHARE = 0.005  # of the normals' voxels, from which the tail is extrapolated
SHAPE_LIMIT = 0.5  # of the generalised Pareto tail: beyond, its variance is infinite


def map_scale(maps: Sequence[NDArray[np.floating]]) -> float:
    """99.5th percentile of |map| over the voxels of all normals, each (V,) of one normal's mask.

    Raises
    ------
    AnomalyError
        Where it is 0: the map says nothing in normals.
    """
    scale = float(np.percentile(np.abs(np.concatenate(maps)), SCALE_PERCENTILE))
    if not scale > 0:
        raise AnomalyError("the normals' map is 0 in 99.5 % of their voxels; expected one that varies")
    return scale


def power_mean(maps: Sequence[Array], power: float) -> Array:
    """Mean of signed maps, scaled alike, with the sign of the largest; a map of the other sign counts 0.

    ``power`` 1 is the arithmetic mean, 2 the quadratic, 0 the geometric, which is 0 unless all agree. A view
    that finds a voxel too bright where another finds it too dark gives no support, but it does not cancel
    either: where one network fails is not where normals' patches fail. Of two sizes alike the first one's
    sign counts.

    Raises
    ------
    AnomalyError
        On a negative power, or no map.
    """
    if not maps:
        raise AnomalyError("no map to take the mean of; expected one or more")
    if power < 0:
        raise AnomalyError(
            f"power {power:g}; expected 0 (geometric), 1 (arithmetic), 2 (quadratic) or between"
        )
    largest = maps[0]
    for one in maps[1:]:
        largest = np.where(np.abs(largest) >= np.abs(one), largest, one)
    sign = np.sign(largest)
    total = np.full_like(sign, 1.0 if power == 0 else 0.0)
    for one in maps:
        part = np.maximum(sign * one, 0)
        total = total * part if power == 0 else total + part**power
    mean = total ** (1 / len(maps)) if power == 0 else (total / len(maps)) ** (1 / power)
    return np.asarray(sign * mean, np.float32)


@dataclass(frozen=True, eq=False)
class Tail:
    """How often a map exceeds a value in normals.

    ``values`` (256,), rising: |map| that a share ``shares`` (falling, 1 to 0.005) of the normals' voxels
    exceeds. Above the last value the share is that of a generalised Pareto distribution of ``scale`` and
    ``shape``.
    """

    values: NDArray[np.float64]
    shares: NDArray[np.float64]
    scale: float
    shape: float


def fit_tail(maps: Sequence[NDArray[np.floating]]) -> Tail:
    """Tail of |map| in normals, each (V,) of one normal's mask.

    Body: empirical quantiles. The highest 0.5 % (some 270 voxels a normal at 64³) give a generalised Pareto
    tail by probability-weighted moments (Hosking and Wallis 1987, Technometrics 29:339), its shape held to 0
    to 0.5: neighbouring voxels are alike, so that a short tail is more likely to be a small sample than a
    bound, and a heavier tail only lowers z.

    Raises
    ------
    AnomalyError
        On fewer than 4000 voxels, or a tail without variation.
    """
    pool = np.sort(np.abs(np.concatenate(maps)).astype(np.float64))
    if pool.size < 20 / TAIL_SHARE:
        raise AnomalyError(
            f"{pool.size} voxels of normals; expected {20 / TAIL_SHARE:.0f} or more for a tail"
        )
    shares = np.geomspace(1.0, TAIL_SHARE, BODY)
    values = np.quantile(pool, 1 - shares)
    excess = pool[pool > values[-1]] - values[-1]
    if excess.size < 10:
        raise AnomalyError(f"{excess.size} voxels of normals above the rest; expected a map that varies")
    first = float(excess.mean())
    # E[x (1 − F(x))] with plotting positions; x = 0 is the threshold.
    second = float(np.mean(excess * (1 - (np.arange(1, excess.size + 1) - 0.35) / excess.size)))
    shape = float(np.clip(2 - first / (first - 2 * second), 0, SHAPE_LIMIT))
    return Tail(values, shares, first * (1 - shape), shape)  # the scale keeps the mean excess


def log_share(values: NDArray[np.floating], tail: Tail) -> NDArray[np.float64]:
    """Natural log of the share of normal voxels whose |map| exceeds ``values``, any shape."""
    size = np.abs(np.asarray(values, np.float64))
    body = np.interp(size, tail.values, np.log(tail.shares))
    beyond = np.maximum(size - tail.values[-1], 0) / tail.scale
    drop = np.log1p(tail.shape * beyond) / tail.shape if tail.shape > 1e-6 else beyond
    return np.asarray(body - drop, np.float64)


def tail_z(values: Array, tail: Tail) -> Array:
    """Signed z with the same two-sided tail in normals as the normal distribution: |z| ≥ 3 in 0.27 % of them.

    Increasing in |values|; 0 stays 0.
    """
    size = -ndtri_exp(log_share(values, tail) - np.log(2))
    return np.asarray(np.sign(values) * np.maximum(size, 0), np.float32)


def rarer(joined: Array, contrast: Array, tails: tuple[Tail, Tail]) -> Array:
    """Of two maps (X, Y, Z), each as z by its own tail, at each voxel the larger z."""
    first, second = tail_z(joined, tails[0]), tail_z(contrast, tails[1])
    return np.where(np.abs(first) >= np.abs(second), first, second)
