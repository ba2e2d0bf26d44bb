"""Anomalous voxels joined up: the paper's slice-wise 2D clusters, and the 3D regions that readers judge."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import cc3d
import numpy as np
from numpy.typing import NDArray

from core.anomaly.bands import BANDS, LEVELS, band_labels
from core.anomaly.residual import AnomalyError, check_mask
from core.io.derivatives import MapName, Region
from core.io.volume import Volume

# A dozen of the demo models' 2 mm voxels. At 30 mm³ the demo's validation normals had 13.5 regions of 3 SD or
# more each, most of them specks at the cortex; finer models may go lower by --floor-mm3.
FLOOR_MM3 = 100.0
# Of the floor, in the fused map from 3 SD on: punctate lesions have 20 to 110 mm³. Its z is matched to
# normals, so that few of theirs get in (docs/results/false_alarms.csv).
SURE_Z, SURE_SHARE = 3.0, 0.4
MIDLINE_MM = 4.0
ALL_BANDS = "all"  # every voxel with |z| ≥ 2, whatever its band (Figure 4)
Clusters = dict[str, tuple[int, float]]


def _mean_sizes(image: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clusters and voxels by value (7,) of a 2D multi-label image, 8-connected."""
    components, count = cc3d.connected_components(image, connectivity=8, return_N=True)
    clusters, voxels = np.zeros(7, np.int64), np.zeros(7, np.int64)
    foreground = np.flatnonzero(image)
    values = image.ravel()[foreground]
    value_of = np.zeros(count + 1, np.uint8)
    value_of[components.ravel()[foreground]] = values
    clusters += np.bincount(value_of[1:], minlength=7)
    voxels += np.bincount(values, minlength=7)
    return clusters, voxels


def slice_clusters(labels: NDArray[np.uint8]) -> Clusters:
    """Number and mean size (voxels) of the 2D connected components of axial slices, by band name.

    ``labels`` (X, Y, Z) as of ``band_labels``. A component is 8-connected, of one slice and one band; the
    entry ``all`` joins all six bands. Raad et al. 2023, Analysis framework, with its reference 32 (Bolelli et
    al. 2020), whose labeller is 8-connected.

    Raises
    ------
    AnomalyError
        Where ``labels`` is not 3D.
    """
    if labels.ndim != 3:
        raise AnomalyError(f"band labels have shape {labels.shape}; expected three axes")
    x, y, z = labels.shape
    # One 2D image of all slices below one another, an empty row between: one pass labels them all.
    sheet = np.zeros((z, x + 1, y), np.uint8)
    sheet[:, :x] = labels.transpose(2, 0, 1)
    image = sheet.reshape(z * (x + 1), y)
    clusters, voxels = _mean_sizes(image)
    whole, _ = _mean_sizes((image > 0).view(np.uint8))
    counts = {band.name: (int(clusters[band.label]), int(voxels[band.label])) for band in BANDS}
    counts[ALL_BANDS] = (int(whole[1]), int(voxels[1:].sum()))
    return {name: (n, size / n if n else 0.0) for name, (n, size) in counts.items()}


def level_floors(name: str, floor_mm3: float) -> tuple[float, ...]:
    """Volume (mm³) that a region of the map ``name`` needs at |z| ≥ 2, 3 and 4: less where it is sure."""
    return tuple(floor_at(name, floor_mm3, low) for low, _ in LEVELS)


def floor_at(name: str, floor_mm3: float, z: float) -> float:
    """``level_floors`` at any |z|, mm³."""
    return SURE_SHARE * floor_mm3 if name == "fused" and z >= SURE_Z else floor_mm3


def floor_words(floor_mm3: float, maps: Sequence[str]) -> str:
    """Smallest region of these maps for people: "100 mm³ or more"."""
    smaller = f" (fused map: {SURE_SHARE * floor_mm3:g} from {SURE_Z:g} SD on)" if "fused" in maps else ""
    return f"{floor_mm3:g} mm³ or more{smaller}"


