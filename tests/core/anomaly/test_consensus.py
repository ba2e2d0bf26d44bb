"""Counts of models and witnesses of regions: small arrays worked out by hand, axes unequal and mirrored."""

from __future__ import annotations

from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest

from core.anomaly.consensus import count_flags, draw_regions, witness
from core.anomaly.regions import flagged_regions
from core.anomaly.residual import AnomalyError
from core.io.derivatives import Region
from core.io.volume import Volume

SHAPE = (8, 10, 12)
SPACING = (2.0, 1.0, 2.5)
Z = np.ndarray


def affine() -> np.ndarray:
    matrix = np.diag([*SPACING, 1.0])
    matrix[:3, 3] = (-7, 4, 30)
    return matrix


def analysed(z: Z) -> list[Region]:
    return flagged_regions(Volume(z, affine()), np.ones(SHAPE), "volume", "key", floor_mm3=20)


@pytest.fixture
def z() -> Z:
    """A bright block with a core of 4 SD, a dark block, and a speck below the floor of four voxels."""
    values = np.zeros(SHAPE, np.float32)
    values[1:5, 2:6, 3:7] = 2.5
    values[2:4, 3:5, 4:6] = 4.5
    values[6, 7:10, 8:11] = -3.25
    values[0, 0, 0] = 6
    return values


def test_counts_by_hand() -> None:
    maps = [np.zeros((2, 3, 4), np.float32) for _ in range(3)]
    maps[0][0, 1, 2] = 3.0  # on the threshold
    maps[1][0, 1, 2] = 2.999
    maps[2][0, 1, 2] = 7.0
    maps[0][1, 2, 3], maps[1][1, 2, 3], maps[2][1, 2, 3] = -3.0, -5.0, 4.0
    maps[0][0, 0, 0] = np.nan
    brighter, darker = count_flags(iter(maps), 3, 1), count_flags(iter(maps), 3, -1)
    assert brighter.dtype == np.uint8
    assert {tuple(at): int(brighter[tuple(at)]) for at in np.argwhere(brighter)} == {
        (0, 1, 2): 2,
        (1, 2, 3): 1,
    }
    assert {tuple(at): int(darker[tuple(at)]) for at in np.argwhere(darker)} == {(1, 2, 3): 2}


def test_counts_refuse_what_they_cannot_count() -> None:
    one = np.zeros((2, 3, 4), np.float32)
    with pytest.raises(AnomalyError, match="threshold is 0"):
        count_flags([one], 0, 1)
    with pytest.raises(AnomalyError, match="no z map"):
        count_flags([], 3, 1)
    with pytest.raises(AnomalyError, match=r"\(2, 3, 4\) and \(2, 4, 3\)"):
        count_flags([one, np.zeros((2, 4, 3), np.float32)], 3, 1)


def test_draws_the_voxels_that_were_counted(z: Z) -> None:
    regions = analysed(z)
    labels = draw_regions(z, np.ones(SHAPE), regions, affine())
    # 4 SD core: 2×2×2 voxels of 5 mm³; the 2.5 SD shell belongs to it, and so is no region of its own.
    assert [(r.band, r.sign, r.volume_mm3) for r in regions] == [("4+", 1, 40.0), ("3-4", -1, 45.0)]
    for number, region in enumerate(regions, start=1):
        assert np.count_nonzero(labels == number) * 5.0 == region.volume_mm3
    assert [labels[2, 3, 4], labels[1, 2, 3], labels[0, 0, 0]] == [1, 0, 0]


@pytest.mark.parametrize("axes", ["LAS", "PSR", "SLA"])
def test_draws_on_any_axes(z: Z, axes: str) -> None:
    regions = analysed(z)
    change = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(axes)
    )
    turn: Callable[[Z], nib.Nifti1Image] = lambda data: nib.Nifti1Image(data, affine()).as_reoriented(change)  # noqa: E731
    turned = turn(z)
    stored = np.asarray(turned.dataobj)
    drawn = draw_regions(stored, np.ones(stored.shape), regions, turned.affine)
    expected = turn(draw_regions(z, np.ones(SHAPE), regions, affine()))
    assert np.array_equal(drawn, np.asarray(expected.dataobj))


def test_random_maps_give_the_volumes_of_the_table() -> None:
    rng = np.random.default_rng(7)
    z = rng.normal(0, 2.2, SHAPE).astype(np.float32)
    mask = rng.random(SHAPE) > 0.1
    regions = flagged_regions(Volume(z, affine()), mask, "volume", "key", floor_mm3=11)
    labels = draw_regions(z, mask, regions, affine())
    assert len(regions) > 5
    assert [np.count_nonzero(labels == i + 1) * 5.0 for i in range(len(regions))] == [
        region.volume_mm3 for region in regions
    ]


def test_regions_of_another_map_are_refused(z: Z) -> None:
    with pytest.raises(AnomalyError, match="its peak at voxel"):
        draw_regions(-z, np.ones(SHAPE), analysed(z), affine())


def test_witness_by_hand(z: Z) -> None:
    where = np.zeros(SHAPE, bool)
    where[2:4, 3:5, 4:8] = True  # 16 voxels, 8 of them the core
    regions = analysed(z)
    labels = draw_regions(z, np.ones(SHAPE), regions, affine())
    seen = witness(where, 1, z, labels, regions)
    assert (seen.flagged, seen.band, seen.peak_z, seen.covered) == (True, "4+", 4.5, 0.5)
    assert seen.dice == pytest.approx(2 * 8 / (16 + 8))
    assert seen.regions == (regions[0].id,)
    # The other sign flags nothing there: a darker region would be no witness of a brighter one.
    unseen = witness(where, -1, z, labels, regions)
    assert (unseen.flagged, unseen.band, unseen.covered, unseen.dice) == (False, "", 0.0, 0.0)
    assert unseen.peak_z == 0.0


def test_witness_names_the_strongest_band_first() -> None:
    z = np.zeros(SHAPE, np.float32)
    z[0:2, 0:2, 0:2] = 2.2
    z[4:6, 0:2, 0:2] = 3.2
    regions = analysed(z)
    labels = draw_regions(z, np.ones(SHAPE), regions, affine())
    seen = witness(np.ones(SHAPE, bool), 1, z, labels, regions)
    assert [region.band for region in regions] == ["3-4", "2-3"]
    assert (seen.band, seen.regions) == ("3-4", tuple(region.id for region in regions))
    assert seen.covered == pytest.approx(16 / 960)


def test_witness_needs_a_region(z: Z) -> None:
    labels = np.zeros(SHAPE, np.uint16)
    with pytest.raises(AnomalyError, match="no voxel"):
        witness(np.zeros(SHAPE, bool), 1, z, labels, [])
    with pytest.raises(AnomalyError, match="one grid"):
        witness(np.ones((8, 10, 11), bool), 1, z, labels, [])
