"""Agreement statistics against published worked examples, by hand, and by what must not change them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from core.evaluation.agreement import coefficients, cohen_kappa, paradox, weights
from core.evaluation.ratings import MISSING, Ratings, confusion
from core.evaluation.resampling import Coefficient
from core.evaluation.statistics import EvaluationError


def from_table(table: list[list[int]]) -> Ratings:
    """Two readers' ratings that give this confusion table."""
    codes = [[a, b] for a, row in enumerate(table) for b, n in enumerate(row) for _ in range(n)]
    array = np.array(codes, np.int64)
    return Ratings(array, np.arange(len(array)), tuple(str(k) for k in range(len(table))))


def from_columns(rows: list[str], categories: str) -> Ratings:
    """One string a reader, one character an item, "." where none was given."""
    columns = [[MISSING if c == "." else categories.index(c) for c in row] for row in rows]
    array = np.array(columns, np.int64).T
    return Ratings(array, np.arange(len(array)), tuple(categories))


def from_rows(rows: Sequence[Sequence[str | None]], categories: Sequence[str]) -> Ratings:
    """One row an item, None where a reader gave nothing."""
    codes = [[MISSING if one is None else categories.index(one) for one in row] for row in rows]
    return Ratings(np.array(codes, np.int64), np.arange(len(rows)), tuple(categories))


def by_name(ratings: Ratings, ordinal: bool = False) -> dict[str, Coefficient]:
    return {one.name: one for one in coefficients(ratings, ordinal, seed=1, draws=0)}


def test_cohen_1960_table_1() -> None:
    # Cohen 1960, Table 1: two judges, three categories, N = 200; κ = .492.
    ratings = from_table([[88, 14, 18], [10, 40, 10], [2, 6, 12]])
    assert confusion(ratings).sum() == 200
    assert cohen_kappa(ratings, draws=0).value == pytest.approx(0.492, abs=5e-4)


# Landis and Koch 1977, Biometrics 33:159–174, Table 1 (Winnipeg patients, four ordered diagnoses of multiple
# sclerosis), with the weighted kappas that R's vcd and Agresti's Categorical Data Analysis give for it.
WINNIPEG = [[38, 5, 0, 1], [33, 11, 3, 0], [10, 14, 5, 6], [3, 7, 3, 10]]


@pytest.mark.parametrize(
    ("weighting", "published"), [("identity", 0.208), ("linear", 0.380), ("quadratic", 0.525)]
)
def test_landis_and_koch_1977(weighting: str, published: float) -> None:
    found = cohen_kappa(from_table(WINNIPEG), weighting=weighting, draws=0)  # type: ignore[arg-type]
    assert found.value == pytest.approx(published, abs=5e-4)


# Fleiss 1971, Table 1: 30 patients, six psychiatrists, five diagnoses; ratings by patient.
FLEISS = """444444 222555 233335 555555 222444 113333 333355 113334 114444 555555 144444 124444 222333 144444
 224445 333335 111455 111112 224444 133555 555555 244444 224555 114444 144445 222224 111155 224444 133333
 555555"""


def test_fleiss_1971() -> None:
    rows = [list(row) for row in FLEISS.split()]
    found = by_name(from_rows(rows, "12345"))
    # P̄ = .5556, κ = .430
    assert found["Percent agreement"].value == pytest.approx(0.5556, abs=5e-5)
    assert found["Fleiss' kappa"].value == pytest.approx(0.430, abs=5e-4)


# Krippendorff 2011, Computing Krippendorff's alpha-reliability, example C: four observers, twelve units,
# missing values. Gwet 2014 works the same ratings through (data set cac.raw4raters of his package irrCAC).
KRIPPENDORFF = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]


def test_krippendorff_2011() -> None:
    ratings = from_columns(KRIPPENDORFF, "12345")
    found = by_name(ratings, ordinal=True)
    assert found["Krippendorff's alpha"].value == pytest.approx(0.743, abs=5e-4)
    assert found["Krippendorff's alpha, ordinal"].value == pytest.approx(0.815, abs=5e-4)
    assert found["Krippendorff's alpha"].items == 11  # the last unit has one value


