"""The normative model: by hand where it can be, and by what must hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.anomaly.normative import (
    SD_FLOOR,
    Normative,
    fit_normative,
    load_normative,
    save_normative,
    uncovered_percent,
)
from core.anomaly.residual import AnomalyError, normative_z

SHAPE = (16, 24, 32)


def everywhere(*values: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Residuals that are constant over a box of brain, one per value."""
    mask = np.zeros(SHAPE, bool)
    mask[2:14, 3:21, 4:28] = True
    return [np.where(mask, value, 50).astype(np.float32) for value in values], [mask] * len(values)


def noisy(n: int = 9, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    residuals, masks = everywhere(*([0.0] * n))
    return [r + rng.normal(0.02, 0.05, SHAPE).astype(np.float32) for r in residuals], masks


def test_mean_and_sd_by_hand() -> None:
    residuals, masks = everywhere(0.1, 0.2, 0.6)
    model, left_out = fit_normative(residuals, masks, voxel_mm=2, smooth_z_mm=0)
    inside = masks[0]
    # Mean 0.3; (0.04 + 0.01 + 0.09) / (3 − 1) = 0.07.
    np.testing.assert_allclose(model.mean[inside], 0.3, rtol=1e-5)
    np.testing.assert_allclose(model.sd[inside], np.sqrt(0.07), rtol=1e-4)
    assert not model.sd[~inside].any()
    assert not model.mean[~inside].any()
    # Without 0.6: mean 0.15, SD √(2 · 0.05²) = 0.0707; its z (0.6 − 0.15) / 0.0707 = 6.364 before scaling.
    np.testing.assert_allclose(left_out[2].mean[inside], 0.15, rtol=1e-5)
    z = normative_z(residuals[2], left_out[2], inside)[inside] * left_out[2].z_scale
    np.testing.assert_allclose(z, 6.364, rtol=1e-3)
    # Left out in turn: 0.1 from 0.4 ± 0.2828, 0.2 from 0.35 ± 0.3536, 0.6 as above.
    squares = np.array([0.3 / 0.28284, 0.15 / 0.35355, 6.36396]) ** 2
    assert model.z_scale == pytest.approx(np.sqrt(squares.mean()), rel=1e-3)
    assert left_out[2].z_scale == pytest.approx(np.sqrt(squares[:2].mean()), rel=1e-3)


def test_each_voxel_counts_the_normals_whose_brain_it_is_in() -> None:
    residuals, masks = everywhere(0.1, 0.2, 0.6)
    masks = [mask.copy() for mask in masks]
    masks[2][:, :, 20:] = False  # the third ends earlier; 50 lies outside every mask
    residuals[2][:, :, 20:] = 50
    model, _ = fit_normative(residuals, masks, voxel_mm=2)
    np.testing.assert_allclose(model.mean[5, 10, 22], 0.15, rtol=1e-5)
    np.testing.assert_allclose(model.mean[5, 10, 10], 0.3, rtol=1e-5)
    assert model.sd.max() < 0.5


def test_sd_has_a_floor_where_normals_agree() -> None:
    residuals, masks = noisy()
    for values in residuals:
        values[2:8, 3:12, 4:14] = 0.02
    model, _ = fit_normative(residuals, masks, voxel_mm=2)
    median = float(np.median(model.sd[masks[0]]))
    assert model.sd[4, 6, 8] == pytest.approx(SD_FLOOR * median, rel=0.02)


def test_unseen_normals_have_unit_sd_and_a_planted_blob_stands_out() -> None:
    residuals, masks = noisy(9)
    model, left_out = fit_normative(residuals, masks, voxel_mm=2, smooth_z_mm=2)
    pooled = [normative_z(r, m, k)[k] for r, m, k in zip(residuals, left_out, masks, strict=True)]
    assert np.concatenate(pooled).std() == pytest.approx(1, abs=0.05)
    fresh = noisy(1, seed=9)[0][0]
    assert normative_z(fresh, model, masks[0])[masks[0]].std() == pytest.approx(1, abs=0.1)
    fresh[6:10, 10:14, 14:18] -= 0.2  # four of their SD darker, 4 × 4 × 4 voxels
    z = normative_z(fresh, model, masks[0])
    assert z[7:9, 11:13, 15:17].max() < -4


def test_saved_and_loaded_again(tmp_path: Path) -> None:
    residuals, masks = noisy()
    model, _ = fit_normative(residuals, masks, voxel_mm=2)
    validation = {"mse": np.linspace(0, 1, 9), "regions_volume_2-3": np.arange(9.0)}
    saved = Normative(model.mean, model.sd, 9, 2.0, 2.0, model.z_scale, 30.0, validation)
    path = tmp_path / "normative.npz"
    save_normative(saved, path)
    loaded = load_normative(path)
    np.testing.assert_allclose(loaded.mean, model.mean, atol=2e-4)
    np.testing.assert_allclose(loaded.sd, model.sd, rtol=1e-3)
    assert (loaded.n, loaded.voxel_mm, loaded.smooth_z_mm, loaded.z_scale) == (9, 2.0, 2.0, model.z_scale)
    assert loaded.floor_mm3 == 30
    assert loaded.mean.dtype == np.float32
    assert set(loaded.validation) == set(validation)
    np.testing.assert_array_equal(loaded.validation["mse"], validation["mse"])
    save_normative(saved, tmp_path / "again.npz")
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_stays_small_at_the_demo_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    axes = np.meshgrid(*[np.linspace(-1, 1, 64)] * 3, indexing="ij")
    mask = np.sum(np.square(axes), axis=0) < 0.5  # 24 % of the cube, as a newborn's brain
    sd = np.where(mask, rng.uniform(0.02, 0.2, mask.shape), 0).astype(np.float32)
    mean = np.where(mask, rng.normal(0, 0.05, mask.shape), 0).astype(np.float32)
    save_normative(Normative(mean, sd, 9, 2, 2), tmp_path / "normative.npz")
    assert (tmp_path / "normative.npz").stat().st_size < 500_000


def test_fit_refuses() -> None:
    residuals, masks = everywhere(0.1, 0.2, 0.6)
    with pytest.raises(AnomalyError, match="2 held-out normals; expected 3 or more"):
        fit_normative(residuals[:2], masks[:2], 2)
    with pytest.raises(AnomalyError, match="3 residuals with 2 masks"):
        fit_normative(residuals, masks[:2], 2)
    with pytest.raises(AnomalyError, match="one grid"):
        fit_normative([*residuals[:2], residuals[2].T], [*masks[:2], masks[2].T], 2)
    with pytest.raises(AnomalyError, match="all the same"):
        fit_normative(residuals[:1] * 3, masks, 2)


def test_uncovered_is_the_share_of_brain_where_no_normal_has_any() -> None:
    sd = np.ones((16, 24, 32), np.float32)
    sd[:, :6] = 0
    mask = np.zeros(sd.shape)
    mask[:, 3:15] = 1  # 12 rows of brain, 3 of them where no normal has any
    normative = Normative(np.zeros_like(sd), sd, 3, 2.0, 2.0)
    assert uncovered_percent(normative, mask) == 25
    with pytest.raises(AnomalyError, match=r"normative model has shape \(16, 24, 32\)"):
        uncovered_percent(normative, mask[:8])


def test_load_refuses(tmp_path: Path) -> None:
    path = tmp_path / "normative.npz"
    with pytest.raises(
        AnomalyError, match=r"normative\.npz: .*expected a normative model as `calibrate` writes"
    ):
        load_normative(path)
    path.write_bytes(b"no archive")
    with pytest.raises(AnomalyError, match="as `calibrate` writes it"):
        load_normative(path)
    np.savez(path, mean=np.zeros(3))
    with pytest.raises(AnomalyError, match="not a normative model of format 1"):
        load_normative(path)
    np.savez(path, mean=np.array([{}], dtype=object))
    with pytest.raises(AnomalyError, match="as `calibrate` writes it"):
        load_normative(path)


def test_load_refuses_maps_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "normative.npz"
    model, _ = fit_normative(*noisy(), voxel_mm=2)
    save_normative(model, path)
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **{**arrays, "sd": arrays["sd"][:-1]})
    with pytest.raises(AnomalyError, match=r"sd has shape \(5183,\); expected 5184 finite values"):
        load_normative(path)
    np.savez(path, **{**arrays, "sd": np.zeros_like(arrays["sd"])})
    with pytest.raises(AnomalyError, match="SD of 0"):
        load_normative(path)
    np.savez(path, **{**arrays, "validation.mse": np.zeros(8)})
    with pytest.raises(AnomalyError, match="do not number 9"):
        load_normative(path)
