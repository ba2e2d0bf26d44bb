"""Regions across models: which voxels a region holds, and what the other models show there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from app.cases import stamp
from app.compare.analyses import Analyses
from app.viewer.volumes import VolumeMissing, read_grid
from core.anomaly.consensus import Witness, draw_regions, witness
from core.io.derivatives import CasePaths, MapName, Region, read_regions


@dataclass(frozen=True, eq=False)
class Drawn:
    """One model's map and regions inside the box of the brain, RAS+ voxel order; read-only, shared."""

    z: NDArray[np.float32]
    labels: NDArray[np.uint16]  # number of the region + 1
    regions: tuple[Region, ...]
    start: tuple[int, int, int]  # the box' first voxel


@lru_cache(maxsize=32)
def _drawn(paths: CasePaths, model: str, name: MapName, stamps: tuple[tuple[int, int], ...]) -> Drawn:
    """``stamps`` only keys the cache."""
    grid, brain = read_grid(paths.z(model, name)), read_grid(paths.mask)
    if brain.data.shape != grid.data.shape:
        raise VolumeMissing(f"{paths.mask.name}: grid {brain.data.shape}, expected {grid.data.shape}")
    regions = tuple(region for region in read_regions(paths.regions(model)) if region.map == name)
    inside = brain.data > 0
    if not inside.any():
        raise VolumeMissing(f"{paths.mask.name}: empty; expected the brain")
    hits = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    box = tuple(slice(int(hit[0]), int(hit[-1]) + 1) for hit in hits)
    x, y, z = (part.start for part in box)
    affine = grid.affine.copy()
    affine[:3, 3] = (grid.affine @ (x, y, z, 1.0))[:3]
    values = np.ascontiguousarray(grid.data[box])
    return Drawn(values, draw_regions(values, inside[box], regions, affine), regions, (x, y, z))


def drawn(paths: CasePaths, model: str, name: MapName) -> Drawn:
    """The map and regions of one model, from memory where the files have not changed.

    Raises
    ------
    DerivativesError
        Where a file is gone or on another grid.
    AnomalyError
        Where the regions are not those of the map.
    """
    files = (paths.z(model, name), paths.mask, paths.regions(model))
    return _drawn(paths, model, name, tuple(stamp(file) for file in files))


def region_at(one: Drawn, voxel: Sequence[int]) -> Region | None:
    """The flagged region that holds a voxel (RAS+) of the scan; None where there is none."""
    at = tuple(int(v) - s for v, s in zip(voxel, one.start, strict=True))
    if not all(0 <= index < size for index, size in zip(at, one.labels.shape, strict=True)):
        return None
    label = int(one.labels[at])
    return one.regions[label - 1] if label > 0 else None


def witnesses(analyses: Analyses, name: MapName, model: str, region_id: str) -> dict[str, Witness]:
    """What each model shows where a region of ``model`` lies, that model too, in the order of the models.

    Raises
    ------
    DerivativesError
        Where a file is gone, or ``model`` has no such region.
    AnomalyError
        Where regions are not those of their map.
    """
    source = drawn(analyses.paths, model, name)
    number = next((i for i, region in enumerate(source.regions) if region.id == region_id), None)
    if number is None:
        raise VolumeMissing(f"region {region_id}: {model} has none of this id in its {name} map")
    where = source.labels == number + 1
    found = {}
    for record in analyses.having(name):
        other = drawn(analyses.paths, record.model, name)
        found[record.model] = witness(
            where, 1 if source.regions[number].sign > 0 else -1, other.z, other.labels, other.regions
        )
    return found
