"""Scores worked out by hand on voxels of 2 × 3 × 4 mm, rotated and shifted ones too."""

from __future__ import annotations

import numpy as np
import pytest

from app.teach.score import Judged, Tally, distance_mm, score, tally, targets

# Lesion 1: one voxel, centre (10, 0, 0), box x 9…11, y −1.5…1.5, z −2…2.
# Lesion 2: two voxels along x, centres (30, 0, 0) and (32, 0, 0), box x 29…33.
AFFINE = np.diag((2.0, 3.0, 4.0, 1.0))
LABELS = np.zeros((20, 5, 5), np.int64)
LABELS[5, 0, 0] = 1
LABELS[15:17, 0, 0] = 2
LESIONS = targets(LABELS, AFFINE)


def test_targets_hold_each_label() -> None:
    assert [one.label for one in LESIONS] == [1, 2]
    np.testing.assert_allclose(LESIONS[0].voxels, [[10, 0, 0]])
    np.testing.assert_allclose(LESIONS[1].voxels, [[30, 0, 0], [32, 0, 0]])
    assert targets(np.zeros((2, 2, 2), np.int64), AFFINE) == ()


@pytest.mark.parametrize(
    ("mm", "expected"),
    [
        ((10.0, 0.0, 0.0), 0.0),  # the middle
        ((10.9, 1.4, -1.9), 0.0),  # a corner, inside
        ((14.0, 0.0, 0.0), 3.0),  # 14 − 11
        ((10.0, -4.5, 0.0), 3.0),  # |−4.5| − 1.5
        ((14.0, 5.5, 0.0), 5.0),  # 3 and 4 off
        ((12.0, 3.5, 4.0), 3.0),  # 1, 2 and 2 off
    ],
)
def test_distance_is_from_the_edge(mm: tuple[float, float, float], expected: float) -> None:
    assert distance_mm(LESIONS[0], mm) == pytest.approx(expected)


def test_distance_follows_a_rotated_grid() -> None:
    """Voxel axis i runs along world +y, j along world −x, k along +z; the origin is at (100, 50, 20)."""
    affine = np.array([[0, -3, 0, 100], [2, 0, 0, 50], [0, 0, 4, 20], [0, 0, 0, 1]], dtype=float)
    (one,) = targets((LABELS == 1).astype(int), affine)
    # Voxel (5, 0, 0) lies at (100, 60, 20); its box is 3 mm wide in x, 2 in y.
    np.testing.assert_allclose(one.voxels, [[100, 60, 20]])
    assert distance_mm(one, (101.4, 60.9, 21.9)) == 0
    assert distance_mm(one, (104.5, 65.0, 20.0)) == pytest.approx(5.0)  # 3 beyond 101.5, 4 beyond 61


def test_each_lesion_counts_once() -> None:
    marks = [(10.0, 0.0, 0.0), (14.0, 0.0, 0.0), (10.0, -4.5, 0.0), (60.0, 0.0, 0.0)]
    got = score(LESIONS, marks, 3.0)
    assert (got.hits, got.misses, got.false_marks) == (1, 1, 1)
    assert got.found == {1}
    assert [one.outcome for one in got.judged] == ["hit", "again", "again", "false"]
    assert got.judged[1] == Judged("again", 1, 3.0)
    assert got.judged[3].label is None


def test_the_tolerance_is_its_own_edge() -> None:
    assert score(LESIONS, [(14.0, 0.0, 0.0)], 3.0).hits == 1
    assert score(LESIONS, [(14.0, 0.0, 0.0)], 2.99).false_marks == 1
    assert score(LESIONS, [(10.5, 0.0, 0.0)], 0.0).hits == 1, "inside needs none"


def test_a_mark_between_two_goes_to_the_nearer_only() -> None:
    # Between the boxes (x 11 to 29): 8 mm from the first, 10 mm from the second.
    got = score(LESIONS, [(19.0, 0.0, 0.0)], 20.0)
    assert (got.judged[0].label, got.hits, got.misses) == (1, 1, 1)
    # In the middle both are 9 mm away: the lower label.
    assert score(LESIONS, [(20.0, 0.0, 0.0)], 20.0).judged[0].label == 1
    # A second one there is no hit of the other lesion.
    assert score(LESIONS, [(19.0, 0.0, 0.0)] * 2, 20.0).hits == 1


def test_nothing_marked_misses_all() -> None:
    got = score(LESIONS, [], 5.0)
    assert (got.hits, got.misses, got.false_marks, got.judged) == (0, 2, 0, ())


def test_in_a_normal_scan_every_mark_is_false() -> None:
    got = score((), [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0)], 5.0)
    assert (got.hits, got.misses, got.false_marks) == (0, 0, 2)


def test_tolerance_is_no_less_than_nothing() -> None:
    with pytest.raises(ValueError, match="expected 0 or more"):
        score(LESIONS, [], -1.0)


def test_tally_adds_scans_up() -> None:
    first = score(LESIONS, [(10.0, 0.0, 0.0), (60.0, 0.0, 0.0)], 1.0)
    assert tally([first, score((), [(0.0, 0.0, 0.0)], 1.0)]) == Tally(2, 1, 1, 2)
    assert tally([]) == Tally(0, 0, 0, 0)