def _leaves(levels: list[NDArray[np.uint8]], floors: Sequence[float]) -> tuple[NDArray[np.int64], list[int]]:
    """Label map of the regions (0 none) and the level of each (index 1 on), by the level-set rule.

    ``floors``: voxels that a region needs at each level.
    """
    shape = levels[0].shape
    regions = np.zeros(shape, np.int64).ravel()
    level_of = [-1]
    taken = np.zeros(0, np.int64)  # one voxel of every component that was kept at a higher level
    for level in range(len(levels) - 1, -1, -1):
        components, count = cc3d.connected_components(levels[level], connectivity=26, return_N=True)
        flat = components.ravel()
        foreground = np.flatnonzero(flat)
        sizes = np.bincount(flat[foreground], minlength=count + 1)
        first = np.zeros(count + 1, np.int64)
        first[flat[foreground[::-1]]] = foreground[::-1]
        whole = sizes >= floors[level] - 1e-6
        whole[0] = False
        fresh = whole.copy()
        fresh[flat[taken]] = False
        whole[flat[taken]] = True
        new = np.zeros(count + 1, np.int64)
        new[fresh] = np.arange(len(level_of), len(level_of) + int(fresh.sum()))
        level_of += [level] * int(fresh.sum())
        mine = foreground[fresh[flat[foreground]]]
        regions[mine] = new[flat[mine]]
        taken = first[whole]
    return regions.reshape(shape), level_of


def _region_id(key: str, name: MapName, sign: int, band: str, peak: NDArray[np.int64]) -> str:
    text = "|".join((key, name, f"{sign:+d}", band, *(str(int(index)) for index in peak)))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _labelled(
    z: Volume, mask: NDArray[np.generic], name: str, floor_mm3: float
) -> tuple[NDArray[np.int64], list[int], tuple[slice, ...], NDArray[np.int64]]:
    """Region labels within the mask's box, the level of each label, the box, and its first voxel (3,)."""
    inside = check_mask(z.data, mask, "z map")
    if not floor_mm3 > 0:
        raise AnomalyError(f"floor_mm3 is {floor_mm3}; expected more than 0")
    # Only the box around the mask is labelled.
    box = tuple(
        slice(int(hits[0]), int(hits[-1]) + 1)
        for hits in (np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3))
    )
    labels = band_labels(z.data[box], inside[box])
    # 1 darker, 2 brighter at each level; cc3d never joins voxels of unequal value.
    darker = [np.array([0] + [1 if b.sign < 0 and b.low >= low else 0 for b in BANDS]) for low, _ in LEVELS]
    brighter = [np.array([0] + [2 if b.sign > 0 and b.low >= low else 0 for b in BANDS]) for low, _ in LEVELS]
    levels = [(d + b).astype(np.uint8)[labels] for d, b in zip(darker, brighter, strict=True)]
    floors = [floor / z.voxel_volume for floor in level_floors(name, floor_mm3)]
    regions, level_of = _leaves(levels, floors)
    return regions, level_of, box, np.array([part.start for part in box])


def region_labels(
    z: Volume, mask: NDArray[np.generic], name: MapName, key: str, floor_mm3: float
) -> tuple[NDArray[np.int32], dict[str, int]]:
    """The voxels of the regions that ``flagged_regions`` lists for the same arguments.

    Returns labels (X, Y, Z), 0 outside every region, and the label of each region's id.

    Raises
    ------
    AnomalyError
        As ``flagged_regions``.
    """
    regions, level_of, box, offset = _labelled(z, mask, name, floor_mm3)
    values = z.data[box]
    whole = np.zeros(z.shape, np.int32)
    whole[box] = regions
    ids = {}
    for label in range(1, len(level_of)):
        voxels = np.argwhere(regions == label)
        scores = values[tuple(voxels.T)].astype(np.float64)
        peak = int(np.argmax(np.abs(scores)))
        sign, band = (1 if scores[peak] > 0 else -1), LEVELS[level_of[label]][1]
        ids[_region_id(key, name, sign, band, voxels[peak] + offset)] = label
    return whole, ids


