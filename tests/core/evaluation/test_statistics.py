"""Intervals and tests, against values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluation.statistics import EvaluationError, bootstrap, holm, mann_whitney, mean_estimate


def test_holm_worked_by_hand() -> None:
    # Sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04; never falling: .04 .06 .06 .06.
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1.0, 1.0])
    assert holm([]).size == 0


@pytest.mark.parametrize("bad", [[1.1], [-0.1], [float("nan")]])
def test_holm_refuses_what_is_no_p(bad: list[float]) -> None:
    with pytest.raises(EvaluationError, match="expected a list of numbers from 0 to 1"):
        holm(bad)


def test_mann_whitney_of_groups_apart() -> None:
    # All 3 × 3 pairs rise, so the chance is 1 and, exactly, p = 2 / C(6, 3) = 0.1.
    p, chance = mann_whitney([1, 2, 3], [4, 5, 6])
    assert p == pytest.approx(0.1)
    assert chance == 1.0
    assert mann_whitney([4, 5, 6], [1, 2, 3])[1] == 0.0
    assert mann_whitney([1, 2], [1, 2])[1] == 0.5
    with pytest.raises(EvaluationError, match="0 against 2"):
        mann_whitney([], [1, 2])


def test_bootstrap_is_seeded_and_starts_from_the_value_itself() -> None:
    values = [1.03, 2.2, 2.77, 3.5, 5.1, 9.4]
    one, again, other = (mean_estimate(values, seed) for seed in (3, 3, 4))
    assert one == again
    assert one.value == other.value == pytest.approx(4.0)
    assert one != other
    assert 1.03 < one.low < 4.0 < one.high < 9.4


def test_bootstrap_resamples_each_stratum_by_itself() -> None:
    # The smaller stratum always has two members, so its share never moves.
    share = bootstrap(lambda i, j: j.size / (i.size + j.size), [6, 2], seed=0)
    assert share == (0.25, 0.25, 0.25)
    with pytest.raises(EvaluationError, match=r"groups of \[6, 0\]"):
        bootstrap(lambda i, j: 0.0, [6, 0], seed=0)


def test_bootstrap_interval_covers_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for number in range(200):
        found = mean_estimate(rng.normal(0, 1, 40), number, draws=200)
        hits += found.low <= 0 <= found.high
    assert 0.88 <= hits / 200 <= 0.98


def test_nan_is_left_out_and_no_value_gives_nan() -> None:
    assert mean_estimate([1.0, float("nan"), 3.0], 0).value == 2.0
    assert np.isnan(mean_estimate([float("nan")], 0)).all()
    # Half of the draws of one of two members: those that are NaN don't count.
    found = bootstrap(lambda i: float("nan") if i[0] == 1 else 1.0, [2], seed=0)
    assert found == (1.0, 1.0, 1.0)
