"""The interpolation, by hand on small arrays."""

from __future__ import annotations

import numpy as np
import pytest

from core.preprocess.resample import bounding_box, index_map, resample, resample_inside, resample_masked

EYE = np.eye(4)


def test_index_map_goes_from_target_to_source() -> None:
    source = np.diag([2.0, 2, 2, 1])  # index 3 lies at 6 mm
    target = np.diag([1.0, 1, 1, 1])
    shift = EYE.copy()
    shift[0, 3] = 10  # target mm + 10 = source mm
    found = index_map(source, target, shift) @ [4, 2, 0, 1]
    assert found.tolist() == [7, 1, 0, 1]


def test_linear_takes_the_mean_half_way_and_zero_outside() -> None:
    data = np.zeros((4, 3, 3), np.float32)
    data[:, 1, 1] = [10, 20, 30, 40]
    half = EYE.copy()
    half[0, 3] = 0.5
    assert resample(data, half, (4, 3, 3))[:, 1, 1].tolist() == [15, 25, 35, 20]
    assert resample(data, half, (4, 3, 3), order=0)[:, 1, 1].tolist() in ([20, 30, 40, 0], [10, 20, 30, 40])


def test_nothing_outside_the_mask_bleeds_in() -> None:
    shape = (16, 24, 32)
    mask = np.zeros(shape, bool)
    mask[4:12, 5:19, 6:26] = True
    data = np.where(mask, 100.0, 9999.0)
    shift = EYE.copy()
    shift[:3, 3] = (0.3, -0.4, 0.25)
    values, inside = resample_masked(data, mask, shift, shape)
    assert np.allclose(values[inside > 0], 100, rtol=1e-5)
    assert (values[inside == 0] == 0).all()
    assert inside.sum() == pytest.approx(mask.sum(), rel=0.02)


@pytest.mark.parametrize(("order", "at_half"), [(0, (10, 20)), (1, (15,))])
def test_only_voxels_of_the_mask_count(order: int, at_half: tuple[float, ...]) -> None:
    data = np.full((6, 3, 4), 999.0, np.float32)
    mask = np.zeros(data.shape, bool)
    mask[1:3, 1, 1] = True
    data[1:3, 1, 1] = [10, 20]
    half = np.diag([0.5, 1, 1, 1])  # target 0 to 11 along the first axis lies at source 0 to 5.5
    wanted = np.zeros((12, 3, 4), bool)
    wanted[:, 1, 1] = wanted[3, 2, 3] = True
    found = resample_inside(data, mask, half, wanted, order)
    assert found[:3, 1, 1].tolist() == [10, 10, 10]
    assert found[3, 1, 1] in at_half
    assert found[4:, 1, 1].tolist() == [20] * 8
    assert found[3, 2, 3] in (10, 20)  # (1.5, 2, 3) lies as near to both
    assert not found[~wanted].any()


def test_beyond_the_mask_the_nearest_of_it_counts() -> None:
    rng = np.random.default_rng(9)
    mask = np.zeros((9, 10, 11), bool)
    mask[2:7, 2:8, 3:9] = rng.random((5, 6, 6)) < 0.8
    data = rng.normal(size=mask.shape).astype(np.float32)
    turn = EYE.copy()
    turn[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    turn[:3, 3] = (2.0317, -1.9141, 0.1739)  # no ties
    found = resample_inside(data, mask, turn, np.ones((12, 12, 12), bool), 0)
    index = np.indices((12, 12, 12)).reshape(3, -1).T @ turn[:3, :3].T + turn[:3, 3]
    voxels = np.argwhere(mask)
    nearest = np.linalg.norm(index[:, None] - voxels[None], axis=2).argmin(axis=1)
    outside = ~np.isin(np.rint(index) @ [1, 100, 10000], voxels @ [1, 100, 10000])
    assert outside.sum() > 1000
    assert np.array_equal(found.ravel()[outside], data[mask][nearest][outside])


def test_coarser_grid_smooths_before_sampling() -> None:
    shape = (32, 32, 32)
    checker = np.indices(shape).sum(axis=0) % 2 * 100.0
    everywhere = np.ones(shape, bool)
    quarter = np.diag([4.0, 4, 4, 1])
    quarter[:3, 3] = 4
    values, _ = resample_masked(checker, everywhere, quarter, (6, 6, 6))
    assert np.allclose(values, 50, atol=0.5)  # plain sampling would give 0 everywhere
    same, _ = resample_masked(checker, everywhere, EYE, shape)
    assert np.array_equal(same, checker)


def test_window_equals_the_whole() -> None:
    rng = np.random.default_rng(2)
    data = rng.uniform(1, 2, (10, 12, 14)).astype(np.float32)
    mask = np.ones(data.shape, bool)
    turn = EYE.copy()
    turn[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    turn[:3, 3] = (-9, -20, -11)
    values, inside = resample_masked(data, mask, turn, (40, 40, 40))
    whole = resample(mask.astype(np.float32), turn, (40, 40, 40))
    assert np.array_equal(inside, whole >= 0.5)
    expected = resample(data, turn, (40, 40, 40))
    assert np.allclose(values[whole == 1], expected[whole == 1])
    assert inside.sum() > 1000


def test_grid_out_of_reach_is_empty() -> None:
    far = EYE.copy()
    far[:3, 3] = 1000
    values, inside = resample_masked(np.ones((4, 5, 6)), np.ones((4, 5, 6), bool), far, (8, 8, 8))
    assert not inside.any()
    assert not values.any()


def test_bounding_box() -> None:
    mask = np.zeros((10, 12, 14), bool)
    mask[3:5, 0:2, 13] = True
    assert bounding_box(mask, 0) == (slice(3, 5), slice(0, 2), slice(13, 14))
    assert bounding_box(mask, 2) == (slice(1, 7), slice(0, 4), slice(11, 14))