def flagged_regions(
    z: Volume,
    mask: NDArray[np.generic],
    name: MapName,
    key: str,
    floor_mm3: float = FLOOR_MM3,
    scan_to_reference: NDArray[np.float64] | None = None,
    midline_mm: float = 0.0,
) -> list[Region]:
    """3D regions of ``z``, disjoint, the highest band first and the largest first within it.

    For each sign the 26-connected components at |z| ≥ 2; one that holds components of at least ``floor_mm3``
    at |z| ≥ 3 is replaced by those, and they likewise at 4. So a region's band is the highest level at which
    it still has the floor's volume, and its volume is that of its voxels at or above that level. In the fused
    map 0.4 of the floor is enough at 3 and 4 (``level_floors``).

    ``scan_to_reference`` (4, 4), mm to mm, and ``midline_mm``, the x of the reference brain's middle in the
    reference's mm, give the side: ``midline`` within 4 mm of it. A reference's origin may lie anywhere, even
    in a corner. The id is a hash of ``key``, map, sign, band and peak voxel.

    Raises
    ------
    AnomalyError
        On a mask of another shape or empty, or a floor that is not positive.
    """
    regions, level_of, box, offset = _labelled(z, mask, name, floor_mm3)
    values = z.data[box]

    flat = regions.ravel()
    foreground = np.flatnonzero(flat)
    if foreground.size == 0:
        return []
    owner = flat[foreground]
    count = len(level_of)
    voxels = np.stack(np.unravel_index(foreground, regions.shape), axis=1) + offset
    scores = values.ravel()[foreground].astype(np.float64)
    sizes = np.bincount(owner, minlength=count)
    sums = np.bincount(owner, scores, minlength=count)
    centres = np.stack([np.bincount(owner, voxels[:, axis], minlength=count) for axis in range(3)], axis=1)
    order = np.lexsort((-np.abs(scores), owner))
    first = np.searchsorted(owner[order], np.arange(count))
    depth = z.shape[2]
    areas = np.bincount(owner * depth + voxels[:, 2], minlength=count * depth).reshape(count, depth)
    to_reference = np.eye(4) if scan_to_reference is None else scan_to_reference
    to_stored = np.linalg.inv(z.stored_affine)

    found = []
    for label in range(1, count):
        peak = order[first[label]]
        centre = z.affine @ [*(centres[label] / sizes[label]), 1.0]
        peak_mm = z.affine @ [*voxels[peak], 1.0]
        i, j, k, _ = np.round(to_stored @ centre).astype(int).tolist()
        across = float((to_reference @ centre)[0]) - midline_mm
        side: Literal["left", "right", "midline"] = "left" if across < 0 else "right"
        sign, band = (1 if scores[peak] > 0 else -1), LEVELS[level_of[label]][1]
        found.append(
            Region(
                id=_region_id(key, name, sign, band, voxels[peak]),
                map=name,
                sign=sign,
                band=band,
                volume_mm3=round(float(sizes[label] * z.voxel_volume), 3),
                peak_z=round(float(scores[peak]), 4),
                mean_z=round(float(sums[label] / sizes[label]), 4),
                x_mm=round(float(centre[0]), 3),
                y_mm=round(float(centre[1]), 3),
                z_mm=round(float(centre[2]), 3),
                i=i,
                j=j,
                k=k,
                peak_x_mm=round(float(peak_mm[0]), 3),
                peak_y_mm=round(float(peak_mm[1]), 3),
                peak_z_mm=round(float(peak_mm[2]), 3),
                side="midline" if abs(across) <= MIDLINE_MM else side,
                slice_axial=int(areas[label].argmax()),
            )
        )
    rank = {band: position for position, (_, band) in enumerate(reversed(LEVELS))}
    return sorted(found, key=lambda region: (rank[region.band], -region.volume_mm3, region.id))
