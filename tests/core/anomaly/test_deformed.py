"""Normals deformed onto their mean: folds that move are forgiven, a lesion is not, none knows itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.anomaly import deformed
from core.anomaly.deformed import (
    DeformedFit,
    DeformedView,
    deform_factor,
    deformations,
    deformed_maps,
    deformed_z,
    fit_deformed,
    rounded,
    small_log,
    visible,
)
from core.anomaly.detector import fit_detector, score, views_of
from core.anomaly.detector_file import load_detector, save_detector
from core.anomaly.intensity import LOG_RANGE
from core.anomaly.library import fine
from core.anomaly.normative import Normative, fit_once
from core.anomaly.residual import AnomalyError, Array, Mask, normative_z
from core.anomaly.views import NormalScan
from core.preprocess.deform import Deformation
from core.preprocess.errors import PrepareError
from tests.core.preprocess.phantom import brain, centred, grid, intensity

SHAPE = (36, 44, 34)
MM = 3.0
AFFINE = centred(SHAPE, np.diag([MM] * 3))
LESION = (slice(22, 26), slice(26, 30), slice(18, 22))
# More than one voxel below the surface, where all maps know the normals.
DEEP = brain(grid(SHAPE, AFFINE) * 1.15)


def moved(seed: int) -> tuple[Array, Mask]:
    """The phantom, its anatomy shifted by up to 4 mm, smoothly and otherwise for each seed."""
    mm, rng = grid(SHAPE, AFFINE), np.random.default_rng(seed)
    shift = 2.5 * np.stack([np.sin(mm[..., a] / 18 + rng.uniform(0, 6)) for a in (1, 2, 0)], -1)
    inside = brain(mm + shift)
    x = np.where(inside, intensity(mm + shift) / 255, 0) + inside * rng.normal(0, 0.005, SHAPE)
    return np.clip(x, 0, 1).astype(np.float32), inside


def small(seed: int) -> tuple[Array, Mask]:
    return small_log(*moved(seed), MM)


@pytest.fixture(scope="module")
def fitted() -> DeformedFit:
    return fit_deformed([small(seed) for seed in range(5)], [], MM, 2.0)


def test_a_normal_is_less_odd_once_it_is_deformed_and_a_lesion_still_is(fitted: DeformedFit) -> None:
    normals = [small(seed) for seed in range(5)]
    plain = fit_once([log for log, _ in normals], [mask for _, mask in normals], MM, 2.0)
    x, mask = moved(20)
    before = normative_z(small_log(x, mask, MM)[0], plain, mask)
    after = deformed_z(fitted.view, x, mask, MM, 2.0)
    assert np.abs(after[DEEP]).mean() < 0.8 * np.abs(before[DEEP]).mean()
    assert not after[~mask].any()
    for value, sign in ((0.85, 1), (0.1, -1)):
        ill = x.copy()
        ill[LESION] = value
        z = deformed_z(fitted.view, ill, mask, MM, 2.0)
        assert np.median(sign * z[LESION]) > 4 * np.median(np.abs(z[DEEP]))
    # Free of the scanner's scale; a power of two, since registration answers to the last bit.
    np.testing.assert_array_equal(deformed_z(fitted.view, 8 * x, mask, MM, 2.0), after)


def test_a_held_out_normal_is_not_in_its_own_mean_and_sd(
    fitted: DeformedFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fitted.view.model.n == 5
    assert [view.model.n for view in fitted.left_out] == [4] * 5
    own = next(deformed_maps([fitted.left_out[2]], [small(2)], 2.0))
    np.testing.assert_array_equal(own, fitted.z[2])
    known = next(deformed_maps([fitted.view], [small(2)], 2.0))
    assert np.abs(known[DEEP]).mean() < 0.95 * np.abs(own[DEEP]).mean()
    # With enough others none of the held-out normals is fitted on.
    monkeypatch.setattr(deformed, "ENOUGH", 3)
    apart = fit_deformed([small(0)], [small(seed) for seed in (1, 2, 3)], MM, 2.0)
    assert apart.left_out[0] is apart.view
    assert apart.view.model.n == 3
    without_it = fit_deformed([small(5)], [small(seed) for seed in (1, 2, 3)], MM, 2.0)
    np.testing.assert_array_equal(without_it.view.model.mean, apart.view.model.mean)
    np.testing.assert_array_equal(without_it.view.template, apart.view.template)


def test_z_by_hand_where_nothing_is_deformed(monkeypatch: pytest.MonkeyPatch) -> None:
    def still(template: Array, inside: Mask, scan: Array, affine: np.ndarray) -> Deformation:
        assert affine[0, 0] == 2.0  # 1 mm scans on a grid of 2 mm
        offsets = np.zeros((*scan.shape, 3), np.float32)
        return Deformation(offsets, offsets)

    monkeypatch.setattr(deformed, "deform", still)
    shape = (3, 4, 5)
    inside = np.ones(shape, bool)
    model = Normative(np.full(shape, 0.25, np.float32), np.full(shape, 0.5, np.float32), 9, 2.0, 0.0)
    view = DeformedView(np.zeros(shape, np.float32), inside, model)
    log = np.zeros(shape, np.float32)
    log[1, 2, 3], log[2, 0, 4] = 0.5, -1.0
    x = fine(np.exp(log), 2, (6, 8, 10)) * 300
    z = next(deformed_maps([view], [small_log(x, x > 0, 1.0)], 0.0))
    assert z[1, 2, 3] == pytest.approx(0.5, abs=1e-4)  # (0.5 − 0.25) / 0.5
    assert z[2, 0, 4] == pytest.approx(-2.5, abs=1e-4)
    assert z[0, 0, 0] == pytest.approx(-0.5, abs=1e-4)
    assert deformed_z(view, x, x > 0, 1.0, 0.0).shape == x.shape


def test_finer_scans_are_deformed_near_two_millimetres() -> None:
    assert [deform_factor(mm) for mm in (3.0, 2.0, 1.5, 1.0, 0.75, 0.5)] == [1, 1, 1, 2, 3, 4]


def test_detector_joins_it_and_keeps_it_in_its_file(fitted: DeformedFit, tmp_path: Path) -> None:
    normals = [NormalScan(*moved(seed)) for seed in range(5)]
    plain, views = fit_detector(normals, MM)
    joined, with_it = fit_detector(normals, MM, deformed=fitted)
    assert len(plain.scales) == 2
    assert joined.scales[:2] == plain.scales
    assert len(joined.scales) == 3
    for before, after, z in zip(views, with_it, fitted.z, strict=True):
        np.testing.assert_array_equal(after.second, before.second)
        assert after.deformed_z is not None
        np.testing.assert_array_equal(after.deformed_z, z)
        assert before.deformed_z is None
    x, mask = moved(20)
    x[LESION] = 0.85
    z = score(joined, x, mask)
    assert z[LESION].mean() > 3
    for name, detector in (("plain", plain), ("joined", joined)):
        save_detector(detector, tmp_path / f"{name}.npz")
        read = load_detector(tmp_path / f"{name}.npz")
        assert (read.deformed is None) == (detector.deformed is None)
        np.testing.assert_array_equal(score(read, x, mask), score(detector, x, mask))
    # Without the view the detector is the one that it was before.
    blind = replace(joined, deformed=None, scales=plain.scales, tail=plain.tail)
    np.testing.assert_array_equal(score(blind, x, mask), score(plain, x, mask))
    with pytest.raises(AnomalyError, match="2 maps to join with 3 scales"):
        score(replace(joined, deformed=None), x, mask)
    with pytest.raises(AnomalyError, match="5 deformed normals of 4; expected the same"):
        fit_detector(normals[:4], MM, deformed=fitted)


def test_file_with_a_damaged_view_is_refused(fitted: DeformedFit, tmp_path: Path) -> None:
    detector, _ = fit_detector([NormalScan(*moved(seed)) for seed in range(5)], MM, deformed=fitted)
    path = tmp_path / "detector.npz"
    save_detector(detector, path)
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **arrays | {"deformed.levels.values": arrays["deformed.levels.values"][:1]})
    with pytest.raises(AnomalyError, match=r"deformed\.levels of 1 maps, expected 2"):
        load_detector(path)
    np.savez(path, **arrays | {"deformed.levels.values": arrays["deformed.levels.values"][:, :-1]})
    with pytest.raises(AnomalyError, match=r"deformed\.levels of shape"):
        load_detector(path)


def test_as_a_file_keeps_it_nothing_is_rounded_twice(fitted: DeformedFit) -> None:
    again = rounded(fitted.view)
    np.testing.assert_array_equal(again.template, fitted.view.template)
    np.testing.assert_array_equal(again.model.mean, fitted.view.model.mean)
    np.testing.assert_array_equal(again.model.sd, fitted.view.model.sd)


def test_what_failed_is_named(fitted: DeformedFit, monkeypatch: pytest.MonkeyPatch) -> None:
    log, mask = small(0)
    with pytest.raises(AnomalyError, match=r"scan has shape \(35, 44, 34\) where it is deformed"):
        next(deformed_maps([fitted.view], [(log[1:], mask[1:])], 2.0))
    with pytest.raises(AnomalyError, match="2 normals to deform onto their mean; expected 3 or more"):
        fit_deformed([small(0), small(1)], [], MM, 2.0)
    calls: list[int] = []

    def fails(template: Array, inside: Mask, scan: Array, affine: np.ndarray) -> Deformation:
        calls.append(1)
        if len(calls) == 2:
            raise PrepareError("deform: ANTs failed (no overlap)")
        return Deformation(*[np.zeros((*scan.shape, 3), np.float32)] * 2)

    monkeypatch.setattr(deformed, "deform", fails)
    with pytest.raises(AnomalyError, match=r"scan 2 of 3 can't be deformed .*ANTs failed \(no overlap\)"):
        fit_deformed([(log, mask)] * 3, [], MM, 2.0)
    calls.append(1)
    detector, _ = fit_detector([NormalScan(*moved(seed)) for seed in range(5)], MM, deformed=fitted)
    calls[:] = [1]
    with pytest.raises(AnomalyError, match="the scan can't be deformed onto the normals' mean"):
        views_of(detector, *moved(0))


def test_processes_give_the_same_deformations_in_order() -> None:
    scans = [visible(*small(seed)) for seed in range(3)]
    alone, shared = (list(deformations(scans[0], small(0)[1], scans[1:], AFFINE, jobs)) for jobs in (1, 2))
    for one, other in zip(alone, shared, strict=True):
        assert np.array_equal(one.pull, other.pull)
        assert np.array_equal(one.push, other.push)
    assert not np.array_equal(alone[0].pull, alone[1].pull)


def test_brain_is_positive_for_the_metric() -> None:
    mask = np.array([[[True, False]]])
    darkest = np.full((1, 1, 2), LOG_RANGE[0], np.float32)
    assert np.allclose(visible(darkest, mask), [[[0.1, 0]]])
