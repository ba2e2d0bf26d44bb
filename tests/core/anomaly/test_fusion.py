"""Agreement of maps, and tails matched to the normal distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from core.anomaly.fusion import POWERS, fit_tail, log_share, map_scale, power_mean, tail_z
from core.anomaly.residual import AnomalyError


def test_power_means_of_agreement_and_contradiction() -> None:
    first = np.array([4.0, -4.0, 4.0, 0.0, -9.0, 0.0], np.float32)
    second = np.array([1.0, -1.0, -1.0, 5.0, -1.0, 0.0], np.float32)
    pair = (first, second)
    np.testing.assert_allclose(power_mean(pair, 0), [2, -2, 0, 0, -3, 0])
    np.testing.assert_allclose(power_mean(pair, 1), [2.5, -2.5, 2, 2.5, -5, 0])
    expected = np.sqrt([8.5, 8.5, 8, 12.5, 41, 0]) * [1, -1, 1, 1, -1, 0]
    np.testing.assert_allclose(power_mean(pair, 2), expected, rtol=1e-6)
    for power in POWERS:
        np.testing.assert_array_equal(power_mean(pair, power), power_mean(pair[::-1], power))
        np.testing.assert_allclose(power_mean([first], power), first, rtol=1e-6)
    with pytest.raises(AnomalyError, match="power -1"):
        power_mean(pair, -1)
    with pytest.raises(AnomalyError, match="no map"):
        power_mean([], 1)


def test_of_three_maps_the_largest_gives_the_sign_and_the_others_what_agrees() -> None:
    maps = [np.array(values, np.float32) for values in ([8.0, -1.0], [1.0, -8.0], [-3.0, 6.0])]
    np.testing.assert_allclose(power_mean(maps, 0), [0, 0])
    np.testing.assert_allclose(power_mean(maps, 1), [3, -3])  # (8 + 1 + 0) / 3
    np.testing.assert_allclose(power_mean(maps, 2), np.sqrt([65 / 3, 65 / 3]) * [1, -1], rtol=1e-6)
    np.testing.assert_allclose(power_mean([maps[0], maps[0], np.array([1.0, -1.0])], 0), [4, -1], rtol=1e-6)


def test_scale_is_a_percentile_of_the_size_over_all_normals() -> None:
    values = np.arange(1, 1001) * np.where(np.arange(1000) % 2, 1.0, -1.0)
    assert map_scale([values[:300], values[300:]]) == pytest.approx(995, abs=0.1)
    with pytest.raises(AnomalyError, match="expected one that varies"):
        map_scale([np.zeros(100)])


def test_a_normal_map_is_its_own_z() -> None:
    values = np.random.default_rng(0).standard_normal(200_000)
    tail = fit_tail([values[:50_000], values[50_000:]])
    for z in (0.5, 1.0, 2.0, 2.5, 3.0):
        assert tail_z(np.array([z, -z], np.float32), tail) == pytest.approx([z, -z], abs=0.04)
    # Beyond the data an exponential tail lies above the normal's: z is never overstated.
    far = tail_z(np.array([5.0, 6.0], np.float32), tail)
    assert 4.4 < far[0] < 5.0
    assert far[0] < far[1] < 6.0


def test_bands_hold_the_share_that_their_name_says_whatever_the_map() -> None:
    rng = np.random.default_rng(1)
    fitted, fresh = (np.sign(rng.normal(size=400_000)) * rng.exponential(7, 400_000) ** 1.3 for _ in range(2))
    z = np.abs(tail_z(fresh.astype(np.float32), fit_tail([fitted])))
    for level, relative in ((2.0, 0.05), (3.0, 0.15), (4.0, 0.6)):
        assert np.mean(z >= level) == pytest.approx(2 * norm.sf(level), rel=relative)


def test_tail_shape_of_known_distributions() -> None:
    rng = np.random.default_rng(2)
    exponential = fit_tail([rng.exponential(1, 400_000)])
    assert exponential.scale == pytest.approx(1, rel=0.1)
    assert exponential.shape < 0.06
    assert fit_tail([rng.pareto(4, 400_000)]).shape == pytest.approx(0.25, abs=0.06)
    assert fit_tail([rng.pareto(0.8, 400_000)]).shape == 0.5
    assert fit_tail([rng.uniform(0, 1, 400_000)]).shape == 0.0
    assert float(np.exp(log_share(np.array(8.0), exponential))) == pytest.approx(np.exp(-8), rel=0.4)


def test_z_rises_with_the_map_and_zero_stays_zero() -> None:
    values = np.concatenate([np.zeros(60_000), np.random.default_rng(3).exponential(1, 40_000)])
    tail = fit_tail([values])  # most voxels disagree, and are 0
    steps = np.linspace(0, 40, 500).astype(np.float32)
    z = tail_z(steps, tail)
    assert z[0] == 0
    assert (np.diff(z) > 0).all()
    assert np.isfinite(z).all()
    np.testing.assert_array_equal(tail_z(-steps, tail), -z)


def test_too_little_is_named() -> None:
    with pytest.raises(AnomalyError, match="100 voxels of normals; expected 4000 or more for a tail"):
        fit_tail([np.ones(100)])
    with pytest.raises(AnomalyError, match="expected a map that varies"):
        fit_tail([np.zeros(10_000)])
