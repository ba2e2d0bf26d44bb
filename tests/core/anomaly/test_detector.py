"""Two views joined: lesions found, normals calm, nothing seen of oneself, files as they were written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from core.anomaly.detector import Detector, fit_detector, matched, score
from core.anomaly.detector_file import load_detector, save_detector
from core.anomaly.intensity import log_intensity
from core.anomaly.library import build_library, coarse, fine, grid_factor, nonlocal_residual, picks
from core.anomaly.residual import AnomalyError, Array
from core.anomaly.views import NormalScan

SHAPE = (22, 26, 20)
BLOCK = (slice(8, 12), slice(10, 14), slice(8, 12))


def mask() -> np.ndarray:
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    return np.asarray(np.sum(np.square(axes), axis=0) < 0.95)


def texture(seed: int, sigma: float = 1.0) -> Array:
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(SHAPE), sigma)
    return np.asarray(noise / noise.std(), np.float32)


def scan(seed: int, lesion: float = 0.0, restored: bool = True) -> NormalScan:
    """Anatomy of its own, restored but for noise; a block ``lesion`` brighter, by factor e^lesion."""
    log = 0.1 * texture(seed)
    x_hat = 300 * np.exp(log + 0.03 * texture(1000 + seed, 1.5))
    log[BLOCK] += lesion
    inside = mask()
    x = np.where(inside, 300 * np.exp(log), 0).astype(np.float32)
    return NormalScan(x, inside, np.where(inside, x_hat, 0).astype(np.float32) if restored else None)


@pytest.fixture(scope="module")
def fitted() -> tuple[Detector, list[Array]]:
    more = [scan(seed, restored=False) for seed in (7, 8)]
    detector, views = fit_detector([scan(seed) for seed in range(6)], 2.0, more)
    return matched(detector, views, detector.power)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_lesion_stands_out_with_its_sign(fitted: tuple[Detector, list[Array]], sign: int) -> None:
    one = scan(20, 0.5 * sign)
    z = score(fitted[0], one.x, one.mask, one.x_hat)
    inside = np.zeros(SHAPE, bool)
    inside[BLOCK] = True
    assert (sign * z[BLOCK])[1:-1, 1:-1, 1:-1].min() > 3
    assert np.mean(np.abs(z[~inside & one.mask]) >= 3) < 0.03
    assert (z[~one.mask] == 0).all()
    assert one.x_hat is not None
    scaled = score(fitted[0], 7 * one.x, one.mask, 7 * one.x_hat)
    np.testing.assert_allclose(scaled, z, atol=2e-3)  # free of the scanner's scale


def test_bands_of_unseen_normals_hold_about_what_they_name(fitted: tuple[Detector, list[Array]]) -> None:
    left_out = np.concatenate([np.abs(z[mask()]) for z in fitted[1]])
    unseen = np.concatenate(
        [
            np.abs(score(fitted[0], one.x, one.mask, one.x_hat)[one.mask])
            for one in (scan(seed) for seed in range(30, 34))
        ]
    )
    for values in (left_out, unseen):
        assert 0.02 < np.mean(values >= 2) < 0.1  # 0.0455
        assert np.mean(values >= 4) < 0.002


def test_without_a_network_log_intensity_stands_in() -> None:
    normals = [scan(seed, restored=False) for seed in range(5)]
    detector, _ = fit_detector(normals, 2.0)
    assert detector.log_map is not None
    one = scan(20, 0.6, restored=False)
    z = score(detector, one.x, one.mask)
    assert np.unravel_index(np.abs(z).argmax(), SHAPE)[0] in range(7, 13)
    assert z[BLOCK].mean() > 3


def test_a_normal_is_not_matched_to_itself() -> None:
    logs = [log_intensity(scan(seed).x, mask()) for seed in range(4)]
    library = build_library(logs, [mask()] * 4)
    own, known = nonlocal_residual(logs[1], mask(), library)
    left_out, also = nonlocal_residual(logs[1], mask(), library, leave_out=1)
    np.testing.assert_array_equal(own, left_out)
    np.testing.assert_array_equal(known, also)
    assert np.abs(own).max() > 0.05


def test_library_keeps_log_intensity_to_a_byte() -> None:
    logs = [log_intensity(scan(seed).x, mask()) for seed in range(2)]
    logs[0][10, 10, 10] = -1.2
    library = build_library(logs, [mask(), mask() & (logs[1] > -0.2)])
    values, inside = library.normal(0)
    np.testing.assert_allclose(values, logs[0], atol=2.1 / 254 / 2 + 1e-6)
    np.testing.assert_array_equal(inside, mask())
    np.testing.assert_array_equal(library.normal(1)[1], mask() & (logs[1] > -0.2))


def test_fine_scans_are_matched_near_a_millimetre_and_a_half() -> None:
    assert [grid_factor(mm) for mm in (2.0, 1.5, 1.0, 0.75, 0.5)] == [1, 1, 1, 2, 3]
    values = np.arange(5 * 4 * 3, dtype=np.float32).reshape(5, 4, 3)
    inside = np.ones(values.shape, bool)
    inside[0, 0, 0] = False
    small, small_in = coarse(values, inside, 2)
    assert small.shape == (3, 2, 2)
    assert small[0, 0, 0] == pytest.approx(np.mean([1, 3, 4, 12, 13, 15, 16]))
    assert small_in[0, 0, 0]
    assert not small_in[2, 0, 1]  # two voxels of eight
    assert fine(small, 2, values.shape).shape == values.shape
    assert fine(small, 2, values.shape)[1, 1, 1] == small[0, 0, 0]


def test_powers_share_the_maps_and_change_the_tail() -> None:
    detector, views = fit_detector([scan(seed) for seed in range(4)], 2.0)
    geometric, left_out = matched(detector, views, 0)
    assert (geometric.power, geometric.scales) == (0, detector.scales)
    assert geometric.library is detector.library
    share = np.mean(np.abs(np.concatenate([z[mask()] for z in left_out])) >= 2)
    assert 0.02 < share < 0.1
    one = scan(20, 0.5)
    z = score(geometric, one.x, one.mask, one.x_hat)
    assert z[BLOCK].mean() > 3


def test_picks_fill_the_library_evenly() -> None:
    assert picks(9, list(range(80))) == [0, 13, 26, 40, 53, 66, 79]
    assert picks(3, [5, 6]) == [5, 6]
    assert picks(20, [1, 2, 3]) == []


def test_file_gives_the_same_z(fitted: tuple[Detector, list[Array]], tmp_path: Path) -> None:
    one, path = scan(20, 0.5), tmp_path / "detector.npz"
    save_detector(fitted[0], path)
    read = load_detector(path)
    before, after = (score(detector, one.x, one.mask, one.x_hat) for detector in (fitted[0], read))
    np.testing.assert_array_equal(after, before)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AnomalyError, match=r"detector.npz: .*expected a detector"):
        load_detector(path)


def test_wrong_input_is_named(fitted: tuple[Detector, list[Array]]) -> None:
    one = scan(0)
    with pytest.raises(AnomalyError, match="no restoration of the scan"):
        score(fitted[0], one.x, one.mask)
    with pytest.raises(AnomalyError, match="expected the same"):
        score(fitted[0], one.x[:-1], one.mask[:-1], one.x_hat)
    with pytest.raises(AnomalyError, match="2 held-out normals; expected 3 or more"):
        fit_detector([scan(0), scan(1)], 2.0)
    with pytest.raises(AnomalyError, match="expected all or none"):
        fit_detector([scan(0), scan(1), replace(scan(2), x_hat=None)], 2.0)


def spotted(seed: int, spot: float = 0.0) -> NormalScan:
    """A scan whose local contrast is noise, but for one voxel."""
    one = scan(seed)
    contrast = (0.02 * texture(2000 + seed, 0.7)).astype(np.float32)
    contrast[5, 8, 9] += spot
    return replace(one, contrast=np.where(one.mask, contrast, 0).astype(np.float32))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_spot_that_only_local_contrast_sees_stands_out(sign: int, tmp_path: Path) -> None:
    others = [(one.contrast, one.mask) for one in (spotted(seed) for seed in range(30, 36))]
    detector, views = fit_detector(
        [spotted(seed) for seed in range(5)],
        2.0,
        contrasts=[(contrast, inside) for contrast, inside in others if contrast is not None],
    )
    detector, left_out = matched(detector, views, 2.0)
    assert detector.fine is not None
    assert detector.fine.contrast_map.n == 11
    ill = spotted(20, 0.3 * sign)
    z = score(detector, ill.x, ill.mask, ill.x_hat, ill.contrast)
    assert np.argwhere(np.abs(z) == np.abs(z).max()).tolist() == [[5, 8, 9]]
    assert np.sign(z[5, 8, 9]) == sign
    without_it = score(replace(detector, fine=None), ill.x, ill.mask, ill.x_hat)
    assert abs(without_it[5, 8, 9]) < 3 < abs(z[5, 8, 9])
    # Bands still mean what they say: the larger of two z would be too large by itself.
    share = np.mean([np.mean(np.abs(one[mask()]) >= 2) for one in left_out])
    assert 0.03 < share < 0.07
    save_detector(detector, tmp_path / "detector.npz")
    read = load_detector(tmp_path / "detector.npz")
    np.testing.assert_array_equal(score(read, ill.x, ill.mask, ill.x_hat, ill.contrast), z)
    with pytest.raises(AnomalyError, match="no local contrast of the scan"):
        score(detector, ill.x, ill.mask, ill.x_hat)
    with pytest.raises(AnomalyError, match="expected"):
        score(detector, ill.x, ill.mask, ill.x_hat, np.zeros((3, 4, 5), np.float32))
