"""The other scanner changes contrast, sharpness, shading and noise, each by as much as asked."""

from __future__ import annotations

import numpy as np
import pytest

from core.demo.site import SiteShift, shifted
from core.demo.subject import DemoError
from core.io.volume import Volume

NOTHING = SiteShift(gamma=1, blur_mm=0, shading=0, noise=0)
SHAPE = (20, 28, 36)


def phantom() -> tuple[Volume, Volume]:
    """A brain of 500 with a block of 1000, in air of 0; 1 × 2 × 1.5 mm."""
    data = np.zeros(SHAPE, np.float32)
    data[3:-3, 3:-3, 3:-3] = 500
    data[8:12, 8:20, 8:20] = 1000
    affine = np.array([[1.0, 0, 0, -5], [0, 2, 0, 3], [0, 0, 1.5, 0], [0, 0, 0, 1]])
    return Volume(data, affine), Volume((data > 0).astype(np.float32), affine)


def test_nothing_asked_nothing_done() -> None:
    volume, mask = phantom()
    assert shifted(volume, mask, NOTHING, np.random.default_rng(0)).data == pytest.approx(
        volume.data, rel=1e-5
    )


def test_gamma_darkens_tissue_against_fluid() -> None:
    volume, mask = phantom()
    found = shifted(volume, mask, SiteShift(2, 0, 0, 20, 0), np.random.default_rng(0)).data
    assert found[10, 10, 10] == pytest.approx(1000, rel=1e-4)
    assert found[4, 4, 4] == pytest.approx(1000 * 0.25, rel=1e-4)


def test_blur_is_in_millimetres() -> None:
    volume, mask = phantom()
    found = shifted(volume, mask, SiteShift(1, 1.5, 0, 20, 0), np.random.default_rng(0)).data
    # Across an edge the profile is a Gaussian's integral: half-way at the edge, wherever voxels differ.
    edge = (found[7, 14, 14] + found[8, 14, 14]) / 2
    assert edge == pytest.approx(750, rel=0.03)
    assert found[10, 14, 14] > found[8, 14, 14] > found[7, 14, 14]


def test_shading_keeps_within_its_bound_and_noise_has_its_size() -> None:
    volume, mask = phantom()
    inside = mask.data > 0
    shaded = shifted(volume, mask, SiteShift(1, 0, 0.2, 20, 0), np.random.default_rng(0)).data
    ratio = shaded[inside] / volume.data[inside]
    assert np.abs(ratio - 1).max() <= 0.2 + 1e-5
    assert ratio.std() > 0.01
    noisy = shifted(volume, mask, SiteShift(1, 0, 0, 20, 0.03), np.random.default_rng(0)).data
    assert (noisy - volume.data)[inside].std() == pytest.approx(30, rel=0.1)
    assert not noisy[~inside].any()


def test_the_generator_decides() -> None:
    volume, mask = phantom()
    one, same = (shifted(volume, mask, SiteShift(), np.random.default_rng(4)).data for _ in range(2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, shifted(volume, mask, SiteShift(), np.random.default_rng(5)).data)


def test_what_can_not_be_is_refused() -> None:
    with pytest.raises(DemoError, match="gamma is 0; expected more than 0"):
        SiteShift(gamma=0)
    with pytest.raises(DemoError, match="noise is -1; expected 0 or more"):
        SiteShift(noise=-1)
    volume, mask = phantom()
    with pytest.raises(DemoError, match="mask is empty"):
        shifted(volume, mask.with_data(np.zeros(SHAPE, np.float32)), SiteShift(), np.random.default_rng(0))
