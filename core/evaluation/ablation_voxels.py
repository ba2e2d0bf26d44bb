"""Ideas without a network, voxel by voxel: intensities against normals, and principal components."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter

from core.anomaly.intensity import log_intensity
from core.anomaly.library import spread_over
from core.anomaly.normative import fit_once
from core.anomaly.residual import Array, Mask, volume_z
from core.evaluation.ablation_trials import Bench, Maps, Row, against, left_out
from core.evaluation.baselines import Cube, fit_components
from core.preprocess.harmonise import harmonised, landmarks, mean_landmarks

FEW = 15  # normals of the row that asks what fewer of them cost
Ages = tuple[Sequence[float | None], Sequence[float | None]]  # weeks, of training and held-out normals


def age_matched(
    values: Sequence[Array], masks: Sequence[Mask], ages: Sequence[float], ridge: float = 0.2
) -> Array:
    """Change a week (X, Y, Z) of normals' values, ridge-regressed on age and smoothed by 1.5 voxels.

    ``ridge``: share of the ages' sum of squares that is added to it.
    """
    centred = np.asarray(ages, np.float32) - np.float32(np.mean(ages))
    count = np.sum(masks, axis=0, dtype=np.float32)
    mean = np.sum(values, axis=0) / np.maximum(count, 1)
    top = sum(
        (a * np.where(m, v - mean, 0) for a, v, m in zip(centred, values, masks, strict=True)),
        np.zeros(values[0].shape, np.float32),
    )
    bottom = sum((a * a * m.astype(np.float32) for a, m in zip(centred, masks, strict=True)), 0 * count)
    total = float(np.square(centred).sum())
    smooth = partial(gaussian_filter, sigma=1.5, mode="constant")
    return np.asarray(smooth(top) / (smooth(bottom) + ridge * total), np.float32)


def log_maps(bench: Bench) -> list[Array]:
    """Normative z of the log intensity against the training normals, not smoothed."""
    model = fit_once(bench.training_logs, bench.training_masks, bench.voxel_mm, 0.0)
    return against(bench, bench.logs, model, 0.0)


def _like_normals(bench: Bench) -> Row:
    """Each scan's landmarks brought to the training normals' mean (Nyúl & Udupa 1999), then its log."""
    marks = [landmarks(cube.x, cube.mask) for cube in bench.training]
    target = mean_landmarks(marks)

    def matched(cube: Cube, own: np.ndarray) -> Array:
        return log_intensity(harmonised(cube.x, cube.mask, (mean_landmarks([own]), target)), cube.mask)

    normals = [matched(cube, own) for cube, own in zip(bench.training, marks, strict=True)]
    cases = [matched(one.cube, landmarks(one.cube.x, one.cube.mask)) for one in bench.cases]
    model = fit_once(normals, bench.training_masks, bench.voxel_mm, 2.0)
    return (
        "standardisation",
        "log intensity, each scan's landmarks matched, σ 2 mm",
        against(bench, cases, model, 2.0),
    )


def _of_age(bench: Bench, ages: Ages) -> Row:
    """Log intensity less what age explains among the training normals."""
    weeks, own = ([float(age or 0) for age in group] for group in ages)
    masks = bench.training_masks
    slope, middle = age_matched(bench.training_logs, masks, weeks), float(np.mean(weeks))
    normals = [
        v - slope * (a - middle) * m for v, a, m in zip(bench.training_logs, weeks, masks, strict=True)
    ]
    cases = [
        v - slope * np.float32(own[one.normal] - middle) * one.cube.mask
        for v, one in zip(bench.logs, bench.cases, strict=True)
    ]
    model = fit_once(normals, masks, bench.voxel_mm, 2.0)
    return "age", "log intensity, age-matched, σ 2 mm", against(bench, cases, model, 2.0)


def _without_fluid(bench: Bench, log_z: Maps) -> Row:
    """z set to 0 where the scan is as bright as fluid."""
    found = []
    for z, one in zip(log_z, bench.cases, strict=True):
        values = one.cube.x[one.cube.mask]
        fluid = one.cube.x > 0.5 * (np.median(values) + np.quantile(values, 0.995))
        found.append(np.where(fluid, 0, z))
    return "fluid left out", "log intensity, fluid left out, σ 2 mm", found


def voxel_rows(bench: Bench, ages: Ages | None) -> Iterator[Row]:
    """Intensity, its logarithm, and what may be done to either before or after the normative z."""
    masks, mm = bench.training_masks, bench.voxel_mm
    yield "none", "intensity, z in the scan", [volume_z(one.cube.x, one.cube.mask) for one in bench.cases]
    plain = fit_once([cube.x for cube in bench.training], masks, mm, 0.0)
    for sigma in (0.0, 2.0, 3.0):
        maps = against(bench, [one.cube.x for one in bench.cases], plain, sigma)
        yield "normative z", f"intensity, normative z, σ {sigma:g} mm", maps
    model = fit_once(bench.training_logs, masks, mm, 0.0)
    for sigma in (0.0, 2.0, 3.0):
        maps = against(bench, bench.logs, model, sigma)
        yield "normative z", f"log intensity, normative z, σ {sigma:g} mm", maps
    some = spread_over(range(len(bench.training)), FEW)
    few = fit_once([bench.training_logs[i] for i in some], [masks[i] for i in some], mm, 0.0)
    name = f"log intensity, normative z of {len(some)} normals, σ 2 mm"
    yield "normative z", name, against(bench, bench.logs, few, 2.0)
    yield _like_normals(bench)
    known = model.sd > 0
    floor = float(np.median(model.sd[known]))
    high = replace(model, sd=np.where(known, np.maximum(model.sd, floor), 0).astype(np.float32))
    yield "SD floor", "log intensity, SD floor at the median, σ 2 mm", against(bench, bench.logs, high, 2.0)
    if ages is not None and all(age is not None for group in ages for age in group):
        yield _of_age(bench, ages)
    yield _without_fluid(bench, against(bench, bench.logs, model, 2.0))


def component_rows(bench: Bench) -> Iterator[Row]:
    """Residual of the projection on the training normals' principal components."""
    parts = fit_components(bench.training)
    rests = [one.cube.x - parts.reconstruct(one.cube.x) for one in bench.cases]
    yield "principal components", "principal components, residual", rests
    yield "principal components", "principal components, normative z, σ 2 mm", left_out(bench, rests, 2.0)
