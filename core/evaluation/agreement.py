"""Agreement among readers: percent, Cohen's and Fleiss' kappa, Krippendorff's alpha, Gwet's AC1 and AC2.

Each coefficient is a function of tables that add up over scans. So a bootstrap that resamples scans (all
regions of a scan stay together) is one matrix product, for all coefficients and draws at once.

References: [1] Cohen 1960, Educ Psychol Meas 20:37–46; [2] Cohen 1968, Psychol Bull 70:213–220; [3] Fleiss
1971, Psychol Bull 76:378–382; [4] Krippendorff 2011, Computing Krippendorff's alpha-reliability; [5] Gwet
2008, Br J Math Stat Psychol 61:29–48; [6] Gwet 2014, Handbook of inter-rater reliability, 4th ed. (missing
ratings, AC2); [7] Feinstein and Cicchetti 1990, J Clin Epidemiol 43:543–549 (the prevalence paradox).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.evaluation.ratings import MISSING, Ratings
from core.evaluation.resampling import LEAST_SCANS, Array, Coefficient, ratio, resampled
from core.evaluation.statistics import DRAWS, LEVEL, EvaluationError

Weighting = Literal["identity", "linear", "quadratic"]
PARADOX_PERCENT, PARADOX_GAP = 0.8, 0.3


def weights(count: int, weighting: Weighting) -> Array:
    """Agreement (K, K) between categories: 1 on the diagonal, less with distance where they have an order.

    Linear 1 − d/(K − 1), quadratic 1 − (d/(K − 1))² [2].

    Raises
    ------
    EvaluationError
        On an unknown name.
    """
    distance = np.abs(np.subtract.outer(np.arange(count), np.arange(count))) / max(count - 1, 1)
    if weighting == "identity":
        return np.eye(count)
    if weighting == "linear":
        return 1.0 - distance
    if weighting == "quadratic":
        return 1.0 - distance**2
    raise EvaluationError(f"weighting {weighting!r}; expected identity, linear or quadratic")


# The tables of one item, flattened; sums of them over items are what the coefficients take.


def _counts(ratings: Ratings) -> Array:
    """Readers by item and category, (items, K)."""
    return np.stack([(ratings.codes == k).sum(axis=1) for k in range(len(ratings.categories))], 1).astype(
        np.float64
    )


def _many_tables(ratings: Ratings, agree: Array) -> Array:
    """Per item: pairable (1), agreement (1), rated (1), shares of categories (K), coincidences (K²)."""
    counts = _counts(ratings)
    raters = counts.sum(axis=1)
    paired = raters >= 2
    pairs = np.where(paired, raters * (raters - 1), 1.0)
    near = counts @ agree
    agreement = np.where(paired, (counts * (near - 1)).sum(axis=1) / pairs, 0.0)
    shares = counts / np.maximum(raters, 1)[:, None]
    both = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(counts.shape[1])
    both = np.where(paired[:, None, None], both / np.maximum(raters - 1, 1)[:, None, None], 0.0)
    return np.concatenate(
        [
            paired[:, None],
            agreement[:, None],
            (raters >= 1)[:, None],
            shares,
            both.reshape(len(counts), both.shape[1] ** 2),
        ],
        axis=1,
    )


def _observed(sums: Array) -> Array:
    return ratio(sums[:, 1], sums[:, 0])


def _prevalence(sums: Array, count: int) -> Array:
    """Mean share of each category among an item's ratings, (draws, K)."""
    return sums[:, 3 : 3 + count] / np.maximum(sums[:, 2:3], 1.0)


def _fleiss(sums: Array, agree: Array) -> Array:
    share = _prevalence(sums, len(agree))
    chance = np.einsum("dk,kl,dl->d", share, agree, share)
    return ratio(_observed(sums) - chance, 1 - chance)


def _gwet(sums: Array, agree: Array) -> Array:
    count = len(agree)
    share = _prevalence(sums, count)
    chance = agree.sum() / (count * (count - 1)) * (share * (1 - share)).sum(axis=1)
    return ratio(_observed(sums) - chance, 1 - chance)


def _ordinal_distance(totals: Array) -> Array:
    """Krippendorff's δ² for ordered categories, (draws, K, K), from how often each is used."""
    upto = np.cumsum(totals, axis=1)
    before = upto - totals / 2  # to the middle of each category
    return (before[:, :, None] - before[:, None, :]) ** 2


def _krippendorff(sums: Array, count: int, ordinal: bool) -> Array:
    both = sums[:, 3 + count :].reshape(-1, count, count)
    totals = both.sum(axis=2)
    number = totals.sum(axis=1)
    nominal = np.broadcast_to(1.0 - np.eye(count), both.shape)
    distance = _ordinal_distance(totals) if ordinal else nominal
    seen = (both * distance).sum(axis=(1, 2))
    expected = np.einsum("dk,dl,dkl->d", totals, totals, distance)
    return 1.0 - ratio((number - 1) * seen, expected)


def _cohen(sums: Array, agree: Array) -> Array:
    count = len(agree)
    table = sums.reshape(-1, count, count)
    number = np.maximum(table.sum(axis=(1, 2)), 1.0)
    observed = (table * agree).sum(axis=(1, 2)) / number
    chance = np.einsum("dk,kl,dl->d", table.sum(axis=2), agree, table.sum(axis=1)) / number**2
    return ratio(observed - chance, 1 - chance)


