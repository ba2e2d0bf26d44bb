"""Scales: the farthest from 0 counts, and small and large lesions both do."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluation.ablation_joined import across_scales, largest
from core.evaluation.ablation_trials import bench_of, scaled, smoothed
from core.evaluation.implants import KINDS
from tests.core.evaluation.ablation_fakes import SHAPE, brain


def test_largest_keeps_the_sign() -> None:
    one = np.array([[[1.0, -2.0, 0.5]]], np.float32)
    other = np.array([[[-3.0, 1.0, 0.2]]], np.float32)
    assert np.array_equal(largest([one, other]), np.array([[[-3.0, -2.0, 0.5]]], np.float32))


def test_small_and_large_both_stand_out_across_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in [kind for kind in KINDS if kind != "cyst"]:
        monkeypatch.delitem(KINDS, kind)
    bench = bench_of([brain(9)], [brain(seed) for seed in range(3)], 0)
    rng = np.random.default_rng(3)
    maps = [rng.normal(0, 1, SHAPE).astype(np.float32) for _ in bench.cases]
    maps[5][9, 17, 14] += 12  # a speck
    maps[5][18:24, 14:20, 11:17] += 1.5  # faint and wide
    wide = across_scales(bench, maps)[5]
    fine, coarse = (scaled(bench, smoothed(bench, maps, sigma))[5] for sigma in (1.0, 6.0))
    speck, patch = (9, 17, 14), (21, 17, 14)
    assert wide[speck] > 2
    assert wide[patch] > 2
    assert coarse[speck] < 1.5  # either scale alone misses one of the two
    assert abs(fine[patch]) < 1.5
