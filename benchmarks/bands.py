"""Band and cluster table of a z map: ours against a plain loop of OpenCV over slices and bands.

The loop is what the paper's authors used for one slice, over all slices: threshold, connected components
with statistics, mean of the areas. Ours also finds the 3D regions, which the loop does not.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks.measure import Work, compare, keep, options
from benchmarks.scans import z_at
from core.anomaly.bands import BANDS, band_labels, band_percent
from core.anomaly.regions import flagged_regions, slice_clusters
from core.io.volume import Volume


def table(cube: int) -> float:
    z, inside, _ = z_at(cube)
    start = time.perf_counter()
    labels = band_labels(z, inside)
    band_percent(labels, inside)
    slice_clusters(labels)
    return time.perf_counter() - start


def table_and_regions(cube: int) -> float:
    z, inside, affine = z_at(cube)
    start = time.perf_counter()
    labels = band_labels(z, inside)
    band_percent(labels, inside)
    slice_clusters(labels)
    flagged_regions(Volume(z, affine), inside, "volume", "benchmark")
    return time.perf_counter() - start


def opencv_loop(cube: int) -> float:
    import cv2

    z, inside, _ = z_at(cube)
    start = time.perf_counter()
    for band in BANDS:
        sizes: list[int] = []
        count = 0
        for k in range(z.shape[2]):
            part = z[:, :, k]
            if band.sign > 0:
                hit = (part >= band.low) & (part < band.high) & inside[:, :, k]
            else:
                hit = (part <= -band.low) & (part > -band.high) & inside[:, :, k]
            count += int(hit.sum())
            _, _, stats, _ = cv2.connectedComponentsWithStats(hit.astype(np.uint8), connectivity=8)
            sizes += stats[1:, cv2.CC_STAT_AREA].tolist()
        assert count == sum(sizes)
    return time.perf_counter() - start


def agree(cube: int) -> None:
    """Both give the same clusters, or the comparison is void.

    Raises
    ------
    AssertionError
    """
    import cv2

    z, inside, _ = z_at(cube)
    labels = band_labels(z, inside)
    ours = slice_clusters(labels)
    for band in BANDS:
        number = 0
        for k in range(z.shape[2]):
            hit = (labels[:, :, k] == band.label).astype(np.uint8)
            number += cv2.connectedComponents(hit, connectivity=8)[0] - 1
        assert number == ours[band.name][0], (band.name, number, ours[band.name])


def main() -> None:
    chosen = options(__doc__ or "", rounds=3)
    agree(64)
    arguments = {"cube": 256}
    works = [
        Work("ours: bands, clusters", "benchmarks.bands:table", arguments),
        Work("ours: bands, clusters, 3D regions", "benchmarks.bands:table_and_regions", arguments),
        Work("OpenCV loop: bands, clusters", "benchmarks.bands:opencv_loop", arguments),
    ]
    keep(compare("bands and clusters at 256³", works, chosen.rounds), "bands", chosen.tables)


if __name__ == "__main__":
    main()
