from dataclasses import replace

import numpy as np
import pytest

from core.demo.anatomy import Shape, build
from core.demo.contrast import FLUID, RIM_MM, acquire, contrast_at, paint, slow_field

GRID = (66, 76, 68)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
AFFINE[:3, 3] = [-65, -75, -67]


@pytest.fixture(scope="module")
def head():
    return build(Shape(scale=(0.61, 0.61, 0.61), seed=3), GRID, AFFINE, RIM_MM)


def means(head, age):
    """Mean signal of nearly pure fluid, white, cortical, deep grey and myelinated voxels."""
    signal = paint(head, contrast_at(age), np.random.default_rng(0), 2.0).reshape(-1)[head.index]
    cerebral = (head.cerebellum < 0.05) & (head.outside < -2)
    return (
        signal[(head.fluid > 0.95) & cerebral].mean(),
        signal[(head.white > 0.9) & (head.myelin < 0.05) & cerebral].mean(),
        signal[(head.grey > 0.9) & (head.deep < 0.05) & (head.myelin < 0.05) & cerebral].mean(),
        signal[(head.grey > 0.9) & (head.deep > 0.95) & cerebral].mean(),
        signal[(head.myelin > 0.8) & (head.fluid < 0.05)].mean(),
    )


@pytest.mark.parametrize("age", [36, 40, 44])
def test_order_of_tissues_is_that_of_newborn_t2(head, age):
    fluid, white, grey, deep, myelin = means(head, age)
    assert fluid == pytest.approx(FLUID, abs=0.05)
    assert fluid > white + 0.2
    assert white > grey + 0.1
    assert grey > deep > myelin


def test_white_matter_comes_nearer_to_cortex_with_age(head):
    differences = [white - grey for _, white, grey, _, _ in (means(head, age) for age in (36, 40, 44))]
    assert differences[0] > differences[1] + 0.03
    assert differences[1] > differences[2] + 0.03


def test_contrast_holds_beyond_the_ages_it_knows():
    assert contrast_at(30) == contrast_at(36)
    assert contrast_at(50) == contrast_at(44)
    assert contrast_at(40).white == pytest.approx(0.65)


def test_scalp_is_outside_the_brain_with_dark_skull_between(head):
    signal = paint(head, contrast_at(40), np.random.default_rng(0), 2.0).reshape(-1)[head.index]
    dark = signal[(head.skull > 1) & (head.skull < 2) & (head.outside > 1.5)].mean()
    fat = signal[(head.skull > 3.4) & (head.skull < 4.4)].mean()
    assert fat > 2 * dark
    assert not head.brain[head.skull > 2.5].any()


def test_air_has_rician_noise():
    contrast = replace(contrast_at(40), noise=0.02, bias=0.1, gain=1000.0)
    air = acquire(np.zeros((16, 24, 32), np.float32), contrast, np.random.default_rng(1), np.ones(3))
    # Rayleigh: mean sigma * sqrt(pi / 2).
    assert air.mean() == pytest.approx(20 * np.sqrt(np.pi / 2), rel=0.02)


def test_thicker_slices_blur_more_along_them():
    point = np.zeros((17, 17, 17), np.float32)
    point[8, 8, 8] = 1
    contrast = replace(contrast_at(40), noise=0.0, bias=0.0, blur=0.8)
    out = acquire(point, contrast, np.random.default_rng(1), np.array([0.9, 0.9, 1.8]))
    assert out[8, 8, 9] > 1.2 * out[9, 8, 8]
    assert out[9, 8, 8] == pytest.approx(out[8, 9, 8])
    assert out.sum() == pytest.approx(1000, rel=1e-3)


def test_slow_field_varies_between_scans_not_between_neighbours():
    one, two = (slow_field(np.random.default_rng(s), (16, 24, 32), 2.0, 10.0) for s in (1, 2))
    assert not np.array_equal(one, two)
    assert abs(np.diff(one, axis=2)).max() < 0.5 * one.std() * 2
