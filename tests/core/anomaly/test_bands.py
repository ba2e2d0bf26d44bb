"""The six bands at their exact ends."""

from __future__ import annotations

import numpy as np
import pytest

from core.anomaly.bands import BANDS, band_labels, band_percent
from core.anomaly.residual import AnomalyError

# z, label
ENDS = (
    (-7.0, 1),
    (-4.0, 1),  # (−∞, −4] is closed
    (np.nextafter(np.float32(-4), np.float32(0)), 2),
    (-3.0, 2),  # (−4, −3]
    (np.nextafter(np.float32(-3), np.float32(0)), 3),
    (-2.0, 3),  # (−3, −2]
    (np.nextafter(np.float32(-2), np.float32(0)), 0),
    (0.0, 0),
    (np.nextafter(np.float32(2), np.float32(0)), 0),
    (2.0, 4),  # [2, 3)
    (np.nextafter(np.float32(3), np.float32(0)), 4),
    (3.0, 5),  # [3, 4)
    (np.nextafter(np.float32(4), np.float32(0)), 5),
    (4.0, 6),  # [4, ∞)
    (9.0, 6),
)


@pytest.mark.parametrize(("z", "label"), ENDS)
def test_band_ends(z: float, label: int) -> None:
    values = np.full((1, 2, 3), z, np.float32)
    assert (band_labels(values, np.ones((1, 2, 3))) == label).all()


def test_the_table_says_the_same_as_the_labels() -> None:
    for z, label in ENDS:
        inside = [band.label for band in BANDS if band.sign * z > 0 and band.low <= abs(z) < band.high]
        assert inside == ([label] if label else [])


def test_percentages_count_the_mask_only() -> None:
    z, mask = np.full((2, 4, 5), 5.0, np.float32), np.zeros((2, 4, 5), bool)
    mask[0] = True  # 20 voxels
    z[0] = 0
    z[0, 0, :3] = 2.5
    z[0, 1, :5] = -4
    labels = band_labels(z, mask)
    assert not labels[1].any()
    assert band_percent(labels, mask) == {
        "-4": 25.0,
        "-4..-3": 0.0,
        "-3..-2": 0.0,
        "2..3": 15.0,
        "3..4": 0.0,
        "4": 0.0,
    }


def test_errors_name_what_was_found() -> None:
    with pytest.raises(AnomalyError, match="z map is empty"):
        band_labels(np.ones((2, 3, 4), np.float32), np.zeros((2, 3, 4)))
    with pytest.raises(AnomalyError, match=r"shape \(2, 3, 4\), its brain mask \(4, 3, 2\)"):
        band_percent(np.ones((2, 3, 4), np.uint8), np.zeros((4, 3, 2)))
