"""Average precision, FROC and Dice on arrays small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.anomaly.residual import AnomalyError
from core.evaluation.metrics import (
    Detection,
    auroc,
    auroc_estimate,
    average_precision,
    crossing,
    detect,
    dice_curve,
    froc_curve,
    pooled_average_precision,
    roc_points,
    score_histograms,
    sensitivity_at,
    value_at,
)
from core.evaluation.statistics import EvaluationError

SHAPE = (16, 24, 32)


def test_average_precision_by_hand() -> None:
    # Ranked: hit, miss, hit, miss. Recall rises by a half at precision 1/1 and at 2/3.
    scores, truth = [0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0]
    assert average_precision(scores, truth) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    # Three of four pairs in order.
    assert auroc(scores, truth) == 0.75
    # All scores alike: precision is the prevalence, the curve is chance.
    assert average_precision([0, 0, 0, 0], [1, 0, 0, 0]) == 0.25
    assert auroc([0, 0, 0, 0], [1, 0, 0, 0]) == 0.5


def test_one_class_is_refused() -> None:
    with pytest.raises(EvaluationError, match="0 positives of 2; expected both classes"):
        average_precision([1, 2], [0, 0])
    with pytest.raises(EvaluationError, match="3 scores for 2 labels"):
        auroc([1, 2, 3], [0, 1])


def test_roc_points() -> None:
    false, true = roc_points([3, 2, 1], [1, 0, 1])
    np.testing.assert_allclose(false, [0, 0, 1, 1])
    np.testing.assert_allclose(true, [0, 0.5, 0.5, 1])


def test_auroc_interval_of_separate_groups_is_a_point() -> None:
    assert auroc_estimate([1, 2, 3], [4, 5, 6], seed=0, draws=20) == (1.0, 1.0, 1.0)
    overlapping = auroc_estimate([1, 2, 5, 6], [3, 4, 5, 8], seed=0, draws=200)
    assert overlapping.value == 10.5 / 16 == auroc([1, 2, 5, 6, 3, 4, 5, 8], [0] * 4 + [1] * 4)
    assert overlapping.low < 0.7 < overlapping.high


def test_pooled_average_precision_is_that_of_all_voxels_together() -> None:
    rng = np.random.default_rng(1)
    # Scores in the middle of bins, so that binning loses nothing.
    scores = [np.round(rng.uniform(0, 5, 300) / 0.02) * 0.02 + 0.01 for _ in range(3)]
    truths = [rng.uniform(size=300) < share for share in (0.0, 0.05, 0.2)]
    counts = np.array([score_histograms(s, t) for s, t in zip(scores, truths, strict=True)]).sum(axis=0)
    assert counts.sum() == 900
    expected = average_precision(np.concatenate(scores), np.concatenate(truths))
    assert pooled_average_precision(counts) == pytest.approx(expected)
    assert np.isnan(pooled_average_precision(np.zeros((2, 5), int)))
    # Beyond the last bin nothing is lost.
    assert score_histograms(np.array([1e6]), np.array([True]))[0][-1] == 1


def test_dice_at_every_threshold_follows_from_the_histogram() -> None:
    scores, truth = np.array([0.01, 0.03, 0.03, 0.05]), np.array([0, 1, 0, 1], bool)
    curve = dice_curve(np.array(score_histograms(scores, truth)))
    # All four voxels, then three, then the highest alone; above, two lesion voxels and nothing found.
    assert curve[:4].tolist() == pytest.approx([2 * 2 / (4 + 2), 2 * 2 / (3 + 2), 2 * 1 / (1 + 2), 0])
    nothing = dice_curve(np.array(score_histograms(scores, truth & False)))
    assert nothing[:4].tolist() == [0, 0, 0, 1]


def blobs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z with a hit of lesion 1 (5 SD), a darker hit of lesion 2 (−4), a false blob (4.5), a speck (9)."""
    z, mask, lesions = np.zeros(SHAPE), np.ones(SHAPE), np.zeros(SHAPE, int)
    lesions[2:5, 2:5, 2:5] = 1
    lesions[2:6, 15:19, 20:24] = 2
    lesions[12:14, 2:4, 25:27] = 3
    z[2:5, 2:5, 2:5] = 5
    z[3:5, 15:18, 20:23] = -4
    z[10:13, 10:13, 10:13] = 4.5
    z[8, 20, 5] = 9
    return z, mask, lesions


