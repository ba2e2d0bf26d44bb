"""Local contrast: spots, both signs, no bias field, no rim."""

from __future__ import annotations

import numpy as np
import pytest

from core.anomaly.contrast import contrast_map, extremes, fine_factor, local_contrast
from core.anomaly.residual import AnomalyError

SHAPE = (40, 46, 34)


def brain() -> np.ndarray:
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    return np.asarray(np.sum(np.square(axes), axis=0) < 0.9)


def test_grids_near_a_millimetre() -> None:
    assert [fine_factor(mm) for mm in (2.0, 1.5, 1.2, 1.0, 0.5, 3.0)] == [2, 2, 1, 1, 1, 3]


def test_a_spot_keeps_its_sign_and_a_flat_brain_has_no_rim() -> None:
    inside = brain()
    x = np.where(inside, 400.0, 0).astype(np.float32)
    flat = contrast_map(x, inside, 1.0, 1)
    np.testing.assert_allclose(flat, 0, atol=1e-5)
    x[12:15, 20:23, 15:18] *= np.exp(0.4)
    x[26:29, 20:23, 15:18] *= np.exp(-0.4)
    found = contrast_map(x, inside, 1.0, 1)
    assert 0.25 < found[13, 21, 16] < 0.4
    assert -0.4 < found[27, 21, 16] < -0.25
    assert np.argwhere(found == found.max()).tolist() == [[13, 21, 16]]
    assert not found[~inside].any()


def test_a_bias_field_and_a_scale_leave_little() -> None:
    inside = brain()
    x = np.where(inside, 400.0, 0).astype(np.float32)
    x[12:15, 20:23, 15:18] *= np.exp(0.4)
    field = np.exp(np.linspace(-0.3, 0.3, SHAPE[0])).astype(np.float32)[:, None, None]
    apart = contrast_map(x * field * 7, inside, 1.0, 1) - contrast_map(x, inside, 1.0, 1)
    # At the rim the neighbourhood is one-sided, so that a slope leaves a trace.
    assert np.abs(apart).max() < 0.05
    assert np.abs(apart[12:28, 15:30, 12:22]).max() < 0.005


def test_sigma_is_in_millimetres() -> None:
    inside = np.ones((41, 41, 41), bool)
    log = np.zeros(inside.shape, np.float32)
    log[20, 20, 20] = 1.0
    # 0.7 mm is 1.4 voxels at 0.5 mm: the peak of a unit impulse is (2π σ²)^(−3/2).
    expected = (2 * np.pi * 1.4**2) ** -1.5 - (2 * np.pi * 6.0**2) ** -1.5
    assert local_contrast(log, inside, 0.5)[20, 20, 20] == pytest.approx(expected, rel=0.05)


def test_blocks_keep_the_value_of_largest_size() -> None:
    values = np.zeros((3, 4, 2), np.float32)
    values[0, 0, 0], values[1, 1, 1] = 2.0, -3.0
    values[2, 2, 0] = -0.5
    found = extremes(values, 2)
    assert found.shape == (2, 2, 1)
    assert found[..., 0].tolist() == [[-3.0, 0.0], [0.0, -0.5]]
    assert extremes(values, 1) is values


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(AnomalyError, match="mask"):
        contrast_map(np.ones(SHAPE, np.float32), np.zeros(SHAPE, bool), 1.0, 1)
