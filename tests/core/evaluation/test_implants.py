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
    brighter = {"cyst": 1, "punctate_bright": 1, "punctate_dark": -1, "infarct": 1, "haemorrhage": -1}
    for made in implants(brain, 3):
        inside = made.labels > 0
        change = made.cube.x - brain.x
        assert np.sign(change[inside].mean()) == brighter.get(made.kind, 1), made.kind
        assert np.abs(change[inside]).mean() > 0.02
        assert (made.cube.x[~brain.mask] == 0).all()
        assert not inside[~brain.mask].any()
        assert made.cube.x.min() >= 0
        assert made.cube.x.max() <= 1
        far = distance_transform_edt(~inside) * 2 > 16
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
