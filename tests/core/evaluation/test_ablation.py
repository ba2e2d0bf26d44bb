"""Ideas compared on implants: precision by kind, and the choice of how maps are joined."""

from __future__ import annotations

import numpy as np
import pytest

from core.anomaly.detector import NormalScan, fit_detector
from core.anomaly.fusion import POWERS
from core.evaluation.ablation import Trial, age_matched, choose_power, precisions, trial_precision
from core.evaluation.baselines import Cube
from core.evaluation.implants import KINDS

SHAPE = (30, 34, 28)


def brain(seed: int) -> Cube:
    """Dark ribbon, brighter white matter, fluid in the middle; 4 mm voxels."""
    axes = np.meshgrid(*(np.linspace(-1.1, 1.1, n) for n in SHAPE), indexing="ij")
    radius = np.sqrt(np.sum(np.square(axes), axis=0))
    mask = radius < 1
    x = np.where(radius > 0.8, 0.2, 0.35) + np.random.default_rng(seed).normal(0, 0.01, SHAPE)
    x = np.where(radius < 0.25, 0.8, x)
    return Cube(np.where(mask, x, 0).astype(np.float32), mask, np.diag([4.0, 4, 4, 1]), np.eye(4), f"k{seed}")


def test_precision_is_the_mean_over_kinds_not_over_trials() -> None:
    cube = brain(0)
    kinds = ["cyst", "cyst", "infarct", "normal"]
    cases = [Trial(kind, cube, None, 0) for kind in kinds]
    assert trial_precision([0.2, 0.4, 0.9, float("nan")], cases) == pytest.approx((0.3 + 0.9) / 2)


def test_a_map_that_is_the_lesion_scores_one_whatever_its_sign() -> None:
    cube = brain(0)
    labels = np.zeros(SHAPE, np.int64)
    labels[14:17, 16:18, 13:16] = 1
    lesion, normal = Trial("cyst", cube, labels, 0), Trial("normal", cube, None, 0)
    found = precisions([np.float32(-2) * (labels > 0), np.ones(SHAPE, np.float32)], [lesion, normal])
    assert found[0] == pytest.approx(1.0)
    assert np.isnan(found[1])


def test_every_power_is_tried_on_every_kind() -> None:
    cubes = [brain(seed) for seed in range(3)]
    detector, views = fit_detector([NormalScan(one.x, one.mask) for one in cubes], 4.0)
    found = choose_power(detector, views, cubes, None)
    assert set(found) == set(POWERS)
    chance = np.mean([0.02] * len(KINDS))
    assert all(chance < value <= 1 for value in found.values())


def test_age_slope_is_found_and_held_back_by_the_ridge() -> None:
    ages = [36.0, 38.0, 40.0, 42.0, 44.0]
    masks = [np.ones(SHAPE, bool)] * 5
    values = [np.full(SHAPE, 0.1 * age, np.float32) for age in ages]
    middle = tuple(n // 2 for n in SHAPE)
    assert age_matched(values, masks, ages, ridge=0.0)[middle] == pytest.approx(0.1, rel=1e-3)
    assert age_matched(values, masks, ages, ridge=1.0)[middle] == pytest.approx(0.05, rel=1e-2)
