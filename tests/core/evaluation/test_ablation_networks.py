"""Several networks: sums that give back mean and SD, and division with a floor."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluation.ablation_networks import Network, add, ensemble_rows, over, residuals
from core.evaluation.ablation_trials import bench_of, left_out
from core.evaluation.implants import KINDS
from tests.core.evaluation.ablation_fakes import SHAPE, brain


def test_division_is_floored_at_a_share_of_the_median() -> None:
    mask = np.ones(SHAPE, bool)
    mask[0] = False
    spread = np.full(SHAPE, 2.0, np.float32)
    spread[5, 5, 5] = 0.1
    found = over(np.full(SHAPE, 3.0, np.float32), spread, mask)
    assert found[8, 8, 8] == pytest.approx(1.5)
    assert found[5, 5, 5] == pytest.approx(3 / 0.6, rel=1e-4)
    assert found[0, 0, 0] == 0


def test_ensemble_is_the_mean_and_sd_of_its_members(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in [kind for kind in KINDS if kind != "cyst"]:
        monkeypatch.delitem(KINDS, kind)
    bench = bench_of([brain(9)], [brain(seed) for seed in range(3)], 0)
    rng = np.random.default_rng(2)
    members = [[rng.normal(0, 0.1, SHAPE).astype(np.float32) for _ in bench.cases] for _ in range(3)]
    together = None
    for one in members:
        together = add(bench, together, one)
    assert together is not None
    rows = {name: maps for _, name, maps in ensemble_rows(bench, together)}
    assert next(iter(rows)) == "mean normative z of 3 autoencoders, σ 2 mm"
    z = [left_out(bench, one, 2.0) for one in members]
    expected = np.mean([one[4] for one in z], axis=0)
    assert np.allclose(rows["mean normative z of 3 autoencoders, σ 2 mm"][4], expected, atol=1e-4)
    spreads = [np.std([one[index] for one in members], axis=0, ddof=1) for index in range(len(bench.cases))]
    expected = left_out(bench, spreads, 2.0)[4]
    assert np.allclose(rows["SD over 3 autoencoders, normative z, σ 2 mm"][4], expected, atol=1e-3)


def test_residual_of_a_restorer_is_one_of_logarithms(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in [kind for kind in KINDS if kind != "cyst"]:
        monkeypatch.delitem(KINDS, kind)
    bench = bench_of([brain(9)], [brain(1)], 0)
    halves = [one.cube.x / np.float32(2) for one in bench.cases]
    at = (5, 17, 14)  # white matter
    assert bench.cases[0].cube.mask[at]
    restorer, plain = Network("a", "restorer", np.copy), Network("b", "ae", np.copy)
    assert residuals(bench, restorer, halves)[0][at] == pytest.approx(np.log(2), rel=1e-3)
    assert residuals(bench, plain, halves)[0][at] == pytest.approx(bench.cases[0].cube.x[at] / 2)
