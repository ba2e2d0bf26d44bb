"""Registration: a known affine is recovered, in world coordinates, on any grid."""

from __future__ import annotations

import numpy as np
import pytest

from core.io.itk import itk_affine
from core.io.volume import Volume
from core.preprocess.errors import PrepareError
from core.preprocess.register import Reference, cube_affine, dice, overlap, register, transform_matrix
from tests.core.preprocess.phantom import centred, grid, phantom, reference


def turned(axis: int, degrees: float) -> np.ndarray:
    i, j = [a for a in range(3) if a != axis]
    matrix = np.eye(3)
    matrix[[i, j], [i, j]] = np.cos(np.deg2rad(degrees))
    matrix[i, j], matrix[j, i] = -np.sin(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return matrix


def known() -> np.ndarray:
    """Rotation, shear, scale and shift, scan mm to anatomy mm."""
    matrix = np.eye(4)
    shear = np.array([[1, 0.05, 0.02], [0, 1, 0.04], [0, 0, 1]])
    matrix[:3, :3] = turned(2, 8) @ turned(0, -6) @ shear @ np.diag([1.06, 0.95, 1.03])
    matrix[:3, 3] = (4, -6, 3)
    return matrix


def offsets(scan: Volume, mask: Volume, found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """mm by which each brain voxel misses its true place."""
    mm = grid(scan.shape, scan.affine)[mask.data > 0]
    difference = found - true
    return np.linalg.norm(mm @ difference[:3, :3].T + difference[:3, 3], axis=1)


def test_known_affine_is_recovered_twice_the_same() -> None:
    shape = (117, 139, 126)
    scan, mask = phantom(shape, centred(shape, 0.86 * np.eye(3)), known())
    target = reference()
    found = register(scan.data, mask.data, scan.affine, target)
    assert offsets(scan, mask, found, known()).mean() < 0.1
    assert overlap(mask.data, scan.affine, found, target) > 0.98
    assert np.array_equal(register(scan.data, mask.data, scan.affine, target), found)


def test_sheared_oblique_unequal_grid_is_recovered() -> None:
    shape = (80, 118, 70)
    axes = turned(2, 12) @ np.array([[1, 0.08, 0], [0, 1, -0.05], [0, 0, 1]]) @ np.diag([1.2, 1.0, 1.5])
    scan, mask = phantom(shape, centred(shape, axes))
    found = register(scan.data, mask.data, scan.affine, reference())
    # Slices of 1.5 mm blur the folds; without the shear's correction it would miss by over 1 mm.
    assert offsets(scan, mask, found, np.eye(4)).mean() < 0.3


def test_itk_affine_is_the_identity_without_shear() -> None:
    plain = centred((4, 5, 6), turned(1, 20) @ np.diag([0.8, 1.0, 1.5]))
    assert np.allclose(itk_affine(plain), plain)
    sheared = centred((4, 5, 6), np.array([[1, 0.2, 0], [0, 1, 0], [0, 0, 2.0]]))
    axes = itk_affine(sheared)[:3, :3]
    assert np.allclose(axes.T @ axes, np.diag(np.linalg.norm(sheared[:3, :3], axis=0) ** 2))


def test_transform_turns_about_its_centre() -> None:
    quarter = np.array([0, -1, 0, 1, 0, 0, 0, 0, 1, 5, 0, 0], dtype=float)  # x' = -y, y' = x, then 5 along x
    moved = transform_matrix(quarter, np.array([10.0, 20, 30])) @ [11, 20, 30, 1]
    assert moved.tolist() == [15, 21, 30, 1]


def test_dice_by_hand() -> None:
    assert dice(np.array([1, 1, 0, 0]), np.array([0, 1, 1, 1])) == pytest.approx(2 / 5)
    assert dice(np.zeros(3), np.zeros(3)) == 0


def test_cube_is_centred_on_the_brain() -> None:
    shape = (40, 60, 50)
    data = np.zeros(shape, np.float32)
    data[10:31, 20:51, 5:46] = 1  # 20, 30 and 40 steps of 2 mm
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = (-7, 3, 1)
    volume = Volume(data, affine)
    found = cube_affine(Reference(volume, volume, "h", "box"), 64, 128.0)
    assert np.allclose(found[:3, :3], 2 * np.eye(3))
    middle = found[:3] @ [31.5, 31.5, 31.5, 1]
    assert middle.tolist() == [20 * 2 - 7, 35 * 2 + 3, 25 * 2 + 1]
    fine = cube_affine(Reference(volume, volume, "h", "box"), 256, 128.0)
    # Both cubes cover the same field, edge to edge.
    assert np.allclose(fine[:3] @ [-0.5, -0.5, -0.5, 1], found[:3] @ [-0.5, -0.5, -0.5, 1])


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    target = reference()
    with pytest.raises(PrepareError, match=r"reference phantom: brain of 107 mm; expected at most 100 mm"):
        cube_affine(target, 64, 100)
    empty = Reference(target.volume, target.mask.with_data(0 * target.mask.data), "h", "empty")
    with pytest.raises(PrepareError, match="reference empty: empty mask"):
        cube_affine(empty, 64)
    monkeypatch.setattr("core.preprocess.register.transform_matrix", lambda *_: np.diag([1.0, 1, -1, 1]))
    with pytest.raises(
        PrepareError, match=r"no match with reference phantom, volume factor -1; expected 0\.125 to 8"
    ):
        register(target.volume.data, target.mask.data, target.volume.affine, target)
