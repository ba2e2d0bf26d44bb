"""Intensity expected from the most similar patch nearby in normals, so that anatomy may shift."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.anomaly.residual import AnomalyError, Array, Mask, check_mask

SEARCH = 2  # voxels each way
BEST = 3  # normals whose centres are averaged
_FAR = np.float32(np.inf)


@njit(nogil=True)
def _match(x, inside, normal, support, search, first, last, distance, centre):
    """Best patch of one normal for each voxel of the planes ``first`` to ``last``, into the last two.

    All arrays are (X, Y, Z), padded by ``search`` + 1 voxels. Along z the nine squared differences of a
    column are summed once and used by three patches.
    """
    depth = x.shape[2]
    pad = search + 1
    columns = np.empty(depth, np.float32)
    for i in range(first, last):
        for j in range(pad, x.shape[1] - pad):
            if not inside[i, j].any():
                continue
            for di in range(-search, search + 1):
                for dj in range(-search, search + 1):
                    if not support[i + di, j + dj].any():
                        continue
                    for dk in range(-search, search + 1):
                        columns[:] = np.float32(0)
                        for a in range(-1, 2):
                            for b in range(-1, 2):
                                mine, theirs = x[i + a, j + b], normal[i + di + a, j + dj + b]
                                for k in range(search, depth - search):
                                    difference = mine[k] - theirs[k + dk]
                                    columns[k] += difference * difference
                        for k in range(pad, depth - pad):
                            if inside[i, j, k] and support[i + di, j + dj, k + dk]:
                                total = columns[k - 1] + columns[k] + columns[k + 1]
                                if total < distance[i, j, k]:
                                    distance[i, j, k] = total
                                    centre[i, j, k] = normal[i + di, j + dj, k + dk]


def nonlocal_expected(
    x: Array,
    mask: NDArray[np.generic],
    normals: Sequence[Array],
    supports: Sequence[NDArray[np.generic]],
    search: int = SEARCH,
    best: int = BEST,
    threads: int = 1,
) -> tuple[Array, Mask]:
    """What normals show at the place that looks most alike, and where that is known.

    For each voxel of ``mask`` (X, Y, Z) and each normal, the 3×3×3 patch within ± ``search`` voxels whose sum
    of squared differences is least, its centre inside the normal's mask; then the mean centre of the ``best``
    normals of least difference. All arrays lie on one grid and are 0 outside their masks, so that a patch at
    the brain's rim matches one at a rim. Ties go to the first shift and the first normal; the number of
    threads does not change the result. After non-local means (Buades et al. 2005, CVPR).

    Returns
    -------
    expected : (X, Y, Z) float32, 0 where unknown
    known : (X, Y, Z) bool, inside the mask and near the mask of at least one normal

    Raises
    ------
    AnomalyError
        On unequal shapes or numbers, an empty mask, or no normal.
    """
    inside = check_mask(x, mask, "scan")
    if len(normals) != len(supports) or not normals:
        raise AnomalyError(
            f"{len(normals)} normals with {len(supports)} masks; expected one each, one or more"
        )
    if search < 0 or best < 1:
        raise AnomalyError(f"search {search}, best {best}; expected 0 or more, and 1 or more")
    masks = [check_mask(one, support, "normal") for one, support in zip(normals, supports, strict=True)]
    if other := [one.shape for one in normals if one.shape != x.shape]:
        raise AnomalyError(f"scan has shape {x.shape}, a normal {other[0]}; expected one grid")

    pad = search + 1
    hits = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    box = tuple(slice(int(one[0]), int(one[-1]) + 1) for one in hits)
    # Padding first: patches and shifts reach past the box, and past the grid.
    grown = tuple(slice(part.start, part.stop + 2 * pad) for part in box)

    def cut(values: NDArray[np.generic], dtype: type) -> NDArray[np.generic]:
        return np.ascontiguousarray(np.pad(values.astype(dtype), pad)[grown])

    mine, place = cut(np.where(inside, x, 0), np.float32), cut(inside, np.bool_)
    planes = np.linspace(pad, mine.shape[0] - pad, 4 * threads + 1).astype(int)
    slabs = [(a, b) for a, b in pairwise(planes) if b > a]
    distances = np.full((best, *mine.shape), _FAR, np.float32)
    centres = np.zeros((best, *mine.shape), np.float32)
    with ThreadPoolExecutor(threads) as pool:
        for one, support in zip(normals, masks, strict=True):
            theirs, theirs_in = cut(np.where(support, one, 0), np.float32), cut(support, np.bool_)
            distance, centre = np.full(mine.shape, _FAR, np.float32), np.zeros(mine.shape, np.float32)

            def work(slab: tuple[int, int]) -> None:
                _match(mine, place, theirs, theirs_in, search, *slab, distance, centre)  # noqa: B023

            list(pool.map(work, slabs))
            # Kept sorted by difference: one pass down the ranks.
            for rank in range(best):
                closer = distance < distances[rank]
                distances[rank], distance = (
                    np.where(closer, distance, distances[rank]),
                    np.where(closer, distances[rank], distance),
                )
                centres[rank], centre = (
                    np.where(closer, centre, centres[rank]),
                    np.where(closer, centres[rank], centre),
                )
    found = np.isfinite(distances)
    count = found.sum(axis=0)
    mean = np.divide(
        np.where(found, centres, 0).sum(axis=0), count, out=np.zeros(mine.shape, np.float32), where=count > 0
    )
    middle = tuple(slice(pad, -pad) for _ in range(3))
    expected, known = np.zeros(x.shape, np.float32), np.zeros(x.shape, bool)
    expected[box], known[box] = mean[middle], (count > 0)[middle]
    return expected, known & inside
