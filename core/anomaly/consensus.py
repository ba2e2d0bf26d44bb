"""Several models on one scan: how many flag each voxel, and which of them flag a region of another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import cc3d
import numpy as np
from numpy.typing import NDArray

from core.anomaly.bands import LEVELS, REGION_BANDS
from core.anomaly.residual import AnomalyError, Mask, check_mask
from core.io.derivatives import Region

Sign = Literal[1, -1]


def count_flags(maps: Iterable[NDArray[np.floating]], threshold: float, sign: Sign) -> NDArray[np.uint8]:
    """How many ``maps`` (X, Y, Z) of signed z reach ``threshold`` on the side of ``sign``, voxel by voxel.

    Brighter (``sign`` 1) and darker (−1) are counted apart: models that disagree on the direction do not
    agree. A voxel that is no number in a map is not flagged there. Maps may come one by one.

    Raises
    ------
    AnomalyError
        Without maps, on maps of unequal shape, or a threshold that is not positive.
    """
    if not threshold > 0:
        raise AnomalyError(f"threshold is {threshold}; expected more than 0 SD")
    counts: NDArray[np.uint8] | None = None
    for z in maps:
        if counts is None:
            counts = np.zeros(z.shape, np.uint8)
        if z.shape != counts.shape:
            raise AnomalyError(f"z maps of shapes {counts.shape} and {z.shape}; expected one grid")
        counts += (z >= threshold) if sign > 0 else (z <= -threshold)
    if counts is None:
        raise AnomalyError("no z map to count flags in; expected one or more")
    return counts


def draw_regions(
    z: NDArray[np.floating],
    mask: NDArray[np.generic],
    regions: Sequence[Region],
    affine: NDArray[np.float64],
) -> NDArray[np.uint16]:
    """Label map (X, Y, Z): ``i + 1`` where ``regions[i]`` lies, 0 elsewhere.

    A region's voxels are not kept on disk. They follow from the rule of ``flagged_regions``: those of its
    sign and in the mask that are 26-connected with its peak at or above its band's level. ``affine`` (4, 4)
    takes a voxel of ``z`` to the regions' mm; the axes of ``z`` may point anywhere.

    Raises
    ------
    AnomalyError
        On a mask of another shape or empty, or a peak that is not flagged in ``z``: the regions belong to
        another map.
    """
    inside = check_mask(z, mask, "z map")
    labels = np.zeros(z.shape, np.uint16)
    to_voxel = np.linalg.inv(affine)
    for sign in (1, -1):
        for level, band in LEVELS:
            mine = [i for i, region in enumerate(regions) if region.sign == sign and region.band == band]
            if not mine:
                continue
            reached = inside & ((z >= level) if sign > 0 else (z <= -level))
            components = cc3d.connected_components(reached, connectivity=26)
            owner = np.zeros(int(components.max()) + 1, np.uint16)
            for i in mine:
                region = regions[i]
                peak = to_voxel @ (region.peak_x_mm, region.peak_y_mm, region.peak_z_mm, 1.0)
                at = tuple(np.rint(peak[:3]).astype(int).tolist())
                here = all(0 <= index < size for index, size in zip(at, z.shape, strict=True))
                if not here or not reached[at]:
                    raise AnomalyError(
                        f"region {region.id}: its peak at voxel {at} is not flagged in the z map; "
                        "expected the regions of this map"
                    )
                owner[components[at]] = i + 1
            drawn = owner[components]
            labels[drawn > 0] = drawn[drawn > 0]
    return labels


@dataclass(frozen=True)
class Witness:
    """What one model's map shows where a region lies."""

    flagged: bool  # a flagged region of the same sign shares a voxel with it
    band: str  # the strongest of those regions' bands; empty where not flagged
    peak_z: float  # signed z, most extreme on the region's side, among the region's voxels
    covered: float  # share of the region's voxels that lie in those regions, 0 to 1
    dice: float  # of the region with those regions together, 0 to 1
    regions: tuple[str, ...]  # their ids, strongest first


def witness(
    where: Mask,
    sign: Sign,
    z: NDArray[np.floating],
    labels: NDArray[np.uint16],
    regions: Sequence[Region],
) -> Witness:
    """What a model says of the voxels ``where`` (X, Y, Z) of a region of ``sign``, by its map and regions.

    ``labels`` as of ``draw_regions`` for ``z`` and ``regions``.

    Raises
    ------
    AnomalyError
        On unequal shapes, or a region without voxels.
    """
    if not where.shape == z.shape == labels.shape:
        raise AnomalyError(
            f"region, z and labels have shapes {where.shape}, {z.shape}, {labels.shape}; expected one grid"
        )
    if not where.any():
        raise AnomalyError("the region has no voxel; expected one or more")
    values = z[where]
    touched = {int(label) for label in np.unique(labels[where]) if label > 0}
    touching = [label for label in sorted(touched) if regions[label - 1].sign == sign]
    strength = {band: rank for rank, band in enumerate(REGION_BANDS)}
    touching.sort(key=lambda label: -strength[regions[label - 1].band])
    theirs = np.isin(labels, touching)
    shared, size = int(np.count_nonzero(theirs & where)), int(np.count_nonzero(where))
    return Witness(
        flagged=bool(touching),
        band=regions[touching[0] - 1].band if touching else "",
        peak_z=float(values.max() if sign > 0 else values.min()),
        covered=shared / size,
        dice=2 * shared / (size + int(np.count_nonzero(theirs))),
        regions=tuple(regions[label - 1].id for label in touching),
    )
