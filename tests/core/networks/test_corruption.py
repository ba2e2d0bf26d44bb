"""Corruption stays in the brain, is as large as asked, and is the same for the same seed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from core.networks.corruption import (
    KINDS,
    LOG_RANGE,
    SEEN,
    Array,
    CorruptionError,
    CorruptionSettings,
    Mask,
    Region,
    corrupt,
    draw_region,
    moved,
    warped,
)

SHAPE = (16, 24, 32)


def ball(radius: float = 7.0) -> Mask:
    grid = np.indices(SHAPE) - np.array([7.5, 11.5, 15.5])[:, None, None, None]
    return np.asarray((grid**2).sum(0) < radius**2)


def scan(seed: int, mask: Mask) -> Array:
    values = np.random.default_rng(seed).normal(0, 0.2, SHAPE).clip(*LOG_RANGE)
    return np.where(mask, values, 0).astype(np.float32)


def corrupted(kinds: tuple[str, ...], seed: int = 0, most: int = 3, mm: float = 2.0) -> tuple[Any, ...]:
    mask = ball()
    log, donor = scan(1, mask), scan(2, mask)
    settings = CorruptionSettings(kinds, most)
    new, changed = corrupt(log, mask, donor, mask, mm, settings, np.random.default_rng(seed))
    return log, mask, donor, new, changed


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_brain_is_changed_and_the_change_is_told(kind: str) -> None:
    for seed in range(10):
        log, mask, _, new, changed = corrupted((kind,), seed)
        assert new.dtype == np.float32
        np.testing.assert_array_equal(new[~mask], log[~mask])
        np.testing.assert_array_equal(changed, np.abs(new - log) > SEEN)
        assert not (changed & ~mask).any()
        assert new.min() >= LOG_RANGE[0]
        assert new.max() <= LOG_RANGE[1]
    shares = [corrupted((kind,), seed)[4].sum() / ball().sum() for seed in range(40)]
    # Noise is everywhere; regions of 1.5 mm to 18 mm leave most of this 14 mm brain alone, as a rule.
    assert (0.5 < np.median(shares) <= 1) if kind == "noise" else (0.002 < np.median(shares) < 0.5)


@pytest.mark.parametrize(("kind", "sign"), [("brighter", 1), ("darker", -1)])
def test_brighter_and_darker(kind: str, sign: int) -> None:
    for seed in range(5):
        log, _, _, new, _ = corrupted((kind,), seed)
        assert (sign * (new - log) >= -1e-6).all()


def test_constant_leaves_less_variation() -> None:
    mask = np.ones(SHAPE, bool)
    log = np.random.default_rng(0).normal(0, 0.3, SHAPE).clip(*LOG_RANGE).astype(np.float32)
    settings = CorruptionSettings(("constant",), 1)
    drawn = [corrupt(log, mask, log, mask, 1.0, settings, np.random.default_rng(seed)) for seed in range(20)]
    shrunk = [new[changed].std() / log[changed].std() for new, changed in drawn if changed.sum() > 200]
    assert len(shrunk) > 3
    assert np.median(shrunk) < 0.85  # soft edges keep some


def test_patch_takes_values_of_the_donor_or_the_scan_itself() -> None:
    mask = np.ones(SHAPE, bool)
    log, donor = np.zeros(SHAPE, np.float32), np.full(SHAPE, 0.5, np.float32)
    settings = CorruptionSettings(("patch",), 1)
    peaks = [
        corrupt(log, mask, donor, mask, 2.0, settings, np.random.default_rng(seed))[0].max()
        for seed in range(30)
    ]
    # Blended by half or more where it is drawn from the donor, else 0 as the scan itself.
    assert all(peak == 0 or 0.1 < peak <= 0.5 for peak in peaks)
    assert {peak == 0 for peak in peaks} == {True, False}


def test_moved_reads_elsewhere_and_repeats_the_border() -> None:
    log = np.arange(6, dtype=np.float32).reshape(6, 1, 1)
    box = (slice(2, 5), slice(0, 1), slice(0, 1))
    np.testing.assert_array_equal(moved(log, box, np.array([1, 0, 0])).ravel(), [3, 4, 5])
    np.testing.assert_array_equal(moved(log, box, np.array([3, 0, 0])).ravel(), [5, 5, 5])


def test_deformation_swells_and_shrinks_what_is_at_the_centre() -> None:
    centre = (8.0, 12.0, 16.0)
    grid = np.indices(SHAPE) - np.array(centre)[:, None, None, None]
    radius = np.sqrt((grid**2).sum(0))
    log = (radius < 3).astype(np.float32)
    whole = (slice(0, 16), slice(0, 24), slice(0, 32))
    region = Region(whole, centre, (radius / 8).astype(np.float32), np.ones(SHAPE, np.float32))
    for power in (0.8, -0.6):
        # Read at d·d^power, in units of 8 voxels: what was at 3/8 comes to lie at (3/8)^(1 / (1 + power)).
        rim = 8 * (3 / 8) ** (1 / (1 + power))
        volume = warped(log, region, power).sum()
        assert volume == pytest.approx(4 / 3 * math.pi * rim**3, rel=0.2)
    outside = radius > 8
    np.testing.assert_allclose(warped(log, region, 0.8)[outside], log[outside], atol=1e-6)


@pytest.mark.parametrize("radius", [0.75, 2.0, 5.0])
def test_regions_have_the_radius_asked_for(radius: float) -> None:
    mask = np.ones((48, 48, 48), bool)
    volumes = []
    for seed in range(30):
        region = draw_region(mask, radius, np.random.default_rng(seed))
        assert region.weight.min() >= 0
        assert region.weight.max() <= 1
        if all(8 < c < 40 for c in region.centre):  # whole within the grid
            volumes.append(region.weight.sum())
    ball_volume = 4 / 3 * math.pi * radius**3
    assert 0.4 * ball_volume < np.median(volumes) < 2.5 * ball_volume


def test_same_seed_same_corruption_and_the_scan_is_not_written_to() -> None:
    log, _, _, one, _ = corrupted(KINDS, 7)
    before = log.copy()
    assert (one == corrupted(KINDS, 7)[3]).all()
    assert (one != corrupted(KINDS, 8)[3]).any()
    np.testing.assert_array_equal(log, before)


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(CorruptionError, match=r"kinds are \('blur',\), expected one or more of brighter"):
        CorruptionSettings(("blur",))
    with pytest.raises(CorruptionError, match="most_regions is 0"):
        CorruptionSettings(most_regions=0)
    mask, log = ball(), scan(0, ball())
    rng = np.random.default_rng(0)
    with pytest.raises(CorruptionError, match="mask is empty"):
        corrupt(log, mask & False, log, mask, 2.0, CorruptionSettings(), rng)
    with pytest.raises(CorruptionError, match=r"\(15, 24, 32\).*expected the same"):
        corrupt(log, mask, log[1:], mask, 2.0, CorruptionSettings(), rng)
