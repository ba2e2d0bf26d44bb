"""Implanted lesions: size, sign, place, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from core.evaluation.baselines import Cube
from core.evaluation.implants import KINDS, implant, implants
from core.evaluation.statistics import EvaluationError

SHAPE = (56, 64, 52)


@pytest.fixture(scope="module")
def brain() -> Cube:
    """An ellipsoid of 2 mm voxels: dark ribbon, brighter white matter, fluid in the middle."""
    axes = [np.arange(n) - (n - 1) / 2 for n in SHAPE]
    radius = np.sqrt(
        sum((a / (n / 2 - 3)) ** 2 for a, n in zip(np.meshgrid(*axes, indexing="ij"), SHAPE, strict=True))
    )
    mask = radius < 1
    x = np.where(radius > 0.8, 0.2, 0.35) + np.random.default_rng(0).normal(0, 0.01, SHAPE)
    x = np.where(radius < 0.25, 0.8, x)
    return Cube(np.where(mask, x, 0).astype(np.float32), mask, np.diag([2.0, 2, 2, 1]), np.eye(4), "k")


def test_each_kind_changes_its_voxels_in_its_direction_and_little_else(brain: Cube) -> None:
    darker = ("punctate_dark", "haemorrhage", "thin_blood")
    for made in implants(brain, 3):
        inside = made.labels > 0
        change = made.cube.x - brain.x
        assert np.sign(change[inside].mean()) == (-1 if made.kind in darker else 1), made.kind
        assert np.abs(change[inside]).mean() > 0.02
        assert (made.cube.x[~brain.mask] == 0).all()
        assert not inside[~brain.mask].any()
        assert made.cube.x.min() >= 0
        assert made.cube.x.max() <= 1
        # Anatomy that is moved gives way up to 22 mm deep.
        reach = 24 if made.kind in ("wide_ventricles", "volume_loss") else 16
        far = distance_transform_edt(~inside) * 2 > reach
        assert np.abs(change[far]).max() < 0.02, made.kind
        assert made.cube.key != brain.key


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("cyst", 3, 6), ("infarct", 8, 14), ("haemorrhage", 3, 7), ("diffuse_white_matter", 12, 18)],
)
def test_sizes_are_radii_in_mm(brain: Cube, kind: str, low: float, high: float) -> None:
    for seed in range(4):
        volume = 8.0 * int((implant(brain, kind, seed).labels > 0).sum())
        radius = (3 * volume / (4 * np.pi)) ** (1 / 3)
        assert radius < 1.2 * high
        if kind in ("cyst", "haemorrhage"):  # the others are cut by the surface, or by fluid
            assert radius > 0.75 * low


def test_new_fluid_lies_around_the_old_and_tissue_is_moved_not_lost(brain: Cube) -> None:
    made = implant(brain, "wide_ventricles", 1)
    fluid = brain.x > 0.6
    away = distance_transform_edt(~fluid)[made.labels > 0] * 2
    assert away.max() <= 5.5  # walls moved by 2 to 5 mm
    assert made.cube.x[made.labels > 0].min() > 0.6
    # Tissue gives way: what is dark ribbon stays where it was, 20 mm and more from the ventricle.
    far = (distance_transform_edt(~fluid) * 2 > 21) & brain.mask
    np.testing.assert_array_equal(made.cube.x[far], brain.x[far])


def test_lost_volume_and_thin_blood_follow_the_surface(brain: Cube) -> None:
    depth = distance_transform_edt(brain.mask) * 2
    lost = implant(brain, "volume_loss", 1)
    assert depth[lost.labels > 0].max() <= 9
    assert lost.cube.x[lost.labels > 0].mean() > 0.6
    blood = implant(brain, "thin_blood", 1)
    assert np.ptp(depth[blood.labels > 0]) <= 4
    assert depth[blood.labels > 0].max() < 7


def test_two_to_four_spots_each_with_its_label(brain: Cube) -> None:
    for seed in range(5):
        labels = implant(brain, "punctate_dark", seed).labels
        counts = np.bincount(labels.ravel())[1:]
        assert 2 <= len(counts) <= 4
        assert (counts > 0).all()
        assert (counts * 8.0 < 250).all()


def test_a_seed_gives_the_same_and_another_another(brain: Cube) -> None:
    for kind in KINDS:
        first, again, other = (implant(brain, kind, seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first.cube.x, again.cube.x)
        assert (first.labels != other.labels).any()


def test_unknown_kind_and_no_brain_are_named(brain: Cube) -> None:
    with pytest.raises(EvaluationError, match="unknown lesion 'tumour'"):
        implant(brain, "tumour", 0)
    small = np.zeros(SHAPE, bool)
    small[20:26, 20:26, 20:26] = True
    with pytest.raises(EvaluationError, match="expected a brain"):
        implant(Cube(brain.x, small, brain.affine, np.eye(4), "k"), "cyst", 0)
