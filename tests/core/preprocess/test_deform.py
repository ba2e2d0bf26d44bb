"""Deformable registration: known deformations, found and taken back, on grids that hide no axis."""

from __future__ import annotations

import numpy as np
import pytest

from core.preprocess.deform import deform, log_jacobian, warp, warp_inside
from core.preprocess.errors import PrepareError
from tests.core.preprocess.phantom import brain, centred, grid, intensity

SHAPE = (48, 60, 54)
# Columns of unequal spacing, turned, flipped and permuted: no two axes can be taken for each other.
AXES = np.array([[0.0, -1.9, 0.5], [-2.2, 0.1, 0.0], [0.1, 0.5, 1.7]])


def test_known_deformation_is_found_and_sent_back_within_a_voxel() -> None:
    affine = centred(SHAPE, AXES)
    mm = grid(SHAPE, affine)
    template_mask = brain(mm)
    template = np.where(template_mask, intensity(mm), 0).astype(np.float32)
    # The scan shows at mm what the template shows at mm + shift: up to 5 mm, smooth.
    shift = 3 * np.stack([np.sin(mm[..., 1] / 15), np.cos(mm[..., 2] / 15), np.sin(mm[..., 0] / 15)], -1)
    scan_mask = brain(mm + shift)
    scan = np.where(scan_mask, intensity(mm + shift), 0).astype(np.float32)
    found = deform(template, template_mask, scan, affine)

    expected = shift @ np.linalg.inv(affine[:3, :3]).T  # voxels, from scan to template
    wrong = np.linalg.norm(found.push - expected, axis=-1)[scan_mask]
    assert np.linalg.norm(expected, axis=-1)[scan_mask].mean() > 1.5
    assert wrong.mean() < 0.5
    assert np.percentile(wrong, 95) < 1

    # There and back: a voxel of the scan, sent to the template and read from there, is itself again.
    index = np.moveaxis(np.indices(SHAPE, np.float32), 0, -1)
    for offsets in (found.pull, found.push):
        index = np.stack([warp(axis, offsets) for axis in np.moveaxis(index, -1, 0)], -1)
    middle = brain((mm + shift) * 1.15)
    assert np.linalg.norm(index - np.moveaxis(np.indices(SHAPE), 0, -1), axis=-1)[middle].max() < 1


def test_warp_reads_at_the_offset() -> None:
    values = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    offsets = np.zeros((4, 5, 6, 3), np.float32)
    offsets[..., 1] = 1.5
    moved = warp(values, offsets)
    assert moved[2, 1, 3] == pytest.approx((values[2, 2, 3] + values[2, 3, 3]) / 2)
    assert moved[2, 4, 3] == 0  # beyond the grid


def test_edge_of_the_mask_does_not_mix_with_what_is_outside() -> None:
    values = np.full((6, 6, 6), 0.7, np.float32)
    mask = np.zeros((6, 6, 6), bool)
    mask[2:] = True
    offsets = np.zeros((6, 6, 6, 3), np.float32)
    offsets[..., 0] = 0.4
    moved, inside = warp_inside(values, mask, offsets)
    assert moved[2, 3, 3] == pytest.approx(0.7)
    assert not inside[1, 3, 3]  # reads 0.4 of the mask
    assert moved[1, 3, 3] == 0


def test_log_jacobian_of_a_known_stretch() -> None:
    i, j, k = np.indices((5, 6, 7), np.float32)
    # Stretched by 1.5, 0.8 and 1; the shear of k by i changes no volume.
    offsets = np.stack([0.5 * i, -0.2 * j, 0.3 * i + 0 * k], -1)
    assert np.allclose(log_jacobian(offsets), np.log(1.5 * 0.8), atol=1e-6)


def test_unequal_shapes_are_named() -> None:
    one, mask = np.ones((4, 5, 6), np.float32), np.ones((4, 5, 6), bool)
    with pytest.raises(PrepareError, match=r"scan \(4, 5, 7\); expected one shape"):
        deform(one, mask, np.ones((4, 5, 7), np.float32), np.eye(4))
    with pytest.raises(PrepareError, match="of 0 voxels"):
        deform(one, ~mask, one, np.eye(4))
