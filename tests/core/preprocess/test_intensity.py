"""Intensities to [0, 1], by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.preprocess.errors import PrepareError
from core.preprocess.intensity import check_magnitude, to_unit


def test_minmax_is_ruled_by_the_mask_only() -> None:
    data = np.array([[[-50.0, 10, 20, 30, 900]]])
    mask = np.array([[[0, 1, 1, 1, 0]]])
    assert to_unit(data, mask, "minmax").tolist() == [[[0, 0, 0.5, 1, 0]]]


def test_robust_clips_what_minmax_would_obey() -> None:
    data = np.arange(1001, dtype=float).reshape(1, 7, 143)
    data[0, -1, -1] = 1e6
    unit = to_unit(data, np.ones(data.shape), "robust")
    # Percentiles 0.5 and 99.5 of 1001 ordered values are the 6th and 996th: 5 and 995.
    assert unit[0, 3, 71] == pytest.approx((3 * 143 + 71 - 5) / 990)
    assert unit[0, -1, -1] == 1
    assert unit[0, 0, 0] == 0
    assert to_unit(data, np.ones(data.shape), "minmax")[0, 3, 71] < 0.001


def test_refusals() -> None:
    ones = np.ones((2, 3, 4))
    with pytest.raises(PrepareError, match="intensity: 'zscore'; expected one of minmax, robust"):
        to_unit(ones, ones, "zscore")
    with pytest.raises(PrepareError, match="intensity: all brain voxels are 1; expected contrast"):
        to_unit(ones, ones, "minmax")
    with pytest.raises(PrepareError, match="empty brain mask"):
        to_unit(ones, 0 * ones, "minmax")


def test_a_brain_below_zero_is_no_magnitude_image() -> None:
    data = np.full((10, 20, 30), 300.0)
    mask = np.zeros(data.shape)
    mask[2:7, 5:15, 4:24] = 1  # 1000 voxels
    data[mask == 0] = -1  # what some tools write around the brain says nothing
    data[2, 5, 4:14] = -4  # 1 %: ringing of an interpolation
    check_magnitude(data, mask)
    data[2, 5, 14] = -0.25
    text = r"intensity: 1\.1% of the brain's voxels are negative, down to -4; expected a magnitude image"
    with pytest.raises(PrepareError, match=text):
        check_magnitude(data, mask)
