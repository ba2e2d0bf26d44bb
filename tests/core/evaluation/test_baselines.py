"""Scores without a network, on cubes whose values are known."""

from __future__ import annotations

import numpy as np
import pytest

from core.anomaly.normative import Normative
from core.anomaly.residual import AnomalyError
from core.evaluation.baselines import (
    Cube,
    baseline_scorers,
    fit_components,
    log_intensity,
    network_scorer,
)
from core.evaluation.statistics import EvaluationError
from core.predictor import Predictor
from core.preprocess.pipeline import PrepareSettings
from tests.core.evaluation.fakes import block, cube


def test_log_intensity() -> None:
    x = np.array([0.0, 0.1, 0.2, 0.4, 0.8, 9.0], np.float32).reshape(6, 1, 1)
    mask = np.array([1, 1, 1, 1, 1, 0], bool).reshape(6, 1, 1)
    # Median 0.2; log 1/2 and log 2 stay, log 4 is above 0.9, 0 becomes the lower end, outside stays 0.
    expected = [-1.2, np.log(0.5), 0, np.log(2), 0.9, 0]
    np.testing.assert_allclose(log_intensity(x, mask).ravel(), expected, rtol=1e-5, atol=1e-6)


def test_log_intensity_needs_a_brain() -> None:
    x = np.zeros((3, 4, 5), np.float32)
    with pytest.raises(AnomalyError, match="empty"):
        log_intensity(x, x > 0)
    with pytest.raises(AnomalyError, match="median intensity is 0"):
        log_intensity(x, x == 0)


def ramps(weights: list[tuple[float, float]]) -> list[Cube]:
    """Cubes that are sums of two ramps, so of two components and no more."""
    i, j, k = np.meshgrid(*(np.linspace(0, 1, n) for n in (6, 6, 6)), indexing="ij")
    mask = np.ones(i.shape, bool)
    return [
        Cube((0.3 + a * i + b * j * k).astype(np.float32), mask, np.eye(4), np.eye(4), "") for a, b in weights
    ]


def test_components_rebuild_what_lies_in_their_span_and_nothing_else() -> None:
    normals = ramps([(0.1, 0.0), (0.3, 0.2), (0.0, 0.4), (0.2, 0.1)])
    fitted = fit_components(normals, 32)
    assert fitted.basis.shape == (2, 216)
    np.testing.assert_allclose(fitted.basis @ fitted.basis.T, np.eye(2), atol=1e-5)
    (unseen,) = ramps([(0.05, 0.5)])
    np.testing.assert_allclose(fitted.reconstruct(unseen.x), unseen.x, atol=1e-5)
    odd = unseen.x.copy()
    odd[3, 3, 3] += 0.5
    # One voxel of 216 is nearly all residual.
    assert 0.45 < (odd - fitted.reconstruct(odd))[3, 3, 3] <= 0.5
    assert fit_components(normals, 1).basis.shape == (1, 216)
    with pytest.raises(EvaluationError, match="1 normals; expected 2 or more"):
        fit_components(normals[:1])


def test_baselines_fit_when_asked_and_on_what_they_say() -> None:
    read: list[str] = []

    def training() -> list[Cube]:
        read.append("train")
        return [cube(n) for n in range(6)]

    def held_out() -> list[Cube]:
        read.append("validation")
        return [cube(n) for n in range(10, 14)]

    scorers = {one.name: one for one in baseline_scorers(training, held_out, "k")}
    assert read == []
    assert {name: list(one.maps) for name, one in scorers.items()} == {
        "identity": ["volume"],
        "intensity": ["volume", "normative", "normative_train"],
        "log_intensity": ["volume", "normative", "normative_train", "fused"],
        "pca": ["volume", "normative"],
    }
    assert {name for name, one in scorers.items() if one.rebuilds} == {"identity", "pca"}
    fitted = scorers["intensity"].maps["normative"]()
    assert isinstance(fitted, Normative)
    assert (fitted.n, read) == (4, ["validation"])
    assert scorers["intensity"].maps["normative"]() is fitted, "once"
    on_training = scorers["intensity"].maps["normative_train"]()
    assert isinstance(on_training, Normative)
    assert on_training.n == 6
    scan = cube(30, lesion=0.3)
    assert not scorers["identity"].residual(scan.x, scan.mask).any()
    np.testing.assert_array_equal(scorers["intensity"].residual(scan.x, scan.mask), scan.x)
    left = scorers["pca"].residual(scan.x, scan.mask)
    assert left[block()].mean() > 0.2


def test_keys_follow_content() -> None:
    first, other = (
        {one.name: one.key for one in baseline_scorers(lambda: [], lambda: [], key)} for key in ("a", "b")
    )
    assert len(set(first.values())) == 4
    assert not set(first.values()) & set(other.values())


def test_a_network_is_its_residual_and_has_a_normative_map_once_calibrated() -> None:
    half = Predictor("std_8x8", "hash", PrepareSettings(cube=8), lambda x: np.asarray(x / 2, np.float32))
    scorer = network_scorer(half)
    x = np.full((8, 8, 8), 0.5, np.float32)
    np.testing.assert_allclose(scorer.residual(x, x > 0), 0.25)
    assert list(scorer.maps) == ["volume"]
    again = network_scorer(
        Predictor("std_8x8", "other", PrepareSettings(cube=8), lambda x: np.asarray(x / 2, np.float32))
    )
    assert again.key != scorer.key
