"""Residual and z-scores, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.anomaly.normative import Normative
from core.anomaly.residual import AnomalyError, normative_z, residual, smooth_inside, volume_z

SHAPE = (16, 24, 32)


def test_residual_is_positive_where_the_scan_is_brighter() -> None:
    x, x_hat = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    x[1, 2, 3], x_hat[4, 5, 6] = 0.75, 0.25
    difference = residual(x, x_hat)
    assert (difference[1, 2, 3], difference[4, 5, 6]) == (0.75, -0.25)
    assert np.count_nonzero(difference) == 2


def test_residual_refuses_other_shapes_and_nan() -> None:
    x = np.zeros(SHAPE, np.float32)
    with pytest.raises(AnomalyError, match=r"\(16, 24, 32\), reconstruction \(32, 24, 16\)"):
        residual(x, x.T)
    x[0, 0, 0] = np.nan
    with pytest.raises(AnomalyError, match="not finite"):
        residual(x, np.zeros(SHAPE, np.float32))


def test_volume_z_by_hand_counts_brain_voxels_only() -> None:
    values, mask = np.full(SHAPE, 99.0, np.float32), np.zeros(SHAPE, np.uint8)
    # Four voxels 1, 1, 3, 7: mean 3, population variance (4 + 4 + 0 + 16) / 4 = 6.
    for k, value in enumerate((1, 1, 3, 7)):
        values[5, 6, k], mask[5, 6, k] = value, 1
    z = volume_z(values, mask)
    np.testing.assert_allclose(z[5, 6, :4], np.array([-2, -2, 0, 4]) / np.sqrt(6), rtol=1e-6)
    assert np.count_nonzero(z) == 3


def test_volume_z_does_not_change_with_scale_and_offset() -> None:
    rng = np.random.default_rng(3)
    values, mask = rng.normal(size=SHAPE).astype(np.float32), rng.random(SHAPE) < 0.5
    np.testing.assert_allclose(volume_z(4 * values + 2, mask), volume_z(values, mask), atol=1e-5)


def test_volume_z_of_a_planted_blob() -> None:
    values, mask = np.zeros(SHAPE, np.float32), np.ones(SHAPE, bool)
    values[4:8, 4:8, 4:8] = -0.5
    share = 64 / values.size
    z = volume_z(values, mask)
    # Two values with shares p and 1 − p: the rarer lies √((1 − p) / p) SD from the mean.
    np.testing.assert_allclose(z[4:8, 4:8, 4:8], -np.sqrt((1 - share) / share), rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "mask", "text"),
    [
        (np.full(SHAPE, 0.3), np.ones(SHAPE), "same in every brain voxel"),
        (np.ones(SHAPE), np.zeros(SHAPE), "mask of the residual is empty"),
        (np.ones(SHAPE), np.ones((16, 24, 31)), r"brain mask \(16, 24, 31\)"),
    ],
)
def test_volume_z_refuses(values: np.ndarray, mask: np.ndarray, text: str) -> None:
    with pytest.raises(AnomalyError, match=text):
        volume_z(values.astype(np.float32), mask)


def test_normative_z_by_hand() -> None:
    mean, sd = np.full(SHAPE, 0.1, np.float32), np.full(SHAPE, 0.05, np.float32)
    sd[0] = 0  # no normal has brain there
    values = np.full(SHAPE, 0.2, np.float32)
    mask = np.ones(SHAPE, bool)
    mask[:, 0] = False
    z = normative_z(values, Normative(mean, sd, 9, voxel_mm=2, smooth_z_mm=0, z_scale=0.5), mask)
    # (0.2 − 0.1) / 0.05 / 0.5 = 4
    np.testing.assert_allclose(z[1:, 1:], 4, rtol=1e-5)
    assert not z[0].any()
    assert not z[:, 0].any()


def test_normative_z_smooths_the_signed_z_inside_the_mask_only() -> None:
    rng = np.random.default_rng(5)
    mask = np.zeros(SHAPE, bool)
    mask[3:13, 4:20, 5:27] = True
    flat = Normative(np.zeros(SHAPE, np.float32), np.ones(SHAPE, np.float32), 9, voxel_mm=2, smooth_z_mm=2)
    np.testing.assert_allclose(normative_z(np.full(SHAPE, 3, np.float32), flat, mask)[mask], 3, rtol=1e-5)
    noise = rng.normal(size=SHAPE).astype(np.float32)
    # White noise under a 3D Gaussian of σ = 1 voxel: SD (1 / (2 √π))^1.5 = 0.15.
    inner = normative_z(noise, flat, mask)[6:10, 7:17, 8:24]
    assert 0.10 < inner.std() < 0.20


def test_normative_z_refuses_another_grid() -> None:
    model = Normative(np.zeros((8, 8, 8), np.float32), np.ones((8, 8, 8), np.float32), 9, 2, 2)
    with pytest.raises(AnomalyError, match=r"normative model \(8, 8, 8\)"):
        normative_z(np.zeros(SHAPE, np.float32), model, np.ones(SHAPE))


def test_smooth_inside_takes_nothing_from_outside() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[8:] = True
    values = np.where(mask, 1.0, 1e6).astype(np.float32)
    smooth = smooth_inside(values, mask, 1.5)
    np.testing.assert_allclose(smooth[mask], 1, rtol=1e-5)
    assert not smooth[~mask].any()
