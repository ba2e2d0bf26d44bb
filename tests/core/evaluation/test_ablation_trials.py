"""What ideas are tried on: trials, precision by kind, rows worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.anomaly.library import spread_over
from core.evaluation.ablation_trials import (
    Trial,
    bench_of,
    each,
    left_out,
    line_of,
    precisions,
    scaled,
    trial_precision,
)
from core.evaluation.implants import KINDS
from tests.core.evaluation.ablation_fakes import SHAPE, brain


@pytest.fixture
def _one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in [kind for kind in KINDS if kind != "haemorrhage"]:
        monkeypatch.delitem(KINDS, kind)


def test_precision_is_the_mean_over_kinds_not_over_trials() -> None:
    cube = brain(0)
    kinds = ["cyst", "cyst", "infarct", "normal"]
    cases = [Trial(kind, cube, None, 0) for kind in kinds]
    assert trial_precision([0.2, 0.4, 0.9, float("nan")], cases) == pytest.approx((0.3 + 0.9) / 2)


def test_a_map_that_is_the_lesion_scores_one_whatever_its_sign() -> None:
    cube = brain(0)
    labels = np.zeros(SHAPE, np.int64)
    labels[14:17, 16:18, 13:16] = 1
    lesion, normal = Trial("cyst", cube, labels, 0), Trial("normal", cube, None, 0)
    found = precisions([np.float32(-2) * (labels > 0), np.ones(SHAPE, np.float32)], [lesion, normal])
    assert found[0] == pytest.approx(1.0)
    assert np.isnan(found[1])


@pytest.mark.usefixtures("_one_kind")
def test_a_perfect_map_has_a_perfect_row() -> None:
    bench = bench_of([brain(9)], [brain(seed) for seed in range(3)], 0)
    assert [one.kind for one in bench.cases] == ["normal"] * 3 + ["haemorrhage"] * 3
    assert [one.normal for one in bench.cases] == [0, 1, 2, 0, 1, 2]
    noise = np.random.default_rng(0)
    maps = [
        noise.random(SHAPE, np.float32) + (0 if one.labels is None else 5 * (one.labels > 0))
        for one in bench.cases
    ]
    row = line_of("none", "truth", maps, bench.cases, 0)
    assert row["idea"] == "none"
    for name in ("ap", "ap_low", "ap_high", "haemorrhage", "sensitivity", "case_auc"):
        assert row[name] == pytest.approx(1.0), name
    assert row["normals"] == 3


@pytest.mark.usefixtures("_one_kind")
def test_no_trial_meets_its_own_normal() -> None:
    bench = bench_of([brain(9)], [brain(seed) for seed in range(4)], 0)
    # Normal 0 is the odd one out; in its own mean the z of its trials would be smaller.
    values = [
        np.random.default_rng(index).normal(0, 0.1, SHAPE).astype(np.float32) + 5 * (one.normal == 0)
        for index, one in enumerate(bench.cases)
    ]
    z = left_out(bench, values, 0.0)
    mask = bench.cases[0].cube.mask
    own = [float(np.median(z[index][mask])) for index in (0, 4)]  # the normal, and with a lesion in it
    assert min(own) > 20
    assert all(abs(float(np.median(z[index][mask]))) < 3 for index in (1, 2, 3, 5, 6, 7))


@pytest.mark.usefixtures("_one_kind")
def test_scaled_maps_share_their_percentile_in_normals() -> None:
    bench = bench_of([brain(9)], [brain(seed) for seed in range(3)], 0)
    rng = np.random.default_rng(1)
    maps = scaled(bench, [rng.normal(0, 7, SHAPE).astype(np.float32) for _ in bench.cases])
    pool = np.concatenate([np.abs(maps[index][bench.cases[index].cube.mask]) for index in range(3)])
    assert np.percentile(pool, 99.5) == pytest.approx(1.0, rel=1e-5)


def test_jobs_change_neither_order_nor_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in [kind for kind in KINDS if kind != "cyst"]:
        monkeypatch.delitem(KINDS, kind)
    assert list(each(lambda n: 10 * n, range(50), 4)) == [10 * n for n in range(50)]
    held_out = [brain(seed) for seed in range(3)]
    one, two = (bench_of([brain(9)], held_out, 0, jobs) for jobs in (1, 2))
    rng = np.random.default_rng(2)
    values = [rng.normal(0, 1, SHAPE).astype(np.float32) for _ in one.cases]
    maps = [left_out(bench, values, 4.0) for bench in (one, two)]
    assert all(np.array_equal(a, b) for a, b in zip(*maps, strict=True))
    rows = [line_of("none", "same", maps[0], one.cases, 0, jobs) for jobs in (1, 2)]
    assert rows[0] == rows[1]


def test_spread_takes_both_ends() -> None:
    assert spread_over(range(80), 3) == [0, 40, 79]
    assert spread_over(range(2), 15) == [0, 1]
