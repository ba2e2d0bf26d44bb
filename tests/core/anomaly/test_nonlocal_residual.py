"""Best patches nearby: shifts found, ranks averaged, masks heeded."""

from __future__ import annotations

import numpy as np
import pytest

from core.anomaly.nonlocal_residual import nonlocal_expected
from core.anomaly.residual import AnomalyError

SHAPE = (12, 14, 10)


def texture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, SHAPE).astype(np.float32)


def ones() -> np.ndarray:
    return np.ones(SHAPE, bool)


def inner(pad: int) -> tuple[slice, ...]:
    return tuple(slice(pad, -pad) for _ in range(3))


def test_finds_anatomy_shifted_by_up_to_the_search_on_unequal_axes() -> None:
    x = texture(0)
    shifted = np.roll(x, (2, -1, 1), axis=(0, 1, 2))
    expected, known = nonlocal_expected(x, ones(), [shifted], [ones()])
    assert known.all()
    np.testing.assert_array_equal(expected[inner(4)], x[inner(4)])
    too_far, _ = nonlocal_expected(x, ones(), [np.roll(x, 3, axis=1)], [ones()])
    assert np.mean(too_far[inner(4)] == x[inner(4)]) < 0.05


def test_expected_is_the_mean_of_the_best_normals_centres() -> None:
    x = np.zeros(SHAPE, np.float32)
    levels = [0.4, 0.1, 0.3, 0.2]  # constant normals: the nearer, the better
    normals = [np.full(SHAPE, level, np.float32) for level in levels]
    expected, _ = nonlocal_expected(x, ones(), normals, [ones()] * 4, best=3)
    np.testing.assert_allclose(expected[inner(4)], np.mean([0.1, 0.2, 0.3]), rtol=1e-6)
    alone, _ = nonlocal_expected(x, ones(), normals, [ones()] * 4, best=1)
    np.testing.assert_allclose(alone[inner(4)], 0.1, rtol=1e-6)


def test_centres_come_from_inside_the_normals_masks_only() -> None:
    x, mask = texture(1), ones()
    support = np.zeros(SHAPE, bool)
    support[:5] = True
    expected, known = nonlocal_expected(x, mask, [x], [support])
    assert known[:7].all()
    assert not known[7:].any()
    assert (expected[7:] == 0).all()
    np.testing.assert_array_equal(expected[:4], x[:4])


def test_a_spot_that_no_normal_has_is_left_in_the_residual() -> None:
    normals = [(0.05 * texture(seed)).astype(np.float32) for seed in (2, 3, 4)]
    x = (0.05 * texture(5)).astype(np.float32)
    x[6, 7, 5] += 1.0
    expected, _ = nonlocal_expected(x, ones(), normals, [ones()] * 3)
    residual = x - expected
    assert [int(i) for i in np.unravel_index(np.abs(residual).argmax(), SHAPE)] == [6, 7, 5]
    assert residual[6, 7, 5] > 0.8


def test_threads_and_plane_order_change_nothing() -> None:
    x, normals = texture(6), [texture(seed) for seed in (7, 8, 9, 10)]
    mask = x > -1
    supports = [one > -1.2 for one in normals]
    first, known = nonlocal_expected(x, mask, normals, supports)
    second, also = nonlocal_expected(x, mask, normals, supports, threads=3)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(known, also)


def test_wrong_input_is_named() -> None:
    x = texture(0)
    with pytest.raises(AnomalyError, match="0 normals with 0 masks; expected one each"):
        nonlocal_expected(x, ones(), [], [])
    with pytest.raises(AnomalyError, match="a normal"):
        nonlocal_expected(x, ones(), [x[:-1]], [ones()[:-1]])
    with pytest.raises(AnomalyError, match="best 0"):
        nonlocal_expected(x, ones(), [x], [ones()], best=0)
