"""Case scores by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.anomaly.residual import AnomalyError
from core.anomaly.score import normative_top, outside_normals, percentile_among, volume_mse


def test_mse_is_over_the_whole_volume() -> None:
    x, x_hat = np.zeros((2, 3, 4), np.float32), np.zeros((2, 3, 4), np.float32)
    x[0, 0, 0], x_hat[1, 1, 1] = 0.5, 0.25
    assert volume_mse(x, x_hat) == pytest.approx((0.25 + 0.0625) / 24)


def test_top_is_the_mean_of_the_most_extreme_thousandth() -> None:
    z = np.zeros((10, 20, 30), np.float32)
    z[0, 0, :6] = [9, -8, 7, -6, 5, 4]  # 6000 voxels, so 6
    z[9] = 100  # outside
    mask = np.ones(z.shape, bool)
    assert normative_top(z, mask) == 100
    mask[9] = False  # 5400 voxels: 5
    assert normative_top(z, mask) == pytest.approx((9 + 8 + 7 + 6 + 5) / 5)


def test_top_of_a_tiny_mask_is_its_largest() -> None:
    z, mask = np.array([[[1.0, -3.0, 2.0]]], np.float32), np.array([[[1, 1, 1]]])
    assert normative_top(z, mask) == 3


@pytest.mark.parametrize(("value", "expected"), [(0.5, 0), (1.0, 12.5), (2.5, 50), (4.0, 87.5), (9.0, 100)])
def test_percentile_counts_ties_half(value: float, expected: float) -> None:
    assert percentile_among(value, np.array([3.0, 1.0, 4.0, 2.0])) == expected


def test_percentile_needs_normals() -> None:
    with pytest.raises(AnomalyError, match="no validation normals"):
        percentile_among(1.0, np.array([]))


def test_a_scan_is_outside_where_half_as_much_again_stands_out() -> None:
    assert not outside_normals(6.0, 4.0)
    assert outside_normals(6.01, 4.0)
