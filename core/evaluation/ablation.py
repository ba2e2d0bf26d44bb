"""Ideas for the overlay against each other, on lesions implanted into held-out normals.

Nothing here sees a test scan: what wins is chosen on these implants, and reported on test once, by
``evaluate``. A row that loses stays in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from core.anomaly.detector import (
    Detector,
    Views,
    join,
    scales_of,
    views_of,
)
from core.anomaly.fusion import POWERS, map_scale, power_mean
from core.anomaly.intensity import log_intensity, log_residual
from core.anomaly.library import build_library, coarse, fine, nonlocal_residual
from core.anomaly.normative import Normative, fit_once
from core.anomaly.residual import Array, Mask, normative_z, smooth_inside, volume_z
from core.anomaly.score import normative_top
from core.evaluation.baselines import Cube, fit_components
from core.evaluation.implants import KINDS, implants
from core.evaluation.metrics import Detection, auroc, average_precision, detect, froc_curve, sensitivity_at
from core.evaluation.statistics import Estimate, bootstrap
from core.preprocess.harmonise import harmonised, landmarks, mean_landmarks

THRESHOLDS = 24  # of the FROC, by the share of normal voxels beyond, 1 % to 2 in a million
Reconstruct = Callable[[Array], Array]
Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class Trial:
    """A held-out normal as it is (kind "normal", no lesions) or with one kind of lesion."""

    kind: str
    cube: Cube
    labels: np.ndarray | None
    normal: int  # index of the held-out normal


def trials(held_out: Sequence[Cube], seed: int) -> list[Trial]:
    """Each held-out normal, then each with a lesion of every kind; seeds count up from ``seed``."""
    plain = [Trial("normal", cube, None, index) for index, cube in enumerate(held_out)]
    made = [
        Trial(one.kind, one.cube, one.labels, index)
        for index, cube in enumerate(held_out)
        for one in implants(cube, seed + index)
    ]
    return plain + made


def trial_precision(ap: Sequence[float], cases: Sequence[Trial]) -> float:
    """Mean over kinds of the mean voxel average precision; NaN of the normals left out."""
    of_kind = {kind: [v for v, one in zip(ap, cases, strict=True) if one.kind == kind] for kind in KINDS}
    return float(np.mean([np.mean(values) for values in of_kind.values() if values]))


def precisions(maps: Sequence[Array], cases: Sequence[Trial]) -> list[float]:
    """Voxel average precision of |map| inside the brain for each trial; NaN for one without a lesion."""
    return [
        float("nan")
        if one.labels is None
        else average_precision(np.abs(z[one.cube.mask]), one.labels[one.cube.mask] > 0)
        for z, one in zip(maps, cases, strict=True)
    ]


def choose_power(
    detector: Detector,
    views: Sequence[Views],
    held_out: Sequence[Cube],
    reconstruct: Reconstruct | None,
    seed: int = 0,
    progress: Callable[[float], None] = lambda fraction: None,
) -> dict[float, float]:
    """Mean voxel average precision on implants by the power of the mean that joins the detector's maps.

    ``views``: of the held-out normals, as ``fit_detector`` returns them; they head the detector's library,
    and none of them is matched to itself with a lesion in it.
    """
    cases = [one for one in trials(held_out, seed) if one.labels is not None]
    seen = []
    for index, one in enumerate(cases):
        progress(index / len(cases))
        x_hat = None if reconstruct is None else reconstruct(one.cube.x)
        seen.append(views_of(detector, one.cube.x, one.cube.mask, x_hat, one.normal))
    scales = scales_of(views)
    return {
        power: trial_precision(precisions([join(one, scales, power) for one in seen], cases), cases)
        for power in POWERS
    }


def _detections(maps: Sequence[Array], cases: Sequence[Trial]) -> list[Detection]:
    pool = np.concatenate(
        [np.abs(z[one.cube.mask]) for z, one in zip(maps, cases, strict=True) if one.labels is None]
    )
    levels = np.quantile(pool, 1 - np.geomspace(1e-2, 2e-6, THRESHOLDS))
    levels = np.concatenate([levels, levels[-1] * np.array([1.2, 1.5, 2, 3, 5])])
    none = np.zeros(cases[0].cube.x.shape, np.int64)
    return [
        detect(z, one.cube.mask, none if one.labels is None else one.labels, levels.tolist(), 1.0)
        for z, one in zip(maps, cases, strict=True)
    ]


def line_of(name: str, maps: Sequence[Array], cases: Sequence[Trial], seed: int) -> dict[str, object]:
    """One row: AP with its interval over normals, and by kind; lesions found; case AUC."""
    ap = np.array(precisions(maps, cases))
    groups = np.array([one.normal for one in cases])
    kinds = np.array([one.kind for one in cases])
    matrix = np.array([[ap[(groups == n) & (kinds == kind)].mean() for kind in KINDS] for n in set(groups)])
    estimate: Estimate = bootstrap(lambda i: float(matrix[i].mean()), [len(matrix)], seed)
    top = [normative_top(z, one.cube.mask) for z, one in zip(maps, cases, strict=True)]
    lesioned = [one.labels is not None for one in cases]
    return {
        "score": name,
        "ap": estimate.value,
        "ap_low": estimate.low,
        "ap_high": estimate.high,
        **{kind: float(matrix[:, column].mean()) for column, kind in enumerate(KINDS)},
        "sensitivity": sensitivity_at(*froc_curve(_detections(maps, cases))),
        "case_auc": auroc(top, lesioned),
        "normals": len(matrix),
    }


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


def ablate(
    training: Sequence[Cube],
    held_out: Sequence[Cube],
    reconstructs: dict[str, Reconstruct],
    seed: int = 0,
    ages: tuple[Sequence[float | None], Sequence[float | None]] | None = None,
    progress: Progress = lambda what, fraction: None,
) -> pd.DataFrame:
    """Every idea on the same implants, best first. ``reconstructs``: networks by name, "restorer" among them.

    Maps that stand against normals are fitted on the training normals, so that no trial's own normal is in
    them; where a network took part, on the held-out normals less the trial's own. ``ages``: of both groups,
    in weeks.
    """
    cases = trials(held_out, seed)
    masks = [cube.mask for cube in training]
    mm = training[0].voxel_mm
    lines: list[dict[str, object]] = []

    def add(name: str, maps: Sequence[Array]) -> None:
        progress(name, min(0.99, len(lines) / 45))
        lines.append(line_of(name, maps, cases, seed))

    def smoothed(values: Sequence[Array], sigma_mm: float) -> list[Array]:
        return [smooth_inside(v, one.cube.mask, sigma_mm / mm) for v, one in zip(values, cases, strict=True)]

    def against(values: Sequence[Array], model: Normative, sigma_mm: float) -> list[Array]:
        fitted = replace(model, smooth_z_mm=sigma_mm)
        return [normative_z(v, fitted, one.cube.mask) for v, one in zip(values, cases, strict=True)]

    # 1. no network, voxel by voxel
    add("intensity, z in the scan", [volume_z(one.cube.x, one.cube.mask) for one in cases])
    plain = fit_once([cube.x for cube in training], masks, mm, 2.0)
    for sigma in (0.0, 2.0, 3.0):
        add(f"intensity, normative z, σ {sigma:g} mm", against([one.cube.x for one in cases], plain, sigma))
    logs = [log_intensity(cube.x, cube.mask) for cube in training]
    log_model = fit_once(logs, masks, mm, 2.0)
    case_logs = [log_intensity(one.cube.x, one.cube.mask) for one in cases]
    for sigma in (0.0, 2.0, 3.0):
        add(f"log intensity, normative z, σ {sigma:g} mm", against(case_logs, log_model, sigma))
    some = np.linspace(0, len(training) - 1, min(15, len(training))).round().astype(int)
    few = fit_once([logs[i] for i in some], [masks[i] for i in some], mm, 2.0)
    add(f"log intensity, normative z of {len(some)} normals, σ 2 mm", against(case_logs, few, 2.0))
    marks = [landmarks(cube.x, cube.mask) for cube in training]
    target = mean_landmarks(marks)

    def matched_log(cube: Cube, own: np.ndarray) -> Array:
        return log_intensity(harmonised(cube.x, cube.mask, (mean_landmarks([own]), target)), cube.mask)

    like = [matched_log(cube, own) for cube, own in zip(training, marks, strict=True)]
    like_cases = [matched_log(one.cube, landmarks(one.cube.x, one.cube.mask)) for one in cases]
    add(
        "log intensity, each scan's landmarks matched, σ 2 mm",
        against(like_cases, fit_once(like, masks, mm, 2.0), 2.0),
    )
    known = log_model.sd > 0
    floor = float(np.median(log_model.sd[known]))
    high = replace(log_model, sd=np.where(known, np.maximum(log_model.sd, floor), 0).astype(np.float32))
    add("log intensity, SD floor at the median, σ 2 mm", against(case_logs, high, 2.0))
    if ages is not None and all(age is not None for group in ages for age in group):
        weeks, own = ([float(age or 0) for age in group] for group in ages)
        slope, middle = age_matched(logs, masks, weeks), float(np.mean(weeks))
        rest = [v - slope * (a - middle) * m for v, a, m in zip(logs, weeks, masks, strict=True)]
        rest_cases = [
            v - slope * np.float32(own[one.normal] - middle) * one.cube.mask
            for v, one in zip(case_logs, cases, strict=True)
        ]
        add("log intensity, age-matched, σ 2 mm", against(rest_cases, fit_once(rest, masks, mm, 2.0), 2.0))
    fluid = [
        one.cube.x
        > 0.5 * (np.median(one.cube.x[one.cube.mask]) + np.quantile(one.cube.x[one.cube.mask], 0.995))
        for one in cases
    ]
    log_z = against(case_logs, log_model, 2.0)
    add(
        "log intensity, fluid left out, σ 2 mm",
        [np.where(f, 0, z) for z, f in zip(log_z, fluid, strict=True)],
    )
    parts = fit_components(training)
    rests = [one.cube.x - parts.reconstruct(one.cube.x) for one in cases]
    add("principal components, residual", rests)

    def left_out(values: Sequence[Array], sigma_mm: float) -> list[Array]:
        """z against the held-out normals' values (they head the cases), each trial's own left out."""
        count = len(held_out)
        models = []
        for index in range(count):
            others = [i for i in range(count) if i != index]
            models.append(
                fit_once([values[i] for i in others], [held_out[i].mask for i in others], mm, sigma_mm)
            )
        return [
            normative_z(v, models[one.normal], one.cube.mask) for v, one in zip(values, cases, strict=True)
        ]

    add("principal components, normative z, σ 2 mm", left_out(rests, 2.0))

    # 2. patches of normals
    def patches(factor: int, search_name: str) -> list[Array]:
        small = [coarse(logs[i], masks[i], factor) for i in some]
        library = build_library([log for log, _ in small], [inside for _, inside in small])
        own = [nonlocal_residual(log, inside, library, i) for i, (log, inside) in enumerate(small)]
        model = fit_once([r for r, _ in own], [k for _, k in own], mm * factor, 0.0)
        found = []
        for index, (log, one) in enumerate(zip(case_logs, cases, strict=True)):
            progress(search_name, index / len(cases))
            less, inside = coarse(log, one.cube.mask, factor)
            residual, where = nonlocal_residual(less, inside, library)
            z = normative_z(residual, model, where)
            found.append(z if factor == 1 else fine(z, factor, log.shape))
        return found

    near = patches(1, "non-local residual")
    for sigma in (0.0, 1.5, 2.0, 3.0):
        add(f"non-local residual, z, σ {sigma:g} mm", smoothed(near, sigma))
    wide = patches(2, "non-local residual, twice as coarse")
    add(f"non-local residual at {2 * mm:g} mm, z, σ 2 mm", smoothed(wide, 2.0))

    # 3. networks
    restored: list[Array] | None = None
    ensemble: list[list[Array]] = []
    for name, reconstruct in reconstructs.items():
        progress(name, 0.5)
        outputs = [reconstruct(one.cube.x) for one in cases]
        raw = [one.cube.x - x_hat for one, x_hat in zip(cases, outputs, strict=True)]
        if name == "restorer":
            restored = [
                log_residual(one.cube.x, x_hat, one.cube.mask)
                for one, x_hat in zip(cases, outputs, strict=True)
            ]
            add("restorer, residual", raw)
            for sigma in (0.0, 1.5, 2.0, 3.0):
                add(f"restorer, log residual, σ {sigma:g} mm", smoothed(restored, sigma))
            add("restorer, log residual, normative z, σ 2 mm", left_out(restored, 2.0))
        else:
            add(f"{name}, residual, z in the volume", raw)
            ensemble.append(left_out(raw, 2.0))
            add(f"{name}, residual, normative z, σ 2 mm", ensemble[-1])
    if len(ensemble) > 1:
        add(
            f"mean normative z of {len(ensemble)} autoencoders",
            [np.asarray(np.mean(z, axis=0), np.float32) for z in zip(*ensemble, strict=True)],
        )

    # 4. joined
    def scaled(maps: Sequence[Array]) -> list[Array]:
        normal = [z[one.cube.mask] for z, one in zip(maps, cases, strict=True) if one.labels is None]
        return [z / np.float32(map_scale(normal)) for z in maps]

    sharp, log_scaled = scaled(smoothed(near, 2.0)), scaled(log_z)
    pairs = {"log intensity × non-local": (log_scaled, sharp)}
    pairs[f"non-local × non-local at {2 * mm:g} mm"] = (sharp, scaled(smoothed(wide, 2.0)))
    if restored is not None:
        pairs["restorer × non-local"] = (scaled(smoothed(restored, 2.0)), sharp)
    for name, (first, second) in pairs.items():
        for power, word in zip(POWERS, ("geometric", "arithmetic", "quadratic"), strict=True):
            add(f"{name}, {word} mean", [power_mean(a, b, power) for a, b in zip(first, second, strict=True)])
    if restored is not None:
        three = zip(scaled(smoothed(restored, 2.0)), sharp, log_scaled, strict=True)
        add("restorer + non-local + log intensity, mean", [(a + b + c) / np.float32(3) for a, b, c in three])
    table = pd.DataFrame(lines)
    return table.sort_values("ap", ascending=False, kind="stable", ignore_index=True)