def test_detection_on_constructed_blobs() -> None:
    z, mask, lesions = blobs()
    found = detect(z, mask, lesions, [3.0, 4.2, 4.8, 8.0], floor_voxels=8)
    assert found.found.tolist() == [
        [True, True, True, False],
        [True, False, False, False],
        [False, False, False, False],
    ]
    # The blob in no lesion, until the threshold passes it; the speck is below the floor.
    assert found.false.tolist() == [1, 1, 0, 0]
    assert detect(z, mask, lesions, [8.0], floor_voxels=1).false.tolist() == [1]


def test_a_sheet_over_the_brain_finds_nothing() -> None:
    _, mask, lesions = blobs()
    found = detect(np.full(SHAPE, 5.0), mask, lesions, [3.0], floor_voxels=8)
    assert not found.found.any()
    assert found.false.tolist() == [1]


def test_a_speck_in_a_large_lesion_is_neither_found_nor_false() -> None:
    z, mask, lesions = np.zeros(SHAPE), np.ones(SHAPE), np.zeros(SHAPE, int)
    lesions[:10, :10, :10] = 1
    z[:5, :5, :3] = 4  # 75 of 1000 voxels
    few = detect(z, mask, lesions, [3.0], floor_voxels=8)
    z[:5, :5, 5:7] = -4  # 50 more, of the other sign: together 12.5 %
    more = detect(z, mask, lesions, [3.0], floor_voxels=8)
    assert (few.found.tolist(), few.false.tolist()) == ([[False]], [0])
    assert (more.found.tolist(), more.false.tolist()) == ([[True]], [0])


def test_signs_never_join_and_nothing_outside_the_brain_counts() -> None:
    z, mask = np.zeros(SHAPE), np.ones(SHAPE)
    z[4:6, 4:6, 4:6], z[6:8, 4:6, 4:6] = 4, -4
    nothing = np.zeros(SHAPE, int)
    assert detect(z, mask, nothing, [3.0], floor_voxels=8).false.tolist() == [2]
    assert detect(z, mask, nothing, [3.0], floor_voxels=9).false.tolist() == [0]
    mask[:6] = 0
    found = detect(z, mask, nothing, [3.0], floor_voxels=8)
    assert found.false.tolist() == [1]
    assert found.found.shape == (0, 1)


def test_detection_refuses_what_does_not_fit() -> None:
    z, mask, lesions = blobs()
    with pytest.raises(EvaluationError, match="lesion labels have shape"):
        detect(z, mask, lesions[1:], [3.0], 8)
    with pytest.raises(EvaluationError, match="lesion 2 has no voxel"):
        detect(z, mask, np.where(lesions == 2, 0, lesions), [3.0], 8)
    with pytest.raises(AnomalyError, match="empty"):
        detect(z, mask * 0, lesions, [3.0], 8)


def test_froc_over_scans_and_sensitivity_at_one_false_positive() -> None:
    one = Detection(np.array([[1, 1, 0], [1, 0, 0]], bool), np.array([4, 1, 0]))
    normal = Detection(np.zeros((0, 3), bool), np.array([2, 0, 0]))
    false, found = froc_curve([one, normal])
    np.testing.assert_allclose(false, [3, 0.5, 0])
    np.testing.assert_allclose(found, [1, 0.5, 0])
    # From (0.5, 0.5) to (3, 1) one false positive a scan is a fifth of the way.
    assert sensitivity_at(false, found) == pytest.approx(0.5 + 0.2 * 0.5)
    assert np.isnan(froc_curve([normal])[1]).all()


def test_sensitivity_where_the_curve_ends_or_begins() -> None:
    # It never reaches one false positive: the lowest threshold counts.
    assert sensitivity_at(np.array([0.6, 0.2]), np.array([0.8, 0.3])) == 0.8
    # It begins beyond: between nothing at all and the highest threshold.
    assert sensitivity_at(np.array([9.0, 4.0]), np.array([1.0, 0.6])) == pytest.approx(0.25 * 0.6)
    # Components that merge at low thresholds bring the count down again: that never counts.
    assert sensitivity_at(np.array([0.5, 5.0, 0.0]), np.array([1.0, 0.4, 0.2])) == pytest.approx(
        0.2 + 0.2 * 0.2
    )
    place = crossing(np.array([3.0, 0.5, 0.0]), 1.0)
    assert place[0] == 1
    assert place[1] == pytest.approx(0.2)
    assert value_at(np.array([10.0, 5.0, 0.0]), place) == pytest.approx(6.0)
