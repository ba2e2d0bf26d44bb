"""Landmark matching takes a monotone change of contrast back, and leaves lesions what they are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from core.preprocess.errors import PrepareError
from core.preprocess.harmonise import (
    PERCENTILES,
    check_landmarks,
    harmonised,
    landmarks,
    mean_landmarks,
)

SHAPE = (16, 24, 32)


def brain(seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    mask = np.zeros(SHAPE, bool)
    mask[2:-2, 3:-3, 4:-4] = True
    x = np.where(mask, rng.beta(2, 3, SHAPE), 0).astype(np.float32)
    return x, mask


def test_percentiles_are_of_the_brain_alone() -> None:
    x, mask = brain(0)
    x[mask] = np.linspace(0, 1, int(mask.sum()))
    assert landmarks(x, mask) == pytest.approx(np.array(PERCENTILES) / 100, abs=1e-4)


def test_another_scanners_contrast_is_taken_back() -> None:
    normals = [brain(seed) for seed in range(12)]
    target = mean_landmarks([landmarks(x, mask) for x, mask in normals])
    source = mean_landmarks([landmarks(x**1.7, mask) for x, mask in normals])
    x, mask = brain(99)
    back = harmonised(x**1.7, mask, (source, target))
    assert np.abs(x**1.7 - x)[mask].mean() > 0.1
    assert np.abs(back - x)[mask].mean() < 0.005
    assert not back[~mask].any()


def test_a_lesion_keeps_its_place_in_the_order_of_intensities() -> None:
    x, mask = brain(3)
    lesion = np.zeros(SHAPE, bool)
    lesion[5:8, 8:12, 10:15] = True
    x[lesion] = 0.97
    source = mean_landmarks([landmarks(brain(seed)[0] ** 0.6, mask) for seed in range(5)])
    target = mean_landmarks([landmarks(brain(seed)[0], mask) for seed in range(5)])
    back = harmonised(x**0.6, mask, (source, target))
    assert back[lesion].mean() == pytest.approx(0.97, abs=0.02)
    order = np.argsort(x[mask], kind="stable")
    assert (np.diff(back[mask][order]) >= -1e-6).all()


def test_without_landmarks_nothing_changes() -> None:
    x, mask = brain(1)
    assert harmonised(x, mask, ()) is x
    check_landmarks(())


def test_flat_stretches_still_give_a_map() -> None:
    flat = mean_landmarks([np.full(len(PERCENTILES), 0.5)])
    assert (np.diff(flat) > 0).all()
    check_landmarks((flat, flat))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (((0.1, 0.2), tuple(np.linspace(0, 1, 11))), "source has 2 values; expected 11"),
        ((tuple(np.linspace(0, 1, 11)), tuple(np.linspace(1, 0, 11))), "target has 11 values"),
    ],
)
def test_what_is_no_map_is_refused(given: object, message: str) -> None:
    with pytest.raises(PrepareError, match=message):
        check_landmarks(given)  # type: ignore[arg-type]


def test_empty_brains_are_refused() -> None:
    x, mask = brain(0)
    with pytest.raises(PrepareError, match="0 voxels; expected a brain"):
        landmarks(x, np.zeros_like(mask))
    with pytest.raises(PrepareError, match="no scan; expected some normals"):
        mean_landmarks([])
