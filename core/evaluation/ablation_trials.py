"""What every idea of the ablation is tried on, and how its maps become a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from core.anomaly.fusion import map_scale
from core.anomaly.intensity import log_intensity
from core.anomaly.normative import Normative, fit_once
from core.anomaly.residual import Array, Mask, normative_z, smooth_inside
from core.anomaly.score import normative_top
from core.evaluation.baselines import Cube
from core.evaluation.implants import KINDS, implants
from core.evaluation.metrics import Detection, auroc, average_precision, detect, froc_curve, sensitivity_at
from core.evaluation.statistics import Estimate, bootstrap
from core.preprocess.resample import bounding_box

THRESHOLDS = 24  # of the FROC, by the share of normal voxels beyond, 1 % to 2 in a million
Line = dict[str, object]
Maps = Sequence[Array]  # (X, Y, Z) each, one a trial, in the trials' order
Row = tuple[str, str, Maps]  # the idea, what exactly was done, its maps
# What is under way, and about how many seconds it takes at 64³.
Advance = Callable[[str, float], None]
One = TypeVar("One")
Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Trial:
    """A held-out normal as it is (kind "normal", no lesions) or with one kind of lesion."""

    kind: str
    cube: Cube
    labels: NDArray[np.integer] | None
    normal: int  # index of the held-out normal


@dataclass(frozen=True, eq=False)
class Bench:
    """Training normals, held-out normals, the trials made of these, and the log intensity of each.

    The trials begin with the held-out normals as they are.
    """

    training: Sequence[Cube]
    held_out: Sequence[Cube]
    cases: Sequence[Trial]
    training_logs: Sequence[Array]
    logs: Sequence[Array]  # of the trials
    jobs: int = 1  # trials at a time

    @property
    def voxel_mm(self) -> float:
        """Isotropic spacing."""
        return self.held_out[0].voxel_mm

    @property
    def training_masks(self) -> list[Mask]:
        """Brain masks of the training normals."""
        return [cube.mask for cube in self.training]


def trials(held_out: Sequence[Cube], seed: int) -> list[Trial]:
    """Each held-out normal, then each with a lesion of every kind; seeds count up from ``seed``."""
    plain = [Trial("normal", cube, None, index) for index, cube in enumerate(held_out)]
    made = [
        Trial(one.kind, one.cube, one.labels.astype(np.int16), index)
        for index, cube in enumerate(held_out)
        for one in implants(cube, seed + index)
    ]
    return plain + made


def each(function: Callable[[One], Made], items: Iterable[One], jobs: int) -> Iterator[Made]:
    """``function`` of each item in their order, ``jobs`` at a time in threads: what is called is C and torch.

    One after the other with a single job, each when it is asked for.
    """
    if jobs == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(function, items)


def bench_of(training: Sequence[Cube], held_out: Sequence[Cube], seed: int, jobs: int = 1) -> Bench:
    """All that does not depend on an idea."""
    cases = trials(held_out, seed)
    return Bench(
        training,
        held_out,
        cases,
        [log_intensity(cube.x, cube.mask) for cube in training],
        [log_intensity(one.cube.x, one.cube.mask) for one in cases],
        jobs,
    )


def smoothed(bench: Bench, values: Maps, sigma_mm: float) -> list[Array]:
    """Maps smoothed inside their masks."""
    pairs = zip(values, bench.cases, strict=True)
    return list(
        each(lambda p: smooth_inside(p[0], p[1].cube.mask, sigma_mm / bench.voxel_mm), pairs, bench.jobs)
    )


def against(bench: Bench, values: Maps, model: Normative, sigma_mm: float) -> list[Array]:
    """Normative z of maps by ``model``, its signed z smoothed by ``sigma_mm``."""
    fitted = replace(model, smooth_z_mm=sigma_mm)
    pairs = zip(values, bench.cases, strict=True)
    return list(each(lambda p: normative_z(p[0], fitted, p[1].cube.mask), pairs, bench.jobs))


def left_out(bench: Bench, values: Maps, sigma_mm: float) -> list[Array]:
    """Normative z against the held-out normals' own maps, each trial's normal left out."""
    everyone = range(len(bench.held_out))

    def without(index: int) -> Normative:
        others = [i for i in everyone if i != index]
        masks = [bench.held_out[i].mask for i in others]
        return fit_once([values[i] for i in others], masks, bench.voxel_mm, sigma_mm)

    models = list(each(without, everyone, bench.jobs))
    pairs = zip(values, bench.cases, strict=True)
    return list(each(lambda p: normative_z(p[0], models[p[1].normal], p[1].cube.mask), pairs, bench.jobs))


def scaled(bench: Bench, maps: Maps) -> list[Array]:
    """Maps over their 99.5th percentile in the held-out normals, so that maps can be joined."""
    normal = [z[one.cube.mask] for z, one in zip(maps, bench.cases, strict=True) if one.labels is None]
    scale = np.float32(map_scale(normal))
    return [z / scale for z in maps]


def trial_precision(ap: Sequence[float], cases: Sequence[Trial]) -> float:
    """Mean over kinds of the mean voxel average precision; NaN of the normals left out."""
    of_kind = {kind: [v for v, one in zip(ap, cases, strict=True) if one.kind == kind] for kind in KINDS}
    return float(np.mean([np.mean(values) for values in of_kind.values() if values]))


def _precision(z: Array, one: Trial) -> float:
    if one.labels is None:
        return float("nan")
    return average_precision(np.abs(z[one.cube.mask]), one.labels[one.cube.mask] > 0)


def precisions(maps: Maps, cases: Sequence[Trial], jobs: int = 1) -> list[float]:
    """Voxel average precision of |map| inside the brain for each trial; NaN for one without a lesion."""
    return list(each(lambda p: _precision(*p), zip(maps, cases, strict=True), jobs))


def _detections(maps: Maps, cases: Sequence[Trial], jobs: int) -> list[Detection]:
    pool = np.concatenate(
        [np.abs(z[one.cube.mask]) for z, one in zip(maps, cases, strict=True) if one.labels is None]
    )
    levels = np.quantile(pool, 1 - np.geomspace(1e-2, 2e-6, THRESHOLDS))
    levels = np.concatenate([levels, levels[-1] * np.array([1.2, 1.5, 2, 3, 5])])

    def detected(pair: tuple[Array, Trial]) -> Detection:
        z, one = pair
        box = bounding_box(one.cube.mask, 1)  # a quarter of the cube: the rest can't be flagged
        labels = np.zeros(z.shape, np.int16) if one.labels is None else one.labels
        return detect(z[box], one.cube.mask[box], labels[box], levels.tolist(), 1.0)

    return list(each(detected, zip(maps, cases, strict=True), jobs))


def line_of(idea: str, name: str, maps: Maps, cases: Sequence[Trial], seed: int, jobs: int = 1) -> Line:
    """One row: AP with its interval over normals, and by kind; lesions found; case AUC."""
    ap = np.array(precisions(maps, cases, jobs))
    groups = np.array([one.normal for one in cases])
    kinds = np.array([one.kind for one in cases])
    matrix = np.array([[ap[(groups == n) & (kinds == kind)].mean() for kind in KINDS] for n in set(groups)])
    estimate: Estimate = bootstrap(lambda i: float(matrix[i].mean()), [len(matrix)], seed)
    top = [normative_top(z, one.cube.mask) for z, one in zip(maps, cases, strict=True)]
    lesioned = [one.labels is not None for one in cases]
    return {
        "idea": idea,
        "score": name,
        "ap": estimate.value,
        "ap_low": estimate.low,
        "ap_high": estimate.high,
        **{kind: float(matrix[:, column].mean()) for column, kind in enumerate(KINDS)},
        "sensitivity": sensitivity_at(*froc_curve(_detections(maps, cases, jobs))),
        "case_auc": auroc(top, lesioned),
        "normals": len(matrix),
    }
