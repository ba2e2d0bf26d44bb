"""Synthetic corruption of normal scans: what a restoration network learns to take back.

Random places, sizes and shapes with soft edges, filled in several ways, as in Naval Marimont & Tarroni 2023
(arXiv 2308.01412) and Naval Marimont et al. 2024 (arXiv 2407.06635). Nothing here knows what a lesion is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, zoom

from core.anomaly.intensity import LOG_RANGE

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Box = tuple[slice, slice, slice]

# brighter, darker: log intensity moved; constant: one intensity; patch: another scan, or this one, elsewhere;
# deform: anatomy locally swollen or shrunk; noise: coarse noise over the whole brain (Kascenas et al. 2022,
# Denoising autoencoders for unsupervised anomaly detection in brain MRI, MIDL).
KINDS = ("brighter", "darker", "constant", "patch", "deform", "noise")
CHANGE = (0.15, 1.0)  # of log intensity, brighter and darker
LEAST_RADIUS = 0.75  # voxels: one or two voxels in all
MOST_RADIUS_MM = 18.0
LEAST_DEFORM = 3.0  # voxels: less moves nothing that the grid resolves
REACH = 12  # voxels, at most, between a patch and the place where it is put
NOISE_STEP = 4  # voxels between nodes of coarse noise
SEEN = 0.02  # of log intensity: less is no corruption


class CorruptionError(ValueError):
    """Settings or arrays from which no corruption can be made."""


@dataclass(frozen=True)
class CorruptionSettings:
    """How much is corrupted, and in which ways; each region draws one of ``kinds`` with equal chance."""

    kinds: tuple[str, ...] = ("brighter", "darker", "constant", "patch")
    most_regions: int = 8  # 1 to this many a scan

    def __post_init__(self) -> None:
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise CorruptionError(f"kinds are {self.kinds}, expected one or more of {', '.join(KINDS)}")
        if self.most_regions < 1:
            raise CorruptionError(f"most_regions is {self.most_regions}, expected 1 or more")


def coarse_noise(shape: tuple[int, ...], nodes: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Normal noise at ``nodes`` a axis, linearly stretched to ``shape``; SD about 0.7, more at the nodes."""
    noise = rng.standard_normal(nodes).astype(np.float32)
    stretched = zoom(noise, [size / node for size, node in zip(shape, nodes, strict=True)], order=1)
    assert stretched.shape == shape
    return stretched


@dataclass(frozen=True)
class Region:
    """A soft, warped ellipsoid in its box; ``distance`` is 1 on its surface, 0 at its ``centre``."""

    box: Box
    centre: tuple[float, ...]  # voxels of the whole grid
    distance: Array
    weight: Array  # 0 to 1


def draw_region(mask: Mask, radius: float, rng: np.random.Generator) -> Region:
    """A region of about ``radius`` voxels around a random voxel of ``mask``; its weight is 0 outside it."""
    inside = np.flatnonzero(mask)
    voxel = np.unravel_index(int(inside[rng.integers(len(inside))]), mask.shape)
    centre = np.array(voxel) + rng.uniform(-0.5, 0.5, 3)
    rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    semi_axes = radius * np.exp(rng.normal(0, 0.25, 3))
    half = 1.5 * semi_axes.max() + 1
    low = np.maximum(np.floor(centre - half).astype(int), 0)
    high = np.minimum(np.ceil(centre + half).astype(int) + 1, mask.shape)
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    shape = tuple(int(size) for size in high - low)
    axes = [
        np.arange(start, stop, dtype=np.float32) - c for start, stop, c in zip(low, high, centre, strict=True)
    ]
    offset = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    turned = (rotation @ offset) / semi_axes[:, None]
    distance = np.sqrt((turned**2).sum(axis=0)).reshape(shape).astype(np.float32)
    # Three to four humps across a region, whatever its size.
    distance = distance * np.exp(
        0.25 * coarse_noise(shape, (min(4, shape[0]), min(4, shape[1]), min(4, shape[2])), rng)
    )
    edge = max(rng.uniform(0.1, 0.7), 0.5 / radius)
    weight = np.clip((1 - distance) / edge + 0.5, 0, 1) * mask[box]
    return Region(box, tuple(float(c) for c in centre), distance, weight.astype(np.float32))


