"""Slice-wise clusters and 3D regions: small arrays worked out by hand, and SciPy as the second opinion."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import ndimage

from core.anomaly.bands import BANDS, band_labels
from core.anomaly.regions import FLOOR_MM3, flagged_regions, level_floors, region_labels, slice_clusters
from core.anomaly.residual import AnomalyError
from core.io.volume import Volume

SHAPE = (16, 24, 32)
EIGHT = np.ones((3, 3))


def grid(data: np.ndarray, spacing: tuple[float, float, float] = (2, 2, 2)) -> Volume:
    """Origin of the world in the middle of the grid."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -np.array(spacing) * (np.array(data.shape) - 1) / 2
    return Volume(data.astype(np.float32), affine)


def test_clusters_by_hand() -> None:
    # x across, y down, one slice:   4 0 4 .   two diagonal pairs that cross, of bands 4 and 6
    labels = np.zeros((3, 4, 2), np.uint8)
    labels[0, 0, 0] = labels[1, 1, 0] = 4
    labels[1, 0, 0] = labels[0, 1, 0] = 6
    labels[2, 3, 0] = 6
    labels[2, 3, 1] = 6  # the next slice: a cluster of its own
    found = slice_clusters(labels)
    assert found["2..3"] == (1, 2.0)
    assert found["4"] == (3, 4 / 3)
    assert found["-4"] == (0, 0.0)
    # Joined: the four crossing voxels are one, the two single ones another each.
    assert found["all"] == (3, 2.0)


def test_clusters_do_not_leak_between_neighbouring_slices() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[-1, 5, 3] = labels[0, 5, 4] = labels[0, 4, 4] = 1  # last row of one slice, first of the next
    labels[7, -1, 9] = labels[8, 0, 9] = 1  # last column, first column of the next row
    assert slice_clusters(labels)["-4"] == (4, 5 / 4)


@pytest.mark.parametrize("seed", range(4))
def test_clusters_agree_with_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.choice(7, size=SHAPE, p=[0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]).astype(np.uint8)
    labels[ndimage.gaussian_filter(rng.normal(size=SHAPE), 2) > 0.05] = 3
    found = slice_clusters(labels)
    for name, chosen in [(b.name, labels == b.label) for b in BANDS] + [("all", labels > 0)]:
        count = sum(ndimage.label(chosen[:, :, k], EIGHT)[1] for k in range(SHAPE[2]))
        assert found[name][0] == count
        assert found[name][1] == pytest.approx(chosen.sum() / count)


def test_clusters_need_three_axes() -> None:
    with pytest.raises(AnomalyError, match=r"shape \(3, 4\)"):
        slice_clusters(np.zeros((3, 4), np.uint8))


def test_one_blob_in_every_number() -> None:
    z = np.zeros(SHAPE, np.float32)
    z[2:5, 6:8, 10:14] = -2.5  # 3 × 2 × 4 voxels of 8 mm³
    z[3, 7, 11] = -2.75
    (region,) = flagged_regions(grid(z), np.ones(SHAPE), "volume", "key")
    assert (region.sign, region.band, region.map, region.side) == (-1, "2-3", "volume", "left")
    assert region.volume_mm3 == 24 * 8
    assert region.peak_z == -2.75
    assert region.mean_z == pytest.approx(-(23 * 2.5 + 2.75) / 24, abs=1e-4)
    # Voxel centroid (3, 6.5, 11.5); the grid's centre is (7.5, 11.5, 15.5).
    assert (region.x_mm, region.y_mm, region.z_mm) == (-9.0, -10.0, -8.0)
    assert (region.peak_x_mm, region.peak_y_mm, region.peak_z_mm) == (-9.0, -9.0, -9.0)
    assert (region.i, region.j, region.k) in {(3, 6, 12), (3, 7, 12), (3, 6, 11), (3, 7, 11)}


def test_a_region_takes_the_highest_level_that_still_has_the_floor() -> None:
    z = np.zeros(SHAPE, np.float32)
    z[1:7, 1:7, 1:7] = 2.2  # a component at 2 …
    z[1:3, 1:3, 1:3] = 3.5  # … with one of 8 voxels at 3 …
    z[5:7, 5:7, 5:7] = 4.5  # … and one of 8 at 4
    z[1, 1, 1] = 5.0  # too small to be one of its own at 4
    z[10:13, 1:4, 1:4] = 2.2
    z[10, 1, 1:3] = 6.0  # 2 voxels: the floor of 3 is not reached, so it stays 2-3
    z[1, 20, 20] = 9.0  # 1 voxel: nothing
    found = flagged_regions(grid(z), np.ones(SHAPE), "normative", "key", floor_mm3=24)
    assert [(r.band, r.volume_mm3, r.peak_z) for r in found] == [
        ("4+", 64.0, 4.5),
        ("3-4", 64.0, 5.0),
        ("2-3", 216.0, 6.0),
    ]


