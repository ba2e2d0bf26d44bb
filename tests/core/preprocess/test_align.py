"""A T1w on the T2w: a known rigid offset is found, headers are checked, strangers refused."""

from __future__ import annotations

import numpy as np
import pytest

from core.io.volume import Volume
from core.preprocess import align as module
from core.preprocess.align import align, carried
from core.preprocess.errors import PrepareError
from tests.core.preprocess.phantom import brain, centred, grid, intensity
from tests.core.preprocess.test_register import turned

SHAPE = (60, 72, 58)
T2W_AXES = turned(2, 7) @ np.diag([1.7, 1.6, 1.8])


def offset() -> np.ndarray:
    """Rigid, T2w mm to T1w mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = turned(2, 6) @ turned(0, -4) @ turned(1, 5)
    matrix[:3, 3] = (4, -6, 3)
    return matrix


def t2w() -> tuple[Volume, np.ndarray]:
    affine = centred(SHAPE, T2W_AXES)
    mm = grid(SHAPE, affine)
    noise = np.random.default_rng(3).normal(0, 1, SHAPE)
    return Volume(intensity(mm) * brain(mm) + noise, affine), brain(mm)


def t1w(shape: tuple[int, int, int], affine: np.ndarray, to_t2w: np.ndarray) -> Volume:
    """Dark where T2w is bright, under a bias field of its own, in a bright scalp."""
    place = grid(shape, affine)
    mm = place @ to_t2w[:3, :3].T + to_t2w[:3, 3]
    head = ((mm / 62) ** 2).sum(axis=-1) <= 1
    field = np.exp(0.15 * place[..., 1] / 50)
    noise = np.random.default_rng(4).normal(0, 1, shape)
    return Volume(np.where(brain(mm), (260 - intensity(mm)) * field, 190 * head) + noise, affine)


def test_known_offset_on_another_grid_is_found_and_the_mask_follows() -> None:
    scan, inside = t2w()
    shape = (66, 70, 76)
    other = t1w(shape, centred(shape, np.diag([1.9, 2.1, 1.7])), np.linalg.inv(offset()))
    found, moved = align(scan, inside, other, "T1w")
    assert moved
    mm = grid(SHAPE, scan.affine)[inside]
    difference = found - offset()
    assert np.linalg.norm(mm @ difference[:3, :3].T + difference[:3, 3], axis=1).max() < 0.5
    assert np.allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), atol=1e-6)
    mask = carried(Volume(inside.astype(np.float32), scan.affine), other, found)
    back = np.linalg.inv(offset())
    true = brain(grid(shape, other.affine) @ back[:3, :3].T + back[:3, 3])
    assert np.count_nonzero(mask & true) > 0.97 * max(np.count_nonzero(mask), np.count_nonzero(true))


def test_headers_that_hold_are_kept_and_nothing_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "rigid", lambda *_: pytest.fail("registered"))
    scan, inside = t2w()
    found, moved = align(scan, inside, t1w(SHAPE, scan.affine, np.eye(4)), "T1w")
    assert np.array_equal(found, np.eye(4))
    assert not moved


def test_one_grid_alone_is_not_believed() -> None:
    scan, inside = t2w()
    shift = np.eye(4)
    shift[:3, 3] = (0, 5, -3)  # the head moved between the two, the header does not say so
    found, moved = align(scan, inside, t1w(SHAPE, scan.affine, np.linalg.inv(shift)), "T1w")
    assert moved
    assert np.allclose(found[:3, 3], (0, 5, -3), atol=0.5)


def test_another_head_and_a_cut_one_are_refused() -> None:
    scan, inside = t2w()
    stranger = scan.with_data(np.random.default_rng(5).normal(100, 20, SHAPE))
    with pytest.raises(PrepareError, match="T1w: no rigid match with the T2w inside the brain"):
        align(scan, inside, stranger, "T1w")
    whole = t1w(SHAPE, scan.affine, np.eye(4))
    cut = Volume(whole.data[:, :, :40], whole.affine)
    with pytest.raises(PrepareError, match=r"T1w: covers \d\d% of the brain; expected 95% or more"):
        align(scan, inside, cut, "T1w")