def moved(log: Array, box: Box, offset: NDArray[np.integer[Any]]) -> Array:
    """Voxels of ``box`` as read ``offset`` voxels away, the grid's border repeated."""
    index = [
        np.clip(np.arange(part.start, part.stop) + shift, 0, size - 1)
        for part, shift, size in zip(box, offset, log.shape, strict=True)
    ]
    return log[np.ix_(*index)]


def warped(log: Array, region: Region, power: float) -> Array:
    """``region``'s box, read at d·d^power from its centre instead of d: above 0 swollen, below 0 shrunk."""
    axes = [np.arange(part.start, part.stop, dtype=np.float32) for part in region.box]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"))
    centre = np.array(region.centre, np.float32)[:, None, None, None]
    scale = np.clip(region.distance, 0.05, 1) ** power
    return map_coordinates(log, centre + (grid - centre) * scale, order=1, mode="nearest")


def corrupt(
    log: Array,
    mask: Mask,
    donor: Array,
    donor_mask: Mask,
    voxel_mm: float,
    settings: CorruptionSettings,
    rng: np.random.Generator,
) -> tuple[Array, Mask]:
    """A corrupted copy of a log intensity (X, Y, Z), and where it was changed, always inside ``mask``.

    ``donor``: another scan's log intensity on the same grid, with its brain mask. Radii are drawn
    log-uniformly from ``LEAST_RADIUS`` voxels to ``MOST_RADIUS_MM``.

    Raises
    ------
    CorruptionError
        For an empty mask, or arrays of unequal shapes.
    """
    if not log.shape == mask.shape == donor.shape == donor_mask.shape:
        shapes = ", ".join(str(one.shape) for one in (log, mask, donor, donor_mask))
        raise CorruptionError(f"log, mask, donor and its mask have shapes {shapes}; expected the same")
    if not mask.any():
        raise CorruptionError("the brain mask is empty; expected brain voxels")
    result = log.copy()
    for _ in range(int(rng.integers(1, settings.most_regions + 1))):
        kind = settings.kinds[int(rng.integers(len(settings.kinds)))]
        if kind == "noise":
            nodes = [max(2, size // NOISE_STEP) for size in log.shape]
            noise = coarse_noise(log.shape, (nodes[0], nodes[1], nodes[2]), rng)
            result += rng.uniform(0.05, 0.3) * noise * mask
            continue
        least = LEAST_DEFORM if kind == "deform" else LEAST_RADIUS
        most = max(MOST_RADIUS_MM / voxel_mm, 2 * least)
        region = draw_region(mask, math.exp(rng.uniform(math.log(least), math.log(most))), rng)
        weight, old = region.weight, result[region.box]
        if kind in ("brighter", "darker"):
            new = old + rng.uniform(*CHANGE) * (1 if kind == "brighter" else -1)
        elif kind == "constant":
            new = rng.uniform(*LOG_RANGE) + 0.05 * rng.standard_normal(old.shape)
            weight = weight * rng.uniform(0.4, 1)
        elif kind == "deform":
            power = rng.uniform(0.2, 0.9) * (1 if rng.random() < 0.5 else -0.8)
            new = warped(result, region, power)
            # What lies beyond the brain is no anatomy.
            weight = weight * (warped(mask.astype(np.float32), region, power) > 0.5)
        else:
            source, inside = (donor, donor_mask) if rng.random() < 0.5 else (result, mask)
            offset = rng.integers(-REACH, REACH + 1, 3)
            new = moved(source, region.box, offset)
            weight = weight * moved(inside.astype(np.float32), region.box, offset) * rng.uniform(0.5, 1)
        result[region.box] = old + weight * (new - old)
    result = np.where(mask, np.clip(result, *LOG_RANGE), log).astype(np.float32)
    return result, np.abs(result - log) > SEEN