def test_gwet_2014() -> None:
    found = by_name(from_columns(KRIPPENDORFF, "12345"))
    assert found["Percent agreement"].value == pytest.approx(0.81818, abs=5e-6)
    assert found["Gwet's AC1"].value == pytest.approx(0.77544, abs=5e-6)
    assert found["Fleiss' kappa"].value == pytest.approx(0.76117, abs=5e-6)


def test_gwet_2014_three_diagnoses_of_two_abstractors() -> None:
    # Gwet's irrCAC, data set cont3x3abstractors: 100 patients; κ = .7964094, AC1 = .8493305.
    found = by_name(from_table([[13, 0, 0], [0, 20, 7], [0, 4, 56]]))
    assert found["Percent agreement"].value == pytest.approx(0.89)
    assert found["Cohen's kappa"].value == pytest.approx(0.7964094, abs=5e-8)
    assert found["Gwet's AC1"].value == pytest.approx(0.8493305, abs=5e-8)


def test_feinstein_and_cicchetti_1990() -> None:
    # Same agreement, other prevalence: κ = .70 and κ = .32. The second is the paradox, and is told of.
    even = coefficients(from_table([[40, 9], [6, 45]]), False, seed=1, draws=0)
    uneven = coefficients(from_table([[80, 10], [5, 5]]), False, seed=1, draws=0)
    assert [one.value for one in even[:2]] == pytest.approx([0.85, 0.70], abs=5e-3)
    assert [one.value for one in uneven[:2]] == pytest.approx([0.85, 0.32], abs=5e-3)
    assert paradox(even) == ""
    assert "85 % of pairs, yet kappa is 0.31" in paradox(uneven)


def test_ac2_by_hand() -> None:
    # Three ordered categories, quadratic weights 1, 3/4, 0; items (0,0), (0,1), (2,2): observed 2.75/3.
    # Shares 1/2, 1/6, 1/3; chance = (3 + 4·3/4)/(3·2) · (1/4 + 5/36 + 2/9) = 11/18.
    found = by_name(from_rows([["a", "a"], ["a", "b"], ["c", "c"]], "abc"), ordinal=True)
    expected = (2.75 / 3 - 11 / 18) / (1 - 11 / 18)
    assert found["Gwet's AC2, quadratic weights"].value == pytest.approx(expected)


@pytest.mark.parametrize("weighting", ["identity", "linear", "quadratic"])
def test_cohen_is_scikit_learns(weighting: str) -> None:
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 4, (60, 2))
    ratings = Ratings(codes, np.arange(60), tuple("abcd"))
    known = None if weighting == "identity" else weighting
    expected = cohen_kappa_score(codes[:, 0], codes[:, 1], weights=known, labels=range(4))
    found = cohen_kappa(ratings, weighting=weighting, draws=0)  # type: ignore[arg-type]
    assert found.value == pytest.approx(expected, abs=1e-12)


