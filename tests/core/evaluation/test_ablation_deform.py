"""Deformable registration before the normative map: folds that move are forgiven, a lesion is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.anomaly.intensity import log_intensity
from core.evaluation.ablation_deform import deformed_maps
from core.evaluation.ablation_trials import Bench, Trial
from core.evaluation.ablation_voxels import log_maps
from core.evaluation.baselines import Cube
from tests.core.preprocess.phantom import brain, centred, grid, intensity

SHAPE = (36, 44, 34)
AFFINE = centred(SHAPE, np.diag([3.0, 3.0, 3.0]))


def moved(seed: int) -> Cube:
    """The phantom, its anatomy shifted by up to 4 mm, smoothly and otherwise for each seed."""
    mm, rng = grid(SHAPE, AFFINE), np.random.default_rng(seed)
    shift = 2.5 * np.stack([np.sin(mm[..., a] / 18 + rng.uniform(0, 6)) for a in (1, 2, 0)], -1)
    inside = brain(mm + shift)
    x = np.where(inside, intensity(mm + shift) / 255, 0) + inside * rng.normal(0, 0.005, SHAPE)
    return Cube(np.clip(x, 0, 1).astype(np.float32), inside, AFFINE, np.eye(4), f"m{seed}")


def test_moved_anatomy_stands_out_less_and_a_lesion_still_does() -> None:
    training, normal = [moved(seed) for seed in range(5)], moved(20)
    labels = np.zeros(SHAPE, np.int16)
    labels[22:26, 26:30, 18:22] = 1
    lesion = replace(normal, x=np.where(labels > 0, 0.85, normal.x).astype(np.float32))
    cases = [Trial("normal", normal, None, 0), Trial("cyst", lesion, labels, 0)]
    logs = [log_intensity(one.x, one.mask) for one in training]
    bench = Bench(training, [normal], cases, logs, [log_intensity(c.cube.x, c.cube.mask) for c in cases])
    heard: list[str] = []
    deformed, sizes = deformed_maps(bench, lambda what, seconds: heard.append(what))
    plain = log_maps(bench)
    assert len(heard) == len(training) + len(cases)
    # More than one voxel below the surface, where both maps know the normals.
    deep = brain(grid(SHAPE, AFFINE) * 1.15)
    assert np.abs(deformed[0][deep]).mean() < 0.9 * np.abs(plain[0][deep]).mean()
    found = np.abs(deformed[1])
    assert np.median(found[labels > 0]) > 4 * np.median(found[deep & (labels == 0)])
    assert not deformed[0][~normal.mask].any()
    assert not sizes[0][~normal.mask].any()
    assert 0.2 < np.abs(sizes[0][deep]).mean() < 3  # a normal among normals, in SD
