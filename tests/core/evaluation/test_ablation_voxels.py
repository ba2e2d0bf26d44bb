"""Age: the slope of a known change, and what the ridge leaves of it."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluation.ablation_voxels import age_matched
from tests.core.evaluation.ablation_fakes import SHAPE


def test_age_slope_is_found_and_held_back_by_the_ridge() -> None:
    ages = [36.0, 38.0, 40.0, 42.0, 44.0]
    masks = [np.ones(SHAPE, bool)] * 5
    values = [np.full(SHAPE, 0.1 * age, np.float32) for age in ages]
    middle = tuple(n // 2 for n in SHAPE)
    assert age_matched(values, masks, ages, ridge=0.0)[middle] == pytest.approx(0.1, rel=1e-3)
    assert age_matched(values, masks, ages, ridge=1.0)[middle] == pytest.approx(0.05, rel=1e-2)