def sample(seed: int = 5, readers: int = 3) -> Ratings:
    """Ratings of 40 items in 10 scans, half agreed, some missing."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, (40, 1))
    codes = np.where(rng.random((40, readers)) < 0.5, truth, rng.integers(0, 3, (40, readers)))
    codes[rng.random(codes.shape) < 0.15] = MISSING
    return Ratings(codes, np.repeat(np.arange(10), 4), ("agree", "disagree", "unsure"))


@pytest.mark.parametrize("readers", [2, 3])
def test_names_of_categories_and_order_of_readers_change_nothing(readers: int) -> None:
    ratings = sample(readers=readers)
    renamed = np.array([2, 0, 1, MISSING])[ratings.codes]  # MISSING indexes the last
    before = coefficients(ratings, False, seed=2, draws=200)
    for codes in (renamed, ratings.codes[:, ::-1]):
        after = coefficients(Ratings(codes, ratings.scans, ratings.categories), False, seed=2, draws=200)
        for one, other in zip(before, after, strict=True):
            assert (one.name, one.items, one.scans) == (other.name, other.items, other.scans)
            assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))


def test_order_of_items_changes_nothing_but_reversing_ordinal_categories_neither() -> None:
    ratings = sample()
    shuffle = np.random.default_rng(1).permutation(40)
    before = coefficients(ratings, True, seed=2, draws=0)
    reversed_codes = np.where(ratings.codes == MISSING, MISSING, 2 - ratings.codes)
    for other in (
        Ratings(ratings.codes[shuffle], ratings.scans[shuffle], ratings.categories),
        Ratings(reversed_codes, ratings.scans, ratings.categories),
    ):
        after = coefficients(other, True, seed=2, draws=0)
        assert [one.value for one in after] == pytest.approx([one.value for one in before])


def test_perfect_and_opposite_readers() -> None:
    perfect = by_name(from_table([[5, 0], [0, 5]]))
    assert all(one.value == pytest.approx(1.0) for one in perfect.values())
    opposite = by_name(from_table([[0, 5], [5, 0]]))
    assert opposite["Cohen's kappa"].value == pytest.approx(-1.0)
    assert opposite["Percent agreement"].value == 0.0


def test_one_category_only_is_not_defined_and_says_so() -> None:
    found = by_name(from_rows([["agree", "agree"]] * 6, ("agree", "disagree", "unsure")))
    for name in ("Cohen's kappa", "Fleiss' kappa", "Krippendorff's alpha"):
        assert math.isnan(found[name].value)
        assert "every rating is “agree”" in found[name].note
    assert found["Percent agreement"].value == 1.0
    assert found["Gwet's AC1"].value == 1.0


def test_nothing_rated_twice() -> None:
    found = by_name(from_rows([["agree", None], [None, "unsure"]], ("agree", "disagree", "unsure")))
    assert all(math.isnan(one.value) and one.items == 0 for one in found.values())
    assert all(one.note == "Nothing was rated by two readers." for one in found.values())
    empty = Ratings(np.empty((0, 3), np.int64), np.empty(0, np.int64), ("a", "b"))
    assert all(one.items == 0 for one in coefficients(empty, True, seed=1))


def test_too_few_scans_give_no_interval() -> None:
    one = sample()
    few = Ratings(one.codes, np.repeat(np.arange(4), 10), one.categories)
    found = coefficients(few, False, seed=1)
    assert all(math.isnan(c.low) and "4 scans, at least 5" in c.note for c in found)


def test_intervals_resample_scans_and_not_regions() -> None:
    # Ten scans of ten regions, all agreed or all not: as sure as ten answers, not as a hundred.
    agreed = np.repeat(np.arange(10) % 2 == 0, 10)
    codes = np.stack([np.tile([0, 1], 50), np.where(agreed, np.tile([0, 1], 50), np.tile([1, 0], 50))], 1)
    clustered = coefficients(Ratings(codes, np.repeat(np.arange(10), 10), ("a", "b")), False, 3)[0]
    single = coefficients(Ratings(codes, np.arange(100), ("a", "b")), False, 3)[0]
    assert clustered.value == single.value == 0.5
    # Binomial SDs: sqrt(.25/10) = .158 and sqrt(.25/100) = .05.
    assert clustered.high - clustered.low == pytest.approx(2 * 1.96 * 0.158, abs=0.1)
    assert single.high - single.low == pytest.approx(2 * 1.96 * 0.05, abs=0.04)


def test_intervals_are_seeded_and_hold_the_value() -> None:
    first, again, other = (coefficients(sample(), True, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert all(one.low <= one.value <= one.high for one in first)


def test_weights_by_hand() -> None:
    assert weights(3, "linear").tolist() == [[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]]
    assert weights(3, "quadratic")[0].tolist() == [1, 0.75, 0]
    with pytest.raises(EvaluationError, match="'cubic'; expected identity"):
        weights(3, "cubic")  # type: ignore[arg-type]