def test_floor_is_inclusive_in_mm3() -> None:
    z = np.zeros(SHAPE, np.float32)
    z[3:5, 3:6, 3] = 2.0  # 6 voxels of 0.5 × 1 × 3 mm: 9 mm³
    scan = grid(z, (0.5, 1, 3))
    assert len(flagged_regions(scan, np.ones(SHAPE), "volume", "k", floor_mm3=9)) == 1
    assert flagged_regions(scan, np.ones(SHAPE), "volume", "k", floor_mm3=9.1) == []


def test_signs_are_not_joined_and_corners_are() -> None:
    z = np.zeros(SHAPE, np.float32)
    z[2:4, 2:4, 2:4], z[4:6, 2:4, 2:4] = 2.5, -2.5  # face to face
    z[6:8, 4:6, 4:6] = -2.5  # touches the darker one by a corner
    found = flagged_regions(grid(z), np.ones(SHAPE), "volume", "k", floor_mm3=8)
    assert [(r.sign, r.volume_mm3) for r in found] == [(-1, 128.0), (1, 64.0)]


def test_outside_the_mask_nothing_is_flagged() -> None:
    z, mask = np.full(SHAPE, 5, np.float32), np.zeros(SHAPE, bool)
    mask[8:10, 9:12, 10:14] = True
    (region,) = flagged_regions(grid(z), mask, "volume", "k")
    assert region.volume_mm3 == 24 * 8


def test_levels_agree_with_scipy() -> None:
    rng = np.random.default_rng(11)
    z = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.2)
    z = (2.2 * z / z.std()).astype(np.float32)
    mask = ndimage.gaussian_filter(rng.normal(size=SHAPE), 3) > -0.02
    floor = 5  # voxels
    expected = []
    for sign in (1, -1):
        kept: list[tuple[str, np.ndarray]] = []
        for level, band in ((4, "4+"), (3, "3-4"), (2, "2-3")):
            labels, count = ndimage.label((sign * z >= level) & mask, np.ones((3, 3, 3)))
            for part in (labels == n for n in range(1, count + 1)):
                if part.sum() >= floor and not any((part & other).any() for _, other in kept):
                    kept.append((band, part))
        expected += [(sign, band, int(part.sum()) * 8.0) for band, part in kept]
    found = flagged_regions(grid(z), mask, "volume", "k", floor_mm3=floor * 8)
    assert len(found) > 20
    assert sorted((r.sign, r.band, r.volume_mm3) for r in found) == sorted(expected)


def test_ids_are_stable_and_distinct() -> None:
    z = np.zeros(SHAPE, np.float32)
    z[2:5, 2:5, 2:5], z[9:12, 2:5, 2:5] = 2.5, 2.5
    volume, mask = grid(z), np.ones(SHAPE)
    first, again = (flagged_regions(volume, mask, "volume", "key") for _ in range(2))
    assert first == again
    ids = {r.id for r in first}
    ids |= {r.id for r in flagged_regions(volume, mask, "volume", "other")}
    ids |= {r.id for r in flagged_regions(volume, mask, "normative", "key")}
    ids |= {r.id for r in flagged_regions(volume.with_data(-z), mask, "volume", "key")}
    assert len(ids) == 8


@pytest.mark.parametrize("stored", [("R", "A", "S"), ("L", "A", "S"), ("P", "S", "R"), ("S", "L", "P")])
def test_stored_orientation_moves_only_the_voxel_indices(stored: tuple[str, str, str]) -> None:
    z = np.zeros(SHAPE, np.float32)
    z[2:5, 6:9, 10:15] = 3.5
    plain = grid(z, (1, 1.5, 2))
    volume = Volume(plain.data, plain.affine, stored)
    (region,) = flagged_regions(volume, np.ones(SHAPE), "volume", "key")
    (reference,) = flagged_regions(plain, np.ones(SHAPE), "volume", "key")
    assert (region.id, region.side, region.slice_axial) == (reference.id, "left", reference.slice_axial)
    assert (region.x_mm, region.y_mm, region.z_mm) == (-4.5, -6.75, -7.0)
    # The stored voxel lies at the same place in the world, and holds the blob.
    back = volume.stored_affine @ [region.i, region.j, region.k, 1]
    np.testing.assert_allclose(back[:3], [region.x_mm, region.y_mm, region.z_mm], atol=1e-9)
    assert volume.stored_data[region.i, region.j, region.k] == 3.5


def test_oblique_grid_and_side_in_reference_space() -> None:
    z = np.zeros(SHAPE, np.float32)
    z[2:5, 11:13, 15:17] = 3.5  # centroid (3, 11.5, 15.5): 9 mm left of the centre along the first axis
    angle = np.deg2rad(20)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    plain = grid(z)
    turned = Volume(plain.data, turn @ plain.affine)
    (region,) = flagged_regions(turned, np.ones(SHAPE), "volume", "key", 90)
    np.testing.assert_allclose(
        [region.x_mm, region.y_mm], [-9 * np.cos(angle), -9 * np.sin(angle)], atol=1e-3
    )
    shift = np.eye(4)
    for offset, side in ((0, "left"), (6, "midline"), (8, "midline"), (14, "right")):
        shift[0, 3] = offset
        (region,) = flagged_regions(turned, np.ones(SHAPE), "volume", "key", 90, shift)
        assert region.side == side, offset


