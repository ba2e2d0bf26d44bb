"""A planted receive field is found and divided out."""

from __future__ import annotations

import numpy as np
import pytest

from core.preprocess.bias import correct_bias, fit_steps
from core.preprocess.errors import PrepareError
from tests.core.preprocess.phantom import centred, phantom

SHAPE = (52, 62, 50)
AFFINE = centred(SHAPE, np.diag([1.9, 1.9, 1.9]))


@pytest.mark.parametrize("method", ["n4", "n3"])
def test_planted_field_shrinks(method: str) -> None:
    scan, mask = phantom(SHAPE, AFFINE)
    inside = mask.data > 0
    x, y, z = (np.linspace(-1, 1, n) for n in SHAPE)
    log_field = 0.35 * x[:, None, None] + 0.25 * (y**2)[None, :, None] - 0.2 * z[None, None, :]
    biased = scan.data * np.exp(log_field)
    corrected = correct_bias(biased, mask.data, AFFINE, method)
    # Against the same correction of the unbiased scan, since a method may also flatten anatomy.
    clean = correct_bias(scan.data, mask.data, AFFINE, method)
    left = np.log(corrected[inside]) - np.log(clean[inside])
    assert left.std() < 0.25 * log_field[inside].std()
    assert (corrected[inside] > 0).all()


def test_none_changes_nothing() -> None:
    data = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    assert np.array_equal(correct_bias(data, np.ones(data.shape), np.eye(4), "none"), data)


def test_field_is_sampled_at_most_five_millimetres_apart() -> None:
    assert fit_steps((100, 120, 100), np.array([1.0, 1.0, 1.0])) == (5, 5, 5)
    assert fit_steps((200, 240, 200), np.array([0.5, 0.5, 0.5])) == (10, 10, 10)
    assert fit_steps((130, 150, 20), np.array([0.8, 0.8, 5.0])) == (6, 6, 1)
    assert fit_steps((40, 48, 38), np.array([2.5, 2.5, 2.5])) == (2, 2, 2)
    assert fit_steps((24, 36, 60), np.array([1.0, 1.0, 1.0])) == (2, 3, 5)  # twelve are kept
    assert fit_steps((6, 6, 6), np.array([1.0, 1.0, 1.0])) == (1, 1, 1)


def test_mask_between_the_samples_is_still_seen() -> None:
    data = np.random.default_rng(0).uniform(90, 110, (60, 60, 60))
    mask = np.zeros(data.shape)
    mask[20:22, 20:22, 20:22] = 1  # samples are voxels 2, 7, 12, 17, 22
    assert np.isfinite(correct_bias(data, mask, np.eye(4), "n4")).all()


def test_refusals() -> None:
    data = np.ones((4, 5, 6))
    with pytest.raises(PrepareError, match="bias: 'N5'; expected one of n4, n3, none"):
        correct_bias(data, data, np.eye(4), "N5")
    with pytest.raises(PrepareError, match="no positive voxel in the brain mask"):
        correct_bias(-data, data, np.eye(4), "n4")
