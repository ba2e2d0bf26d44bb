"""How well a score finds what is there: voxels, lesions, whole scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_dilation, generate_binary_structure
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from core.anomaly.residual import check_mask
from core.evaluation.statistics import DRAWS, Estimate, EvaluationError, bootstrap

# A component counts for lesions, and a lesion as found, from a tenth of its voxels on: a sheet over half the
# brain finds nothing, and neither does a speck in a lesion of a quarter of it.
LEAST_SHARE = 0.1
BIN_Z = 0.02  # of the histograms behind pooled average precision
BINS = 1000


def _truth(scores: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, positive = np.asarray(scores, np.float64).ravel(), np.asarray(truth).ravel() != 0
    if values.shape != positive.shape:
        raise EvaluationError(f"{values.size} scores for {positive.size} labels; expected one each")
    if positive.all() or not positive.any():
        raise EvaluationError(f"{positive.sum()} positives of {positive.size}; expected both classes")
    return values, positive


def average_precision(scores: ArrayLike, truth: ArrayLike) -> float:
    """Average precision, Σ (Rₙ − Rₙ₋₁) Pₙ, by scikit-learn; higher scores mean positive.

    Raises
    ------
    EvaluationError
        On unequal sizes, or a single class.
    """
    values, positive = _truth(scores, truth)
    return float(average_precision_score(positive, values))


def auroc(scores: ArrayLike, truth: ArrayLike) -> float:
    """Area under the ROC curve, by scikit-learn; raises as ``average_precision``."""
    values, positive = _truth(scores, truth)
    return float(roc_auc_score(positive, values))


def roc_points(scores: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rates of the ROC curve; raises as ``average_precision``."""
    values, positive = _truth(scores, truth)
    false, true, _ = roc_curve(positive, values, drop_intermediate=False)
    return np.asarray(false, np.float64), np.asarray(true, np.float64)


def auroc_estimate(normal: ArrayLike, abnormal: ArrayLike, seed: int, draws: int = DRAWS) -> Estimate:
    """Area under the ROC curve of two groups of scores, interval over subjects within each group."""
    low, high = np.asarray(normal, np.float64)[:, None], np.asarray(abnormal, np.float64)[None]
    # The area is the share of pairs in order, ties half; a thousand draws only pick from the pairs.
    pairs = (high > low) + 0.5 * (high == low)
    return bootstrap(lambda i, j: float(pairs[i][:, j].mean()), list(pairs.shape), seed, draws)


def score_bins(score: NDArray[np.floating]) -> NDArray[np.int64]:
    """Bin of each score, 0.02 wide, 0 to 999; the last is open."""
    return np.asarray(np.clip(score / BIN_Z, 0, BINS - 1), np.int64)


def score_histograms(score: NDArray[np.floating], truth: NDArray[np.bool_]) -> list[list[int]]:
    """Counts (2, 1000) of positive and negative voxels by ``score_bins``."""
    bins = score_bins(score)
    return [np.bincount(bins[part], minlength=BINS).tolist() for part in (truth, ~truth)]


