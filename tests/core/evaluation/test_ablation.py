"""Ideas compared on implants: every one has its row, and the choice of how maps are joined."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from core.anomaly.deformed import DeformedView, deformed_maps, fit_deformed, small_log
from core.anomaly.detector import fit_detector
from core.anomaly.fusion import POWERS
from core.anomaly.residual import Array
from core.anomaly.views import NormalScan
from core.evaluation.ablation import ablate, choose_power
from core.evaluation.ablation_networks import Network
from core.evaluation.ablation_trials import Line
from core.evaluation.implants import KINDS
from tests.core.evaluation.ablation_fakes import brain

IDEAS = {
    *("none", "normative z", "standardisation", "SD floor", "age", "fluid left out", "principal components"),
    *("deformable registration", "patches of normals", "restoration", "autoencoder", "latent samples"),
    *("ensemble", "edge suppression", "refined", "masked", "scales", "joined"),
}


def test_every_power_is_tried_on_every_kind() -> None:
    cubes = [brain(seed) for seed in range(3)]
    detector, views = fit_detector([NormalScan(one.x, one.mask) for one in cubes], 4.0)
    found = choose_power(detector, views, cubes, None)
    assert set(found) == set(POWERS)
    chance = np.mean([0.02] * len(KINDS))
    assert all(chance < value <= 1 for value in found.values())


def test_an_implant_is_deformed_by_the_view_that_does_not_know_its_normal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kind in [kind for kind in KINDS if kind != "diffuse_white_matter"]:
        monkeypatch.delitem(KINDS, kind)
    cubes = [brain(seed) for seed in range(3)]
    fit = fit_deformed([small_log(one.x, one.mask, 4.0) for one in cubes], [], 4.0, 2.0)
    detector, views = fit_detector([NormalScan(one.x, one.mask) for one in cubes], 4.0, deformed=fit)
    seen: list[DeformedView] = []

    def spy(views: list[DeformedView], *rest: object) -> Iterator[Array]:
        seen.extend(views)
        return deformed_maps(views, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("core.evaluation.ablation.deformed_maps", spy)
    with_it = choose_power(detector, views, cubes, None, deformed=fit)
    assert [next(i for i, own in enumerate(fit.left_out) if own is view) for view in seen] == [0, 1, 2]
    plain, plain_views = fit_detector([NormalScan(one.x, one.mask) for one in cubes], 4.0)
    without_it = choose_power(plain, plain_views, cubes, None)
    assert set(with_it) == set(without_it) == set(POWERS)
    assert all(0.02 < value <= 1 for value in with_it.values())
    assert with_it != without_it


def network(label: str, kind: str, gain: float) -> Network:
    """Draws every voxel of the brain towards 0.35 by ``gain``; a VAE's samples are noisy."""

    def reconstruct(x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x + gain * (0.35 - x), 0).astype(np.float32)

    def samples(x: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        drawn = [reconstruct(x) + rng.normal(0, 0.02, x.shape) for _ in range(count)]
        return np.asarray(np.mean(drawn, axis=0), np.float32), np.asarray(
            np.std(drawn, axis=0, ddof=1), np.float32
        )

    return Network(label, kind, reconstruct, samples if kind == "vae" else None)  # type: ignore[arg-type]


def test_every_idea_has_a_row_once_and_progress_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in [kind for kind in KINDS if kind != "cyst"]:
        monkeypatch.delitem(KINDS, kind)
    ages = ([38.0, 40.0, 42.0, 39.0], [40.0, 41.0, 39.0])
    networks = [
        network("restorer", "restorer", 0.9),
        network("candidate", "restorer", 0.5),
        network("std", "ae", 0.8),
        network("vae", "vae", 0.7),
    ]
    told: list[tuple[str, float]] = []
    lines: list[Line] = []
    table = ablate(
        [brain(seed) for seed in range(10, 14)],
        [brain(seed) for seed in range(3)],
        networks,
        0,
        ages,
        syn=True,
        progress=lambda what, fraction: told.append((what, fraction)),
        told=lines.append,
    )
    assert set(table["idea"]) == IDEAS
    assert table["score"].is_unique
    assert {line["score"] for line in lines} == set(table["score"])
    assert table["ap"].between(0, 1).all()
    assert table["ap"].is_monotonic_decreasing
    for what in ("SyN to the mean", "16 samples, residual over their SD", "SD over 2 autoencoders"):
        assert table["score"].str.contains(what).any(), what
    for label in ("restorer", "candidate"):
        assert f"{label} × non-local, quadratic mean" in set(table["score"])
    assert "restorer × log intensity after SyN, quadratic mean" in set(table["score"])
    # Only the first of a kind is tried in more ways.
    assert not table["score"].str.contains("candidate, log residual, refined").any()
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)
    assert 0.85 < fractions[-1] <= 0.99
    assert len({what for what, _ in told}) > 40


def test_no_network_and_no_ages_leave_rows_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in [kind for kind in KINDS if kind != "cyst"]:
        monkeypatch.delitem(KINDS, kind)
    cubes = [brain(seed) for seed in range(7)]
    table = ablate(cubes[3:], cubes[:3], [], 0, ([None] * 4, [None] * 3))
    left = {"age", "deformable registration", "restoration", "autoencoder", "latent samples", "ensemble"}
    assert set(table["idea"]) == IDEAS - left - {"edge suppression", "refined", "masked"}
    assert "log intensity × non-local, each the largest of its scales, quadratic mean" in set(table["score"])