def test_side_is_measured_from_the_references_middle() -> None:
    z = np.zeros(SHAPE, np.float32)
    z[2:5, 11:13, 15:17] = 3.5
    (plain,) = flagged_regions(grid(z), np.ones(SHAPE), "volume", "key", 90)
    corner = np.eye(4)
    corner[0, 3] = 64.0  # the reference's origin is 64 mm left of its brain's middle
    for middle, side in (
        (0.0, "right"),
        (64.0, plain.side),
        (64.0 + plain.x_mm, "midline"),
        (51.0, "midline"),
    ):
        (region,) = flagged_regions(grid(z), np.ones(SHAPE), "volume", "key", 90, corner, middle)
        assert region.side == side, middle
    assert plain.side == "left"


def test_slice_of_largest_extent() -> None:
    z = np.zeros(SHAPE, np.float32)
    z[5:8, 5:8, 9], z[4:9, 4:9, 10], z[6, 6, 11:15] = 2.5, 2.5, 2.5
    (region,) = flagged_regions(grid(z), np.ones(SHAPE), "volume", "key")
    assert region.slice_axial == 10


def test_refuses() -> None:
    z = grid(np.zeros(SHAPE))
    with pytest.raises(AnomalyError, match="floor_mm3 is 0"):
        flagged_regions(z, np.ones(SHAPE), "volume", "k", floor_mm3=0)
    with pytest.raises(AnomalyError, match="mask of the z map is empty"):
        flagged_regions(z, np.zeros(SHAPE), "volume", "k")
    assert flagged_regions(z, np.ones(SHAPE), "volume", "k", FLOOR_MM3) == []


def test_paper_size_takes_seconds_not_minutes() -> None:
    rng = np.random.default_rng(2)
    z = rng.normal(size=(256, 256, 256)).astype(np.float32)
    axes = np.ogrid[-1:1:256j, -1:1:256j, -1:1:256j]
    mask = np.square(axes[0]) + np.square(axes[1]) + np.square(axes[2]) < 0.6
    labels = band_labels(z, mask)
    start = time.perf_counter()
    slice_clusters(labels)
    flagged_regions(grid(z, (0.5, 0.5, 0.5)), mask, "volume", "k", floor_mm3=0.25)
    print(f"clusters and regions at 256³: {time.perf_counter() - start:.2f} s")
    assert time.perf_counter() - start < 20  # white noise, the worst case; other work may share the machine


@pytest.mark.parametrize("seed", range(3))
def test_labels_are_the_listed_regions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.2)
    z = grid(4.5 * noise / noise.std() / 2, (2.0, 1.5, 2.5))
    mask = np.zeros(SHAPE)
    mask[2:15, 1:20, 4:30] = 1  # its box does not begin at 0
    found = flagged_regions(z, mask, "volume", "key", 60.0)
    labels, ids = region_labels(z, mask, "volume", "key", 60.0)
    assert len(found) > 5
    assert {region.id for region in found} == set(ids)
    for region in found:
        inside = labels == ids[region.id]
        assert inside.sum() * z.voxel_volume == pytest.approx(region.volume_mm3)
        peak = np.linalg.inv(z.affine) @ [region.peak_x_mm, region.peak_y_mm, region.peak_z_mm, 1]
        assert inside[tuple(np.rint(peak[:3]).astype(int))]
    assert not labels[mask == 0].any()
    assert set(region_labels(z, mask, "volume", "other", 60.0)[1]).isdisjoint(ids)


def test_the_fused_map_lists_smaller_regions_where_it_is_sure() -> None:
    assert level_floors("fused", 100) == (100, 40, 40)
    assert level_floors("volume", 100) == level_floors("normative", 100) == (100, 100, 100)
    data = np.zeros((20, 24, 18), np.float32)
    data[4:8, 4:8, 4:8] = 2.5  # 64 mm³ around
    data[5:7, 5:8, 5:7] = 3.5  # 12 mm³: too small anywhere
    data[12:15, 4:8, 4:8] = -3.5  # 48 mm³ alone: no 100 mm³ at 2
    data[12:18, 14:20, 8:14] = 2.5  # 216 mm³ around
    data[13:17, 15:19, 9:12] = 4.5  # 48 mm³
    z = Volume(data, np.eye(4))
    inside = np.ones(data.shape, bool)
    found = flagged_regions(z, inside, "fused", "key", 100.0)
    assert [(one.band, one.sign, one.volume_mm3) for one in found] == [("4+", 1, 48.0), ("3-4", -1, 48.0)]
    whole = flagged_regions(z, inside, "normative", "key", 100.0)
    assert [(one.band, one.sign, one.volume_mm3) for one in whole] == [("2-3", 1, 216.0)]
    labels, ids = region_labels(z, inside, "fused", "key", 100.0)
    assert [int((labels == ids[one.id]).sum()) for one in found] == [48, 48]
