"""Thresholds of |z| chosen on implants, each normal left out of what it is scored against."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from core.anomaly.detector import fit_detector, score
from core.anomaly.left_out import left_out_detectors
from core.anomaly.normative import Normative, fit_normative
from core.anomaly.residual import Array, Mask, normative_z
from core.anomaly.views import NormalScan
from core.evaluation.baselines import HELD_OUT, TRAINING, VOLUME, Cube, Normalisation, Scorer
from core.evaluation.implants import KINDS, implant
from core.evaluation.statistics import EvaluationError
from core.evaluation.thresholds import assigned, choose, chosen, dice_at, left_out

SHAPE = (30, 34, 28)
PLAIN = 0.35


def brain(seed: int, shift: float = 0.0) -> Cube:
    """Dark ribbon, brighter white matter, fluid in the middle; 4 mm voxels."""
    axes = np.meshgrid(*(np.linspace(-1.1, 1.1, n) for n in SHAPE), indexing="ij")
    radius = np.sqrt(np.sum(np.square(axes), axis=0))
    mask = radius < 1
    x = np.where(radius > 0.8, 0.2, PLAIN) + np.random.default_rng(seed).normal(0, 0.01, SHAPE) + shift
    x = np.where(radius < 0.25, 0.8, x)
    return Cube(np.where(mask, x, 0).astype(np.float32), mask, np.diag([4.0, 4, 4, 1]), np.eye(4), f"k{seed}")


class Template:
    """Residual against a noiseless brain; counts its calls."""

    def __init__(self, gain: float = 1.0) -> None:
        self.calls = 0
        self.gain = gain
        noiseless = brain(0)
        axes = np.meshgrid(*(np.linspace(-1.1, 1.1, n) for n in SHAPE), indexing="ij")
        radius = np.sqrt(np.sum(np.square(axes), axis=0))
        expected = np.where(radius < 0.25, 0.8, np.where(radius > 0.8, 0.2, PLAIN))
        self.expected = np.where(noiseless.mask, expected, 0).astype(np.float32)

    def __call__(self, x: Array, mask: Mask) -> Array:
        self.calls += 1
        return np.asarray(self.gain * (x - self.expected) * mask, np.float32)


def give(one: Normalisation) -> Normalisation:
    return one


def scorer(residual: Template, **maps: Normative | None) -> Scorer:
    return Scorer("fake", "key", True, residual, {name: partial(give, m) for name, m in maps.items()})


def flat(sd: float) -> Normative:
    """Mean 0 and one SD everywhere; its list of MSEs says that it knows none of the normals."""
    brain_mask = brain(0).mask
    values = np.where(brain_mask, sd, 0).astype(np.float32)
    return Normative(0 * values, values, 9, 4.0, 0.0, validation={"mse": np.full(9, 99.0)})


def test_kinds_take_turns() -> None:
    pairs = assigned(9)
    assert Counter(normal for normal, _ in pairs) == dict.fromkeys(range(9), 4)
    assert Counter(kind for _, kind in pairs) == dict.fromkeys(KINDS, 4)
    assert all(len({kind for normal, kind in pairs if normal == one}) == 4 for one in range(9))
    assert assigned(9) == pairs != assigned(9, seed=1)


def test_the_threshold_follows_the_maps_scale() -> None:
    cubes = [brain(seed) for seed in range(3)]
    found = choose(scorer(Template(), normative=flat(0.02), volume=None), cubes)
    assert (found["implants"], found["normals"]) == (12, 3)
    coarse = choose(scorer(Template(), normative=flat(0.04)), cubes)
    z, half = found["maps"]["normative"]["z"], coarse["maps"]["normative"]["z"]
    # Noise of 0.01 is 0.5 SD; the lesions' changes are five SD and more.
    assert 1.0 < z < 10
    assert half == pytest.approx(z / 2, abs=0.02)
    assert found["maps"]["normative"]["dice"] == pytest.approx(coarse["maps"]["normative"]["dice"], abs=0.02)
    assert found["maps"]["normative"]["dice"] > 0.5
    assert set(found["maps"]) == {"normative", "volume"}


def test_no_other_threshold_is_better_on_the_same_implants() -> None:
    cubes = [brain(seed) for seed in range(3)]
    found = choose(scorer(Template(), normative=flat(0.02)), cubes, each=1)["maps"]["normative"]
    made = [implant(cubes[normal], kind, normal) for normal, kind in assigned(3, each=1)]

    def mean_dice(z: float) -> float:
        dices = []
        for one in made:
            flagged = np.abs(Template()(one.cube.x, one.cube.mask) / np.float32(0.02)) >= z
            truth = one.labels > 0
            dices.append(2 * int((flagged & truth).sum()) / int(flagged.sum() + truth.sum()))
        return float(np.mean(dices))

    assert mean_dice(found["z"]) == pytest.approx(found["dice"], abs=1e-3)
    assert found["dice"] >= max(mean_dice(z) for z in np.arange(0.5, 15, 0.25).tolist()) - 1e-3


def test_a_normative_map_of_these_normals_is_fitted_again_without_each() -> None:
    cubes = [brain(0), brain(1), brain(2), brain(3, shift=0.1)]
    residuals = [Template()(cube.x, cube.mask) for cube in cubes]
    masks = [cube.mask for cube in cubes]
    fitted, without = fit_normative(residuals, masks, 4.0, 2.0)
    own = replace(fitted, validation={"mse": np.array([float(np.mean(one**2)) for one in residuals])})
    for model in (fitted, own):
        scores = left_out(HELD_OUT, model, cubes, residuals)
        for score_one, cube, residual, alone in zip(scores, cubes, residuals, without, strict=True):
            np.testing.assert_array_equal(score_one(cube, residual), normative_z(residual, alone, cube.mask))
    # The odd one stands out against the others, more than against a map that it is part of.
    inside = cubes[3].mask
    with_it = np.abs(normative_z(residuals[3], fitted, inside)[inside]).mean()
    assert (
        np.abs(left_out(HELD_OUT, fitted, cubes, residuals)[3](cubes[3], residuals[3])[inside]).mean()
        > with_it
    )
    # Training normals and another site's hold none of them.
    other = replace(fitted, validation={"mse": np.full(4, 1.0)})
    for name, model in ((TRAINING, fitted), (HELD_OUT, other)):
        for score_one, cube, residual in zip(
            left_out(name, model, cubes, residuals), cubes, residuals, strict=True
        ):
            np.testing.assert_array_equal(score_one(cube, residual), normative_z(residual, model, cube.mask))


def test_a_detector_does_not_know_the_lesions_own_normal() -> None:
    cubes = [brain(seed) for seed in range(4)]
    # In another order than the held-out normals: they are known by their voxels.
    normals = [NormalScan(one.x, one.mask) for one in cubes[::-1]]
    detector, _ = fit_detector(normals, 4.0)
    scores = left_out("fused", detector, [*cubes, brain(9)], [])
    made = implant(cubes[0], "punctate_bright", 0)
    residual = np.zeros(SHAPE, np.float32)
    alone = scores[0](made.cube, residual)
    # As if the library had never held it, but for scales and tail.
    blind = left_out_detectors(detector, 4)[3]
    others = replace(blind, library=fit_detector(normals[:3], 4.0)[0].library)
    np.testing.assert_array_equal(alone, score(others, made.cube.x, made.cube.mask))
    assert not np.array_equal(alone, scores[1](made.cube, residual))
    # A scan that is none of them is scored by the detector as it is.
    stranger = implant(brain(9), "punctate_bright", 0).cube
    np.testing.assert_array_equal(scores[4](stranger, residual), score(detector, stranger.x, stranger.mask))


def test_where_nothing_can_be_chosen_it_says_why() -> None:
    cubes = [brain(seed) for seed in range(3)]
    with pytest.raises(EvaluationError, match="2 validation normals; 3 or more are needed"):
        choose(scorer(Template(), volume=None), cubes[:2])
    two = replace(scorer(Template(), volume=None), channels=("T2w", "T1w"))
    with pytest.raises(EvaluationError, match="into the T2w alone, fake sees T2w and T1w"):
        choose(two, cubes)
    small = [replace(cube, affine=np.diag([0.5, 0.5, 0.5, 1])) for cube in cubes]
    with pytest.raises(EvaluationError, match=r"no lesion could be implanted .*: no voxel lies 18 mm below"):
        choose(scorer(Template(), volume=None), small)


def test_a_map_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    cubes = [brain(seed) for seed in range(3)]
    wrong = Normative(np.zeros((4, 5, 6), np.float32), np.ones((4, 5, 6), np.float32), 9, 4.0, 0.0)
    one = scorer(Template(), volume=None, normative_train=wrong)
    found = chosen(one, ["a", "b", "c"], lambda: cubes, tmp_path)
    assert found["volume"].z > 0
    assert np.isnan(found["normative_train"].z)
    assert "normative model (4, 5, 6); expected the same" in found["normative_train"].source
    assert str(chosen(one, ["a", "b", "c"], lambda: [], tmp_path)) == str(found)


def test_a_choice_is_cached_by_content(tmp_path: Path) -> None:
    cubes, residual = [brain(seed) for seed in range(3)], Template()
    one = scorer(residual, **{VOLUME: None})
    first = chosen(one, ["a", "b", "c"], lambda: cubes, tmp_path)
    calls = residual.calls
    assert calls == 3 + 12
    assert first[VOLUME].source == "12 implants in 3 validation normals"
    assert chosen(one, ["a", "b", "c"], lambda: [], tmp_path) == first
    assert residual.calls == calls
    chosen(one, ["a", "b", "d"], lambda: cubes, tmp_path)
    chosen(replace(one, key="other"), ["a", "b", "c"], lambda: cubes, tmp_path)
    assert residual.calls == 3 * calls


def test_dice_at_an_absent_threshold_is_absent() -> None:
    assert np.isnan(dice_at([[0, 1], [1, 0]], float("nan")))
    assert dice_at([[0, 1], [1, 0]], 0.02) == 1.0
    assert dice_at([[0, 1], [1, 0]], 50.0) == 1.0, "the last bin is open"
