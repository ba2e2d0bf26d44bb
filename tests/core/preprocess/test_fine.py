"""The fine grid: where it lies, and that a spot of the scan is found in it where it is."""

from __future__ import annotations

import numpy as np
import pytest

from core.io.volume import Volume
from core.preprocess.fine import fine_affine, fine_scan
from core.preprocess.pipeline import Prepared


def test_fine_voxels_tile_the_cubes() -> None:
    affine = np.array([[0, -2, 0, 60], [2, 0, 0, -50], [0, 0, 2, -40], [0, 0, 0, 1]], float)
    fine = fine_affine(affine, 2)
    corner = affine @ [-0.5, -0.5, -0.5, 1]  # of the first voxel
    np.testing.assert_allclose(fine @ [-0.5, -0.5, -0.5, 1], corner)
    np.testing.assert_allclose(fine @ [1.5, 1.5, 1.5, 1], affine @ [0.5, 0.5, 0.5, 1])
    np.testing.assert_array_equal(fine_affine(affine, 1), affine)


@pytest.mark.parametrize(("cube_mm", "size", "shape"), [(2.0, 24, (24, 24, 24)), (1.0, 48, (48, 48, 48))])
def test_a_spot_lands_in_its_voxel_of_the_cube(
    cube_mm: float, size: int, shape: tuple[int, int, int]
) -> None:
    # An oblique, anisotropic scan, moved by 3, −2 and 1 mm to the reference.
    turn = np.deg2rad(15)
    scan_affine = np.eye(4)
    scan_affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    scan_affine[:3, :3] = scan_affine[:3, :3] @ np.diag([1.0, 0.9, 1.25])
    scan_affine[:3, 3] = (-14, -26, -24)
    data = np.full((44, 50, 40), 300.0, np.float32)
    world = np.array([5.0, -4.0, 6.0])
    voxel = np.rint(np.linalg.inv(scan_affine) @ [*world, 1])[:3].astype(int)
    data[tuple(voxel)] = 600.0
    scan = Volume(data, scan_affine)
    inside = np.ones(data.shape, np.float32)
    move = np.eye(4)
    move[:3, 3] = (3, -2, 1)
    cube_affine = np.diag([cube_mm, cube_mm, cube_mm, 1.0])
    cube_affine[:3, 3] = -cube_mm * (size - 1) / 2
    cube = Volume(np.zeros((size,) * 3, np.float32), cube_affine)
    prepared = Prepared(
        scan=scan,
        mask=scan.with_data(inside),
        cube=cube,
        cube_mask=cube.with_data(np.ones((size,) * 3, np.float32)),
        scan_to_reference=move,
        mask_source="given",
        overlap=1.0,
        times={},
        qc=b"",
    )
    fine = fine_scan(prepared)
    assert fine.x.shape == (48, 48, 48)
    contrast = fine.contrast
    assert contrast.shape == shape
    there = (move @ scan_affine @ [*voxel, 1.0])[:3]
    place = (np.linalg.inv(cube_affine) @ [*there, 1.0])[:3]
    found = np.unravel_index(int(contrast.argmax()), contrast.shape)
    np.testing.assert_allclose(found, place, atol=0.75)