def dice_curve(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Dice (bins,) of what scores at least 0, 0.02, 0.04, …, from ``score_histograms`` (2, bins).

    1 where nothing is flagged and nothing is there.
    """
    hits, false = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    total = hits + false + counts[0].sum()
    return np.divide(2.0 * hits, total, out=np.ones(len(hits)), where=total > 0)


def pooled_average_precision(counts: NDArray[np.integer]) -> float:
    """``average_precision`` of summed ``score_histograms`` (2, bins); NaN without positives.

    Written out, since a bootstrap over a million voxels must take milliseconds a draw.
    """
    hits, everyone = counts[0, ::-1], counts.sum(axis=0)[::-1]
    precision = np.cumsum(hits) / np.maximum(np.cumsum(everyone), 1)
    total = hits.sum()
    return float((hits * precision).sum() / total) if total else float("nan")


@dataclass(frozen=True, eq=False)
class Detection:
    """``found`` (lesions, thresholds) bool; ``false`` (thresholds,): components that mark no lesion."""

    found: NDArray[np.bool_]
    false: NDArray[np.int64]


def detect(
    z: NDArray[np.floating],
    mask: NDArray[np.generic],
    lesions: NDArray[np.integer],
    thresholds: Sequence[float],
    floor_voxels: float | Sequence[float],
) -> Detection:
    """Which lesions are found at each threshold of |z|, and how many components are false.

    Components are 26-connected, of one sign and of at least ``floor_voxels``, one or by threshold. One is
    false unless a tenth of its voxels lie in lesions, the voxels next to them counted. A lesion
    (label 1, 2, … of ``lesions``) is found where those that are not false cover a tenth of it.

    Raises
    ------
    AnomalyError, EvaluationError
        On unequal shapes, an empty mask, or a lesion without a voxel.
    """
    inside = check_mask(z, mask, "z map")
    if lesions.shape != z.shape:
        raise EvaluationError(f"lesion labels have shape {lesions.shape}, z map {z.shape}; expected the same")
    sizes = np.bincount(lesions.ravel())
    if not sizes[1:].all():
        raise EvaluationError(f"lesion {int(np.flatnonzero(sizes[1:] == 0)[0]) + 1} has no voxel in the cube")
    near = binary_dilation(lesions > 0, generate_binary_structure(3, 3)) if sizes.size > 1 else lesions > 0
    found = np.zeros((sizes.size - 1, len(thresholds)), bool)
    false = np.zeros(len(thresholds), np.int64)
    highest = float(np.abs(z[inside]).max())
    floors = np.broadcast_to(np.asarray(floor_voxels, np.float64), len(thresholds))
    for column, threshold in enumerate(thresholds):
        if threshold > highest:
            continue
        signs = ((z >= threshold) * 2 + (z <= -threshold)).astype(np.uint8) * inside
        components, count = cc3d.connected_components(signs, connectivity=26, return_N=True)
        voxels = np.bincount(components.ravel(), minlength=count + 1)
        counted = voxels >= floors[column] - 1e-6
        counted[0] = False
        share = np.bincount(components[near], minlength=count + 1) / np.maximum(voxels, 1)
        true = counted & (share >= LEAST_SHARE)
        false[column] = int((counted & ~true).sum())
        covered = np.bincount(lesions[true[components]], minlength=sizes.size)[1:]
        found[:, column] = covered >= LEAST_SHARE * sizes[1:]
    return Detection(found, false)


def froc_curve(detections: Sequence[Detection]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False positives a scan and lesion-wise sensitivity (thresholds,) over ``detections`` of all scans.

    Sensitivity is NaN where no scan has a lesion.
    """
    false = np.mean([one.false for one in detections], axis=0, dtype=np.float64)
    lesions = sum(len(one.found) for one in detections)
    hits = np.sum([one.found.sum(axis=0) for one in detections], axis=0, dtype=np.float64)
    share = hits / lesions if lesions else np.full(hits.shape, np.nan)
    return np.asarray(false, np.float64), np.asarray(share, np.float64)


def crossing(false: NDArray[np.float64], at: float) -> tuple[int, float]:
    """Where the curve, walked from its highest threshold down, first has more than ``at`` false positives.

    ``false`` by rising threshold. Returns the index of the last threshold before (``len(false)``: none, the
    curve starts beyond) and the fraction of the way to the next lower one. What comes after the crossing
    never counts, since components that merge can bring the number down again.
    """
    before = 0.0
    for index in range(len(false) - 1, -1, -1):
        if false[index] > at:
            return index + 1, (at - before) / (false[index] - before)
        before = float(false[index])
    return 0, 0.0


def value_at(values: NDArray[np.float64], place: tuple[int, float]) -> float:
    """``values`` by rising threshold, linearly at a ``crossing``; 0 above the highest threshold."""
    index, fraction = place
    here = float(values[index]) if index < len(values) else 0.0
    return here if index == 0 else here + fraction * (float(values[index - 1]) - here)


def sensitivity_at(false: NDArray[np.float64], sensitivity: NDArray[np.float64], at: float = 1.0) -> float:
    """Sensitivity at ``at`` false positives a scan, linear between the thresholds around the crossing."""
    return value_at(sensitivity, crossing(false, at))
