"""The paper's six bands of standard deviations (Raad et al. 2023, Analysis framework, Figures S1–S4)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from core.anomaly.residual import check_mask


@dataclass(frozen=True)
class Band:
    """One band of signed z. The end nearer zero is closed, the other open: ±2, ±3, ±4 count as the higher."""

    label: int  # in ``band_labels``
    name: str  # in BandRow
    sign: int
    low: float  # of |z|, closed
    high: float  # of |z|, open


BANDS: tuple[Band, ...] = (
    Band(1, "-4", -1, 4, inf),  # (−∞, −4]
    Band(2, "-4..-3", -1, 3, 4),  # (−4, −3]
    Band(3, "-3..-2", -1, 2, 3),  # (−3, −2]
    Band(4, "2..3", +1, 2, 3),  # [2, 3)
    Band(5, "3..4", +1, 3, 4),  # [3, 4)
    Band(6, "4", +1, 4, inf),  # [4, ∞)
)

# Levels of |z| that bound the bands, and the name of a region whose highest level they are.
LEVELS: tuple[tuple[float, str], ...] = ((2.0, "2-3"), (3.0, "3-4"), (4.0, "4+"))
REGION_BANDS: tuple[str, ...] = tuple(name for _, name in LEVELS)


def band_labels(z: NDArray[np.float32], mask: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Band of each voxel (X, Y, Z): 0 none or outside ``mask``, else 1 to 6 as in ``BANDS``.

    Raises
    ------
    AnomalyError
        On another shape or an empty mask.
    """
    inside = check_mask(z, mask, "z map")
    labels = np.zeros(z.shape, np.uint8)
    for level in (2, 3, 4):
        labels[z >= level] = level + 2
        labels[z <= -level] = 5 - level
    labels[~inside] = 0
    return labels


def band_percent(labels: NDArray[np.uint8], mask: NDArray[np.generic]) -> dict[str, float]:
    """Percentage of the mask's voxels in each band, by name.

    Raises
    ------
    AnomalyError
        On another shape or an empty mask.
    """
    inside = check_mask(labels, mask, "band label map")
    counts = np.bincount(labels[inside], minlength=len(BANDS) + 1)
    return {band.name: 100.0 * float(counts[band.label]) / int(inside.sum()) for band in BANDS}