def _pair_tables(ratings: Ratings, first: int, second: int) -> Array:
    """One 1 an item at its cell of the confusion table, (items, K²)."""
    count = len(ratings.categories)
    a, b = ratings.codes[:, first], ratings.codes[:, second]
    known = (a != MISSING) & (b != MISSING)
    tables = np.zeros((len(a), count * count))
    tables[np.flatnonzero(known), (a * count + b)[known]] = 1.0
    return tables


def _coefficient(
    name: str, values: Array, ratings: Ratings, used: NDArray[np.bool_], undefined: str
) -> Coefficient:
    """The first value, and the percentile interval of the others; draws without a value don't count."""
    items, scans = int(used.sum()), int(np.unique(ratings.scans[used]).size)
    value, drawn = float(values[0]), values[1:]
    nan = float("nan")
    if items == 0:
        return Coefficient(name, nan, nan, nan, 0, 0, "Nothing was rated by two readers.")
    if not np.isfinite(value):
        return Coefficient(name, nan, nan, nan, items, scans, undefined)
    if drawn.size == 0:
        few = f"No interval: {scans} scans, at least {LEAST_SCANS} are needed."
        return Coefficient(name, value, nan, nan, items, scans, few)
    lost = int((~np.isfinite(drawn)).sum())
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    note = f"Not defined in {lost} of {drawn.size} resamples; they don't count." if lost else ""
    return Coefficient(name, value, float(low), float(high), items, scans, note)


def _one_category(ratings: Ratings, used: NDArray[np.bool_]) -> str:
    chosen = np.unique(ratings.codes[used][ratings.codes[used] != MISSING])
    if chosen.size == 1:
        return (
            f"Not defined: every rating is “{ratings.categories[int(chosen[0])]}”, so that agreement by "
            "chance is certain and kappa and alpha are 0/0."
        )
    return "Not defined: agreement by chance is certain."


def cohen_kappa(
    ratings: Ratings,
    first: int = 0,
    second: int = 1,
    weighting: Weighting = "identity",
    seed: int = 0,
    draws: int = DRAWS,
) -> Coefficient:
    """Cohen's kappa [1] of two readers, weighted [2] where the categories have an order.

    Items that either did not rate are left out.
    """
    tables = _pair_tables(ratings, first, second)
    used = tables.sum(axis=1) > 0
    sums = resampled(tables[used], ratings.scans[used], seed, draws)
    name = "Cohen's kappa" if weighting == "identity" else f"Cohen's kappa, {weighting} weights"
    only = Ratings(ratings.codes[:, [first, second]], ratings.scans, ratings.categories)
    values = _cohen(sums, weights(len(ratings.categories), weighting))
    return _coefficient(name, values, only, used, _one_category(only, used))


def coefficients(ratings: Ratings, ordinal: bool, seed: int, draws: int = DRAWS) -> list[Coefficient]:
    """Everything that can be said of how far readers agree, intervals by resampling scans.

    Percent agreement, Fleiss' kappa [3] (with missing ratings as in [6]), Krippendorff's alpha [4], Gwet's
    AC1 [5]; of two readers Cohen's kappa too; for ordered categories also the weighted kappa and AC2
    (quadratic weights) and the ordinal alpha.
    """
    count = len(ratings.categories)
    used = ratings.pairable
    identity, quadratic = weights(count, "identity"), weights(count, "quadratic")
    sums = resampled(_many_tables(ratings, identity), ratings.scans, seed, draws)
    several: dict[str, Array] = {
        "Percent agreement": _observed(sums),
        "Fleiss' kappa": _fleiss(sums, identity),
        "Krippendorff's alpha": _krippendorff(sums, count, ordinal=False),
        "Gwet's AC1": _gwet(sums, identity),
    }
    if ordinal:
        near = resampled(_many_tables(ratings, quadratic), ratings.scans, seed, draws)
        several["Krippendorff's alpha, ordinal"] = _krippendorff(near, count, ordinal=True)
        several["Gwet's AC2, quadratic weights"] = _gwet(near, quadratic)
    why = _one_category(ratings, used)
    found = [_coefficient(name, values, ratings, used, why) for name, values in several.items()]
    if ratings.codes.shape[1] == 2:
        found.insert(1, cohen_kappa(ratings, seed=seed, draws=draws))
        if ordinal:
            found.insert(2, cohen_kappa(ratings, weighting="quadratic", seed=seed, draws=draws))
    return found


def paradox(found: Sequence[Coefficient]) -> str:
    """A warning where kappa is low though readers agree, since one category prevails [7]; else empty."""
    values: Mapping[str, float] = {one.name: one.value for one in found}
    percent = values.get("Percent agreement", float("nan"))
    kappas = [values[name] for name in ("Cohen's kappa", "Fleiss' kappa") if name in values]
    kappa = min((value for value in kappas if np.isfinite(value)), default=float("nan"))
    if not (percent >= PARADOX_PERCENT and percent - kappa >= PARADOX_GAP):
        return ""
    return (
        f"Prevalence paradox: readers agree in {100 * percent:.0f} % of pairs, yet kappa is {kappa:.2f}, "
        "because one category prevails and kappa then expects most agreement by chance. Read it beside "
        f"percent agreement and AC1 ({values.get(AC1, float('nan')):.2f})."
    )


AC1 = "Gwet's AC1"
